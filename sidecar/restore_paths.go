package sidecar

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
)

// volumePath reads a path in a volume: names from its root, which a leading
// slash stands for too. Nothing in it is a pattern, and it never leads out of
// the volume.
func volumePath(text string) (string, error) {
	names := strings.Split(text, "/")
	switch {
	case slices.Contains(names, ".."):
		return "", fmt.Errorf("path %q leads out of a folder by \"..\": write it from the root of the volume", text)
	case strings.IndexByte(text, 0) >= 0 || len(text) > maxVolumePath:
		return "", fmt.Errorf("%.100q is no path", text)
	}
	clean := strings.TrimPrefix(path.Clean("/"+text), "/")
	if clean == "" {
		return "", fmt.Errorf("path %q is a volume as a whole: use --volume for that", text)
	}
	return clean, nil
}

// maxVolumePath bounds a path, in bytes: what a volume can hold is shorter.
const maxVolumePath = 32 << 10

// volumePaths reads all of them, each once.
func volumePaths(texts []string) (paths []string, problems []string) {
	for _, text := range texts {
		p, err := volumePath(text)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return slices.Compact(paths), problems
}

// narrow leaves of the sources the volumes that hold the paths that were asked
// for, each with these. A path that is in none of them, or in several, is a
// problem. Sources that were narrowed are as large as what they hold there.
func (r *restore) narrow(ctx context.Context, sources []plan.Source) (narrowed []plan.Source, problems []string, err error) {
	if len(r.opt.Paths) == 0 {
		for i := range sources {
			src := r.sources[sources[i].Item.Key()]
			src.paths = plan.WholePaths(src.item)
			sources[i].Paths = src.paths
		}
		return sources, nil, nil
	}
	paths, problems := volumePaths(r.opt.Paths)
	for _, p := range paths {
		var in []*sourceItem
		for _, s := range sources {
			src := r.sources[s.Item.Key()]
			node, err := r.vault.repo.Resolve(ctx, *src.node.Subtree, strings.Split(p, "/")...)
			switch {
			case errors.Is(err, repository.ErrNoNode):
			case err != nil:
				return nil, nil, fmt.Errorf("%s in snapshot %s: %w", s.Item.Key(), src.snapshot.ID.Short(), err)
			case node != nil:
				in = append(in, src)
			}
		}
		if len(in) != 1 {
			problems = append(problems, r.notInOne(p, in, sources))
			continue
		}
		in[0].paths = append(in[0].paths, p)
	}
	for _, s := range sources {
		src := r.sources[s.Item.Key()]
		if len(src.paths) == 0 {
			delete(r.sources, s.Item.Key())
			continue
		}
		extent, err := r.extentOf(ctx, src)
		if err != nil {
			return nil, nil, fmt.Errorf("nothing was touched: %s in snapshot %s cannot be restored: %w", s.Item.Key(), src.snapshot.ID.Short(), err)
		}
		s.Paths, s.Item.Bytes, s.Item.Files = src.paths, extent.Bytes, extent.Files
		narrowed = append(narrowed, s)
	}
	return narrowed, problems, nil
}

// notInOne says why a path does not name one thing.
func (r *restore) notInOne(p string, in []*sourceItem, sources []plan.Source) string {
	names := func(items []string) string { return strings.Join(items[:min(len(items), 10)], ", ") }
	if len(in) == 0 {
		var looked []string
		for _, s := range sources {
			looked = append(looked, fmt.Sprintf("%s (%s)", s.Item.Key(), s.Time.Format("2006-01-02 15:04:05")))
		}
		if len(looked) == 0 {
			return fmt.Sprintf("path %q: there is no volume to look in", p)
		}
		return fmt.Sprintf("path %q is not in %s: \"find\" says which snapshots have it", p, names(looked))
	}
	var found []string
	for _, src := range in {
		found = append(found, src.item.Name)
	}
	return fmt.Sprintf("path %q is in the volumes %s: choose one by --volume", p, names(found))
}

// extentOf is how much an item's source holds of what is restored of it. It
// proves that every blob of that is in the index.
func (r *restore) extentOf(ctx context.Context, src *sourceItem) (repository.Extent, error) {
	if len(src.paths) == 0 {
		return r.vault.repo.HasAll(ctx, *src.node.Subtree)
	}
	var all repository.Extent
	for i, p := range src.paths {
		if slices.ContainsFunc(src.paths[:i], func(above string) bool { return strings.HasPrefix(p, above+"/") }) {
			continue
		}
		node, err := r.vault.repo.Resolve(ctx, *src.node.Subtree, strings.Split(p, "/")...)
		if err != nil {
			return all, err
		}
		one, err := r.vault.repo.HasNode(ctx, node)
		if err != nil {
			return all, fmt.Errorf("below %q: %w", path.Dir("/"+p), err)
		}
		// The folders above it may have to be made.
		one.Dirs += int64(strings.Count(p, "/"))
		all = all.Plus(one)
	}
	return all, nil
}

// pathsOnly says whether the restore is of paths, and so of volumes only.
func (r *restore) pathsOnly(it manifest.Item) bool {
	return len(r.opt.Paths) == 0 || it.Kind == manifest.Volume || it.Kind == manifest.Bind
}
