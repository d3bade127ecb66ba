package labels

import (
	"path"
	"slices"
	"strings"
)

func (p *parser) enable(value string) {
	meant := ""
	switch strings.ToLower(value) {
	case "yes", "y", "on", "1", "enable", "enabled":
		meant = "true"
	case "no", "n", "off", "0", "disable", "disabled":
		meant = "false"
	}
	if v, ok := p.choose(value, []string{"true", "false"}, meant); ok {
		on := v == "true"
		p.enabled = &on
	}
}

func (p *parser) during(value string) {
	meant := ""
	switch strings.ToLower(value) {
	case "none", "run", "running", "start", "hot", "online":
		meant = "live"
	case "down", "cold", "offline", "halt":
		meant = "stop"
	case "freeze", "suspend":
		meant = "pause"
	}
	if v, ok := p.choose(value, []string{string(Live), string(Pause), string(Stop)}, meant); ok {
		p.spec.During = During(v)
	}
}

func (p *parser) onError(value string) {
	if v, ok := p.choose(value, []string{string(Fail), string(Warn)}, ""); ok {
		p.spec.OnError = OnError(v)
	}
}

// maxGroup is the length of a group's name in bytes.
const maxGroup = 63

func (p *parser) group(value string) {
	if len(value) > maxGroup {
		p.problem(value, "is longer than "+itoa(maxGroup)+" bytes", "")
		return
	}
	for i := 0; i < len(value); i++ {
		c := value[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("_.-", rune(c))) {
			p.problem(value, "is not a group name: letters and digits, and after the first also _ . and -", "")
			return
		}
	}
	p.spec.Group = value
}

func (p *parser) pre(value string)  { p.spec.Pre = value }
func (p *parser) post(value string) { p.spec.Post = value }

// maxSchedule is the length of a cron expression in bytes.
const maxSchedule = 256

// schedule is bounded here; whether it is a cron expression that ever fires is
// for the scheduler to say.
func (p *parser) schedule(value string) {
	if len(value) > maxSchedule {
		p.problem(value, "is longer than "+itoa(maxSchedule)+" bytes", "")
		return
	}
	p.spec.Schedule = strings.Join(strings.Fields(value), " ")
}

// together checks what no label shows alone: which labels go with which engine.
func (p *parser) together() {
	d := p.spec.Dump
	if d == nil {
		return
	}
	engineIsWrong := p.seen["dump"] && d.Engine == "" && !p.spec.NoDump
	p.current = key{command: true}
	for _, name := range []string{"dump.command", "dump.databases", "dump.exclude-table-data", "dump.path", "dump.user", "restore.command"} {
		takes := takes(d.Engine, name)
		switch {
		case engineIsWrong:
		case p.seen[name] && p.spec.NoDump:
			p.about(name, "does not go with "+Prefix+"dump "+noDump)
		case p.seen[name] && d.Engine == "":
			p.about(name, "needs "+Prefix+"dump beside it")
		case p.seen[name] && takes == no:
			p.about(name, "does not go with "+Prefix+"dump "+d.Engine)
		case !p.seen[name] && takes == must:
			p.about("dump", d.Engine+" needs "+Prefix+name+" beside it")
		}
	}
}

// about reports a label by what stands beside it.
func (p *parser) about(name, reason string) {
	p.label = Prefix + name
	if slices.ContainsFunc(p.problems, func(q Problem) bool { return q.Label == p.label }) {
		return // one thing at a time
	}
	p.problem("", reason, "")
}

// use says whether an engine uses a label.
type use uint8

const (
	no use = iota
	may
	must
)

// takes says which of the labels around ripplebak.dump an engine uses.
func takes(engine, name string) use {
	switch name {
	case "dump.databases":
		switch engine {
		case "pg_dump", "mariadb-dump", "mysqldump", "mongodump":
			return may
		}
	case "dump.user":
		switch engine {
		case "pg_dump", "mariadb-dump", "mysqldump", "mongodump", "redis":
			return may
		}
	case "dump.exclude-table-data":
		if engine == "pg_dump" {
			return may
		}
	case "dump.path":
		if engine == "sqlite" {
			return may
		}
	case "dump.command":
		if engine == "command" {
			return must
		}
	case "restore.command":
		if engine == "command" {
			return may
		}
	}
	return no
}

// absolute reports a path that isn't absolute and clean.
func (p *parser) absolute(value string) bool {
	clean := path.Clean("/" + value)
	if !strings.HasPrefix(value, "/") || strings.TrimSuffix(value, "/") != strings.TrimSuffix(clean, "/") {
		p.problem(value, "is not an absolute path without . and ..", clean)
		return false
	}
	return true
}
