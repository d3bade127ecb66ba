package dump

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Restore makes a new database beside the old one, fills it, and swaps the two
// in one transaction, which also applies the properties. Until that commits
// the old data is in place; after it the old database is only dropped.
//
// A step whose end is not known (the connection broke) is a case for Recover:
// the swap may have been committed.
func (p Postgres) Restore(req RestoreRequest) ([]Step, error) {
	plan, err := p.planRestore(req)
	if err != nil {
		return nil, err
	}
	properties, err := rewriteProperties(req.Properties, req.Database, plan.final, req.Target)
	if err != nil {
		return nil, fmt.Errorf("read the stored properties of database %q: %w", req.Database, err)
	}
	undo := dropCommand(req.Target, plan.maintenance, plan.fresh)
	steps := []Step{{
		Name:    "create",
		Cause:   fmt.Sprintf("a new database beside %q, with the recorded encoding, locale and owner", plan.final),
		Command: scriptOnStdin(req.Target, plan.maintenance, "psql (CREATE DATABASE "+plan.fresh+")"),
		Input:   InputLiteral,
		Literal: []byte(dropSQL(plan.fresh) + createSQL(plan.fresh, plan.recorded, req.Target) + doneSQL),
		Undo:    &undo,
	}, {
		Name:       "load",
		Cause:      "the dump goes into the new database; the old one stays as it is",
		Command:    loadCommand(req, plan.fresh),
		Input:      InputDump,
		CrashPoint: "mid-restore",
		Undo:       &undo,
	}, {
		Name:       "swap",
		Cause:      "one transaction: connections end, the old database is renamed away, the new one takes its name, grants and settings are applied",
		Command:    scriptOnStdin(req.Target, plan.maintenance, "psql (rename "+plan.fresh+" to "+shown(plan.final)+")"),
		Input:      InputLiteral,
		Literal:    transaction(quiet(req.Target) + plan.swapSQL() + resetSQL(plan.final) + properties),
		CrashPoint: "before-rename",
		Undo:       &undo,
	}}
	if plan.exists {
		steps = append(steps, Step{
			Name:       "drop",
			Cause:      "the old database goes last",
			Command:    scriptOnStdin(req.Target, plan.maintenance, "psql (DROP DATABASE "+plan.old+")"),
			Input:      InputLiteral,
			Literal:    []byte(dropSQL(plan.old) + doneSQL),
			CrashPoint: "mid-rename",
			Settled:    true,
		})
	}
	return steps, nil
}

// pgRestorePlan is the names that a restore works with.
type pgRestorePlan struct {
	recorded    Database
	final       string // the name in the end
	exists      bool   // there is an old database of that name
	fresh, old  string // names while it is under way
	maintenance string // the database to connect to meanwhile
}

func (p Postgres) planRestore(req RestoreRequest) (pgRestorePlan, error) {
	if err := p.CanRestore(req.Dumped, req.Target); err != nil {
		return pgRestorePlan{}, err
	}
	final := req.Database
	if req.NewName != "" {
		final = req.NewName
	}
	if err := p.Check(Request{Databases: []string{final}}); err != nil {
		return pgRestorePlan{}, err
	}
	recorded, ok := req.Dumped.Database(req.Database)
	if !ok {
		return pgRestorePlan{}, fmt.Errorf("%w: the snapshot records no database %q; it has %s", ErrBadRequest, req.Database, req.Dumped.databaseList())
	}
	_, exists := req.Target.Database(final)
	switch {
	case exists && req.NewName != "":
		return pgRestorePlan{}, fmt.Errorf("%w: database %q exists; give a name that is free", ErrBadRequest, final)
	case req.Target.Standby:
		return pgRestorePlan{}, fmt.Errorf("%w: the server is a standby and cannot be written; restore into its primary", ErrBadRequest)
	case !req.Target.CreateDB:
		return pgRestorePlan{}, fmt.Errorf("%w: role %q may not create databases; it needs CREATEDB, or set the label dump.user to one that has it", ErrBadRequest, req.Target.User)
	}
	fresh, old, err := workNames(req.ID, final)
	if err != nil {
		return pgRestorePlan{}, err
	}
	return pgRestorePlan{recorded, final, exists, fresh, old, maintenanceDatabase(req.Target, final)}, nil
}

// workNames are the names of the new and the old database while a restore is
// under way. They differ for every restore and every database of it.
func workNames(id, final string) (fresh, old string, err error) {
	if id == "" || len(id) > 32 || strings.ContainsFunc(id, func(r rune) bool { return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z') }) {
		return "", "", fmt.Errorf("%w: the restore's ID %q is not 1 to 32 of 0-9 and a-z", ErrBadRequest, id)
	}
	sum := sha256.Sum256([]byte(final))
	tail := id + "_" + hex.EncodeToString(sum[:4])
	return pgNewPrefix + tail, pgOldPrefix + tail, nil
}

// maintenanceDatabase is one to be connected to while final is renamed.
func maintenanceDatabase(target Facts, final string) string {
	for _, name := range []string{"postgres", target.Connect} {
		if d, ok := target.Database(name); ok && name != final && d.AllowConn && !ours(name) {
			return name
		}
	}
	return "template1"
}

// createSQL makes an empty database like the recorded one.
func createSQL(name string, d Database, target Facts) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE DATABASE %s WITH TEMPLATE = template0 OWNER = %s ENCODING = %s LC_COLLATE = %s LC_CTYPE = %s",
		quoteIdent(name), quoteIdent(d.Owner), quoteLiteral(d.Encoding), quoteLiteral(d.Collate), quoteLiteral(d.CType))
	if target.ServerMajor >= 15 && d.LocaleProvider != "" {
		fmt.Fprintf(&b, " LOCALE_PROVIDER = %s", d.LocaleProvider)
		switch d.LocaleProvider {
		case "icu":
			fmt.Fprintf(&b, " ICU_LOCALE = %s", quoteLiteral(d.Locale))
			if d.ICURules != "" {
				fmt.Fprintf(&b, " ICU_RULES = %s", quoteLiteral(d.ICURules))
			}
		case "builtin":
			fmt.Fprintf(&b, " BUILTIN_LOCALE = %s", quoteLiteral(d.Locale))
		}
	}
	if d.Tablespace != "" && slices.Contains(target.Tablespaces, d.Tablespace) {
		fmt.Fprintf(&b, " TABLESPACE = %s", quoteIdent(d.Tablespace))
	}
	return b.String() + ";\n"
}

// loadCommand reads the dump. Tablespaces that the target lacks would be its
// first error.
func loadCommand(req RestoreRequest, fresh string) Command {
	args := []string{"pg_restore", "--exit-on-error"}
	if slices.ContainsFunc(req.Dumped.Tablespaces, func(t string) bool { return !slices.Contains(req.Target.Tablespaces, t) }) {
		args = append(args, "--no-tablespaces")
	}
	show := strings.Join(args, " ") + " --dbname=" + fresh
	args = append(args, "--no-password", dbname(fresh))
	return Command{Argv: shell(pgRunLoad, req.Target.target(args...)...), Stdin: true, Show: show}
}

// resetSQL takes the settings away that extensions have given the database when
// they were created anew: PostGIS's topology sets its search path. The recorded
// ones follow.
func resetSQL(name string) string { return "ALTER DATABASE " + quoteIdent(name) + " RESET ALL;\n" }

// endSQL ends the connections to the database that the expression names; those
// of roles that this user may not end stay, and make what follows fail.
const endSQL = `pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid() AND pg_catalog.pg_has_role(usesysid, 'USAGE')`

// renameSQL renames the database of the setting ripplebak.old_name. The rename
// waits some seconds for connections to end, and somebody may connect in
// between, so it is tried again. The names come in settings, so that no name
// stands inside the quoted code.
const renameSQL = `DO $rename$
DECLARE
  tries int := 0;
BEGIN
  LOOP
    PERFORM pg_catalog.pg_stat_clear_snapshot();
    PERFORM %s;
    BEGIN
      EXECUTE pg_catalog.format('ALTER DATABASE %%I RENAME TO %%I', pg_catalog.current_setting('ripplebak.old_name'), pg_catalog.current_setting('ripplebak.new_name'));
      EXIT;
    EXCEPTION WHEN object_in_use THEN
      tries := tries + 1;
      IF tries >= 3 THEN
        RAISE;
      END IF;
    END;
  END LOOP;
END
$rename$;
`

func rename(from, to string) string {
	return fmt.Sprintf("SET LOCAL ripplebak.old_name = %s;\nSET LOCAL ripplebak.new_name = %s;\n", quoteLiteral(from), quoteLiteral(to)) +
		fmt.Sprintf(renameSQL, fmt.Sprintf(endSQL, "pg_catalog.current_setting('ripplebak.old_name')"))
}

func (r pgRestorePlan) swapSQL() string {
	if !r.exists {
		return rename(r.fresh, r.final)
	}
	return rename(r.final, r.old) + rename(r.fresh, r.final)
}

// dropSQL drops a database of ours, if it is there. A template cannot be
// dropped, and being one is part of what was renamed away.
func dropSQL(name string) string {
	return fmt.Sprintf("SELECT "+endSQL+";\n", quoteLiteral(name)) +
		fmt.Sprintf("DO $drop$ BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = '%s' AND datistemplate) THEN ALTER DATABASE %s IS_TEMPLATE false; END IF; END $drop$;\n", name, quoteIdent(name)) +
		fmt.Sprintf("DROP DATABASE IF EXISTS %s;\n", quoteIdent(name))
}

// dropCommand needs no input. The name is one of ours, of letters and digits.
func dropCommand(target Facts, maintenance, name string) Command {
	var args []string
	for _, line := range strings.Split(strings.TrimSpace(dropSQL(name)), "\n") {
		args = append(args, "--command="+line)
	}
	return Command{
		Argv: shell(pgRun, target.target(psql(maintenance, args...)...)...),
		Show: "psql (DROP DATABASE IF EXISTS " + name + ")",
	}
}
