package dump

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// RestoreGlobals makes the roles that are missing, with their passwords,
// attributes, settings and comments, and the memberships that they are part
// of. What exists stays as it is, unless Replace says otherwise; then too the
// role that the restore connects as keeps its password and rights, because the
// container's environment decides over those.
//
// Who granted a membership is not kept: newer servers accept only grantors
// that hold the right at that moment. Tablespaces are directories, and are not
// made.
func (p Postgres) RestoreGlobals(req GlobalsRequest) ([]Step, []string, error) {
	if err := p.CanRestore(req.Dumped, req.Target); err != nil {
		return nil, nil, err
	}
	statements, err := parseSQL(req.SQL)
	if err != nil {
		return nil, nil, fmt.Errorf("read the stored roles: %w", err)
	}
	g := globals{target: req.Target, replace: req.Replace, touch: map[string]bool{}}
	for _, s := range statements {
		g.declare(s)
	}
	for _, s := range statements {
		g.pass(s)
	}
	if req.Replace {
		g.note("role %q, which the restore connects as, keeps its password and attributes", req.Target.User)
	}
	if g.sql.Len() == 0 {
		return nil, g.notes, nil
	}
	cause := "roles that are missing: " + nameList(g.created)
	if req.Replace {
		cause = "roles as they were, replacing those that exist"
	}
	return []Step{{
		Name:    "globals",
		Cause:   cause,
		Command: scriptOnStdin(req.Target, req.Target.Connect, "psql (create missing roles)"),
		Input:   InputLiteral,
		Literal: transaction(quiet(req.Target) + g.sql.String()),
	}}, g.notes, nil
}

// transaction is a script that takes effect as a whole or not at all, also
// when it is cut on its way.
func transaction(sql string) []byte {
	return []byte("BEGIN;\n" + sql + "COMMIT;\n" + doneSQL)
}

// doneSQL lets the wrapper see that the script arrived whole.
const doneSQL = "SELECT '" + pgDone + "';\n"

// quiet keeps password hashes out of the server's log, where we may.
func quiet(target Facts) string {
	if !target.Superuser {
		return ""
	}
	return "SET LOCAL log_statement = 'none';\nSET LOCAL log_min_duration_statement = -1;\nSET LOCAL log_min_error_statement = 'panic';\n"
}

// globals picks what to pass on of the stored statements.
type globals struct {
	target  Facts
	replace bool
	touch   map[string]bool // roles that are written: missing ones, or all
	created []string
	sql     bytes.Buffer
	notes   []string
}

func (g *globals) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(g.notes, n) {
		g.notes = append(g.notes, n)
	}
}

// declare learns which roles the stored statements make.
func (g *globals) declare(s sqlStatement) {
	names, ok := s.match("create role ?")
	if !ok {
		return
	}
	role := names[0]
	switch {
	case strings.HasPrefix(role, "pg_"): // reserved by the server
	case !slices.Contains(g.target.Roles, role):
		if !g.touch[role] {
			g.created = append(g.created, role)
		}
		g.touch[role] = true
	case g.replace && role != g.target.User:
		g.touch[role] = true
	}
}

// pass writes a statement, or leaves it out. What is not known is never
// executed, and named.
func (g *globals) pass(s sqlStatement) {
	if names, ok := s.match("create role ?"); ok {
		if slices.Contains(g.created, names[0]) {
			g.sql.WriteString(s.String())
		}
		return
	}
	if role, ok := roleOf(s); ok {
		if g.touch[role] {
			g.sql.WriteString(s.String())
		}
		return
	}
	if names, ok := s.match("grant ? to ? *"); ok && onlyValues(s) {
		if g.touch[names[0]] || g.touch[names[1]] {
			g.sql.WriteString(withoutGrantor(s).String())
		}
		return
	}
	if parameter, grantee, ok := parameterGrant(s); ok {
		if g.touch[grantee] {
			g.sql.WriteString(s.String())
		} else if !slices.Contains(g.target.Roles, grantee) {
			g.note("the grant on parameter %s to %q is left out", parameter, grantee)
		}
		return
	}
	if _, ok := s.match("set ? *"); ok {
		return // of the session; ours are set by the environment
	}
	g.leave(s)
}

// leave names what is not restored.
func (g *globals) leave(s sqlStatement) {
	for i, t := range s {
		if t.isWord("tablespace") && i+1 < len(s) {
			if name := s[i+1].value; !slices.Contains(g.target.Tablespaces, name) {
				g.note("tablespace %q is not made; its tables go to the default one", name)
			}
			return
		}
	}
	var head []string
	for _, t := range s[:min(3, len(s))] {
		if t.kind == sqlWord {
			head = append(head, strings.ToUpper(t.value))
		}
	}
	g.note("a statement %s ... is left out", strings.Join(head, " "))
}

// roleOf is the role that a statement is about and about nothing else.
func roleOf(s sqlStatement) (string, bool) {
	for _, shape := range [...]string{"alter role ? with *", "alter role ? set ? to *", "comment on role ? is '"} {
		if names, ok := s.match(shape); ok && onlyValues(s[3:]) {
			return names[0], true
		}
	}
	if names, ok := s.match("security label for ? on role ? is '"); ok {
		return names[1], true
	}
	return "", false
}

// onlyValues refuses symbols that have no place in attributes and settings.
func onlyValues(s sqlStatement) bool {
	return !slices.ContainsFunc(s, func(t sqlToken) bool { return t.kind == sqlSymbol && t.raw != "," && t.raw != "-" })
}

// parameterGrant reads "GRANT SET ON PARAMETER work_mem TO bob" and its like.
func parameterGrant(s sqlStatement) (parameter, grantee string, ok bool) {
	on := slices.IndexFunc(s, func(t sqlToken) bool { return t.isWord("on") })
	if on < 2 || !s[0].isWord("grant") || on+1 >= len(s) || !s[on+1].isWord("parameter") || !onlyValues(s[:on]) {
		return "", "", false
	}
	to := slices.IndexFunc(s, func(t sqlToken) bool { return t.isWord("to") })
	if to < on+3 || to+1 >= len(s) || !s[to+1].isName() {
		return "", "", false
	}
	var name strings.Builder
	for _, t := range s[on+2 : to] {
		if !t.isName() && t.raw != "." {
			return "", "", false
		}
		name.WriteString(t.raw)
	}
	if _, rest := s[to+2:].match("with grant option"); len(s) > to+2 && !rest {
		return "", "", false
	}
	return name.String(), s[to+1].value, true
}

// withoutGrantor drops GRANTED BY and its name from the end.
func withoutGrantor(s sqlStatement) sqlStatement {
	if n := len(s); n >= 3 && s[n-3].isWord("granted") && s[n-2].isWord("by") {
		return s[:n-3]
	}
	return s
}

// nameList is a bounded list for a message.
func nameList(names []string) string {
	const most = 8
	var quoted []string
	for i, name := range names {
		if i == most {
			quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-most))
			break
		}
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	return strings.Join(quoted, ", ")
}
