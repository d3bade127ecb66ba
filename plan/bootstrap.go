package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
)

// Bootstrap is what a restore has to know that begins with nothing: on a machine
// that has neither the project nor its files.
type Bootstrap struct {
	// Dir is the directory of the host that becomes the project's.
	Dir string `json:"directory"`
	// Files are the project's own files.
	Files []BootstrapFile `json:"files"`
	// Done are the items that an earlier run of it has brought back.
	Done []string `json:"done,omitempty"`
}

// BootstrapFile is one of the project's own files.
type BootstrapFile struct {
	// Path is where it is put, below the directory; Source is where it was.
	Path   string `json:"path"`
	Source string `json:"source"`
	Role   string `json:"role"`
	// Same says that it is there already, as it was saved.
	Same bool `json:"same,omitempty"`
	// Elsewhere says that it was outside of the project's directory, where
	// nothing is written: who restores copies it there.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// Mode are its permissions.
	Mode uint32 `json:"-"`
	// InTheWay says why it cannot be put there.
	InTheWay string `json:"-"`
}

// The steps of a bootstrap, beside those of any restore.
const (
	WriteConfig    RestoreVerb = "write-config"            // put the project's own files into the directory
	AskToCopy      RestoreVerb = "ask-to-copy"             // have somebody copy a file out of the directory
	AskToStart     RestoreVerb = "ask-to-start-databases"  // have somebody start the databases, and wait until they are ready
	RestoreInto    RestoreVerb = "restore-into-containers" // restore what needs containers, by a plan that is made when they are there
	AskToStartRest RestoreVerb = "ask-to-start-all"        // have somebody start everything, and wait until it is healthy
)

// BootstrapInput is everything that a bootstrap is decided upon.
type BootstrapInput struct {
	Project compose.Project // what the host has of it
	// Begun says that what the host has is from an earlier run of this, which has
	// restored the items of Done.
	Begun bool
	Done  map[string]bool
	At    time.Time
	// Sources are the items, the config among them if there is one.
	Sources []Source
	// Services are those of the newest snapshot.
	Services []manifest.Service
	Dir      string
	Files    []BootstrapFile
	// Compose begins each command of Compose.
	Compose []string
	Outline compose.Outline

	Warnings, Problems  []string
	Found               map[string]compose.Volume
	ForeignUsers        map[string][]string
	HasState, HasSocket bool
}

// MakeBootstrap decides how a project comes back where there is nothing of it:
// its files, its volumes, then what its containers have to be there for.
func MakeBootstrap(in BootstrapInput) *Restore {
	r := &Restore{
		Project: in.Project.Name, At: in.At, Bootstrap: &Bootstrap{Dir: in.Dir, Files: in.Files},
		Items: []RestoreItem{}, Operations: []RestoreOperation{},
		Warnings: append([]string{}, in.Warnings...), Problems: append([]string{}, in.Problems...),
	}
	b := &bootstrapBuilder{in: in, r: r}
	b.refuseWhatIsThere()
	for _, s := range r.withoutTorn(in.Sources) {
		b.add(s)
	}
	r.checkTimes()
	r.checkTwice()
	b.files()
	b.volumes()
	b.containers()
	b.rest()
	b.surroundings()
	return r
}

type bootstrapBuilder struct {
	in   BootstrapInput
	r    *Restore
	fill []RestoreItem // volumes that are filled before any container is there
	late []RestoreItem // what containers have to be there for
}

// refuseWhatIsThere keeps a bootstrap away from a project that lives: it saves
// nothing before it writes.
func (b *bootstrapBuilder) refuseWhatIsThere() {
	if b.in.Begun {
		return
	}
	const advice = `a bootstrap is for a machine that has nothing of the project; to restore what is here run "docker compose run --rm backup restore", or remove it first`
	var there []string
	for _, s := range b.in.Project.Services {
		there = append(there, "service "+s.Name)
	}
	for _, key := range dataKeys(b.in.Sources) {
		if v, ok := b.in.Project.Volume(key); ok && v.Exists {
			there = append(there, "volume "+v.Name)
		}
	}
	for name := range b.in.Found {
		there = append(there, "volume "+name)
	}
	slices.Sort(there)
	if there = slices.Compact(there); len(there) > 0 {
		b.r.problem("project %q is on this machine, with %s: %s", b.in.Project.Name, strings.Join(there[:min(len(there), 5)], ", "), advice)
	}
}

// surroundings refuses what our own container cannot do. It is one that was made
// for this by hand.
func (b *bootstrapBuilder) surroundings() {
	if len(b.r.Items)+len(b.r.Bootstrap.Done)+len(b.r.Problems) == 0 {
		b.r.problem("there is nothing to restore")
	}
	if !b.in.HasState {
		b.r.problem("there is no state volume in which to note how far it came: add to the command -v ripplebak:/var/lib/ripplebak")
	}
	if !b.in.HasSocket {
		b.r.problem("the containers that write files and volumes cannot reach this one: add to the command -v ripplebak-run:/run/ripplebak")
	}
}

// dataKeys are the keys of the volumes that come back, and of those that hold
// the files of databases that do.
func dataKeys(sources []Source) []string {
	var keys []string
	for _, s := range sources {
		if s.Item.Kind == manifest.Volume {
			keys = append(keys, s.Item.Name)
		}
		if s.Item.DumpInfo != nil {
			keys = append(keys, s.Item.DumpInfo.Volumes...)
		}
	}
	return keys
}

// add decides when an item comes back. A bind goes where its service mounts it,
// which nobody knows before there is a container; a volume whose password no
// backup holds is made by Compose, which has it.
func (b *bootstrapBuilder) add(s Source) {
	if b.in.Done[s.Item.Key()] && s.Item.Kind != manifest.Config && !b.lost(s.Item) {
		b.r.Bootstrap.Done = append(b.r.Bootstrap.Done, s.Item.Key())
		return
	}
	it := RestoreItem{
		Key: s.Item.Key(), Kind: s.Item.Kind, Service: s.Item.Service, Name: s.Item.Name,
		Snapshot: s.Snapshot, Time: s.Time, Bytes: s.Item.Bytes, Files: s.Item.Files, Source: s,
	}
	switch {
	case s.Item.Kind == manifest.Config: // its files have a place of their own in the plan
	case s.Item.Kind == manifest.Bind && s.Item.VolumeInfo == nil:
		b.r.problem("%s: the manifest does not describe it", it.Key)
	case s.Item.Kind != manifest.Volume:
		b.r.warnOfLackingRows(s.Item)
		b.late = append(b.late, it)
	case s.Item.VolumeInfo != nil && s.Item.VolumeInfo.Withheld && !b.has(s.Item.Name):
		b.late = append(b.late, it)
	default:
		in := RestoreInput{Project: b.in.Project, Found: b.in.Found, ForeignUsers: b.in.ForeignUsers}
		it.Volume = b.r.target(in, s.Item)
		b.r.checkUsers(in, it)
		b.checkRunning(it)
		b.fill = append(b.fill, it)
	}
	b.r.Items = append(b.r.Items, it)
}

// lost says whether what an earlier run has brought back of an item is gone again:
// somebody has removed its volume since, or that of its database.
func (b *bootstrapBuilder) lost(it manifest.Item) bool {
	switch {
	case it.Kind == manifest.Volume && it.VolumeInfo != nil:
		_, found := b.in.Found[wanted(b.in.Project, it).Name]
		return !found && !b.has(it.Name)
	case it.DumpInfo != nil:
		s, _ := b.in.Project.Service(it.Service)
		return len(s.Containers) == 0 && slices.ContainsFunc(it.DumpInfo.Volumes, func(key string) bool { return !b.has(key) })
	}
	return false
}

func (b *bootstrapBuilder) has(key string) bool {
	v, ok := b.in.Project.Volume(key)
	return ok && v.Exists
}

// checkRunning refuses to fill a volume under a service that somebody started
// too early.
func (b *bootstrapBuilder) checkRunning(it RestoreItem) {
	for _, u := range b.in.Project.UsersOf(it.Volume.Docker) {
		if up(b.in.Project, u.Service) {
			b.r.problemOnce("%s: service %q runs upon it and was started too early: run \"docker compose stop %s\" and the same command again", it.Key, u.Service, u.Service)
		}
	}
}

func (b *bootstrapBuilder) op(op RestoreOperation) { b.r.Operations = append(b.r.Operations, op) }

// files puts the project's own files into the directory. Where one is in the
// way, none is written, unless an earlier run has written them all: then somebody
// has fitted it to this machine.
func (b *bootstrapBuilder) files() {
	item := manifest.Key(manifest.Config, "", "")
	if _, ok := b.r.Item(item); !ok {
		b.r.warn("the compose files are in no snapshot: put them into %s yourself before the commands of Compose are run", b.in.Dir)
		return
	}
	for _, f := range b.in.Files {
		switch {
		case f.InTheWay == "":
		case b.in.Done[item]:
			b.r.warn("%s %s: it was written by an earlier run of this, and stays as it is now", path.Join(b.in.Dir, f.Path), f.InTheWay)
		default:
			b.r.problem("%s %s: move it away, or name another directory", path.Join(b.in.Dir, f.Path), f.InTheWay)
		}
	}
	b.op(RestoreOperation{Do: WriteConfig, Items: []string{item}, Cause: "Compose needs them to start anything"})
}

// volumes makes and fills volumes while there is nobody who could use them.
func (b *bootstrapBuilder) volumes() {
	for _, it := range b.fill {
		if it.Volume.Create {
			b.op(RestoreOperation{Do: CreateVolume, Items: []string{it.Key}, Cause: "there is no volume " + it.Volume.Docker})
		}
	}
	for _, it := range b.fill {
		b.op(RestoreOperation{Do: FillVolume, Items: []string{it.Key}, Cause: "as it was at " + stamp(it.Time)})
	}
}

// containers restores what needs containers, once somebody has had Compose make
// them.
func (b *bootstrapBuilder) containers() {
	for _, f := range b.in.Files {
		if f.Elsewhere {
			b.op(RestoreOperation{
				Do: AskToCopy, Cause: "it was outside of the project's directory, where nothing is written",
				Command: fmt.Sprintf("install --backup=numbered -D -m %04o %s %s", f.Mode, manifest.ShellWord(path.Join(b.in.Dir, f.Path)), manifest.ShellWord(f.Source)),
			})
		}
	}
	if len(b.late) == 0 {
		return
	}
	if !slices.ContainsFunc(b.late, b.ofServer) {
		b.into(b.late)
		return
	}
	var dumps, mounts []RestoreItem
	for _, it := range b.late {
		if it.Kind == manifest.Dump {
			dumps = append(dumps, it)
		} else {
			mounts = append(mounts, it)
		}
	}
	b.into(mounts)
	b.into(dumps)
}

// ofServer says whether an item is a bind of a service whose server takes a dump:
// its configuration, without which it may not start, and in the place of whose
// file Docker would make a directory.
func (b *bootstrapBuilder) ofServer(it RestoreItem) bool {
	return it.Kind == manifest.Bind && slices.ContainsFunc(b.late, func(d RestoreItem) bool { return b.serves(d) && d.Service == it.Service })
}

// into restores items that need containers.
func (b *bootstrapBuilder) into(items []RestoreItem) {
	var keys, databases, owners, dirs []string
	create := false
	for _, it := range items {
		keys = append(keys, it.Key)
		if dir := b.hostDir(it); dir != "" {
			dirs = appendOnce(dirs, dir)
		}
		switch {
		case b.serves(it):
			databases = appendOnce(databases, it.Service)
		case it.Service != "":
			create, owners = true, append(owners, it.Service)
		default:
			create, owners = true, append(owners, it.Source.Item.VolumeInfo.UsedBy...)
		}
	}
	slices.Sort(owners)
	owners = slices.Compact(owners)
	var commands []string
	if len(dirs) > 0 {
		commands = append(commands, command("mkdir", append([]string{"-p"}, dirs...)...))
	}
	if create {
		commands = append(commands, b.compose("up", append([]string{"--no-start"}, b.profiled(owners)...)...))
	}
	cause := "there have to be containers to say where their files go"
	if len(databases) > 0 {
		commands = append(commands, b.compose("up", append([]string{"-d"}, databases...)...))
		cause = "their own clients restore the databases"
	}
	b.op(RestoreOperation{Do: AskToStart, Command: b.line(commands), Databases: databases, Containers: owners, Cause: cause})
	b.op(RestoreOperation{Do: RestoreInto, Items: keys, Cause: "as they were; the order is decided when the containers are there"})
}

// serves says whether an item is a dump that a server is asked to take, or whose
// server has to come up with it.
func (b *bootstrapBuilder) serves(it RestoreItem) bool {
	if it.Kind != manifest.Dump || it.Source.Item.DumpInfo == nil {
		return false
	}
	engine, ok := dump.Lookup(it.Source.Item.DumpInfo.Engine)
	_, alone := engine.(dump.VolumeEngine)
	return ok && !alone
}

// rest starts the project.
func (b *bootstrapBuilder) rest() {
	var ran []string
	for _, s := range b.in.Services {
		if !s.Stopped {
			ran = append(ran, s.Name)
		}
		if b.in.Outline.Build[s.Name] {
			b.r.warn("service %q is built from files that are in no backup: bring its image %s, or what it is built from, before it is started", s.Name, s.Image)
		}
	}
	if len(ran) == 0 {
		return
	}
	b.op(RestoreOperation{
		Do: AskToStartRest, Command: b.line([]string{b.compose("up", append([]string{"-d"}, b.profiled(ran)...)...)}),
		Containers: ran, Cause: "all of its data is there",
	})
}

// profiled are the services to name so that Compose takes all of these: none
// where it does so by itself, as none of them belongs to a profile.
func (b *bootstrapBuilder) profiled(services []string) []string {
	for _, s := range services {
		if len(b.in.Outline.Profiles[s]) > 0 {
			return services
		}
	}
	return nil
}

// hostDir is the directory that has to be there for a bind: where it was on the
// host, or, of a file, the one that it was in. What was below the project's
// directory is below the new one. Empty: none.
func (b *bootstrapBuilder) hostDir(it RestoreItem) string {
	if it.Kind != manifest.Bind {
		return ""
	}
	was := it.Source.Item.VolumeInfo.HostPath
	if fileOf(it.Source.Item) != "" {
		was = path.Dir(was)
	}
	for _, s := range b.in.Sources {
		if info := s.Item.ConfigInfo; info != nil {
			if was == path.Clean(info.WorkingDir) {
				return ""
			}
			if below, ok := strings.CutPrefix(was, strings.TrimSuffix(info.WorkingDir, "/")+"/"); ok {
				return "./" + below
			}
		}
	}
	return was
}

// compose is a command of Compose.
func (b *bootstrapBuilder) compose(verb string, args ...string) string {
	return command(b.in.Compose[0], slices.Concat(b.in.Compose[1:], []string{verb}, args)...)
}

func command(name string, args ...string) string {
	words := []string{name}
	for _, w := range args {
		words = append(words, manifest.ShellWord(w))
	}
	return strings.Join(words, " ")
}

// line is one line for the shell, wherever it is run.
func (b *bootstrapBuilder) line(commands []string) string {
	return strings.Join(append([]string{"cd " + manifest.ShellWord(b.in.Dir)}, commands...), " && ")
}

// asks says whether the step waits for somebody who runs its command.
func (o RestoreOperation) asks() bool {
	return o.Do == AskToCopy || o.Do == AskToStart || o.Do == AskToStartRest
}
