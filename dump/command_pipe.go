package dump

import (
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// pipes says what pipelines a command has of which a failure is not seen. Of a
// pipeline a shell tells how its last part ended, unless it was told "set -o
// pipefail", which not every shell knows.
type pipes struct {
	bare  bool // one in a shell that has pipefail and was not told so
	blind bool // one in a shell that has none
}

// pipesOf looks at a command of a label. own says that the shell that runs it
// has pipefail. It errs on the side of seeing a pipeline where there is none:
// that costs a few words in the label, and the other way round a dump.
func pipesOf(text string, own bool) pipes {
	w := &pipeWalk{own: own}
	w.script(text, own, false, 0)
	return w.found
}

// pipeAdvice is what to do about a bare one. In a compose file a $ is doubled.
func pipeAdvice(label, text string) string {
	advice := "ripplebak." + label + " has a pipe, and if a part before the last failed nobody would see it: begin it with \"set -o pipefail; \""
	if strings.Contains(text, "\n") || len(text) > 1000 || !startsPlain(text) {
		return advice + ", also what it gives to another shell by -c"
	}
	quoted := strings.NewReplacer("'", "''", "$", "$$").Replace(text)
	return advice + "\n  ripplebak." + label + ": 'set -o pipefail; " + quoted + "'"
}

// startsPlain says whether the words make the command right at its beginning.
func startsPlain(text string) bool {
	return !pipesOf("set -o pipefail; "+text, true).bare
}

// maxNested bounds how deep shells are looked for in the arguments of shells.
const maxNested = 8

// pipeWalk goes through a command. What it carries along, on, is whether
// pipefail is certain to be set at that place.
type pipeWalk struct {
	own   bool
	found pipes
}

func (w *pipeWalk) pipe(has, on bool) {
	switch {
	case on:
	case has:
		w.found.bare = true
	default:
		w.found.blind = true
	}
}

// script looks at the text that a shell runs.
func (w *pipeWalk) script(text string, has, on bool, depth int) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil || depth > maxNested {
		// It is left to the shell to say what is wrong with it, if anything is.
		if strings.Contains(strings.ReplaceAll(text, "||", ""), "|") {
			w.pipe(has, on)
		}
		return
	}
	scope := &pipeScope{pipeWalk: w, has: has, depth: depth}
	scope.list(file.Stmts, on)
}

// pipeScope is one script: the text of the label, or an argument in it.
type pipeScope struct {
	*pipeWalk
	has   bool
	depth int
}

// list goes through statements that run one after the other, and returns
// whether pipefail is set behind them.
func (s *pipeScope) list(stmts []*syntax.Stmt, on bool) bool {
	for _, stmt := range stmts {
		on, _ = s.stmt(stmt, on)
	}
	return on
}

// stmt returns whether pipefail is set behind a statement: in any case, and if
// the statement has succeeded.
func (s *pipeScope) stmt(stmt *syntax.Stmt, on bool) (always, success bool) {
	for _, r := range stmt.Redirs {
		s.expansions(r, on)
	}
	always, success = s.command(stmt, on)
	if stmt.Background || stmt.Coprocess {
		return on && always, on && always // it was a shell of its own
	}
	return always, success
}

func (s *pipeScope) command(stmt *syntax.Stmt, on bool) (always, success bool) {
	same := func(on bool) (bool, bool) { return on, on }
	switch c := stmt.Cmd.(type) {
	case nil:
		return same(on)
	case *syntax.CallExpr:
		s.expansions(c, on)
		return same(s.call(c, stmt, on))
	case *syntax.BinaryCmd:
		return s.binary(c, on)
	case *syntax.Subshell:
		s.list(c.Stmts, on)
		return same(on)
	case *syntax.Block:
		return same(s.list(c.Stmts, on))
	case *syntax.IfClause:
		return same(s.branches(c, on))
	case *syntax.WhileClause:
		on = s.list(c.Cond, on)
		return same(s.list(c.Do, on) && on)
	case *syntax.ForClause:
		s.expansions(c.Loop, on)
		return same(s.list(c.Do, on) && on)
	case *syntax.CaseClause:
		s.expansions(c.Word, on)
		after := on
		for _, item := range c.Items {
			for _, p := range item.Patterns {
				s.expansions(p, on)
			}
			after = s.list(item.Stmts, on) && after
		}
		return same(after)
	case *syntax.TimeClause:
		if c.Stmt == nil {
			return same(on)
		}
		return s.stmt(c.Stmt, on)
	case *syntax.FuncDecl:
		after, _ := s.stmt(c.Body, on)
		return same(on && after)
	case *syntax.CoprocClause:
		s.stmt(c.Stmt, on)
		return same(on)
	default:
		s.expansions(stmt.Cmd, on)
		return same(on)
	}
}

func (s *pipeScope) binary(c *syntax.BinaryCmd, on bool) (always, success bool) {
	switch c.Op {
	case syntax.AndStmt:
		first, passed := s.stmt(c.X, on)
		second, both := s.stmt(c.Y, passed)
		return first && second, both
	case syntax.OrStmt:
		first, passed := s.stmt(c.X, on)
		second, _ := s.stmt(c.Y, first)
		return first && second, passed && second
	default: // | and |&, each part of which is a shell of its own
		s.pipe(s.has, on)
		s.stmt(c.X, on)
		s.stmt(c.Y, on)
		return on, on
	}
}

func (s *pipeScope) branches(c *syntax.IfClause, on bool) bool {
	on = s.list(c.Cond, on)
	after := s.list(c.Then, on) && on
	if c.Else != nil {
		after = s.branches(c.Else, on) && after
	}
	return after
}

// expansions looks at the commands whose output becomes a part of something.
func (s *pipeScope) expansions(node syntax.Node, on bool) {
	if node == nil {
		return
	}
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst:
			s.list(n.Stmts, on)
			return false
		case *syntax.ProcSubst:
			s.list(n.Stmts, on)
			return false
		}
		return true
	})
}

// call returns whether pipefail is set behind a simple command, and looks at
// the scripts among its arguments.
func (s *pipeScope) call(c *syntax.CallExpr, stmt *syntax.Stmt, on bool) bool {
	words := make([]string, len(c.Args))
	for i, a := range c.Args {
		words[i] = textOf(a)
	}
	if len(words) == 0 {
		return on
	}
	switch words[0] {
	case "set":
		on, _ = options(words[1:], on)
		return on
	case "eval":
		s.script(strings.Join(words[1:], " "), s.has, on, s.depth+1)
		return on && !strings.Contains(strings.Join(words, " "), "pipefail")
	case "su", "runuser", "flock", "script", "sg":
		for i, w := range words[:len(words)-1] {
			if w == "-c" || w == "--command" {
				s.script(words[i+1], s.own, false, s.depth+1)
			}
		}
	}
	for i, w := range words {
		if has, ok := s.isShell(w); ok {
			s.shell(words[i+1:], stmt, has)
		}
	}
	return on
}

// options reads options of a shell, or of set, up to the first word that is
// none. rest are the words from there on.
func options(args []string, on bool) (pipefail bool, rest []string) {
	for len(args) > 0 {
		a := args[0]
		if len(a) < 2 || a[0] != '-' && a[0] != '+' || a == "--" {
			break
		}
		args = args[1:]
		if strings.HasPrefix(a, "--") {
			continue
		}
		for range strings.Count(a[1:], "o") {
			if len(args) == 0 {
				return on, nil
			}
			if args[0] == "pipefail" {
				on = a[0] == '-'
			}
			args = args[1:]
		}
	}
	return on, args
}

// isShell says whether a word names a shell, and whether it has pipefail.
func (s *pipeScope) isShell(word string) (has, ok bool) {
	switch path.Base(word) {
	case "bash", "zsh", "ksh", "ksh93", "mksh":
		return true, true
	case "sh", "ash":
		return s.own, true
	case "dash":
		return false, true
	}
	return false, false
}

// shell looks at what a shell is told to run: the word that belongs to -c, or
// what it reads.
func (s *pipeScope) shell(args []string, stmt *syntax.Stmt, has bool) {
	on, _ := options(args, false)
	for i, a := range args {
		if len(a) < 2 || a[0] != '-' || a[1] == '-' || !strings.Contains(a, "c") {
			continue
		}
		if _, rest := options(args[i:], false); len(rest) > 0 {
			if rest[0] == "--" && len(rest) > 1 {
				rest = rest[1:]
			}
			s.script(rest[0], has, on, s.depth+1)
			return
		}
	}
	for _, r := range stmt.Redirs {
		switch {
		case r.Hdoc != nil:
			var b strings.Builder
			writeParts(&b, r.Hdoc.Parts, true)
			s.script(b.String(), has, on, s.depth+1)
		case r.Op == syntax.WordHdoc:
			s.script(textOf(r.Word), has, on, s.depth+1)
		}
	}
}

// textOf is a word without its quotes. What the shell would put in is a letter.
func textOf(word *syntax.Word) string {
	var b strings.Builder
	writeParts(&b, word.Parts, false)
	return b.String()
}

func writeParts(b *strings.Builder, parts []syntax.WordPart, quoted bool) {
	for _, p := range parts {
		switch p := p.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(p.Value, quoted))
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			writeParts(b, p.Parts, true)
		default:
			b.WriteByte('x')
		}
	}
}

// unescape takes away the backslashes that quote something.
func unescape(s string, quoted bool) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (!quoted || strings.IndexByte("$`\"\\\n", s[i+1]) >= 0) {
			if i++; s[i] == '\n' {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
