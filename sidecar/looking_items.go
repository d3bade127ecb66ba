package sidecar

import (
	"context"
	"errors"
	"strings"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

// shelf says which item a path of a snapshot belongs to. The zero shelf, of a
// snapshot that is laid out in another way, knows of no items.
type shelf struct {
	project string            // the folder of the project, as it is written
	dumps   map[string]string // the key of a dump by its path below dumps/
	config  string            // the key of the compose files
	stored  []string          // keys of what the snapshot holds, as its manifest has them
}

// shelfOf reads a snapshot's layout. Its manifest says what the dumps are;
// without one they are known by their files.
func (a *App) shelfOf(ctx context.Context, repo *repository.Repository, s *repository.StoredSnapshot) (shelf, error) {
	project := projectOf(&s.Snapshot, "")
	if project == "" {
		return shelf{}, nil
	}
	out := shelf{project: manifest.Escape(project), dumps: map[string]string{}, config: manifest.Key(manifest.Config, "", "")}
	m, err := a.manifestOf(ctx, repo, &snapshot{StoredSnapshot: *s}, project)
	switch {
	case errors.Is(err, errNoManifest):
		return out, nil
	case err != nil && context.Cause(ctx) != nil:
		return shelf{}, context.Cause(ctx)
	case err != nil:
		a.Log.Warn().Str("snapshot", s.ID.Short()).Msg(a.Redactor().Redact(err.Error()))
		return out, nil
	}
	for _, it := range m.Items {
		if it.State == manifest.Good || it.State == manifest.Partial {
			out.stored = append(out.stored, it.Key())
		}
		switch {
		case it.Kind == manifest.Config:
			out.config = it.Key()
		case it.DumpInfo != nil:
			for _, f := range it.DumpInfo.Files {
				out.dumps[manifest.Escape(it.Service)+"/"+f.Name] = it.Key()
			}
		}
	}
	return out, nil
}

// item gives the key of the item that a path is in, or "", and where in the
// item it is: "" for the item itself. What is in no item is where it is in the
// snapshot, without its first slash.
func (l *shelf) item(path string) (key, within string) {
	path = strings.TrimPrefix(path, "/")
	if l.project == "" {
		return "", path
	}
	below, ok := strings.CutPrefix(path, l.project+"/")
	if !ok {
		return "", path
	}
	folder, rest, _ := strings.Cut(below, "/")
	name, inside, _ := strings.Cut(rest, "/")
	switch {
	case folder == manifest.ConfigDir:
		return l.config, rest
	case name == "":
		return "", path
	case folder == manifest.VolumesDir:
		return manifest.Key(manifest.Volume, "", manifest.Unescape(name)), inside
	case folder == manifest.DumpsDir && inside != "":
		if key, ok := l.dumps[rest]; ok {
			return key, inside
		}
		return manifest.Key(manifest.Dump, manifest.Unescape(name), inside), inside
	case folder == manifest.BindsDir && inside != "":
		target, within, _ := strings.Cut(inside, "/")
		return manifest.Key(manifest.Bind, manifest.Unescape(name), manifest.Unescape(target)), within
	}
	return "", path
}

// isManifest says whether a path is that of the manifest, or of the recovery
// document, which each run writes anew.
func (l *shelf) isManifest(path string) bool {
	name, ok := strings.CutPrefix(path, "/"+l.project+"/")
	return l.project != "" && ok && (name == manifest.FileName || name == manifest.RunbookName)
}
