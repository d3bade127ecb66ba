package dump

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// TestF51_LoadFilterPassesNothingOnThatIsRefused: a client obeys the statement
// that it has got so far when its input ends, so that none may get there.
func TestF51_LoadFilterPassesNothingOnThatIsRefused(t *testing.T) {
	dump := mariaDump(t)
	const at = "\n--\n-- Table structure for table `isam`\n"
	before, after, ok := strings.Cut(dump, at)
	if !ok {
		t.Fatal("the dump has no such place")
	}
	for _, h := range []string{"DROP DATABASE other;\n", "SET GLOBAL general_log=1;\n", "GRANT ALL ON *.* TO x;\n", "DROP DATABASE `" + strings.Repeat("x", 2*myHeadSize) + "`;\n"} {
		got, err := filteredDump(t, strings.NewReader(before+"\n"+h+at+after), loadNames{database: "shop", objects: "act.objects"})
		if err == nil || strings.Contains(got, h[:12]) || strings.Contains(got, myDone) {
			t.Errorf("%.40q reaches the client: %v", h, err)
		}
	}
}

// TestMySQLFlagsFollowTheVersion: the 5.7 client ends at an option that it does
// not know.
func TestMySQLFlagsFollowTheVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)": true,
		"mysqldump  Ver 8.4.2 for Linux on x86_64 (Source distribution)":           true,
		"mysqldump  Ver 10.13 Distrib 8.0.11, for Linux (x86_64)":                  true,
		"mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)":                  false,
		"mysqldump  Ver 10.13 Distrib 5.7.44-48, for Linux (x86_64)":               false,
		"mysqldump": false,
	} {
		facts := mariaFacts()
		facts.Product, facts.ClientVersion = productMySQL, version
		argv := myDumpCommand(facts, "shop").Argv
		if got := slices.Contains(argv, "--column-statistics=0"); got != want || !slices.Contains(argv, "--set-gtid-purged=OFF") {
			t.Errorf("%s: %v, want %v", version, got, want)
		}
	}
}

// fakeClient runs a script against a client that writes down what it is asked.
// answers is the shell of what it says: "$*" is its arguments.
func fakeClient(t *testing.T, c Command, stdin, answers string) (asked, out, errs string, err error) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\nfor a do case $a in --execute=*) printf '%s\\n' \"${a#--execute=}\" >>" + dir + "/asked ;; esac; done\n" + answers + "\n"
	for _, name := range []string{"mariadb", "mariadb-dump"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	text, rerr := os.ReadFile(filepath.Join(dir, "asked"))
	if rerr != nil && !os.IsNotExist(rerr) {
		t.Fatal(rerr)
	}
	return string(text), stdout.String(), stderr.String(), err
}

// TestF22_MariaDBDiscardLeavesNoStandIn: a database that stood in for a default
// must not look like one that was restored. The marks go first.
func TestF22_MariaDBDiscardLeavesNoStandIn(t *testing.T) {
	target := mariaFacts()
	target.Databases = nil
	steps, err := MariaDB{}.Restore(RestoreRequest{ID: "r1", Dumped: mariaFacts(), Target: target, Database: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	names, _ := myWorkNames("r1", "shop")
	if !strings.Contains(string(steps[0].Literal), "CREATE TABLE "+names.act+".standin") {
		t.Errorf("that there was no such database is not kept: %s", steps[0].Literal)
	}
	drop := func(names ...string) string {
		return "DROP DATABASE IF EXISTS " + strings.Join(names, "\nDROP DATABASE IF EXISTS ") + "\n"
	}
	drops := func(asked string) string {
		var b strings.Builder
		for line := range strings.Lines(asked) {
			if strings.HasPrefix(line, "DROP") {
				b.WriteString(line)
			}
		}
		return b.String()
	}
	for _, c := range []struct{ name, answers, want string }{
		{"it stood in", `case "$*" in *"'standin'"*) echo 1 ;; *DROP*) ;; *) echo 0 ;; esac`, drop("`shop`", names.act, names.old, names.fresh)},
		{"somebody uses it", `case "$*" in *"'standin'"*|*ROUTINES*) echo 1 ;; *DROP*) ;; *) echo 0 ;; esac`, drop(names.act, names.old, names.fresh)},
		{"it was there", `case "$*" in *DROP*) ;; *) echo 0 ;; esac`, drop(names.act, names.old, names.fresh)},
	} {
		asked, _, errs, err := fakeClient(t, *steps[1].Undo, "", c.answers)
		if got := drops(asked); err != nil || got != c.want {
			t.Errorf("%s: %v %s\n%s\nwant\n%s", c.name, err, errs, got, c.want)
		}
	}
	for _, c := range []struct{ name, answers string }{
		{"ready", `case "$*" in *"'ready'"*) echo 1 ;; *) echo 0 ;; esac`},
		{"old tables", `case "$*" in *"'` + names.old + `'"*) echo 1 ;; *) echo 0 ;; esac`},
	} {
		if asked, _, _, err := fakeClient(t, *steps[1].Undo, "", c.answers); err == nil || drops(asked) != "" {
			t.Errorf("%s: %v, %q", c.name, err, drops(asked))
		}
	}
	exists, err := MariaDB{}.Restore(RestoreRequest{ID: "r1", Dumped: mariaFacts(), Target: mariaFacts(), Database: "shop"})
	if err != nil || strings.Contains(string(exists[0].Literal), "standin") {
		t.Errorf("a database that is there is taken for one that stands in: %v", err)
	}
}

// TestMariaDBSwapTouchesNoDatabaseOfASimilarName: to the server "Shop" equals
// "shop" in what it says of triggers, routines and events.
func TestMariaDBSwapTouchesNoDatabaseOfASimilarName(t *testing.T) {
	names, _ := myWorkNames("r1", "it's")
	asked, _, errs, err := fakeClient(t, names.command(mariaFacts(), mySwap, ""), "",
		`case "$*" in *"'moved'"*) echo 1 ;; *COUNT*) echo 0 ;; *comments*) cat >/dev/null; echo `+myDone+` ;; esac`)
	if err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	for _, column := range []string{"TRIGGER_SCHEMA", "ROUTINE_SCHEMA", "TABLE_SCHEMA", "EVENT_SCHEMA"} {
		exact := column + " = 'it''s' AND (@@lower_case_table_names <> 0 OR CAST(" + column + " AS BINARY) = CAST('it''s' AS BINARY))"
		if !strings.Contains(asked, "WHERE "+exact) || strings.Count(asked, column+" = 'it''s'") != strings.Count(asked, exact) {
			t.Errorf("%s is not compared exactly:\n%s", column, asked)
		}
	}
}

// TestMariaDBLoadTakesLargeRows: a row in hexadecimal is larger than it was.
func TestMariaDBLoadTakesLargeRows(t *testing.T) {
	c := Command{Argv: mariaFacts().my(myLoad, "--database=x")}
	const answers = `case "$*" in *@@GLOBAL*) echo 16777216 ;; *comments*) grep -q rows && echo ` + myDone + ` ;; esac`
	asked, out, errs, err := fakeClient(t, c, "rows\n", answers)
	const raised, back = "SET GLOBAL max_allowed_packet=1073741824\n", "SET GLOBAL max_allowed_packet=16777216\n"
	if err != nil || out != "" || !strings.Contains(asked, raised) || !strings.HasSuffix(asked, back) {
		t.Errorf("%v %q %q: %s", err, out, errs, asked)
	}
	if asked, _, _, err := fakeClient(t, c, "cut\n", answers); err == nil || !strings.HasSuffix(asked, back) {
		t.Errorf("after a failure: %v, %s", err, asked)
	}
	if asked, _, errs, err := fakeClient(t, c, "rows\n", `case "$*" in *"SET GLOBAL"*) exit 1 ;; esac; `+answers); err != nil || strings.HasSuffix(asked, back) {
		t.Errorf("a user who may not: %v %s %s", err, errs, asked)
	}
}

// TestF48_MariaDBErrorsQuoteNoHash: a server quotes what it does not understand.
func TestF48_MariaDBErrorsQuoteNoHash(t *testing.T) {
	steps, _, err := MariaDB{}.RestoreGlobals(GlobalsRequest{Dumped: mariaFacts(), Target: mariaFacts(), SQL: []byte(mariaPeople)})
	if err != nil {
		t.Fatal(err)
	}
	_, out, errs, err := fakeClient(t, steps[0].Command, "x", `cat >/dev/null; echo "ERROR 1064 (42000) at line 2: You have an error in your SQL syntax; check the manual for the right syntax to use near 'BY PASSWORD '*BB';
CREATE USER x IDENTIFIED BY PASSWORD '*CC'' at line 1" >&2; exit 1`)
	if err == nil || strings.Contains(out+errs, "*BB") || strings.Contains(out+errs, "*CC") || !strings.Contains(errs, "ERROR 1064") {
		t.Errorf("%v: %q %q", err, out, errs)
	}
	if _, _, errs, err := fakeClient(t, steps[0].Command, "x", `cat >/dev/null; echo `+myDone); err != nil {
		t.Errorf("%v: %s", err, errs)
	}
	if _, _, errs, err := fakeClient(t, steps[0].Command, "x", `cat >/dev/null`); err == nil || !strings.Contains(errs, "was cut") {
		t.Errorf("cut: %v: %s", err, errs)
	}
}

// TestMySQLUsersAndTheirRoles: a user's default role is made before it, what is
// taken away again comes with what is given, and the image's own user stays.
func TestMySQLUsersAndTheirRoles(t *testing.T) {
	const sql = peopleHead + "\nCREATE USER `ann`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x24 DEFAULT ROLE `staff`@`%` REQUIRE NONE PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK;\n" +
		"CREATE USER `healthcheck`@`localhost` IDENTIFIED BY PASSWORD '*HC';\n" +
		"CREATE USER `staff`@`%` IDENTIFIED WITH 'caching_sha2_password' REQUIRE NONE PASSWORD EXPIRE ACCOUNT LOCK;\n" +
		"GRANT SELECT ON *.* TO `ann`@`%`;\nREVOKE SELECT ON `secret`.* FROM `ann`@`%`;\nGRANT `staff`@`%` TO `ann`@`%`;\n" + peopleEnd + "\n"
	order := func(roles []string, replace bool) string {
		target := mariaFacts()
		target.Roles = roles
		steps, notes, err := MariaDB{}.RestoreGlobals(GlobalsRequest{Dumped: mariaFacts(), Target: target, SQL: []byte(sql), Replace: replace})
		if err != nil || len(steps) != 1 || strings.Contains(strings.Join(notes, " "), "left out") {
			t.Fatalf("%d steps, %q, %v", len(steps), notes, err)
		}
		var words []string
		for line := range strings.Lines(string(steps[0].Literal)) {
			fields := strings.Fields(line)
			words = append(words, strings.Join(fields[:min(3, len(fields))], " "))
		}
		return strings.Join(words, "; ")
	}
	const tail = "; SELECT 'ripplebak-done';"
	if got, want := order([]string{"healthcheck@localhost"}, false), "CREATE USER `staff`@`%`; CREATE USER `ann`@`%`; GRANT SELECT ON; REVOKE SELECT ON; GRANT `staff`@`%` TO"+tail; got != want {
		t.Errorf("missing:\n%s\nwant\n%s", got, want)
	}
	if got, want := order([]string{"healthcheck@localhost", "ann@%", "staff@%"}, true), "ALTER USER `staff`@`%`; GRANT SELECT ON; REVOKE SELECT ON; GRANT `staff`@`%` TO; ALTER USER `ann`@`%`"+tail; got != want {
		t.Errorf("replaced:\n%s\nwant\n%s", got, want)
	}
}

// TestLoadFilterHidesTheWordDelimiterFromTheClient: clients take it for their
// command wherever it stands before a blank, but for strings and comments.
func TestLoadFilterHidesTheWordDelimiterFromTheClient(t *testing.T) {
	const body = "BEGIN DECLARE csv_Delimiter VARCHAR(5) DEFAULT 'delimiter x'; SET delimiter = `delimiter y`; -- delimiter z\nEND"
	const want = "BEGIN DECLARE csv_Delimiter\tVARCHAR(5) DEFAULT 'delimiter x'; SET delimiter\t= `delimiter y`; -- delimiter z\nEND"
	dump := strings.Replace(mariaDump(t), "RETURN a+1", body, 1)
	for _, size := range []int{1, 7, 4096} {
		if err := judgeSQL(dump, size); err != nil {
			t.Errorf("the dump is refused: %v", err)
		}
	}
	for name, from := range map[string]io.Reader{"whole": strings.NewReader(dump), "in bytes": iotest.OneByteReader(strings.NewReader(dump))} {
		got, err := filteredDump(t, from, loadNames{database: "shop", objects: "act.objects"})
		if err != nil || !strings.Contains(got, hex.EncodeToString([]byte(want))) {
			t.Errorf("%s: the client would end the statement there: %v", name, err)
		}
	}
}
