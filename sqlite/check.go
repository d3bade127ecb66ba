package sqlite

import (
	"context"
	"database/sql"
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
	problem, err := ask(ctx, conn, "PRAGMA "+check+"(1)")
	if err != nil && lacksProgram(err) {
		return s.lookApart(ctx, conn, check)
	}
	s.Problem = problem
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
		problem, err := ask(ctx, conn, "PRAGMA "+check+`("`+strings.ReplaceAll(table, `"`, `""`)+`")`)
		switch {
		case err != nil && lacksProgram(err):
			if len(s.Unchecked) < maxTold {
				s.Unchecked = append(s.Unchecked, shorten(table))
			}
		case err != nil:
			return err
		case problem != "":
			s.Problem = problem
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

// ask runs a check and gives the first thing that it says, unless all is well.
func ask(ctx context.Context, conn *sql.Conn, query string) (string, error) {
	var said string
	if err := conn.QueryRowContext(ctx, query).Scan(&said); err != nil {
		return "", err
	}
	if said == "ok" {
		return "", nil
	}
	return shorten(said), nil
}

func shorten(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "?")
	if len(s) > maxProblem {
		s = strings.ToValidUTF8(s[:maxProblem], "") + "..."
	}
	return s
}
