package dump

import (
	"errors"
	"fmt"
	"strings"
)

// Files lists the users first, then each database with what is granted on its
// objects. Users are left out where they may not be read; the facts' warnings
// say so.
func (m MariaDB) Files(req Request, facts Facts) ([]File, error) {
	if err := m.Check(req); err != nil {
		return nil, err
	}
	names, err := myChosen(req, facts)
	if err != nil {
		return nil, err
	}
	people := len(facts.Roles) > 0
	var files []File
	if people {
		files = append(files, m.file("globals.sql", globalsItem, RoleGlobals, peopleCommand(facts, true, "users, roles and grants")))
	}
	for _, name := range names {
		base := EscapeName(name)
		files = append(files, m.file(base+".dump.sql", name, RoleDatabase, myDumpCommand(facts, name)))
		if people {
			files = append(files, m.file(base+".grants.sql", name, RoleProperties, peopleCommand(facts, false, "what is granted on "+shown(name))))
		}
	}
	return files, nil
}

func (m MariaDB) file(name, item string, role Role, command Command) File {
	return File{Name: name, Item: item, Role: role, Command: command, NewProof: func() Proof { return m.Judge(role, item) }}
}

// Judge is the proof for a file of a role.
func (MariaDB) Judge(role Role, item string) Proof {
	switch role {
	case RoleDatabase:
		return newSQLProof(item)
	case RoleProperties:
		return &textProof{what: "grants", first: peopleHead + "\n", last: peopleEnd}
	default:
		return &textProof{what: "globals", first: peopleHead + "\n", last: peopleEnd}
	}
}

func myChosen(req Request, facts Facts) ([]string, error) {
	var names []string
	if req.Databases == nil {
		for _, d := range facts.Databases {
			if !isSystemSchema(d.Name) && !myOurs(d.Name) {
				names = append(names, d.Name)
			}
		}
		return names, nil
	}
	var errs []error
	for _, name := range req.Databases {
		if _, ok := facts.Database(name); !ok {
			errs = append(errs, fmt.Errorf("%w: there is no database %q, or user %s may not see it; the server has %s", ErrBadRequest, name, facts.Connect, facts.databaseList()))
		}
		names = append(names, name)
	}
	return names, errors.Join(errs...)
}

// Skipped names what interrupted restores left.
func (MariaDB) Skipped(req Request, facts Facts) []string {
	if req.Databases != nil {
		return nil
	}
	var skipped []string
	for _, d := range facts.Databases {
		if myOurs(d.Name) {
			skipped = append(skipped, fmt.Sprintf("database %s: left by an interrupted restore", d.Name))
		}
	}
	return skipped
}

// myDumpFlags are those of every dump: one moment (of InnoDB's tables), row by
// row, and everything that belongs to a database. Blobs are in hexadecimal, so
// that no character set can touch them.
var myDumpFlags = [...]string{"--single-transaction", "--quick", "--routines", "--events", "--triggers", "--hex-blob"}

func myDumpCommand(facts Facts, name string) Command {
	args := myDumpFlags[:]
	if !strings.Contains(facts.ClientVersion, productMariaDB) {
		// Of the server and not of the database, and what older servers lack.
		args = append(args[:len(args):len(args)], "--set-gtid-purged=OFF")
		if v, err := myClientSeries(facts.ClientVersion); err == nil && v >= 800 {
			args = append(args, "--column-statistics=0")
		}
	}
	return Command{
		Argv: facts.my(myDump, append(args[:len(args):len(args)], "--", name)...),
		Gate: true,
		Show: facts.dumper() + " " + strings.Join(args, " ") + " --skip-dump-date " + shown(name),
	}
}

// dumper is the name of the dump program, as a plan shows it.
func (f Facts) dumper() string {
	if f.Product == productMySQL {
		return "mysqldump"
	}
	return "mariadb-dump"
}

// myClientSeries reads "mysqldump  Ver 8.0.36 for Linux on x86_64 (...)" and
// "mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)", where the first
// number is that of the program alone.
func myClientSeries(version string) (int, error) {
	_, rest, ok := strings.Cut(version, "Distrib ")
	if !ok {
		_, rest, _ = strings.Cut(version, "Ver ")
	}
	number, _, _ := strings.Cut(rest, " ")
	return mySeriesOf(number)
}
