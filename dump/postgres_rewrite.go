package dump

import (
	"fmt"
	"slices"
	"strings"
)

// pgPropertyShapes are the statements that a properties file may hold, each
// with the place of the database's name.
var pgPropertyShapes = [...]struct {
	shape string
	name  int
}{
	{"comment on database ? is '", 3},
	{"security label for ? on database ? is '", 6},
	{"revoke all on database ? from ?", 4},
	{"grant ? on database ? to ?", 4},
	{"grant ? on database ? to ? with grant option", 4},
	{"alter database ? set ? to *", 2},
	{"alter role ? in database ? set ? to *", 5},
	{"alter database ? connection limit ?", 2},
	{"alter database ? is_template true", 2},
	{"set session authorization ?", -1},
	{"reset session authorization", -1},
}

// rewriteProperties checks stored properties, statement by statement, and
// gives them to the database final.
func rewriteProperties(sql []byte, recorded, final string, target Facts) (string, error) {
	statements, err := parseSQL(sql)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, s := range statements {
		at, ok := propertyPlace(s)
		if !ok {
			return "", fmt.Errorf("%w: a statement that begins with %.40q", ErrHostileSQL, s.String())
		}
		if at < 0 {
			// Only a superuser can grant in another's name; without it the owner
			// is the grantor.
			if target.Superuser {
				b.WriteString(s.String())
			}
			continue
		}
		if s[at].value != recorded {
			return "", fmt.Errorf("%w: a statement about database %q, not %q", ErrHostileSQL, s[at].value, recorded)
		}
		s = slices.Clone(s)
		s[at] = sqlToken{kind: sqlQuoted, raw: quoteIdent(final), value: final}
		b.WriteString(s.String())
	}
	return b.String(), nil
}

// propertyPlace is where in a statement the database's name stands.
func propertyPlace(s sqlStatement) (int, bool) {
	for _, p := range pgPropertyShapes {
		if _, ok := s.match(p.shape); !ok {
			continue
		}
		if rest, open := strings.CutSuffix(p.shape, " *"); open && !literals(s[len(strings.Fields(rest)):]) {
			continue
		}
		return p.name, true
	}
	return 0, false
}

// literals says whether the tokens are a list of literals.
func literals(s sqlStatement) bool {
	for i, t := range s {
		if i%2 == 0 && t.kind != sqlLiteral || i%2 == 1 && t.raw != "," {
			return false
		}
	}
	return len(s)%2 == 1
}
