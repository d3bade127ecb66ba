package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
)

// Restore is what a restore will do.
type Restore struct {
	Project string `json:"project"`
	// At is the time from before which everything is to be; zero: any.
	At time.Time `json:"at,omitzero"`
	// Undoes is the ID of the restore that this one undoes; empty: it is an
	// ordinary one.
	Undoes string `json:"undoes,omitempty"`
	// Dir is the directory that items become files in; empty: they come back
	// into the project.
	Dir string `json:"dir,omitempty"`
	// Bootstrap is set where the project comes back to a machine that has nothing
	// of it.
	Bootstrap *Bootstrap `json:"bootstrap,omitempty"`
	// NoStop says that the users of the volumes go on meanwhile.
	NoStop     bool               `json:"no_stop,omitempty"`
	Items      []RestoreItem      `json:"items"`
	Operations []RestoreOperation `json:"operations"`
	Warnings   []string           `json:"warnings"`
	Problems   []string           `json:"problems"`
}

// Source is the snapshot from which one item comes.
type Source struct {
	Snapshot string // ID
	Time     time.Time
	Item     manifest.Item
	// Paths are what is restored of a volume, sorted; none: all of it. Then
	// the item's bytes and files are those of the paths.
	Paths []string
	// NewName is that of the database or the volume to restore into, beside
	// what has the item's own; empty: the item's own.
	NewName string
}

// RestoreItem is one item that comes back.
type RestoreItem struct {
	Key      string        `json:"key"`
	Kind     manifest.Kind `json:"kind"`
	Service  string        `json:"service,omitempty"`
	Name     string        `json:"name"`
	Snapshot string        `json:"snapshot"`
	Time     time.Time     `json:"time"`
	Bytes    int64         `json:"bytes"`
	Files    int64         `json:"files"`
	// Paths are what comes back of a volume, if not all of it.
	Paths []string `json:"paths,omitempty"`
	// NewName is the database or the volume that it becomes, if not its own.
	NewName string `json:"new_name,omitempty"`
	// To is where it goes, if not to its own place.
	To string `json:"to,omitempty"`
	// Volume is set for volumes that come back as such.
	Volume *RestoreVolume `json:"volume,omitempty"`
	// Command is what changes the data where it lies, and cannot be undone.
	Command string `json:"command,omitempty"`
	// Placed is set for dumps that come back as files: what changes in each
	// volume.
	Placed []RestoreFiles `json:"placed,omitempty"`
	// Load makes the new files, in a double of the service's container.
	Load     []dump.Step `json:"-"`
	Commands []string    `json:"commands,omitempty"`
	Source   Source      `json:"-"`
}

// RestoreVolume is where a volume goes.
type RestoreVolume struct {
	Docker string `json:"docker_name"`
	// Dir is, of a single file of the host, the directory that it lies in; New
	// says that there is no such file.
	Dir    string         `json:"directory,omitempty"`
	New    bool           `json:"new,omitempty"`
	Create bool           `json:"create"`
	Spec   compose.Volume `json:"-"` // what is there, or what is created
	// Protect are patterns of what is never touched there, whatever was excluded
	// when it was saved.
	Protect []string `json:"protect,omitempty"`
	// Space is set by CheckSpace for a volume that is there.
	Space *RestoreSpace `json:"space,omitempty"`
}

// Place is what a helper mounts that is to write there.
func (v *RestoreVolume) Place() string {
	if v.Dir != "" {
		return v.Dir
	}
	return v.Docker
}

// RestoreVerb is what a step of a restore does.
type RestoreVerb string

// The steps of a restore.
const (
	Safety       RestoreVerb = "safety"         // save what will be overwritten
	StopService  RestoreVerb = "stop"           // stop a service that is up
	CreateVolume RestoreVerb = "create-volume"  // make a missing volume
	FillVolume   RestoreVerb = "restore-volume" // bring a volume to the snapshot's state
	StartEngine  RestoreVerb = "start-database" // start the database and wait until it is ready
	LoadDump     RestoreVerb = "restore-dump"   // replace a database by its dump
	PlaceDump    RestoreVerb = "place-dump"     // put a dump in the place of a stopped server's files, which stay aside
	MakeFiles    RestoreVerb = "make-files"     // have a double of the server's container make its files of the dump
	ConfirmDump  RestoreVerb = "confirm-dump"   // see that the server has come up with the dump; else bring its files back
	StartService RestoreVerb = "start"          // start what was stopped
	StopEngine   RestoreVerb = "stop-database"  // stop a database that was not running before
	WriteFiles   RestoreVerb = "write"          // write the item as files into a directory
)

// RestoreOperation is one step of a restore.
type RestoreOperation struct {
	Do      RestoreVerb `json:"do"`
	Items   []string    `json:"items,omitempty"`
	Service string      `json:"service,omitempty"`
	// Command is the line that somebody is asked to run on the host. Databases
	// are the services that are waited for until they are ready, Containers those
	// that have to be there, or, at the end, to be healthy.
	Command    string   `json:"command,omitempty"`
	Databases  []string `json:"databases,omitempty"`
	Containers []string `json:"containers,omitempty"`
	Cause      string   `json:"cause"`
}

// RestoreInput is everything that a restore is decided upon.
type RestoreInput struct {
	Project compose.Project
	// Sources are the items to restore, each from the newest snapshot in
	// which it is good.
	Sources []Source
	// Undoes is the ID of the restore that is undone, if one is.
	Undoes string
	// At is the time that was asked for; zero: none.
	At time.Time
	// NoStop says that services that use the volumes are not to be stopped,
	// which is possible for single paths.
	NoStop   bool
	Warnings []string
	Problems []string
	// Found are those volumes of Targets that the host has all the same, by
	// Docker's name, as they were inspected.
	Found map[string]compose.Volume
	// ForeignUsers are running containers outside the project that mount a
	// volume, by Docker's name of the volume; of the project's volumes and of
	// those in Found.
	ForeignUsers map[string][]string
	// Placements say where dumps go that come back as files, by item key.
	Placements map[string]dump.Placement
	// InPlace are the commands that change data where it lies, by item key.
	InPlace map[string]InPlace
	// Safety says whether what will be overwritten is saved first; Fresh, that
	// there is nothing that could be.
	Safety, Fresh bool
	// HostPaths, Own and Absent are of binds: the paths of the host that the
	// settings name, those that are the sidecar's, and those that are not there.
	HostPaths           []string
	Own                 []OwnPath
	Absent              map[string]bool
	HasState, HasSocket bool
}

// InPlace is a restore that changes the old data where it lies.
type InPlace struct {
	Command string // as it is shown
	Note    string // what becomes of the old data if it fails
}

// MakeRestore decides what a restore does; what is wrong is in its Problems.
func MakeRestore(in RestoreInput) *Restore {
	r := &Restore{
		Project:    in.Project.Name,
		At:         in.At,
		Undoes:     in.Undoes,
		NoStop:     in.NoStop,
		Items:      []RestoreItem{},
		Operations: []RestoreOperation{},
		Warnings:   append([]string{}, in.Warnings...),
		Problems:   append([]string{}, in.Problems...),
	}
	order, err := in.Project.Order()
	if err != nil {
		r.Problems = append(r.Problems, err.Error())
		order = serviceNames(in.Project)
	}
	for _, s := range r.withoutTorn(in.Sources) {
		r.addItem(in, s)
	}
	r.checkTimes()
	r.checkTwice()
	r.checkFiles()
	r.addOperations(in, order)
	r.checkSurroundings(in)
	r.checkRemoved(in)
	return r
}

func (r *Restore) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *Restore) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// withoutTorn leaves out volumes that hold the files of a database that comes
// back from its dumps, and that were copied while it ran: a server may not
// start with such files, and then the dumps could not be restored either.
func (r *Restore) withoutTorn(sources []Source) []Source {
	dumped := map[string]string{} // key of a volume to the service whose database is dumped
	for _, s := range sources {
		if s.Item.Kind == manifest.Dump && s.Item.Name != "" && s.Item.DumpInfo != nil {
			for _, v := range s.Item.DumpInfo.Volumes {
				dumped[v] = s.Item.Service
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(sources), func(s Source) bool {
		service, ok := dumped[s.Item.Name]
		if !ok || s.Item.Kind != manifest.Volume || s.Item.During != string(labels.Live) {
			return false
		}
		r.warn("%s is not restored: it holds the files of the database of service %q and was copied while that ran; its dumps are restored instead", s.Item.Key(), service)
		return true
	})
}

// warnOfLackingRows says which tables come back empty.
func (r *Restore) warnOfLackingRows(item manifest.Item) {
	if d := item.DumpInfo; d != nil && len(d.ExcludeTableData) > 0 {
		r.warn("%s: tables that fit %s come back without rows, which a label left out when it was saved", item.Key(), strings.Join(d.ExcludeTableData, ", "))
	}
}

func (r *Restore) addItem(in RestoreInput, s Source) {
	it := RestoreItem{
		Key: s.Item.Key(), Kind: s.Item.Kind, Service: s.Item.Service, Name: s.Item.Name,
		Snapshot: s.Snapshot, Time: s.Time, Bytes: s.Item.Bytes, Files: s.Item.Files, Paths: s.Paths, NewName: s.NewName, Source: s,
	}
	switch s.Item.Kind {
	case manifest.Dump:
		r.warnOfLackingRows(s.Item)
		p, ok := in.Placements[it.Key]
		if p.Volume == "" {
			r.checkDump(in, s.Item)
		}
		if c, ok := in.InPlace[it.Key]; ok {
			it.Command = c.Command
			r.warnOnce("%s: %s", it.Key, c.Note)
		}
		if ok {
			it.Placed = r.files(in, s.Item, p)
			it.Load = p.Load
			for _, step := range p.Load {
				it.Commands = append(it.Commands, step.Command.Show)
			}
			r.checkUsers(in, it)
		}
	case manifest.Volume:
		it.Volume = r.target(in, s.wanted(in.Project))
		r.protectOwn(in, s.Item, it.Volume)
		r.checkUsers(in, it)
	case manifest.Bind:
		it.Volume = r.bindTarget(in, s.Item)
		r.checkUsers(in, it)
	default:
		r.problem("%s: this version restores dumps, volumes and binds only", it.Key)
	}
	r.Items = append(r.Items, it)
}

// checkDump refuses what cannot take a dump.
func (r *Restore) checkDump(in RestoreInput, item manifest.Item) {
	s, ok := in.Project.Service(item.Service)
	switch {
	case !ok || len(s.Containers) == 0:
		r.problemOnce("service %q, whose databases are to be restored, has no container: create it with %q and restore again", item.Service, in.Project.Up(item.Service))
	case inState(in.Project, item.Service, compose.StatePaused):
		r.paused(item.Service)
	case restarting(in.Project, item.Service):
		r.warnOnce("service %q keeps restarting: if its database does not come up, its dumps cannot be restored; look at %q", item.Service, in.Project.Logs(item.Service))
	}
}

// checkUsers refuses a volume that somebody holds who cannot be stopped.
func (r *Restore) checkUsers(in RestoreInput, it RestoreItem) {
	volumes := it.writes()
	if len(volumes) == 0 {
		return
	}
	if in.NoStop {
		r.leaveRunning(in, it)
		return
	}
	for _, volume := range volumes {
		r.checkUsersOf(in, it, volume)
	}
}

func (r *Restore) checkUsersOf(in RestoreInput, it RestoreItem, volume string) {
	if users := in.ForeignUsers[volume]; len(users) > 0 {
		r.problem("%s: used by %s, outside the project, which a restore does not stop: stop it and restore again", it.Key, strings.Join(users, ", "))
	}
	for _, u := range in.Project.UsersOf(volume) {
		switch {
		case inState(in.Project, u.Service, compose.StatePaused):
			r.paused(u.Service)
		case it.NewName != "" && up(in.Project, u.Service): // nothing is stopped for what goes beside
			r.problemOnce("%s: the volume %s is used by service %q: name one that is new, or stop the service with \"docker compose stop %s\" and restore again", it.Key, volume, u.Service, u.Service)
		}
	}
}

// leaveRunning takes note of who goes on while files are put back.
func (r *Restore) leaveRunning(in RestoreInput, it RestoreItem) {
	if len(it.Paths) == 0 {
		r.problem("%s: its users can be left running only where single paths are restored", it.Key)
		return
	}
	users := slices.Clone(in.ForeignUsers[it.Volume.Docker])
	for _, u := range in.Project.UsersOf(it.Volume.Docker) {
		if up(in.Project, u.Service) {
			users = append(users, fmt.Sprintf("service %q", u.Service))
		}
	}
	if len(users) > 0 {
		r.warn("%s: %s goes on meanwhile: what it has open there it sees as it was until it opens it again", it.Key, strings.Join(users, ", "))
	}
}

// paused refuses to restore under processes that somebody froze: they would
// wake up with what they knew of the old data.
func (r *Restore) paused(service string) {
	r.problemOnce("service %q is paused: run \"docker compose unpause %s\" and restore again", service, service)
}

func (r *Restore) problemOnce(format string, args ...any) {
	r.Problems = appendOnce(r.Problems, fmt.Sprintf(format, args...))
}

func (r *Restore) warnOnce(format string, args ...any) {
	r.Warnings = appendOnce(r.Warnings, fmt.Sprintf(format, args...))
}

func appendOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// checkTimes warns when items come from different snapshots, and of what was
// saved later than asked for, by a run that had begun before.
func (r *Restore) checkTimes() {
	var newest time.Time
	for _, it := range r.Items {
		if it.Time.After(newest) {
			newest = it.Time
		}
	}
	for _, it := range r.Items {
		if !it.Time.Equal(newest) {
			r.warn("%s is of %s, older than the rest (%s): that is the newest snapshot in which it is good", it.Key, stamp(it.Time), stamp(newest))
		}
		if saved := it.Source.Item.Finished; !r.At.IsZero() && saved.After(r.At) {
			r.warn("%s was saved until %s, after the time that was asked for (%s): its run had begun before", it.Key, stamp(saved.In(r.At.Location())), stamp(r.At))
		}
	}
}

// checkTwice refuses two items that go into one volume.
func (r *Restore) checkTwice() {
	by := map[string]string{}
	for _, it := range r.Items {
		if it.Volume == nil || it.Volume.Docker == "" {
			continue
		}
		if other, ok := by[it.Volume.Docker]; ok {
			r.problem("%s and %s are both the volume %s: restore one of them", other, it.Key, it.Volume.Docker)
		}
		by[it.Volume.Docker] = it.Key
	}
}

func (r *Restore) checkSurroundings(in RestoreInput) {
	if len(r.Items) == 0 && len(r.Problems) == 0 {
		r.problem("there is nothing to restore")
	}
	if !in.HasState {
		r.problem("there is no state volume in which to note what has to be undone; %s", addState)
	}
	if !in.HasSocket && slices.ContainsFunc(r.Items, func(i RestoreItem) bool { return i.Volume != nil || len(i.Placed) > 0 }) {
		r.problem("the containers that write volumes cannot reach this one; %s", addSocket)
	}
	if !in.Safety && !in.Fresh && len(r.overwritten()) > 0 {
		r.warn("what is overwritten is not saved first, and cannot be brought back")
	}
}

// Stops says whether the restore stops a service, and why.
func (r *Restore) Stops(service string) (cause string, ok bool) {
	for _, op := range r.Operations {
		if op.Do == StopService && op.Service == service {
			return op.Cause, true
		}
	}
	return "", false
}

// Item returns the item with the key.
func (r *Restore) Item(key string) (RestoreItem, bool) {
	for _, i := range r.Items {
		if i.Key == key {
			return i, true
		}
	}
	return RestoreItem{}, false
}
