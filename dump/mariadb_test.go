package dump

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// mariaFacts is a server as a probe would describe it.
func mariaFacts() Facts {
	return Facts{
		Engine: "mariadb-dump", Product: productMariaDB, ServerVersion: "10.11.18-MariaDB", ServerMajor: 1011,
		ClientVersion: "mariadb-dump  Ver 10.19 Distrib 10.11.18-MariaDB, for debian-linux-gnu (x86_64)",
		User:          "root", Connect: "root@localhost", Superuser: true, CreateDB: true, CreateRole: true, Roles: []string{"root@localhost", "app@%", "staff@"},
		Databases: []Database{
			{Name: "shop", Encoding: "utf8mb4", Collate: "utf8mb4_bin", AllowConn: true, Size: 1 << 30},
			{Name: "a`b'c", Encoding: "latin1", Collate: "latin1_bin", AllowConn: true},
			{Name: "ripplebak_act_x_00000000"},
		},
	}
}

func TestMariaDBFiles(t *testing.T) {
	m := MariaDB{}
	var got []string
	files, err := m.Files(Request{}, mariaFacts())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got = append(got, f.Name+": "+f.Command.Show)
		if !f.Command.Gate || f.Command.Stdin {
			t.Errorf("%s: %+v", f.Name, f.Command)
		}
	}
	const flags = "--single-transaction --quick --routines --events --triggers --hex-blob"
	want := []string{
		"globals.sql: mariadb (users, roles and grants)",
		"shop.dump.sql: mariadb-dump " + flags + " --skip-dump-date shop",
		"shop.grants.sql: mariadb (what is granted on shop)",
		"a`b'c.dump.sql: mariadb-dump " + flags + " --skip-dump-date " + shown("a`b'c"),
		"a`b'c.grants.sql: mariadb (what is granted on " + shown("a`b'c") + ")",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if argv := files[3].Command.Argv; strings.Contains(argv[2], "a`b'c") || !slices.Equal(argv[len(argv)-2:], []string{"--", "a`b'c"}) {
		t.Errorf("the name is not an argument: %q", argv[3:])
	}
	if s := m.Skipped(Request{}, mariaFacts()); len(s) != 1 || !strings.Contains(s[0], "ripplebak_act_x_00000000") {
		t.Errorf("skipped %q", s)
	}
	facts := mariaFacts()
	facts.Roles = nil
	if files, _ := m.Files(Request{Databases: []string{"shop"}}, facts); len(files) != 1 {
		t.Errorf("users that cannot be read: %d files", len(files))
	}
	facts.Product, facts.ClientVersion = productMySQL, "mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)"
	files, _ = MariaDB{MySQL: true}.Files(Request{Databases: []string{"shop"}}, facts)
	if got := files[0].Command.Show; got != "mysqldump "+flags+" --set-gtid-purged=OFF --column-statistics=0 --skip-dump-date shop" {
		t.Errorf("MySQL: %s", got)
	}
	if got := m.Name() + " " + (MariaDB{MySQL: true}).Name(); got != "mariadb-dump mysqldump" {
		t.Error(got)
	}
}

// TestF48_MariaDBPasswordsStayInTheContainer: the scripts find them where they
// run, and nothing that we say or pass on holds one.
func TestF48_MariaDBPasswordsStayInTheContainer(t *testing.T) {
	for _, part := range []string{"secret ROOT_PASSWORD", "export MYSQL_PWD"} {
		if !strings.Contains(myEnvironment, part) {
			t.Errorf("the scripts lack %q", part)
		}
	}
	for _, script := range []string{myEnvironment, myDump, myProbe, mySwap, myReady} {
		if strings.Contains(script, "--password") || strings.Contains(script, " -p") {
			t.Errorf("a password in an argument: %s", script)
		}
	}
}

func TestF46_HostileMariaDBNames(t *testing.T) {
	for _, name := range []string{"", "mysql", "SYS", "information_schema", strings.Repeat("x", 257), "a\x00b", "ripplebak_new_x", "ripplebak_act_x"} {
		if err := (MariaDB{}).Check(Request{Databases: []string{name}}); !errors.Is(err, ErrBadRequest) || len(err.Error()) > 200 {
			t.Errorf("%.40q: %v", name, err)
		}
	}
	for _, name := range []string{"--tab=/x", "$(id)", "a'; DROP", "shop\n"} {
		if _, err := (MariaDB{}).Files(Request{Databases: []string{name}}, mariaFacts()); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if got := myIdent("a`b") + myLiteral(`a'b\`); got != "`a``b`"+`'a''b\\'` {
		t.Errorf("%s", got)
	}
}

func TestMariaDBCanRestore(t *testing.T) {
	base, older, mysql := mariaFacts(), mariaFacts(), mariaFacts()
	older.ServerMajor = 1006
	mysql.Product, mysql.ServerMajor = productMySQL, 800
	named := mariaFacts()
	named.Engine = "mysqldump"
	for _, c := range []struct {
		name           string
		dumped, target Facts
		want           error
	}{
		{"same", base, base, nil}, {"into newer", older, base, nil}, {"into older", base, older, ErrNewerDump},
		{"by the other name", base, named, nil}, {"into MySQL", base, mysql, ErrBadRequest}, {"of MySQL", mysql, base, ErrBadRequest},
		{"another engine", sampleFacts(), base, ErrBadRequest},
	} {
		if err := (MariaDB{}).CanRestore(c.dumped, c.target); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestMariaDBFallbackDataDirs(t *testing.T) {
	got := MariaDB{}.FallbackDataDirs(func(string) string { return "" }, []string{"/var/lib/mysql", "/var/lib/mysql/binlog/", "/var/lib/mysql-files", "/bitnami/mariadb", "/data"})
	if want := []string{"/var/lib/mysql", "/var/lib/mysql/binlog", "/bitnami/mariadb"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// mariaAnswer is the answer to a probe.
const mariaAnswer = "connect\t\nclient\tmariadb-dump  Ver 10.19 Distrib 10.11.18-MariaDB\ndir\t/var/lib/mysql\ndf\toverlay 100 40 60 40% /\n" +
	"server\t10.11.18-MariaDB\tDebian 12\troot@localhost\t0\troot\nright\tSUPER\nright\tCREATE\ndir\t/var/lib/mysql/\ndir\t\ndir\t./\nfile\t/logs/bin\n" +
	"database\tshop\tutf8mb4\tutf8mb4_bin\t12345.0\ndatabase\ta\\tb\\nc\\\\\\0\tlatin1\tlatin1_bin\t0\ndatabase\tripplebak_act_r_00000000\tutf8mb4\tutf8mb4_bin\t0\n" +
	"engine\tshop\told\tMyISAM\nmark\tripplebak_act_r_00000000\tready\nrefer\tshop\tother\tchild\nuser\troot\tlocalhost\nuser\tstaff\t\nend\n"

func TestMariaDBParseProbe(t *testing.T) {
	f, err := MariaDB{}.ParseProbe(Request{}, []byte(mariaAnswer))
	if err != nil {
		t.Fatal(err)
	}
	shop, _ := f.Database("shop")
	act, _ := f.Database("ripplebak_act_r_00000000")
	_, odd := f.Database("a\tb\nc\\\x00")
	switch {
	case f.Product != productMariaDB || f.ServerMajor != 1011 || f.User != "root" || f.Connect != "root@localhost":
		t.Errorf("server: %+v", f)
	case !f.Superuser || !f.CreateDB || f.CreateRole || f.Standby || f.FreeBytes != 60<<10:
		t.Errorf("rights and space: %+v", f)
	case shop.Size != 12345 || !slices.Equal(shop.ReferredBy, []string{"other.child"}) || !slices.Equal(act.Marks, []string{"ready"}) || !odd:
		t.Errorf("databases: %+v", f.Databases)
	case !slices.Equal(f.DataDirs, []string{"/var/lib/mysql", "/logs"}) || !slices.Equal(f.Roles, []string{"root@localhost", "staff@"}):
		t.Errorf("directories and users: %+v", f)
	case len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], `"old"`):
		t.Errorf("warnings: %q", f.Warnings)
	}
	for n := range len(mariaAnswer) {
		if _, err := (MariaDB{}).ParseProbe(Request{}, []byte(mariaAnswer[:n])); err == nil {
			t.Fatalf("cut at %d it passes", n)
		}
	}
	f, err = MariaDB{}.ParseProbe(Request{Databases: []string{"x"}}, []byte(strings.NewReplacer("user\troot\tlocalhost\nuser\tstaff\t\n", "nopeople\n", "10.11.18-MariaDB\tDebian 12", "8.4.2\tMySQL Community Server").Replace(mariaAnswer)))
	if err != nil || f.Product != productMySQL || f.ServerMajor != 804 || len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], "users and grants") {
		t.Errorf("MySQL, no rights: %+v, %v", f, err)
	}
}

func TestMariaDBRecover(t *testing.T) {
	names, err := myWorkNames("r1", "shop")
	if err != nil {
		t.Fatal(err)
	}
	act := func(marks ...string) Database { return Database{Name: names.act, Marks: marks} }
	fresh, old, shop := Database{Name: names.fresh}, Database{Name: names.old}, Database{Name: "shop"}
	for _, c := range []struct {
		name  string
		there []Database
		want  Outcome
		steps string
		err   error
	}{
		{"nothing", []Database{shop}, OutcomeNothing, "", nil},
		{"being loaded", []Database{shop, fresh, act("objects", "tables")}, OutcomeOld, "drop", nil},
		{"the databases are being made", []Database{fresh}, OutcomeOld, "drop", nil},
		{"about to be marked", []Database{shop, fresh, old, act("objects", "tables")}, OutcomeOld, "drop", nil},
		{"marked", []Database{shop, fresh, old, act("objects", "tables", "ready")}, OutcomeNew, "swap finish drop", nil},
		{"moved", []Database{shop, fresh, old, act("moved", "objects", "ready", "tables")}, OutcomeNew, "swap finish drop", nil},
		{"being dropped", []Database{shop, act("moved", "ready")}, OutcomeNew, "swap finish drop", nil},
		{"not ours", []Database{shop, old}, "", "", ErrAmbiguous},
		{"of another restore", []Database{shop, {Name: "ripplebak_act_r2_00000000", Marks: []string{"ready"}}}, OutcomeNothing, "", nil},
	} {
		r, err := MariaDB{}.Recover(RecoverRequest{ID: "r1", Database: "shop", Target: Facts{Databases: c.there}})
		var steps []string
		for _, s := range r.Steps {
			steps = append(steps, s.Name)
			if s.Input != InputNone {
				t.Errorf("%s: step %s wants input", c.name, s.Name)
			}
		}
		if r.Outcome != c.want || strings.Join(steps, " ") != c.steps || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %q, %v", c.name, r.Outcome, steps, err)
		}
	}
	if _, err := (MariaDB{}).Recover(RecoverRequest{ID: "a b", Database: "shop"}); !errors.Is(err, ErrBadRequest) {
		t.Errorf("a hostile ID: %v", err)
	}
}

func TestMariaDBRestoreRefusesBeforeItTouchesAnything(t *testing.T) {
	for name, change := range map[string]func(*RestoreRequest){
		"no such database":       func(r *RestoreRequest) { r.Database = "nix" },
		"new name is taken":      func(r *RestoreRequest) { r.NewName = "a`b'c" },
		"new name is the old":    func(r *RestoreRequest) { r.NewName = "shop" },
		"new name is the server": func(r *RestoreRequest) { r.NewName = "mysql" },
		"read-only":              func(r *RestoreRequest) { r.Target.Standby = true },
		"no right":               func(r *RestoreRequest) { r.Target.CreateDB = false },
		"foreign keys":           func(r *RestoreRequest) { r.Target.Databases[0].ReferredBy = []string{"other.child"} },
		"character set":          func(r *RestoreRequest) { r.Dumped.Databases[0].Encoding = "utf8; DROP" },
		"hostile grants":         func(r *RestoreRequest) { r.Properties = []byte("\\! id\n") },
	} {
		req := RestoreRequest{ID: "r1", Dumped: mariaFacts(), Target: mariaFacts(), Database: "shop"}
		change(&req)
		if _, err := (MariaDB{}).Restore(req); !errors.Is(err, ErrBadRequest) && !errors.Is(err, ErrHostileSQL) {
			t.Errorf("%s: %v", name, err)
		}
	}
	steps, err := MariaDB{}.Restore(RestoreRequest{ID: "r1", Dumped: mariaFacts(), Target: mariaFacts(), Database: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	settled := false
	for _, s := range steps {
		got = append(got, s.Name)
		if settled && !s.Settled {
			t.Errorf("step %s comes after the restore has settled", s.Name)
		}
		settled = s.Settled
		if early := s.Name == "create" || s.Name == "load" || s.Name == "prove"; early != (s.Undo != nil) {
			t.Errorf("step %s: undo %v", s.Name, s.Undo)
		}
	}
	if strings.Join(got, " ") != "create load prove swap finish drop" {
		t.Errorf("%q", got)
	}
}

// mariaPeople is what a server says of its users.
const mariaPeople = peopleHead + `
CREATE ROLE ` + "`staff`" + `;
CREATE USER ` + "`app`@`%` IDENTIFIED BY PASSWORD '*AA'" + `;
CREATE USER ` + "`new``one`@`10.%` IDENTIFIED BY PASSWORD '*BB'" + `;
CREATE USER 'old'@'style' IDENTIFIED BY PASSWORD '*CC';
CREATE USER ` + "`root`@`localhost` IDENTIFIED BY PASSWORD '*DD'" + `;
GRANT USAGE ON *.* TO ` + "`app`@`%` IDENTIFIED BY PASSWORD '*AA'" + `;
GRANT ALL PRIVILEGES ON ` + "`sh\\_op`.* TO `new``one`@`10.%`" + ` WITH GRANT OPTION;
GRANT EXECUTE ON PROCEDURE ` + "`shop`.`p` TO `new``one`@`10.%`" + `;
GRANT SELECT (` + "`id`) ON `shop`.`t` TO `app`@`%`" + `;
GRANT SELECT ON ` + "`other`.`t` TO `app`@`%`" + `;
GRANT ` + "`staff` TO `new``one`@`10.%`" + `;
GRANT PROXY ON ''@'%' TO 'old'@'style' WITH GRANT OPTION;
SET DEFAULT ROLE ` + "`staff` FOR `new``one`@`10.%`" + `;
FLUSH PRIVILEGES;
` + peopleEnd + "\n"

func TestMariaDBGlobals(t *testing.T) {
	proof := MariaDB{}.Judge(RoleGlobals, "globals")
	proof.Write([]byte(mariaPeople))
	if err := proof.Finish(); err != nil {
		t.Fatal(err)
	}
	req := GlobalsRequest{Dumped: mariaFacts(), Target: mariaFacts(), SQL: []byte(mariaPeople)}
	steps, notes, err := MariaDB{}.RestoreGlobals(req)
	if err != nil || len(steps) != 1 || len(notes) != 1 || !strings.Contains(notes[0], "FLUSH") {
		t.Fatalf("%d steps, %q, %v", len(steps), notes, err)
	}
	want := "CREATE USER `new``one`@`10.%` IDENTIFIED BY PASSWORD '*BB';\nCREATE USER 'old'@'style' IDENTIFIED BY PASSWORD '*CC';\n" +
		"GRANT ALL PRIVILEGES ON `sh\\_op`.* TO `new``one`@`10.%` WITH GRANT OPTION;\nGRANT `staff` TO `new``one`@`10.%`;\nGRANT PROXY ON ''@'%' TO 'old'@'style' WITH GRANT OPTION;\n" +
		"SET DEFAULT ROLE `staff` FOR `new``one`@`10.%`;\n" + myDoneSQL
	if got := string(steps[0].Literal); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	undo := steps[0].Undo.Argv[len(steps[0].Undo.Argv)-1]
	if undo != "DROP USER IF EXISTS 'new`one'@'10.%';\nDROP USER IF EXISTS 'old'@'style'" {
		t.Errorf("undo %q", undo)
	}
	req.Replace = true
	steps, _, _ = MariaDB{}.RestoreGlobals(req)
	if got := string(steps[0].Literal); !strings.Contains(got, "ALTER USER `app`@`%` IDENTIFIED BY PASSWORD '*AA';\n") || strings.Contains(got, "*DD") || strings.Contains(got, "`t`") {
		t.Errorf("replaced:\n%s", got)
	}
	if text := steps[0].Cause + steps[0].Command.Show; strings.Contains(text, "*AA") {
		t.Errorf("a hash is shown: %s", text)
	}
	rows, err := objectGrants([]byte(mariaPeople), "shop", "a.o")
	if err != nil || strings.Count(rows, "INSERT INTO a.o") != 2 {
		t.Errorf("grants on objects: %q, %v", rows, err)
	}
	req.SQL = []byte("CREATE USER `x`@`y`;\n\\! id\n")
	if _, _, err := (MariaDB{}).RestoreGlobals(req); !errors.Is(err, ErrHostileSQL) {
		t.Errorf("hostile: %v", err)
	}
}

func TestMariaDBExplain(t *testing.T) {
	for text, want := range map[string]string{
		"ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: YES)":                    "MARIADB_ROOT_PASSWORD",
		"mariadb is not in the container, nor is mysql":                                                          "no client",
		"ERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld.sock' (2)":         "is it running",
		"mariadb-dump: Got error: 1356: \"View 's.v' references invalid table(s)\" when using LOCK TABLES":       "mend it",
		"mariadb-dump: Error 2013: Lost connection to server during query when dumping table `t` at row: 10":     "ended the connection",
		"ERROR 1114 (HY000) at line 7: The table 't' is full":                                                    "no space",
		"mysqldump: Got error: 1044: Access denied for user 'x'@'%' to database 's' when selecting the database": "lacks a right",
	} {
		if got := (MariaDB{}).Explain(text, 1); !strings.Contains(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
	if got := (MariaDB{}).Explain("whatever", 137); !strings.Contains(got, "killed") {
		t.Error(got)
	}
}

func FuzzMariaDBProbe(f *testing.F) {
	f.Add([]byte(mariaAnswer))
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, err := MariaDB{}.ParseProbe(Request{}, data)
		if err == nil && (facts.ServerMajor < 100 || facts.ClientVersion == "") {
			t.Fatalf("%+v", facts)
		}
	})
}

func FuzzMariaDBGlobals(f *testing.F) {
	f.Add([]byte(mariaPeople))
	f.Fuzz(func(t *testing.T, data []byte) {
		steps, _, err := MariaDB{}.RestoreGlobals(GlobalsRequest{Dumped: mariaFacts(), Target: mariaFacts(), SQL: data})
		if err != nil {
			return
		}
		for _, s := range steps {
			all, err := parsePeople(s.Literal)
			if err != nil {
				t.Fatalf("what is passed on cannot be read: %v\n%s", err, s.Literal)
			}
			for _, p := range all[:len(all)-1] {
				if w := p.tokens.word(0); w != "CREATE" && w != "GRANT" && w != "SET" {
					t.Fatalf("a statement %s", p.raw)
				}
			}
		}
	})
}
