package sidecar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// elsewhereDir is where files go that were outside of the project's directory: a
// manifest never names a path that is written to.
const elsewhereDir = "ripplebak-elsewhere"

// ownFiles are the project's own files as they were saved.
type ownFiles struct {
	files []ownFile
	// owner is who owned the first compose file.
	owner   uint32
	outline compose.Outline
	vars    map[string]string
	// given are the compose files and envs the files of variables that Compose is
	// to be told, as it finds them from the directory.
	given, envs []string
	// sidecar is our own service in the project; empty where there was none.
	sidecar string
	// anchor is the nearest directory of the host that is there, below the rest of
	// the way.
	anchor, below string
}

// ownFile is one of them: as it is written, where and what it was, and whether
// that was outside of the project's directory.
type ownFile struct {
	file      volume.NewFile
	was       manifest.ConfigFile
	elsewhere bool
}

// readConfig reads the project's own files out of the repository.
func (b *bootstrap) readConfig(ctx context.Context) error {
	src := b.sources[manifest.Key(manifest.Config, "", "")]
	if src == nil {
		return nil
	}
	info := src.item.ConfigInfo
	if info == nil || len(info.Files) > compose.MaxConfigFiles {
		return errors.New("the manifest does not describe the project's own files")
	}
	c := &ownFiles{vars: map[string]string{}}
	var total int64
	for _, f := range info.Files {
		file, err := b.readOwn(ctx, src, info.WorkingDir, f)
		if err != nil {
			return fmt.Errorf("%s in snapshot %s: %s: %w", src.item.Key(), src.snapshot.ID.Short(), f.Source, err)
		}
		if total += int64(len(file.file.Content)); total > maxConfigBytes {
			return fmt.Errorf("%s in snapshot %s has more than %d bytes", src.item.Key(), src.snapshot.ID.Short(), maxConfigBytes)
		}
		c.files = append(c.files, file)
	}
	c.understand(info, src.snapshot.manifest.Recovery)
	b.config = c
	return nil
}

// readOwn reads one file, and decides where below the directory it goes.
func (b *bootstrap) readOwn(ctx context.Context, src *sourceItem, workingDir string, f manifest.ConfigFile) (ownFile, error) {
	out := ownFile{was: f}
	if !path.IsAbs(f.Source) || path.Clean(f.Source) != f.Source || f.Source == "/" || compose.KernelPath(f.Source) ||
		strings.ContainsFunc(f.Source, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return out, errors.New("that is no path of a file")
	}
	node, err := b.vault.repo.Resolve(ctx, *src.node.Subtree, strings.Split(f.Path, "/")...)
	if err != nil {
		return out, err
	}
	if node.Type != repository.NodeFile {
		return out, errors.New("it is no regular file")
	}
	content, err := readSmall(ctx, b.vault.repo, node, volume.MaxFile)
	if err != nil {
		return out, err
	}
	at, inside := strings.CutPrefix(f.Source, strings.TrimSuffix(workingDir, "/")+"/")
	if !inside {
		at, out.elsewhere = elsewhereDir+f.Source, true
	}
	out.file = volume.NewFile{
		Path: at, Content: content, Mode: uint32(node.Mode.Perm()), UID: node.UID, GID: node.GID,
		ModTime: volume.Time{Sec: node.ModTime.Unix(), Nsec: uint32(node.ModTime.Nanosecond())},
	}
	return out, nil
}

// understand finds out how Compose is to be called with these files.
func (c *ownFiles) understand(info *manifest.ConfigInfo, recovery *manifest.Recovery) {
	given, envs := info.Compose, info.Env
	if len(given) == 0 && recovery != nil { // of an earlier version
		given = recovery.Files
	}
	if recovery != nil {
		c.sidecar = recovery.Sidecar
	}
	var contents [][]byte
	for _, role := range []string{compose.RoleInclude, compose.RoleCompose, compose.RoleOverride} { // the project's name is that of the last
		for _, f := range c.files {
			if f.was.Role == role {
				contents = append(contents, f.file.Content)
			}
			if f.was.Role == role && role != compose.RoleInclude && len(info.Compose) == 0 && len(given) == 0 {
				given = append(given, f.was.Source)
			}
		}
	}
	c.outline = compose.OutlineOf(contents)
	for _, f := range c.files {
		if f.was.Role == compose.RoleCompose {
			c.owner = f.file.UID
		}
		if f.was.Role == compose.RoleEnv {
			maps.Copy(c.vars, compose.Variables(f.file.Content))
		}
	}
	for _, p := range given {
		c.given = append(c.given, c.pathOf(p))
	}
	if !slices.Equal(envs, []string{path.Join(info.WorkingDir, ".env")}) {
		for _, p := range envs {
			c.envs = append(c.envs, c.pathOf(p))
		}
	}
}

// pathOf is a file as it is named from the directory: what was outside of it is
// where it was, for somebody has been asked to copy it there.
func (c *ownFiles) pathOf(source string) string {
	for _, f := range c.files {
		if f.was.Source == source && !f.elsewhere {
			return f.file.Path
		}
	}
	return source
}

// places are the paths of the host at which the files are by the time that there
// are containers.
func (c *ownFiles) places(dir string) []string {
	var out []string
	for _, f := range c.files {
		out = append(out, path.Join(dir, f.file.Path))
		if f.elsewhere {
			out = append(out, f.was.Source)
		}
	}
	return out
}

// compose is the beginning of each command of Compose: what it finds out by
// itself is left out.
func (c *ownFiles) compose(project, dir string) []string {
	out := []string{"docker", "compose"}
	if !c.outline.Calls(dir, c.vars, project) {
		out = append(out, "-p", project)
	}
	var beside []string
	for _, f := range c.files {
		if !strings.Contains(f.file.Path, "/") {
			beside = append(beside, f.file.Path)
		}
	}
	for _, e := range c.envs {
		out = append(out, "--env-file", e)
	}
	if len(c.given) == 0 || compose.Found(c.given, beside) {
		return out
	}
	if path.Dir(c.given[0]) != "." {
		out = append(out, "--project-directory", dir)
	}
	for _, f := range c.given {
		out = append(out, "-f", f)
	}
	return out
}

// look finds out what would become of the files, and writes nothing.
func (c *ownFiles) look(ctx context.Context, b *bootstrap) ([]plan.BootstrapFile, error) {
	for c.anchor, c.below = b.dir, "."; c.anchor != "/"; c.anchor = path.Dir(c.anchor) {
		there, err := b.host.hasPath(ctx, b.id, c.anchor)
		if err != nil {
			return nil, err
		}
		if there {
			break
		}
		c.below = path.Join(path.Base(c.anchor), c.below)
	}
	placed, err := c.place(ctx, b, false)
	if err != nil {
		return nil, err
	}
	out := []plan.BootstrapFile{}
	for i, f := range c.files {
		out = append(out, plan.BootstrapFile{
			Path: f.file.Path, Source: f.was.Source, Role: f.was.Role, Mode: f.file.Mode, Elsewhere: f.elsewhere, Same: placed[i].Same, InTheWay: placed[i].Why,
		})
	}
	return out, nil
}

// place has a helper look at the directory, or write the files into it.
func (c *ownFiles) place(ctx context.Context, b *bootstrap, write bool) (_ []volume.PlacedFile, err error) {
	l, err := volume.Listen(b.app.Settings.RunDir)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	h, err := b.app.startHelper(ctx, b.host, l, b.id, []string{c.anchor}, write)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := h.close(context.WithoutCancel(ctx)); cerr != nil {
			b.app.Log.Warn().Msg(b.app.Redactor().Redact(cerr.Error()))
		}
	}()
	files := make([]volume.NewFile, len(c.files))
	for i, f := range c.files {
		files[i] = f.file
	}
	req := volume.PlaceRequest{Root: h.mountPoint(0), Dir: c.below, Owner: c.owner, Write: write}
	placed, err := h.peer.PlaceFiles(ctx, req, files)
	if err != nil {
		return nil, fmt.Errorf("look at %s on the host: %w", b.dir, err)
	}
	return placed, nil
}

// writeConfig writes the project's own files.
func (b *bootstrap) writeConfig(ctx context.Context, op plan.RestoreOperation) error {
	item, end := b.item(op.Items[0])
	placed, err := b.config.place(ctx, b, true)
	for i, f := range placed {
		switch {
		case f.Why != "" && b.done()[item.Key]:
			item.Notes = append(item.Notes, fmt.Sprintf("%s %s: it stays as it is", path.Join(b.dir, f.Path), f.Why))
		case f.Why != "":
			err = errors.Join(err, fmt.Errorf("%s %s: move it away and run the same command again", path.Join(b.dir, f.Path), f.Why))
		case f.Same:
			item.Unchanged++
		default:
			item.Files++
			item.Bytes += int64(len(b.config.files[i].file.Content))
		}
	}
	item.Fetched = item.Bytes
	if err == nil {
		item.Verified = append(item.Verified, fmt.Sprintf("%d files, each blob authenticated", len(placed)))
	}
	end(err)
	return context.Cause(ctx)
}
