package plan

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/ripplebak/ripplebak/labels"
)

// Print writes the plan for people: what is saved and how, what goes down for
// it and why, the order, and what is left to be said.
func (p *Plan) Print(out io.Writer) error {
	w := bufio.NewWriter(out)
	line(w, 0, "project %s", p.Project)
	p.printItems(w)
	if len(p.Problems) == 0 {
		p.printDowntime(w)
		heading(w, "in this order")
		for i, op := range p.Operations {
			line(w, 1, "%2d. %s", i+1, op)
		}
	}
	if len(p.Unlabelled) > 0 {
		heading(w, "not labelled, and holding data that is not saved")
		for _, u := range p.Unlabelled {
			name := u.Service
			if name == "" {
				name = "used by no service"
			}
			line(w, 1, "%s: %s (to save it: %s)", name, strings.Join(u.Holds, ", "), u.Advice)
		}
	}
	printList(w, "warnings", p.Warnings)
	printList(w, "problems (nothing runs until these are put right)", p.Problems)
	return w.Flush()
}

func (p *Plan) printItems(w *bufio.Writer) {
	heading(w, "saved")
	if !slices.ContainsFunc(p.Items, func(i Item) bool { return i.Skip == "" }) {
		line(w, 1, "nothing")
	}
	skipped := 0
	for _, it := range p.Items {
		if it.Skip != "" {
			skipped++
			continue
		}
		line(w, 1, "%s  (%s)", visible(it.Key), it.Cause)
		if it.Broken != "" {
			line(w, 3, "will fail: %s", it.Broken)
			continue
		}
		if it.Later != "" {
			line(w, 3, "not known yet: %s", it.Later)
		}
		if it.Keep != nil {
			line(w, 3, "kept by %s", strings.Join(it.Keep, ", and by "))
		}
		if it.Schedules != nil {
			line(w, 3, "on %s", scheduleTexts(it.Schedules))
		}
		if it.Dump != nil {
			for _, c := range it.Dump.Commands {
				line(w, 3, "$ %s", c)
			}
			if it.Dump.Restore != "" {
				line(w, 3, "restored by $ %s", it.Dump.Restore)
			}
			if it.Dump.Offline {
				line(w, 3, "in a container of the same image and volumes, while the service is down")
			}
		}
		if it.Volume != nil {
			printVolume(w, it.Volume)
		}
		if it.Config != nil {
			printConfig(w, it.Config)
		}
	}
	if skipped == 0 {
		return
	}
	heading(w, "left out of this run")
	for _, it := range p.Items {
		if it.Skip != "" {
			line(w, 1, "%s  (%s)", visible(it.Key), it.Skip)
		}
	}
}

func printVolume(w *bufio.Writer, v *VolumeItem) {
	line(w, 3, "%s, read %s", strings.TrimPrefix(placeText(v.Docker), "the "), duringText(v.During))
	if len(v.Exclude) > 0 {
		line(w, 3, "without %s", strings.Join(v.Exclude, ", "))
	}
	for _, d := range v.Dumped {
		line(w, 3, "without %s, which %s saves", d.Paths[0], visible(d.Item))
	}
	if v.Inconsistent != "" {
		line(w, 3, "not consistent: %s", v.Inconsistent)
	}
}

func duringText(d labels.During) string {
	switch d {
	case labels.Stop:
		return "while what writes to it is stopped"
	case labels.Pause:
		return "while what writes to it is paused"
	default:
		return "while its services go on"
	}
}

// printDowntime says what a person wants to know first.
func (p *Plan) printDowntime(w *bufio.Writer) {
	var down []string
	for _, op := range p.Operations {
		if op.Do != Quiesce {
			continue
		}
		how := "stopped"
		if op.How == labels.Pause {
			how = "paused"
		}
		down = append(down, op.Service+" is "+how+": "+op.Cause)
	}
	printDown(w, "down for a moment", down, "no service is stopped or paused")
}

func printDown(w *bufio.Writer, title string, down []string, none string) {
	if len(down) == 0 {
		w.WriteString("\n")
		line(w, 0, "%s", none)
		return
	}
	heading(w, title)
	for _, d := range down {
		line(w, 1, "%s", d)
	}
}

// String says the operation in one line, with its cause.
func (o Operation) String() string {
	var s string
	items := visible(strings.Join(o.Items, ", "))
	switch o.Do {
	case RunPre, RunPost, PreRun, PostRun:
		s = fmt.Sprintf("run in %s: %s", o.Service, o.Command)
	case DoDump:
		s = items
	case Double:
		s = "start a container of the image of " + o.Service
	case Helper:
		s = "start a container that reads " + items
	case Walk:
		s = "read " + items
	case Rewalk:
		s = "read again " + items
	case Quiesce:
		s = string(o.How) + " " + o.Service
	case Resume:
		s = "start " + o.Service
		if o.How == labels.Pause {
			s = "unpause " + o.Service
		}
	case Config:
		s = "read " + items
	case Commit:
		s = "write the snapshot"
	default:
		s = string(o.Do)
	}
	return s + "  (" + o.Cause + ")"
}

func heading(w *bufio.Writer, title string) {
	w.WriteString("\n")
	line(w, 0, "%s:", title)
}

func printList(w *bufio.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	heading(w, title)
	for _, l := range lines {
		line(w, 1, "- %s", l)
	}
}

// line writes an indented line; what follows a line break is indented deeper.
// Names and error texts come from elsewhere, so control characters are shown
// and not sent to the terminal. The writer keeps its first error for Flush.
func line(w *bufio.Writer, indent int, format string, args ...any) {
	margin := strings.Repeat("  ", indent)
	for i, l := range strings.Split(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n") {
		w.WriteString(margin)
		if i > 0 {
			w.WriteString("    ")
		}
		w.WriteString(visible(l))
		w.WriteString("\n")
	}
}

// visible replaces what a terminal would act upon.
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) && strings.ToValidUTF8(s, "") == s {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) || r == unicode.ReplacementChar {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func hidden(r rune) bool { return r != '\t' && !unicode.IsPrint(r) }
