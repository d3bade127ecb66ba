package sidecar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// The bounds of a project's own files: the rounds in which files are read that
// others name, the directories of one helper, and the bytes of all files.
const (
	maxConfigRounds = 8
	maxConfigDirs   = 32
	maxConfigBytes  = 128 << 20
)

// configRun is the reading of a project's own files. Which there are is known
// only as they are read: a compose file names others.
type configRun struct {
	run     *run
	dir     string // the project's
	pending []configWant
	seen    map[string]bool // by path
	vars    map[string]string
	gone    map[string]bool // directories that are not there

	folder   *directory
	taken    map[string]bool // paths below config/, folders too
	files    []manifest.ConfigFile
	bytes    int64
	warnings []string
}

// configWant is a file that is still to be read. It may be somewhere else than
// where it is named, behind a link.
type configWant struct {
	compose.ConfigFile
	at string
}

// saveConfig saves the project's own files. What of them cannot be had is a
// warning, for nobody would thank us for a night without a backup because of a
// compose file that was moved.
func (r *run) saveConfig(ctx context.Context, op plan.Operation) error {
	key := op.Items[0]
	it, res := r.item(key)
	r.mu.Lock()
	res.item.Started = r.app.Now()
	r.mu.Unlock()
	r.app.progress().Begin(key, 0)
	c := &configRun{
		run: r, dir: it.Config.WorkingDir, seen: map[string]bool{}, vars: map[string]string{}, gone: map[string]bool{},
		folder: newDirectory(), taken: map[string]bool{}, warnings: slices.Clone(it.Config.Notes),
	}
	c.want(it.Config.Sources)
	for round := 0; len(c.pending) > 0; round++ {
		if round == maxConfigRounds {
			c.warn("files of the project name one another too often: %s is not saved", c.pending[0].Path)
			break
		}
		err := c.round(ctx)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			c.warn("the project's files cannot be read: %v", err)
			break
		}
	}
	c.end(key, res)
	return nil
}

// prepareConfig begins to start the helper that reads the project's own files
// while the operation before goes on.
func (r *run) prepareConfig(ctx context.Context, ops []plan.Operation) {
	if len(ops) < 2 || ops[1].Do != plan.Config || r.reader != nil {
		return
	}
	it, ok := r.plan.Item(ops[1].Items[0])
	if !ok || it.Config == nil {
		return
	}
	dirs := map[string]bool{}
	for _, f := range it.Config.Sources {
		dirs[path.Dir(f.Path)] = true
	}
	if len(dirs) <= maxConfigDirs {
		r.reader = r.app.startEarly(ctx, r.host, r.id, slices.Sorted(maps.Keys(dirs)), false)
	}
}

func (c *configRun) warn(format string, args ...any) {
	c.warnings = append(c.warnings, c.run.app.Redactor().Redact(fmt.Sprintf(format, args...)))
}

// want adds files that were not wanted before.
func (c *configRun) want(files []compose.ConfigFile) {
	for _, f := range files {
		if c.seen[f.Path] {
			continue
		}
		if len(c.seen) >= compose.MaxConfigFiles {
			c.warn("the project has more than %d files of its own: %s and others are not saved", compose.MaxConfigFiles, f.Path)
			return
		}
		c.seen[f.Path] = true
		c.pending = append(c.pending, configWant{ConfigFile: f, at: f.Path})
	}
}

// round reads what is wanted now, and finds out what else is.
func (c *configRun) round(ctx context.Context) error {
	batch := c.pending
	c.pending = nil
	byDir := map[string][]configWant{}
	for _, w := range batch {
		byDir[path.Dir(w.at)] = append(byDir[path.Dir(w.at)], w)
	}
	var parse []parsedLater
	for dirs := range slices.Chunk(slices.Sorted(maps.Keys(byDir)), maxConfigDirs) {
		read, err := c.read(ctx, dirs, byDir)
		if err != nil {
			return err
		}
		parse = append(parse, read...)
	}
	for _, p := range parse { // once all variables of this round are known
		found, notes := compose.References(p.content, p.file.Dir, c.vars)
		for _, n := range notes {
			c.warn("%s %s", p.file.Path, n)
		}
		c.want(found)
	}
	return nil
}

// parsedLater is a compose file that may name others.
type parsedLater struct {
	file    compose.ConfigFile
	content []byte
}

// read has a helper read the files of some directories. It mounts each of them
// read-only, and one that is not there is left out.
func (c *configRun) read(ctx context.Context, dirs []string, byDir map[string][]configWant) (parse []parsedLater, _ error) {
	h, dirs, err := c.helper(ctx, dirs, byDir)
	if h == nil {
		return nil, err
	}
	// It is removed while the run goes on, and gone when that ends.
	defer c.run.removing.Go(func() {
		if err := h.close(context.WithoutCancel(ctx)); err != nil {
			c.run.warn("a helper could not be removed, the next run tries it again: %v", err)
		}
	})
	for i, dir := range dirs {
		wants := byDir[dir]
		var names []string
		for _, w := range wants {
			names = append(names, path.Base(w.at))
		}
		n := 0
		var failed error // ours, not the directory's
		err := h.peer.Files(ctx, h.mountPoint(i), names, c.run.app.Settings.Stall, func(f volume.FoundFile) error {
			w := wants[n]
			n++
			p, err := c.take(ctx, w, f)
			if p != nil {
				parse = append(parse, *p)
			}
			failed = err
			return err
		})
		if failed != nil || ctx.Err() != nil {
			return parse, err
		}
		if err != nil { // the other directories may be read
			c.warn("%s cannot be read: of the project's files in it %d are not saved: %v", dir, len(wants)-n, err)
		}
	}
	return parse, nil
}

// helper starts the helper, without the directories that are not there.
func (c *configRun) helper(ctx context.Context, dirs []string, byDir map[string][]configWant) (*helper, []string, error) {
	if h := c.run.reader.take(dirs); h != nil {
		return h, dirs, nil
	}
	for len(dirs) > 0 {
		h, err := c.run.app.startHelper(ctx, c.run.host, c.run.listener, c.run.id, dirs, false)
		var missing *docker.NoPathError
		if !errors.As(err, &missing) || !slices.Contains(dirs, missing.Path) {
			return h, dirs, err
		}
		for _, w := range byDir[missing.Path] {
			c.absent(w)
		}
		dirs = slices.DeleteFunc(slices.Clone(dirs), func(d string) bool { return d == missing.Path })
	}
	return nil, nil, nil
}

func (c *configRun) absent(w configWant) {
	if !w.Optional {
		c.warn("%s (%s) is not there: it is not saved", w.Path, w.Role)
	}
}

// take stores a file. A link is followed as Compose follows it: what it leads to
// is read in the next round and stored under the link's name.
func (c *configRun) take(ctx context.Context, w configWant, f volume.FoundFile) (*parsedLater, error) {
	switch {
	case f.Absent:
		c.absent(w)
		return nil, nil
	case f.Why != "":
		c.warn("%s (%s) %s: it is not saved", w.Path, w.Role, f.Why)
		return nil, nil
	case f.Link != "":
		if path.IsAbs(f.Link) {
			w.at = path.Clean(f.Link)
		} else {
			w.at = path.Join(path.Dir(w.at), f.Link)
		}
		if compose.KernelPath(w.at) {
			c.warn("%s (%s) is a link to %s: it is not saved", w.Path, w.Role, w.at)
			return nil, nil
		}
		c.pending = append(c.pending, w)
		return nil, nil
	case c.bytes+f.Size > maxConfigBytes:
		c.warn("%s (%s) is not saved: the project's own files are larger than %d bytes", w.Path, w.Role, maxConfigBytes)
		return nil, nil
	}
	if err := c.store(ctx, w, f); err != nil {
		return nil, err
	}
	if w.Role == compose.RoleEnv {
		maps.Copy(c.vars, compose.Variables(f.Content))
	}
	if compose.IsCompose(w.Role) {
		return &parsedLater{file: w.ConfigFile, content: f.Content}, nil
	}
	return nil, nil
}

// store puts a file into the repository, with its owner, rights and time.
func (c *configRun) store(ctx context.Context, w configWant, f volume.FoundFile) error {
	at := manifest.ConfigPath(c.dir, w.Path)
	names := strings.Split(at, "/")
	if !c.free(names) {
		c.warn("%s (%s) is not saved: it was a folder a moment ago, or the other way round", w.Path, w.Role)
		return nil
	}
	file := c.run.writer.NewFile(repository.CutFile)
	if _, err := file.Write(f.Content); err != nil {
		file.Abandon()
		return fmt.Errorf("save %s: %w", w.Path, err)
	}
	ids, size, err := file.Finish().Wait(ctx)
	if err != nil {
		return fmt.Errorf("save %s: %w", w.Path, err)
	}
	node := c.run.fileNode(names[len(names)-1], ids, size)
	node.Mode, node.UID, node.GID = os.FileMode(f.Mode&0o777), f.UID, f.GID
	if t := f.ModTime.Time(); t.Year() >= 1 && t.Year() <= 9999 {
		node.ModTime, node.AccessTime, node.ChangeTime = t, t, t
	}
	c.folder.at(names[:len(names)-1]...).nodes = append(c.folder.at(names[:len(names)-1]...).nodes, node)
	c.files = append(c.files, manifest.ConfigFile{Path: at, Source: w.Path, Role: w.Role, Size: f.Size})
	c.bytes += f.Size
	c.run.app.progress().Advance(manifest.Key(manifest.Config, "", ""), int64(len(c.files)), c.bytes)
	return nil
}

// free claims a place below config/. No name can be a file and a folder.
func (c *configRun) free(names []string) bool {
	whole := strings.Join(names, "/")
	if _, ok := c.taken[whole]; ok {
		return false
	}
	for i := range names[1:] {
		if folder, ok := c.taken[strings.Join(names[:i+1], "/")]; ok && !folder {
			return false
		}
	}
	c.taken[whole] = false
	for i := range names[1:] {
		c.taken[strings.Join(names[:i+1], "/")] = true
	}
	return true
}

// end notes what came of it. An item without any file is none of this run's:
// the newest snapshot that has one goes on to be the one that counts.
func (c *configRun) end(key string, res *result) {
	r := c.run
	for _, w := range c.warnings {
		r.app.Log.Warn().Str("item", key).Msg(w)
	}
	slices.SortFunc(c.files, func(a, b manifest.ConfigFile) int { return strings.Compare(a.Path, b.Path) })
	r.mu.Lock()
	res.item.Warnings = c.warnings
	res.item.Files, res.item.Bytes = int64(len(c.files)), c.bytes
	res.item.ConfigInfo.Files = append(res.item.ConfigInfo.Files, c.files...)
	if len(c.files) == 0 {
		res.item.State, res.done = manifest.Skipped, true
		r.mu.Unlock()
		r.app.progress().End(key, string(manifest.Skipped))
		return
	}
	res.folder = c.folder
	r.mu.Unlock()
	r.good(key)
}
