package dump

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// lackingData judges which tables of an archive come without their rows: those
// that a pattern leaves out may, and no other. An entry for the data of a table
// depends on the entry of the table, which stands before it.
//
// What has no rows of its own is no such table: a partitioned one, and an
// unlogged one of a standby, where it is empty. Older archives tell these by
// the definition only; one that is too long to be seen whole counts for one.
//
// A nil one judges nothing.
type lackingData struct {
	patterns []tablePattern

	tag, schema  string
	table, data  bool // the kind of the entry
	reference    bool // it is a foreign key
	rowless      bool
	dependencies []int64
	without      map[int64]lackingTable
}

type lackingTable struct {
	schema, name string
	leftOut      bool
}

// maxLacking bounds the tables that wait for their data to be announced, and
// the entries that one entry depends on, of which only the first can be its
// table.
const (
	maxLacking      = 1 << 20
	maxDependencies = 16
)

func (l *lackingData) takeTag(text []byte) {
	if l != nil {
		l.tag = string(text[:min(len(text), maxText)])
	}
}

func (l *lackingData) takeKind(text []byte) {
	if l == nil {
		return
	}
	l.table, l.data = bytes.Equal(text, []byte("TABLE")), bytes.Equal(text, []byte("TABLE DATA"))
	l.reference = bytes.Equal(text, []byte("FK CONSTRAINT"))
	l.rowless, l.dependencies = false, l.dependencies[:0]
}

// takeDefinition has the beginning of the text, and its length.
func (l *lackingData) takeDefinition(text []byte, length int64) error {
	if l != nil && l.reference {
		return l.checkReference(string(text))
	}
	if l != nil && l.table {
		l.rowless = bytes.HasPrefix(text, []byte("CREATE UNLOGGED ")) || bytes.Contains(text, []byte("\nPARTITION BY ")) || length > int64(len(text))
	}
	return nil
}

// checkReference refuses a foreign key of rows that are saved into rows that
// are not: a restore could not make it. One that is not valid is made anyway.
func (l *lackingData) checkReference(definition string) error {
	from, to, ok := strings.Cut(definition, "\n")
	at := strings.LastIndex(to, " REFERENCES ")
	if !ok || at < 0 || strings.HasSuffix(strings.TrimRight(to, ";\n"), " NOT VALID") {
		return nil
	}
	from = strings.TrimPrefix(strings.TrimPrefix(from, "ALTER TABLE "), "ONLY ")
	schema, table := qualifiedName(to[at+len(" REFERENCES "):])
	if l.leftOut(schema, table) && !l.leftOut(qualifiedName(from)) {
		return fmt.Errorf("%w: table %s has a foreign key into %s, whose rows are left out, so that it could not be restored; leave out the rows of both, or of none",
			ErrBadDump, from, shown(table))
	}
	return nil
}

func (l *lackingData) leftOut(schema, table string) bool {
	return slices.ContainsFunc(l.patterns, func(t tablePattern) bool { return t.fits(schema, table) })
}

// qualifiedName reads SCHEMA.TABLE from the beginning of a definition, each
// quoted where it must be.
func qualifiedName(text string) (schema, table string) {
	var names []string
	for len(names) < 2 {
		name, rest := "", text
		if strings.HasPrefix(text, `"`) {
			i := 1
			for ; i < len(text) && (text[i] != '"' || strings.HasPrefix(text[i:], `""`)); i++ {
				if text[i] == '"' {
					i++
				}
			}
			name, rest = strings.ReplaceAll(text[1:min(i, len(text))], `""`, `"`), text[min(i+1, len(text)):]
		} else {
			n := strings.IndexAny(text+"(", ".( \n")
			name, rest = text[:n], text[n:]
		}
		names = append(names, name)
		if !strings.HasPrefix(rest, ".") {
			break
		}
		text = rest[1:]
	}
	if len(names) < 2 {
		return "", names[0]
	}
	return names[0], names[1]
}

func (l *lackingData) takeSchema(text []byte) {
	if l != nil {
		l.schema = string(text[:min(len(text), maxText)])
	}
}

// takeRelation has the kind of the relation, which newer archives tell.
func (l *lackingData) takeRelation(kind int64) {
	if l != nil && l.table && kind != 'r' {
		l.rowless = true
	}
}

func (l *lackingData) takeDependency(text []byte) {
	if l == nil || !l.data || len(l.dependencies) == maxDependencies {
		return
	}
	if id, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		l.dependencies = append(l.dependencies, id)
	}
}

func (l *lackingData) endEntry(id int64) error {
	switch {
	case l == nil:
	case l.data:
		for _, d := range l.dependencies {
			delete(l.without, d)
		}
	case l.table && !l.rowless:
		if len(l.without) == maxLacking {
			return fmt.Errorf("%w: more than %d tables without data", ErrBadDump, maxLacking)
		}
		if l.without == nil {
			l.without = map[int64]lackingTable{}
		}
		l.without[id] = lackingTable{l.schema, l.tag, l.leftOut(l.schema, l.tag)}
	}
	return nil
}

func (l *lackingData) finish() error {
	if l == nil {
		return nil
	}
	for _, t := range l.without {
		if !t.leftOut {
			return fmt.Errorf("%w: table %s.%s has no data in it, and no pattern leaves that out", ErrBadDump, shown(t.schema), shown(t.name))
		}
	}
	return nil
}
