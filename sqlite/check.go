package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
)

// quickFrom is the size in bytes from which a check leaves out whether indexes
// hold what their tables hold: that takes time that grows faster than the size.
const quickFrom = 4 << 30

// maxTold bounds what is said of a database.
const (
	maxTold    = 20
	maxProblem = 500
)

// Check looks through a whole database that nobody has open: its pages, its
// records, its indexes. It changes nothing, and leaves nothing beside the file.
// What it finds is in the summary; an error is that it could not look. quick
// leaves out what is in the indexes.
func Check(ctx context.Context, path string, quick bool) (Summary, error) {
	var s Summary
	info, err := os.Stat(path)
	if err != nil {
		return s, err
	}
	db, err := open(path, "mode=ro", "immutable=1")
	if err != nil {
		return s, err
	}
	err = db.use(ctx, func(conn *sql.Conn) error { return s.look(ctx, conn, quick || info.Size() >= quickFrom) })
	if err != nil && ctx.Err() == nil {
		s.Problem, err = shorten(err.Error()), nil // it cannot be read as a database
	}
	if err == nil && s.Problem == "" && s.Pages*s.PageSize != info.Size() {
		s.Problem = fmt.Sprintf("it has %d pages of %d bytes, and %d bytes", s.Pages, s.PageSize, info.Size())
	}
	return s, err
}

func (s *Summary) look(ctx context.Context, conn *sql.Conn, quick bool) error {
	if err := conn.QueryRowContext(ctx, "PRAGMA page_size").Scan(&s.PageSize); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA page_count").Scan(&s.Pages); err != nil {
		return err
	}
	check := "integrity_check"
	if quick {
		check = "quick_check"
	}
	err := s.ask(ctx, conn, fmt.Sprintf("PRAGMA %s(%d)", check, maxLoose), maxLoose)
	if err != nil && lacksProgram(err) {
		s.Problem = ""
		return s.lookApart(ctx, conn, check)
	}
	return err
}

// lacksProgram says whether a check failed for want of something that the
// program of the database brings along.
func lacksProgram(err error) bool {
	text := err.Error()
	for _, missing := range []string{"no such collation", "no such function", "no such module", "unknown tokenizer", "no such tokenizer"} {
		if strings.Contains(text, missing) {
			return true
		}
	}
	return false
}

// lookApart checks one table after the other, and notes those that cannot be.
func (s *Summary) lookApart(ctx context.Context, conn *sql.Conn, check string) error {
	names, err := tables(ctx, conn)
	if err != nil {
		return err
	}
	for _, table := range names {
		err := s.ask(ctx, conn, "PRAGMA "+check+`("`+strings.ReplaceAll(table, `"`, `""`)+`")`, maxLooseApart)
		switch {
		case err != nil && lacksProgram(err):
			if len(s.Unchecked) < maxTold {
				s.Unchecked = append(s.Unchecked, shorten(table))
			}
		case err != nil:
			return err
		case s.Problem != "":
			return nil
		}
	}
	return nil
}

func tables(ctx context.Context, conn *sql.Conn) (names []string, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// How many rows that break a rule of their table are passed over, to find what is
// damaged behind them. Of a single table SQLite tells no more.
const (
	maxLoose      = 100_000
	maxLooseApart = 100
)

// ask runs a check, which tells at most so much, and notes the first damage that
// it finds.
func (s *Summary) ask(ctx context.Context, conn *sql.Conn, query string, most int) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var said string
		switch err := rows.Scan(&said); {
		case err != nil:
			return err
		case said == "ok":
		case !isLoose(said):
			s.Problem = shorten(said)
			return nil
		case s.Loose == "":
			s.Loose = shorten(said)
		}
	}
	switch {
	case rows.Err() != nil:
		return rows.Err()
	case n == 0:
		return errors.New("the check has said nothing")
	case n >= most:
		s.Problem = fmt.Sprintf("%s, and %d more such rows, so that the rest was not looked at", s.Loose, n-1)
	}
	return nil
}

// isLoose says whether a check has found a value that its own table forbids,
// which a program can bring about: it is stored as well as any other.
func isLoose(said string) bool {
	for _, begins := range []string{"NULL value in ", "NUMERIC value in ", "TEXT value in ", "CHECK constraint failed in "} {
		if strings.HasPrefix(said, begins) {
			return true
		}
	}
	kind, _, ok := strings.Cut(said, " value in ")
	return ok && strings.HasPrefix(kind, "non-") && !strings.Contains(kind, " ")
}

func shorten(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "?")
	if len(s) > maxProblem {
		s = strings.ToValidUTF8(s[:maxProblem], "") + "..."
	}
	return s
}
