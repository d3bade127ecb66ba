package plan

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/ripplebak/ripplebak/labels"
)

// Print writes the plan for people.
func (p *Plan) Print(out io.Writer) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "project %s\n", p.Project)
	p.printItems(w)
	p.printOperations(w)
	if len(p.Unlabelled) > 0 {
		fmt.Fprintf(w, "\nnot labelled, and holding data:\n")
		for _, u := range p.Unlabelled {
			fmt.Fprintf(w, "  %s: %s (label it %s)\n", u.Service, strings.Join(u.Holds, ", "), u.Advice)
		}
	}
	printList(w, "warnings", p.Warnings)
	printList(w, "problems: nothing runs until these are put right", p.Problems)
	return w.Flush()
}

func printList(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for _, l := range lines {
		fmt.Fprintf(w, "  - %s\n", strings.ReplaceAll(l, "\n", "\n    "))
	}
}

func (p *Plan) printItems(w io.Writer) {
	fmt.Fprintf(w, "\nitems:\n")
	if len(p.Items) == 0 {
		fmt.Fprintf(w, "  none\n")
	}
	for _, it := range p.Items {
		fmt.Fprintf(w, "  %s: %s\n", it.Key, it.Cause)
		switch {
		case it.Skip != "":
			fmt.Fprintf(w, "      left out: %s\n", it.Skip)
			continue
		case it.Broken != "":
			fmt.Fprintf(w, "      will fail: %s\n", it.Broken)
			continue
		}
		if it.Dump != nil {
			for _, c := range it.Dump.Commands {
				fmt.Fprintf(w, "      $ %s\n", c)
			}
		}
		if it.Volume != nil {
			printVolume(w, it.Volume)
		}
	}
}

func printVolume(w io.Writer, v *VolumeItem) {
	fmt.Fprintf(w, "      volume %s, while its services %s\n", v.Docker, duringText(v.During))
	if len(v.Exclude) > 0 {
		fmt.Fprintf(w, "      without %s\n", strings.Join(v.Exclude, ", "))
	}
	if v.Inconsistent != "" {
		fmt.Fprintf(w, "      not consistent: %s\n", v.Inconsistent)
	}
}

func duringText(d labels.During) string {
	switch d {
	case labels.Stop:
		return "are stopped"
	case labels.Pause:
		return "are paused"
	default:
		return "go on"
	}
}

func (p *Plan) printOperations(w io.Writer) {
	if len(p.Problems) > 0 {
		return
	}
	fmt.Fprintf(w, "\norder:\n")
	for i, op := range p.Operations {
		fmt.Fprintf(w, "  %2d. %s\n", i+1, op)
	}
}

// String says the operation in one line, with its cause.
func (o Operation) String() string {
	var s string
	items := strings.Join(o.Items, ", ")
	switch o.Do {
	case RunPre, RunPost:
		s = fmt.Sprintf("run in %s: %s", o.Service, o.Command)
	case DoDump:
		s = items
	case Helper:
		s = "start a helper for " + items
	case Walk:
		s = "walk " + items
	case Rewalk:
		s = "walk again " + items
	case Quiesce:
		s = string(o.How) + " " + o.Service
	case Resume:
		s = "start " + o.Service
		if o.How == labels.Pause {
			s = "unpause " + o.Service
		}
	case Commit:
		s = "write the snapshot"
	}
	if o.Cause == "" {
		return s
	}
	return s + "  (" + o.Cause + ")"
}
