package plan

import (
	"bufio"
	"io"
	"strings"

	"github.com/docker/go-units"

	"github.com/ripplebak/ripplebak/manifest"
)

// Print writes the restore's plan for people: what comes back, what is lost by
// it, what goes down, and the order.
func (r *Restore) Print(out io.Writer) error {
	w := bufio.NewWriter(out)
	if line(w, 0, "restore of project %s", r.Project); !r.At.IsZero() {
		line(w, 0, "from what was saved by %s", stamp(r.At))
	}
	if r.Undoes != "" {
		line(w, 0, "which undoes restore %s", visible(r.Undoes))
	}
	heading(w, "comes back")
	if len(r.Items) == 0 {
		line(w, 1, "nothing")
	}
	for _, it := range r.Items {
		line(w, 1, "%s  (%s, as it was at %s, snapshot %s)", visible(it.Key), units.BytesSize(float64(it.Bytes)), stamp(it.Time), short(it.Snapshot))
		for _, p := range it.Paths {
			line(w, 3, "only /%s", visible(p))
		}
		line(w, 3, "%s", it.effect())
		if it.Command != "" {
			line(w, 3, "$ %s", it.Command)
		}
		for _, c := range it.Commands {
			line(w, 3, "$ %s", c)
		}
		if it.Volume != nil && len(it.Volume.Protect) > 0 {
			line(w, 3, "but not %s", visible(strings.Join(it.Volume.Protect, ", ")))
		}
		if it.Volume != nil && it.Volume.Space != nil {
			line(w, 3, "%s", it.Volume.Space)
		}
	}
	r.printBootstrap(w)
	if len(r.Problems) == 0 {
		if r.Bootstrap == nil {
			r.printDowntime(w)
		}
		heading(w, "in this order")
		for i, op := range r.Operations {
			line(w, 1, "%2d. %s", i+1, op)
			if op.asks() {
				line(w, 3, "$ %s", op.Command)
			}
		}
	}
	printList(w, "warnings", r.Warnings)
	printList(w, "problems (nothing is touched until these are put right)", r.Problems)
	return w.Flush()
}

func (r *Restore) printBootstrap(w *bufio.Writer) {
	if r.Bootstrap == nil {
		return
	}
	heading(w, "the project's own files, into "+visible(r.Bootstrap.Dir))
	for _, f := range r.Bootstrap.Files {
		how := ""
		switch {
		case f.Same:
			how = "; it is there already"
		case f.Elsewhere:
			how = "; nothing is written where it was"
		}
		line(w, 1, "%s  (%s, was %s%s)", visible(f.Path), f.Role, visible(f.Source), how)
	}
	if len(r.Bootstrap.Files) == 0 {
		line(w, 1, "none")
	}
	printList(w, "brought back before", r.Bootstrap.Done)
}

// effect says what the restore of the item does to what is there today.
func (i RestoreItem) effect() string {
	switch {
	case i.Kind == manifest.Config && i.To == "":
		return "as the files below"
	case i.To != "" && i.Kind == manifest.Dump:
		return "as files into " + visible(i.To)
	case i.To != "":
		return "as the folder " + visible(i.To)
	case i.Volume != nil && i.Volume.Create:
		return "into the new Docker volume " + i.Volume.Docker
	case i.NewName != "" && i.Volume != nil:
		return "into the Docker volume " + i.Volume.Docker + ", which must be empty"
	case i.NewName != "":
		return "as the new database " + visible(i.NewName) + " of service " + i.Service + "; the one that is there stays as it is"
	case i.Volume != nil && i.Volume.New:
		return "as the file " + visible(i.Volume.Docker) + " of the host, which is not there now"
	case i.Volume != nil && i.Volume.Dir != "":
		return "in place of the file " + visible(i.Volume.Docker) + " of the host"
	case i.Volume != nil && len(i.Paths) > 0:
		return "over what " + placeText(i.Volume.Docker) + " has there now; the rest of it stays as it is"
	case i.Volume != nil:
		return "over what " + placeText(i.Volume.Docker) + " holds now"
	case len(i.Placed) > 0:
		return i.placed()
	case i.Command != "":
		return "over what service " + i.Service + " has now"
	case i.Kind == manifest.Dump && i.Name == "":
		return "roles that are missing in service " + i.Service
	}
	return "in place of what service " + i.Service + " has under that name now"
}

func (r *Restore) printDowntime(w *bufio.Writer) {
	var down []string
	for _, op := range r.Operations {
		if op.Do == StopService {
			down = append(down, op.Service+": "+op.Cause)
		}
	}
	printDown(w, "stopped until it is done", down, "no service is stopped")
}

func short(id string) string {
	if len(id) > 8 {
		return id[:8]
	}
	return id
}

// String says the step in one line, with its cause.
func (o RestoreOperation) String() string {
	items := visible(strings.Join(o.Items, ", "))
	var s string
	switch o.Do {
	case Safety:
		s = "save as they are now: " + items
	case StopService, StopEngine:
		s = "stop " + o.Service
	case CreateVolume:
		s = "create " + items
	case FillVolume, LoadDump:
		s = "restore " + items
	case WriteFiles:
		s = "write " + items
	case PlaceDump:
		s = "put " + items + " in the place of the files of " + o.Service
	case ConfirmDump:
		s = "compare what " + o.Service + " has loaded with " + items
	case MakeFiles:
		s = "make the files of " + o.Service + " of " + items
	case StartEngine:
		s = "have " + o.Service + " run, and wait until it is ready"
	case StartService:
		s = "start " + o.Service
	case WriteConfig:
		s = "write the project's own files"
	case AskToCopy:
		s = "have you copy a file"
	case AskToStart:
		s = "have you start what is needed, and wait until " + strings.Join(append(o.Databases[:len(o.Databases):len(o.Databases)], o.Containers...), ", ") + " is there"
	case RestoreInto:
		s = "restore " + items
	case AskToStartRest:
		s = "have you start everything, and wait until it is healthy"
	default:
		s = string(o.Do)
	}
	return s + "  (" + o.Cause + ")"
}
