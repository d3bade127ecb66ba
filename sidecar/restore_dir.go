package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// restoreToDir writes items as files below a directory: volumes as trees, dumps
// as the files that the database's own client reads. It needs no Docker, and
// nothing of the project is touched.
func (a *App) restoreToDir(ctx context.Context, opt RestoreOptions) (report *RestoreReport, err error) {
	ctx, v, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = v.ended(ctx, err) }()
	project, err := a.lookedAtProject(ctx, v.repo, opt.Snapshot)
	if err != nil {
		return nil, err
	}
	r := a.newRestore(newRunID(), &host{project: project}, nil, v, opt)
	if opt.ToDir, err = filepath.Abs(opt.ToDir); err != nil {
		return nil, err
	}
	r.opt = opt
	started := a.Now()
	defer func() { r.report.Seconds = a.Now().Sub(started).Seconds() }()
	occupied, err := r.decideToDir(ctx)
	if err != nil {
		return r.report, err
	}
	r.report.Plan = r.plan
	if len(r.plan.Problems) > 0 {
		return r.report, &ProblemsError{Problems: r.plan.Problems}
	}
	if _, err := r.verify(ctx); err != nil {
		return r.report, err
	}
	if opt.DryRun {
		return r.report, nil
	}
	if occupied && opt.Confirm != nil {
		if err := opt.Confirm(r.plan); err != nil {
			return r.report, err
		}
	} else { // nobody is shown the plan
		r.report.Notes = append(r.report.Notes, r.plan.Warnings...)
	}
	return r.report, r.writeAll(ctx)
}

// lookedAtProject is the project whose snapshots are looked at: that of the
// snapshot that is named, else our own, or, where nothing says which that is,
// the only one there is.
func (a *App) lookedAtProject(ctx context.Context, repo *repository.Repository, prefix string) (string, error) {
	if prefix != "latest" {
		found, err := a.findSnapshot(ctx, repo, prefix)
		if err != nil {
			return "", err
		}
		return projectOf(&found.Snapshot, ""), nil
	}
	if err := a.oneProject(ctx); err != nil {
		return "", err
	}
	if project := a.ownProject(ctx); project != "" {
		return project, nil
	}
	all, _, err := repo.Snapshots(ctx)
	if err != nil {
		return "", err
	}
	var found []string
	for _, s := range all {
		if p := projectOf(&s.Snapshot, ""); p != "" && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) == 0 {
		return "", fmt.Errorf("latest: %w", repository.ErrNoSnapshot)
	}
	slices.Sort(found)
	return "", fmt.Errorf("the repository has snapshots of the projects %s: say which by RIPPLEBAK_PROJECT", strings.Join(found[:min(len(found), 10)], ", "))
}

// decideToDir reads the snapshots and the directory, and has the plan made.
func (r *restore) decideToDir(ctx context.Context) (occupied bool, err error) {
	sources, warnings, problems, err := r.chooseSources(ctx)
	if err != nil {
		return false, err
	}
	in := plan.DirInput{
		Project: r.host.project, Dir: r.opt.ToDir, At: r.opt.At, Sources: sources, Warnings: warnings, Problems: problems,
		KeepExtra: r.opt.KeepExtra, FreeBytes: -1,
	}
	there, err := existing(r.opt.ToDir)
	if err != nil {
		return false, err
	}
	if there == r.opt.ToDir {
		names, err := os.ReadDir(there)
		if err != nil {
			return false, err
		}
		in.Occupied = len(names) > 0
	}
	if exe, err := os.Executable(); err == nil && exe == ourImage {
		if in.Lost, err = lostWithContainer("/", there); err != nil {
			return false, err
		}
	}
	if free, err := volume.SpaceAt(there); err == nil {
		in.FreeBytes = free.Bytes
	}
	r.plan = plan.MakeRestoreToDir(in)
	return in.Occupied, nil
}

// ourImage is where our own image has the program. Whoever has it elsewhere, in
// a container of theirs, knows what becomes of that.
const ourImage = "/ripplebak"

// existing is the directory, or the nearest above it that is there.
func existing(dir string) (string, error) {
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return "", fmt.Errorf("%s is no directory", dir)
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

// lostWithContainer says why what is written below dir is gone when this
// container is, as it is on the container's own filesystem. root is "/".
func lostWithContainer(root, dir string) (string, error) {
	inside := false
	for _, mark := range []string{".dockerenv", "run/.containerenv"} {
		_, err := os.Lstat(filepath.Join(root, mark))
		inside = inside || err == nil
	}
	if !inside {
		return "", nil
	}
	var own, its unix.Stat_t
	if err := errors.Join(unix.Stat(root, &own), unix.Stat(dir, &its)); err != nil {
		return "", fmt.Errorf("look at %s: %w", dir, err)
	}
	if own.Dev != its.Dev {
		return "", nil
	}
	return "it is inside this container, and gone with it: mount a folder of the host, as with \"docker compose run --rm -v /srv/restored:/restored backup restore --to-dir /restored ...\"", nil
}

// writeAll carries the plan out. What fails does not keep the others.
func (r *restore) writeAll(ctx context.Context) error {
	if err := os.MkdirAll(r.plan.Dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(r.plan.Dir)
	if err != nil {
		return err
	}
	defer root.Close() // only a handle
	for _, op := range r.plan.Operations {
		for _, key := range op.Items {
			item, end := r.item(key)
			err := r.writeItem(ctx, root, key, item)
			end(err)
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
		}
	}
	return r.verdict()
}

// writeItem writes one item. Folders that we make are our own only, as what is
// in them may be confidential; those of a volume get what they had.
func (r *restore) writeItem(ctx context.Context, root *os.Root, key string, out *RestoredItem) error {
	src := r.sources[key]
	to := filepath.Join(src.item.Path()...)
	if err := root.MkdirAll(to, 0o700); err != nil {
		return err
	}
	if src.item.DumpInfo == nil {
		return r.writeTree(ctx, root, to, src, out)
	}
	for _, f := range src.item.DumpInfo.Files {
		n, err := r.writeDump(ctx, root, filepath.Join(to, f.Name), src, f.Name)
		if err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
		out.Bytes, out.Files = out.Bytes+n, out.Files+1
		r.app.progress().Advance(key, out.Files, out.Bytes)
	}
	return nil
}

// writeTree restores a volume as it is restored into one, by a helper in this
// process. What this process may not set is left out, and said.
func (r *restore) writeTree(ctx context.Context, root *os.Root, to string, src *sourceItem, out *RestoredItem) (err error) {
	info, err := root.Lstat(to)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", to)
	}
	if err != nil {
		return err
	}
	// By its descriptor from here on: whoever else may write into the directory
	// could put a link to somewhere else in its place.
	dir, err := root.Open(to)
	if err != nil {
		return err
	}
	defer dir.Close() // only a handle
	peer, end, err := volume.Here(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if ended := end(); err == nil {
			err = ended
		}
	}()
	req := r.restoreRequest(src)
	req.Root, req.Lenient, req.Protected, req.ProtectedPaths = fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), true, nil, nil
	report, err := archive.Restore(ctx, r.vault.repo, src.node, peer, req)
	if errors.Is(err, volume.ErrRestorePending) {
		return fmt.Errorf("an earlier restore into %s was interrupted: remove it, or name another directory", filepath.Join(r.plan.Dir, to))
	}
	if err != nil {
		return err
	}
	took(out, report)
	return nil
}

// writeDump writes a file of a dump. It gets its name once it is whole.
func (r *restore) writeDump(ctx context.Context, root *os.Root, to string, src *sourceItem, name string) (n int64, err error) {
	stream, err := r.openDump(ctx, src, name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	part := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+"."+r.id+".part")
	f, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(f, stream)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(part, to)
	}
	if err != nil {
		return 0, errors.Join(err, root.Remove(part))
	}
	return n, nil
}
