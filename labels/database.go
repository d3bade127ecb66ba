package labels

import (
	"path"
	"strings"
)

func (p *parser) dump(value string) {
	v, ok := p.choose(value, append(engines(), noDump), engineMeant(value))
	switch {
	case !ok:
	case v == noDump:
		p.spec.NoDump = true
	default:
		p.engine().Engine = v
	}
}

func (p *parser) engine() *Dump {
	if p.spec.Dump == nil {
		p.spec.Dump = &Dump{}
	}
	return p.spec.Dump
}

func (p *parser) databases(value string) {
	d := p.engine()
	if value == "all" {
		return
	}
	var chosen []string
	for _, name := range p.items(value) {
		switch {
		case strings.EqualFold(name, "all"):
			p.problem(name, "stands alone and in lower case, or is no database that can be listed", "all")
		case p.name(name, "database"):
			chosen = append(chosen, name)
		}
	}
	d.Databases = chosen
}

func (p *parser) user(value string) {
	d := p.engine()
	if strings.Contains(value, ":") {
		p.problem("", "looks like a user with a password; the password is taken from the container's own environment", "")
		return
	}
	if p.name(value, "user") {
		d.User = value
	}
}

// maxName is the length of a database's or user's name in bytes.
const maxName = 255

// name reports a database or user name that could be taken for something else
// by one of the programs that will see it: an option, a connection string, a
// path, a piece of shell.
func (p *parser) name(name, what string) bool {
	switch {
	case len(name) > maxName:
		p.problem(name, "is longer than "+itoa(maxName)+" bytes", "")
	case strings.HasPrefix(name, "-"):
		p.problem(name, "begins with a dash, so it would be taken for an option", "")
	case strings.Contains(name, "=") || strings.Contains(name, "://"):
		p.problem("", "is a connection string; only the name of a "+what+" can be given", "")
	case strings.ContainsAny(name, "/\\") && hasDots(name):
		p.problem(name, "is a path; only the name of a "+what+" can be given", path.Base(name))
	case strings.ContainsAny(name, "\\;|&$<>`\"'(){}[]*?!"):
		p.problem(name, "has a character that a shell or a pattern would act on, so it cannot be the name of a "+what+" here", "")
	default:
		return true
	}
	return false
}

func hasDots(name string) bool {
	for _, e := range strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if e == ".." || e == "." {
			return true
		}
	}
	return false
}

// excludeTableData bounds the characters of patterns; what they mean is for the
// engine to say.
func (p *parser) excludeTableData(value string) {
	d := p.engine()
	var chosen []string
	for _, item := range p.items(value) {
		switch {
		case len(item) > maxName:
			p.problem(item, "is longer than "+itoa(maxName)+" bytes", "")
		case strings.HasPrefix(item, "-"):
			p.problem(item, "begins with a dash, so it would be taken for an option", "")
		case strings.ContainsAny(item, "\\;|&<>`'(){}[]+^!/="):
			p.problem(item, `has a character that stands in no pattern of tables: there are *, ?, and "" around names that are not in lower case`, "")
		default:
			chosen = append(chosen, item)
		}
	}
	d.ExcludeTableData = chosen
}

func (p *parser) paths(value string) {
	d := p.engine()
	var chosen []string
	for _, item := range p.items(value) {
		if !p.absolute(item) {
			continue
		}
		if reason, near := badPattern(item); reason != "" {
			p.problem(item, reason, near)
			continue
		}
		chosen = append(chosen, path.Clean(item))
	}
	if chosen != nil {
		d.Paths = chosen
	}
}

func (p *parser) dumpCommand(value string) { p.engine().Command = value }

func (p *parser) restoreCommand(value string) { p.engine().RestoreCommand = value }
