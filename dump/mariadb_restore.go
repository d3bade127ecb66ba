package dump

import (
	"fmt"
	"io"
	"strings"
)

// Restore loads the dump into a new database beside the old one, where it has
// to succeed, and makes triggers, routines and views there too. Then one RENAME
// takes the old tables away and puts the new ones in their place, and triggers,
// routines, views and events are made anew.
//
// There are no transactions for any of that. So the new database is proven
// before the old one is touched, and a mark says so: until then everything new
// is dropped by whoever finds it, from then on the restore is finished by
// whoever finds it. What that takes is in the server, not in our hands.
func (m MariaDB) Restore(req RestoreRequest) ([]Step, error) {
	names, err := m.planRestore(req)
	if err != nil {
		return nil, err
	}
	recorded, _ := req.Dumped.Database(req.Database)
	grants := ""
	if names.final == req.Database {
		if grants, err = objectGrants(req.Properties, req.Database, names.act+".objects"); err != nil {
			return nil, fmt.Errorf("read the stored grants on database %q: %w", req.Database, err)
		}
	}
	load := loadNames{database: req.Database, objects: names.act + ".objects", renamed: names.final != req.Database}
	mark := ""
	if _, exists := req.Target.Database(names.final); !exists {
		load.standIn = myIdent(names.final)
		mark = "CREATE TABLE " + names.act + ".standin (x INT);\n"
	}
	undo := names.command(req.Target, myDiscard, "DROP DATABASE "+names.fresh)
	stdin := func(script string, more ...string) Command {
		return Command{Argv: req.Target.my(script, more...), Stdin: true, Show: req.Target.shownClient() + " --database=" + names.fresh}
	}
	steps := []Step{{
		Name:    "create",
		Cause:   fmt.Sprintf("a new database beside %q, with the recorded character set", names.final),
		Command: stdin(myScript),
		Input:   InputLiteral,
		Literal: []byte(names.createSQL(recorded) + mark + grants + myDoneSQL),
		Undo:    &undo,
	}, {
		Name:       "load",
		Cause:      "tables and rows go into the new database; the old one stays as it is",
		Command:    stdin(myLoad, "--database="+names.fresh),
		Input:      InputDump,
		Filter:     func(r io.Reader) io.Reader { return newLoadFilter(r, load) },
		CrashPoint: "mid-restore",
		Undo:       &undo,
	}, {
		Name:    "prove",
		Cause:   "triggers, routines and views are made there too, to see that they can be",
		Command: names.command(req.Target, myProve, "CREATE TRIGGER, PROCEDURE, FUNCTION, VIEW in "+names.fresh),
		Undo:    &undo,
	}, {
		Name:       "swap",
		Cause:      "sessions in the database end, one RENAME takes the old tables away and puts the new ones in their place, triggers and routines are made anew",
		Command:    names.command(req.Target, mySwap, "RENAME TABLE "+shown(names.final)+" TO "+names.old+", "+names.fresh+" TO "+shown(names.final)),
		CrashPoint: "before-rename",
	}, {
		Name:       "finish",
		Cause:      "views, events and grants are made anew",
		Command:    names.command(req.Target, myFinish, "CREATE VIEW, EVENT; GRANT", ""),
		CrashPoint: "mid-rename",
		Settled:    true,
	}, {
		Name:    "drop",
		Cause:   "the old tables go last",
		Command: names.command(req.Target, myDrop, "DROP DATABASE "+names.old),
		Settled: true,
	}}
	return steps, nil
}

func (m MariaDB) planRestore(req RestoreRequest) (myNames, error) {
	if err := m.CanRestore(req.Dumped, req.Target); err != nil {
		return myNames{}, err
	}
	final := req.Database
	if req.NewName != "" {
		final = req.NewName
	}
	if err := m.Check(Request{Databases: []string{final}}); err != nil {
		return myNames{}, err
	}
	recorded, ok := req.Dumped.Database(req.Database)
	if !ok {
		return myNames{}, fmt.Errorf("%w: the snapshot records no database %q; it has %s", ErrBadRequest, req.Database, req.Dumped.databaseList())
	}
	there, exists := req.Target.Database(final)
	switch {
	case !plainWord(recorded.Encoding) || !plainWord(recorded.Collate):
		return myNames{}, fmt.Errorf("%w: the snapshot records the character set %.40q and collation %.40q", ErrBadRequest, recorded.Encoding, recorded.Collate)
	case exists && req.NewName != "":
		return myNames{}, fmt.Errorf("%w: database %q exists; give a name that is free", ErrBadRequest, final)
	case req.Target.Standby:
		return myNames{}, fmt.Errorf("%w: the server is read-only; restore into its primary", ErrBadRequest)
	case !req.Target.CreateDB:
		return myNames{}, fmt.Errorf("%w: user %q may not create databases; set MARIADB_ROOT_PASSWORD or its _FILE, or the label dump.user to one that may", ErrBadRequest, req.Target.Connect)
	case len(there.ReferredBy) > 0:
		return myNames{}, fmt.Errorf("%w: foreign keys of %s lead into database %q, and would follow its old tables; drop them, restore, and make them again", ErrBadRequest, nameList(there.ReferredBy), final)
	}
	return myWorkNames(req.ID, final)
}

func plainWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r == '_') })
}

// createSQL makes the databases of the restore. Their names are of letters and
// digits.
func (n myNames) createSQL(d Database) string {
	return fmt.Sprintf(`DROP DATABASE IF EXISTS %[1]s;
DROP DATABASE IF EXISTS %[2]s;
CREATE DATABASE %[1]s CHARACTER SET %[3]s COLLATE %[4]s;
CREATE DATABASE %[2]s CHARACTER SET utf8mb4;
CREATE TABLE %[2]s.objects (n BIGINT AUTO_INCREMENT PRIMARY KEY, kind VARCHAR(16) NOT NULL, body LONGBLOB NOT NULL) ENGINE=InnoDB;
CREATE TABLE %[2]s.tables (name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY) ENGINE=InnoDB;
`, n.fresh, n.act, d.Encoding, d.Collate)
}

// Leftovers names the databases that restores of ours made and did not finish.
func (MariaDB) Leftovers(facts Facts) []string {
	var names []string
	for _, d := range facts.Databases {
		if myOurs(d.Name) {
			names = append(names, d.Name)
		}
	}
	return names
}

// Recover decides by the mark of the restore. Old tables are away only where
// the mark is, and the database with the mark is dropped last; so old tables
// without it are somebody's doing.
//
//	mark  act or new  old
//	yes   any         any   proven: finish, the new data is in place
//	no    yes         any   not proven: drop what is new, the old data is in place
//	no    no          yes   not ours to decide
//	no    no          no    nothing left
func (m MariaDB) Recover(req RecoverRequest) (Recovery, error) {
	names, err := myWorkNames(req.ID, req.Database)
	if err != nil {
		return Recovery{}, err
	}
	act, hasAct := req.Target.Database(names.act)
	_, hasFresh := req.Target.Database(names.fresh)
	_, hasOld := req.Target.Database(names.old)
	ready := false
	for _, mark := range act.Marks {
		ready = ready || mark == "ready"
	}
	switch {
	case ready:
		return Recovery{OutcomeNew, []Step{
			{Name: "swap", Cause: "the new data was proven whole, and takes its place", Command: names.command(req.Target, mySwap, "RENAME TABLE, CREATE TRIGGER, PROCEDURE, FUNCTION")},
			{Name: "finish", Cause: "views, events and grants are made anew", Command: names.command(req.Target, myFinish, "CREATE VIEW, EVENT; GRANT", "go on")},
			{Name: "drop", Cause: "the old tables go last", Command: names.command(req.Target, myDrop, "DROP DATABASE "+names.old)},
		}}, nil
	case hasAct || hasFresh:
		return Recovery{OutcomeOld, []Step{{Name: "drop", Cause: "it was not finished; the old data is in place", Command: names.command(req.Target, myDiscard, "DROP DATABASE "+names.fresh)}}}, nil
	case hasOld:
		return Recovery{}, fmt.Errorf("%w: database %s is there without what says how far the restore of %q came; look into it, then drop it by hand", ErrAmbiguous, names.old, req.Database)
	}
	return Recovery{Outcome: OutcomeNothing}, nil
}
