package labels

import (
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with one label. Any problem stops a run
// before it begins.
type Problem struct {
	Service string // the Compose service; empty where a volume carries the label
	Volume  string // the Compose volume; empty where a service carries the label
	Label   string // the whole label name, made printable and cut
	Value   string // the offending part of the value; empty where showing it isn't safe
	Reason  string // a predicate of the value or the label: "is empty"
	Nearest string // the nearest valid name or value; empty if there is none
}

// Error is one line: who, which label, what is wrong, and what would be right.
func (p Problem) Error() string {
	var b strings.Builder
	if p.Volume != "" {
		b.WriteString("volume " + shown(p.Volume, maxShown))
	} else {
		b.WriteString("service " + shown(p.Service, maxShown))
	}
	b.WriteString(": label " + p.Label)
	b.WriteString(": ")
	if p.Value != "" {
		b.WriteString(strconv.Quote(p.Value) + " ")
	}
	b.WriteString(p.Reason)
	if p.Nearest != "" {
		b.WriteString("; did you mean " + strconv.Quote(p.Nearest) + "?")
	}
	return b.String()
}

// Notice is something that the user should know and that stops nothing: a
// label that was left out because it comes from the image.
type Notice struct {
	Service string
	Label   string
	Reason  string
}

// String is one line in the form of Problem.Error.
func (n Notice) String() string {
	return "service " + shown(n.Service, maxShown) + ": label " + n.Label + ": " + n.Reason
}

// maxShown bounds, in bytes, what a message quotes of a name or value.
const maxShown = 80
