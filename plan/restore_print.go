package plan

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// Print writes the restore's plan for people.
func (r *Restore) Print(out io.Writer) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "restore project %s\n\nitems:\n", r.Project)
	for _, it := range r.Items {
		fmt.Fprintf(w, "  %s: %s, from snapshot %s of %s\n", it.Key, units.BytesSize(float64(it.Bytes)), short(it.Snapshot), it.Time.Format(time.RFC3339))
	}
	if len(r.Problems) == 0 {
		fmt.Fprintf(w, "\norder:\n")
		for i, op := range r.Operations {
			fmt.Fprintf(w, "  %2d. %s\n", i+1, op)
		}
	}
	printList(w, "warnings", r.Warnings)
	printList(w, "problems: nothing is touched until these are put right", r.Problems)
	return w.Flush()
}

func short(id string) string {
	if len(id) > 8 {
		return id[:8]
	}
	return id
}

// String says the step in one line, with its cause.
func (o RestoreOperation) String() string {
	items := strings.Join(o.Items, ", ")
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
	case StartEngine:
		s = "start " + o.Service + " if it is down, and wait until it is ready"
	case StartService:
		s = "start " + o.Service
	}
	if o.Cause == "" {
		return s
	}
	return s + "  (" + o.Cause + ")"
}
