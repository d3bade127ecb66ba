package labels

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ripplebak/ripplebak/spelling"
)

// parser carries one service or volume through its labels.
type parser struct {
	service, volume string
	mounts          []Mount
	keys            []key

	spec     Spec
	enabled  *bool
	problems []Problem

	current key // the label that is being parsed
	label   string
	seen    map[string]bool // the labels that are set and not refused outright
}

// Parse reads a service's labels. With any problem the Spec is of no use but
// for its notices. Problems come in the order of the labels' names, so that
// equal labels give equal output.
func Parse(src Source) (Spec, []Problem) {
	p := &parser{service: src.Service, mounts: src.Mounts, keys: serviceKeys(), seen: map[string]bool{}}
	p.spec = Spec{
		Service: src.Service,
		Volumes: Selection{Mode: Default},
		Binds:   Selection{Mode: Default},
		During:  Live,
		OnError: Fail,
	}
	for _, label := range ours(src.Labels) {
		value := src.Labels[label]
		if declared, ok := src.ImageLabels[label]; ok && declared == value && !src.TrustImage {
			p.notice(label)
			continue
		}
		p.spec.Labelled = true
		p.one(label, value)
	}
	p.together()
	p.spec.Asked = p.enabled != nil && *p.enabled
	p.spec.Enabled = p.spec.Labelled && (p.enabled == nil || *p.enabled)
	return p.spec, p.problems
}

// ParseVolume reads the labels of a volume, which is named by its Compose key.
func ParseVolume(volume string, labels map[string]string) (VolumeSpec, []Problem) {
	p := &parser{volume: volume, keys: volumeKeys(), seen: map[string]bool{}}
	for _, label := range ours(labels) {
		p.one(label, labels[label])
	}
	return VolumeSpec{Enabled: p.enabled, Exclude: p.spec.Exclude}, p.problems
}

// Ours says whether a label is meant for us: it begins with our prefix, or with
// something that is our prefix mistyped. Both are for Parse to judge.
func Ours(label string) bool {
	first, _, dotted := strings.Cut(label, ".")
	if !dotted {
		first = strings.TrimRight(first[:min(len(first), spelling.MaxCompared)], "-_:/")
	}
	own := strings.TrimSuffix(Prefix, ".")
	if strings.EqualFold(first, own) {
		return true
	}
	if len(label) > len(own) && strings.EqualFold(label[:len(own)], own) && strings.ContainsRune("-_:/", rune(label[len(own)])) {
		return true
	}
	return dotted && len(first) >= len(own)-2 && len(first) <= len(own)+2 && spelling.Distance(strings.ToLower(first), own) <= 2
}

// ours returns the labels that are meant for us, sorted.
func ours(labels map[string]string) []string {
	var out []string
	for label := range labels {
		if Ours(label) {
			out = append(out, label)
		}
	}
	slices.Sort(out)
	return out
}

// one parses one label.
func (p *parser) one(label, value string) {
	p.label, p.current = shown(label, maxShown), key{command: true}
	name, ok := strings.CutPrefix(label, Prefix)
	if ok {
		var k key
		if k, ok = find(p.keys, name); ok {
			p.current = k
			if value, ok = p.admit(value); ok {
				p.seen[name] = true
				k.parse(p, value)
			}
			return
		}
	}
	p.unknown(label)
}

// unknown reports a label that isn't in the grammar. Its value is not shown:
// nobody knows what it is.
func (p *parser) unknown(label string) {
	valid := names(p.keys)
	for _, v := range valid {
		if strings.EqualFold(Prefix+v, label) {
			p.problem("", "is in the wrong case", Prefix+v)
			return
		}
	}
	name := bare(label)
	if _, ok := find(serviceKeys(), name); ok && p.volume != "" && strings.HasPrefix(label, Prefix) {
		p.problem("", "belongs on a service, not on a volume", "")
		return
	}
	if reason := refusal(name); reason != "" && strings.HasPrefix(strings.ToLower(label), Prefix) {
		p.problem("", reason, "")
		return
	}
	near := spelling.Nearest(name, valid)
	if meant := keyMeant(name); slices.Contains(valid, meant) {
		near = meant
	}
	if near != "" {
		near = Prefix + near
	}
	p.problem("", "is not a label that ripplebak knows", near)
}

// bare is what follows the prefix, or whatever stands in its place.
func bare(label string) string {
	if first, rest, ok := strings.Cut(label, "."); ok && !strings.ContainsAny(first, "-_:/") {
		return rest
	}
	return strings.TrimLeft(label[min(len(label), len(Prefix)-1):], ".-_:/")
}

// admit checks what holds for every value and trims it.
func (p *parser) admit(value string) (string, bool) {
	limit := maxValue
	if p.current.command {
		limit = maxCommand
	}
	if len(value) > limit {
		p.problem("", "is longer than "+itoa(limit)+" bytes", "")
		return "", false
	}
	if !utf8.ValidString(value) {
		p.problem("", "is not valid UTF-8", "")
		return "", false
	}
	if reason := controls(value, p.current.command); reason != "" {
		p.problem("", reason, "")
		return "", false
	}
	value = strings.TrimSpace(value)
	if value == "" {
		p.problem("", "is empty; give it a value or remove it", "")
		return "", false
	}
	return value, true
}

// controls says what is wrong with the control characters in value, if
// anything. Commands may have lines and tabs.
func controls(value string, command bool) string {
	for _, r := range value {
		switch {
		case (r == '\n' || r == '\t') && command:
		case r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029' || r == '\u0085':
			return "contains a line break; write it on one line (in YAML, quoted or with >-)"
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return "contains the control character " + strconv.QuoteRuneToASCII(r)
		}
	}
	return ""
}

// problem reports something about the current label. Values of commands and
// values that may hold a password are left out.
func (p *parser) problem(value, reason, nearest string) {
	if p.current.command {
		value = ""
	}
	if tellable(nearest) != nearest {
		nearest = ""
	}
	p.problems = append(p.problems, Problem{
		Service: p.service, Volume: p.volume, Label: p.label,
		Value: tellable(value), Reason: reason, Nearest: nearest,
	})
}

// notice reports a label that comes from the image.
func (p *parser) notice(label string) {
	p.spec.Notices = append(p.spec.Notices, Notice{
		Service: p.service, Label: shown(label, maxShown),
		Reason: "is ignored: the image declares it with the same value, so it may not be from the compose file (RIPPLEBAK_TRUST_IMAGE_LABELS=true on the sidecar makes it count)",
	})
}

// choose returns value if it is one of valid, else it reports it with the one
// that was probably meant; meant may know better than the spelling.
func (p *parser) choose(value string, valid []string, meant string) (string, bool) {
	if slices.Contains(valid, value) {
		return value, true
	}
	for _, v := range valid {
		if strings.EqualFold(v, value) {
			p.problem(value, "is in the wrong case", v)
			return "", false
		}
	}
	if meant == "" {
		meant = spelling.Nearest(value, valid)
	}
	p.problem(value, "is not one of "+strings.Join(valid, ", "), meant)
	return "", false
}

func itoa(n int) string { return strconv.Itoa(n) }
