package dump

import (
	"errors"
	"fmt"
	"strings"
)

// globalsItem is the item that is no database. A database of that name has
// other file names.
const globalsItem = "globals"

// Files lists the roles first, then each database with its properties.
//
// "All" is every database that can be connected to, except the server's own
// two templates and what an interrupted restore of ours left.
func (p Postgres) Files(req Request, facts Facts) ([]File, error) {
	if err := p.Check(req); err != nil {
		return nil, err
	}
	names, err := chosen(req, facts)
	if err != nil {
		return nil, err
	}
	patterns, err := parsePatterns(req.ExcludeTableData)
	if err != nil {
		return nil, err
	}
	files := []File{p.file("globals.sql", globalsItem, RoleGlobals, globalsCommand(facts))}
	for _, name := range names {
		base := EscapeName(name)
		database := p.file(base+".dump", name, RoleDatabase, databaseCommand(facts, name, patterns))
		if patterns != nil {
			database.NewProof = func() Proof {
				proof := newArchiveProof(name)
				proof.lacking = &lackingData{patterns: patterns}
				return proof
			}
		}
		files = append(files, database,
			p.file(base+".properties.sql", name, RoleProperties, propertiesCommand(facts, name)))
	}
	return files, nil
}

func (p Postgres) file(name, item string, role Role, command Command) File {
	return File{Name: name, Item: item, Role: role, Command: command, NewProof: func() Proof { return p.Judge(role, item) }}
}

// Judge is the proof for a file of a role.
func (Postgres) Judge(role Role, item string) Proof {
	switch role {
	case RoleDatabase:
		return newArchiveProof(item)
	case RoleProperties:
		return &textProof{what: "properties", first: pgPropertiesHead + "\n", last: pgPropertiesEnd}
	default:
		return &textProof{what: "globals", first: "--\n-- PostgreSQL database cluster dump\n", last: "-- PostgreSQL database cluster dump complete", epilogue: isRestrict}
	}
}

func chosen(req Request, facts Facts) ([]string, error) {
	var names []string
	if req.Databases == nil {
		for _, d := range facts.Databases {
			if d.AllowConn && !d.Invalid && d.Name != "template0" && d.Name != "template1" && !ours(d.Name) {
				names = append(names, d.Name)
			}
		}
		return names, nil
	}
	var errs []error
	for _, name := range req.Databases {
		d, ok := facts.Database(name)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%w: there is no database %q; the server has %s", ErrBadRequest, name, facts.databaseList()))
		case d.Invalid:
			errs = append(errs, fmt.Errorf("%w: database %q was left by an interrupted DROP DATABASE; drop it", ErrBadRequest, name))
		case !d.AllowConn:
			errs = append(errs, fmt.Errorf("%w: database %q allows no connections", ErrBadRequest, name))
		}
		names = append(names, name)
	}
	return names, errors.Join(errs...)
}

// Skipped names the databases that a request for all leaves out although they
// may hold somebody's data, each with the reason.
func (Postgres) Skipped(req Request, facts Facts) []string {
	if req.Databases != nil {
		return nil
	}
	var skipped []string
	for _, d := range facts.Databases {
		switch {
		case d.Name == "template0" || d.Name == "template1":
		case ours(d.Name):
			skipped = append(skipped, fmt.Sprintf("database %s: left by an interrupted restore", d.Name))
		case d.Invalid:
			skipped = append(skipped, fmt.Sprintf("database %q: left by an interrupted DROP DATABASE", d.Name))
		case !d.AllowConn:
			skipped = append(skipped, fmt.Sprintf("database %q: allows no connections", d.Name))
		}
	}
	return skipped
}

// databaseList names the databases for a message.
func (f Facts) databaseList() string {
	var names []string
	for _, d := range f.Databases {
		if d.Name != "template0" && d.Name != "template1" && !ours(d.Name) {
			names = append(names, d.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return nameList(names)
}

func databaseCommand(facts Facts, name string, without []tablePattern) Command {
	args := []string{"pg_dump", "--format=custom", "--compress=0"}
	show := strings.Join(args, " ")
	if d, _ := facts.Database(name); d.Serializable && !facts.Standby {
		args = append(args, "--serializable-deferrable")
		show += " --serializable-deferrable"
	}
	for _, t := range without {
		args = append(args, "--exclude-table-data="+t.String())
		show += " --exclude-table-data=" + shown(t.String())
	}
	args = append(args, "--no-password", dbname(name))
	return Command{Argv: shell(pgRunArchive, facts.target(args...)...), Gate: true, Show: show + " --dbname=" + shown(name)}
}

// globalsCommand leaves the passwords out where the user may not read them.
func globalsCommand(facts Facts) Command {
	args := []string{"pg_dumpall", "--globals-only"}
	if !facts.Superuser {
		args = append(args, "--no-role-passwords")
	}
	show := strings.Join(args, " ")
	args = append(args, "--no-password", dbname(facts.Connect))
	return Command{Argv: shell(pgRun, facts.target(args...)...), Gate: true, Show: show}
}

func propertiesCommand(facts Facts, name string) Command {
	args := psql(name, "--command="+propertiesQuery(name))
	return Command{
		Argv: shell(pgRun, facts.target(args...)...),
		Gate: true,
		Show: "psql --dbname=" + shown(name) + " (grants, settings and comments on the database)",
	}
}
