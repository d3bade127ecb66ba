package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// FileOptions are what FromFile needs to know besides the files.
type FileOptions struct {
	// ProjectName, if given, wins over what the environment and the files say.
	ProjectName string
	// WorkingDir is what relative paths start from; by default the directory of
	// the first file. Its .env file is read, if it has one.
	WorkingDir string
	// Env are the environment variables that the files may use; they win over
	// .env. FromFile doesn't look at the process's own environment.
	Env map[string]string
}

// ErrNoFiles is what FromFile fails with when it is given none.
var ErrNoFiles = errors.New("no compose file given")

// FromFile reads the project from compose files, the later ones over the
// earlier ones, as docker compose -f A -f B does. Services of all profiles are
// in it. Nothing is executed and nothing is fetched: an include or extends that
// isn't a local file is ErrRemote. Missing env_files don't matter, since only
// names of variables are of interest here; variables that are not set are told
// in Notes. Services have no containers, and no volume is said to exist.
func FromFile(ctx context.Context, files []string, opts FileOptions) (Project, error) {
	if len(files) == 0 {
		return Project{}, ErrNoFiles
	}
	if err := ctx.Err(); err != nil {
		return Project{}, err
	}
	for _, f := range files {
		if f == "-" {
			return Project{}, errors.New("a compose file cannot be read from standard input; give its path")
		}
		if isRemote(f) {
			return Project{}, refuseRemote(f)
		}
	}
	dir, err := workingDir(files, opts.WorkingDir)
	if err != nil {
		return Project{}, err
	}
	env, err := environment(dir, opts.Env)
	if err != nil {
		return Project{}, err
	}
	loaded, notes, err := load(ctx, files, dir, opts.ProjectName, env)
	if err != nil {
		return Project{}, err
	}
	return fromLoaded(loaded, notes)
}

func workingDir(files []string, given string) (string, error) {
	if given == "" {
		given = filepath.Dir(files[0])
	}
	dir, err := filepath.Abs(given)
	if err != nil {
		return "", fmt.Errorf("find the directory of the compose file: %w", err)
	}
	return dir, nil
}

// load runs the loader as Compose would, but with everything off that would
// read files for the containers' sake. Where a variable is not set and what
// Compose would make of it is no valid file, as with a port that is empty, it
// is tried with stand-ins: the variables of other services must not hide what
// is to be said about ours.
func load(ctx context.Context, files []string, dir, name string, env map[string]string) (*types.Project, []string, error) {
	var first error
	for _, standIn := range []string{"", "1", "1s"} {
		vars := newVariables(standIn)
		loaded, err := loadOnce(ctx, files, dir, name, env, vars)
		if err == nil {
			return loaded, vars.notes(), nil
		}
		if first == nil {
			first = vars.redacted(err)
		}
		if errors.Is(err, ErrRemote) || ctx.Err() != nil || len(vars.unset) == 0 {
			break
		}
	}
	return nil, nil, fmt.Errorf("read compose file: %w", first)
}

func loadOnce(ctx context.Context, files []string, dir, name string, env map[string]string, vars *variables) (*types.Project, error) {
	details := types.ConfigDetails{WorkingDir: dir, Environment: types.Mapping(maps.Clone(env))}
	for _, f := range files {
		abs, err := filepath.Abs(f)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", f, err)
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: abs})
	}
	loaded, err := loader.LoadWithContext(ctx, details, func(o *loader.Options) {
		guess, explicit := projectName(name, env, dir)
		o.SetProjectName(guess, explicit)
		o.Profiles = []string{"*"}
		o.SkipResolveEnvironment = true
		o.SkipResolveLabels = true
		o.ResourceLoaders = []loader.ResourceLoader{localOnly{}}
		o.Interpolate.Substitute = vars.substitute
	})
	if err != nil {
		return nil, err
	}
	for _, f := range details.ConfigFiles {
		loaded.ComposeFiles = append(loaded.ComposeFiles, f.Filename)
	}
	return loaded.WithServicesLabelsResolved(true)
}

// projectName is what Compose takes: what is asked for, else
// COMPOSE_PROJECT_NAME, else the file's own name (which the loader finds), else
// the directory's.
func projectName(asked string, env map[string]string, dir string) (name string, explicit bool) {
	if asked != "" {
		return asked, true
	}
	if fromEnv := env["COMPOSE_PROJECT_NAME"]; fromEnv != "" {
		return fromEnv, true
	}
	return loader.NormalizeProjectName(filepath.Base(dir)), false
}

// fromLoaded turns compose-go's model into ours.
func fromLoaded(loaded *types.Project, notes []string) (Project, error) {
	if !validName(loaded.Name) {
		return Project{}, fmt.Errorf("project %s: the name is none that Compose allows; give one with --project", quoted(loaded.Name))
	}
	p := Project{Name: loaded.Name, WorkingDir: loaded.WorkingDir, ConfigFiles: loaded.ComposeFiles, Notes: notes}
	own, used := map[string]bool{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(loaded.Services)) {
		if !validName(name) {
			return Project{}, fmt.Errorf("service %s: the name is none that Compose allows", quoted(name))
		}
		s := serviceFromFile(loaded, loaded.Services[name])
		mine := used
		if isOwnService(s, loaded.Services[name]) {
			p.Notes = append(p.Notes, fmt.Sprintf("service %s: is ripplebak itself and left out", name))
			mine = own
		} else {
			p.Services = append(p.Services, s)
		}
		for _, m := range s.Mounts {
			mine[m.Volume] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(loaded.Volumes)) {
		v := loaded.Volumes[key]
		if own[key] && !used[key] {
			continue
		}
		if !validName(key) {
			return Project{}, fmt.Errorf("volume %s: the name is none that Compose allows", quoted(key))
		}
		p.Volumes = append(p.Volumes, Volume{
			Key: key, Name: v.Name, Driver: v.Driver, Options: maps.Clone(v.DriverOpts),
			Labels: maps.Clone(v.Labels), External: bool(v.External),
		})
	}
	slices.Sort(p.Notes)
	return p, nil
}

func serviceFromFile(loaded *types.Project, s types.ServiceConfig) Service {
	out := Service{
		Name: s.Name, Image: s.Image, Labels: map[string]string(maps.Clone(s.Labels)),
		Mounts: mountsFromFile(loaded, s, map[string]bool{}), EnvNames: slices.Sorted(maps.Keys(s.Environment)),
		NetworkMode:    s.NetworkMode,
		HasHealthcheck: s.HealthCheck != nil && !s.HealthCheck.Disable,
	}
	if out.Image == "" && s.Build != nil {
		out.Image = loaded.Name + "-" + s.Name
	}
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[name]
		out.DependsOn = append(out.DependsOn, Dependency{Service: name, Condition: d.Condition, Restart: d.Restart})
	}
	return out
}

// mountsFromFile returns a service's mounts by target, with those that it takes
// over from other services. seen guards against circles of volumes_from.
func mountsFromFile(loaded *types.Project, s types.ServiceConfig, seen map[string]bool) []Mount {
	seen[s.Name] = true
	byTarget := map[string]Mount{}
	for _, from := range s.VolumesFrom {
		name, mode, _ := strings.Cut(from, ":")
		other, ok := loaded.Services[name]
		if !ok || seen[name] {
			continue
		}
		for _, m := range mountsFromFile(loaded, other, seen) {
			m.ReadOnly = m.ReadOnly || mode == "ro"
			byTarget[m.Target] = m
		}
	}
	for _, v := range s.Volumes {
		m := Mount{Kind: v.Type, Source: v.Source, Target: path.Clean(v.Target), ReadOnly: v.ReadOnly}
		if v.Type == types.VolumeTypeVolume {
			m.Volume, m.Source, m.Anonymous = v.Source, "", v.Source == ""
			m.Name = loaded.Volumes[v.Source].Name
		}
		byTarget[m.Target] = m
	}
	for _, t := range s.Tmpfs {
		target, _, _ := strings.Cut(t, ":")
		target = path.Clean(target)
		byTarget[target] = Mount{Kind: KindTmpfs, Target: target}
	}
	return slices.SortedFunc(maps.Values(byTarget), func(a, b Mount) int { return cmp.Compare(a.Target, b.Target) })
}

// isOwnService says whether a service of a file is a sidecar of ours. What an
// image says about itself isn't known here, so it goes by the label, by the
// image's name, and by the one variable that nobody runs without.
func isOwnService(s Service, config types.ServiceConfig) bool {
	if s.Labels[LabelSidecar] == "true" {
		return true
	}
	name := path.Base(s.Image)
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	if name == "ripplebak" {
		return true
	}
	_, password := config.Environment["RIPPLEBAK_PASSWORD"]
	_, passwordFile := config.Environment["RIPPLEBAK_PASSWORD_FILE"]
	return password || passwordFile
}
