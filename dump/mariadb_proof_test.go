package dump

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// mariaDump is what mariadb-dump 10.11 wrote of a database with everything in
// it, "-- Dump completed" and "\!" among its rows included.
func mariaDump(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/mariadb.sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// judgeSQL reads a dump in pieces of a size.
func judgeSQL(dump string, size int) error {
	p := MariaDB{}.Judge(RoleDatabase, "shop")
	for rest := []byte(dump); len(rest) > 0; {
		n := min(size, len(rest))
		if k, err := p.Write(rest[:n]); k != n || err != nil {
			return errors.New("Write failed")
		}
		rest = rest[n:]
	}
	return p.Finish()
}

func TestSQLProofOfARealDump(t *testing.T) {
	dump := mariaDump(t)
	for _, size := range []int{1, 7, 63, 4096, len(dump)} {
		if err := judgeSQL(dump, size); err != nil {
			t.Errorf("in pieces of %d bytes: %v", size, err)
		}
	}
	p := newSQLProof("shop")
	io.WriteString(p, dump)
	if got := p.Summary(); got != "6 tables with rows, 4 statements with rows, 12950 bytes" {
		t.Errorf("%s", got)
	}
	if err := judgeSQL(strings.Replace(dump, "-- Dump completed\n", "-- Dump completed on 2026-11-22  1:02:03\n", 1), 4096); err != nil {
		t.Errorf("with a date: %v", err)
	}
}

// TestF08_SQLProofFindsEveryCut: a dump is whole at its last byte only.
func TestF08_SQLProofFindsEveryCut(t *testing.T) {
	dump := mariaDump(t)
	for n := range len(dump) {
		if err := judgeSQL(dump[:n], 4096); err == nil {
			t.Fatalf("the dump passes after %d of %d bytes: ...%q", n, len(dump), dump[max(0, n-60):n])
		}
	}
	if err := judgeSQL("", 1); !errors.Is(err, ErrEmptyDump) {
		t.Errorf("empty: %v", err)
	}
}

// hostile is what no dump holds between its statements.
var hostile = []string{
	"\\! id\n", "\\. /etc/passwd\n", "system id\n", "system id;\n", "source /etc/passwd;\n", "tee /x;\n", "use mysql;\n", "DELIMITER $$\n", "DELIMITER \\\n", "delimiter\n",
	"/*M!999999\\- enable the sandbox mode */ \n", "/*! \\! id */;\n", "SELECT 1 \\G\n", "SELECT 1 INTO OUTFILE '/x';\n", "SET GLOBAL general_log_file = '/x';\n",
	"SET @@global.x = 1;\n", "SET PASSWORD = 'x';\n", "SET @x = (SELECT 1);\n", "GRANT ALL ON *.* TO x;\n", "CREATE USER x;\n", "DROP DATABASE shop;\n", "DROP TABLE mysql.user;\n",
	"DROP TABLE IF EXISTS `mysql`.`user`;\n", "CREATE TABLE mysql.x (x INT);\n", "INSERT INTO mysql.user VALUES (1);\n", "INSERT INTO `log` SELECT 1;\n", "LOCK TABLES `a` READ;\n", "LOCK TABLES `a` WRITE, `b` WRITE;\n",
	"CREATE FUNCTION x RETURNS STRING SONAME 'x.so';\n", "CREATE TRIGGER other.x BEFORE INSERT ON other.y FOR EACH ROW SET @x = 1;\n",
	"CREATE TRIGGER x BEFORE INSERT ON mysql.user FOR EACH ROW SET @x = 1;\n", "ALTER DATABASE `other` CHARACTER SET latin1 COLLATE latin1_bin ;\n", "ALTER TABLE `log` DROP COLUMN x;\n",
	"DO SLEEP(1);\n", "DO SETVAL(`other`.`s`, 1);\n", "LOAD DATA INFILE '/x' INTO TABLE log;\n", "UNLOCK TABLES;\n", "a\x00b;\n", "'unfinished", "`unfinished", "/* unfinished", "/*!50000 unfinished",
	"DELIMITER ;;\nINSERT INTO `log` VALUES (1);;\nDELIMITER ;\n", "DELIMITER ;;\n",
}

func TestF51_HostileSQLDumps(t *testing.T) {
	dump := mariaDump(t)
	const at = "\n--\n-- Table structure for table `isam`\n"
	before, after, ok := strings.Cut(dump, at)
	if !ok {
		t.Fatal("the dump has no such place")
	}
	for _, h := range hostile {
		for _, size := range []int{1, 4096} {
			if err := judgeSQL(before+"\n"+h+at+after, size); !errors.Is(err, ErrHostileSQL) && !errors.Is(err, ErrBadDump) && !errors.Is(err, ErrCutDump) {
				t.Errorf("%q passes: %v", h, err)
			}
		}
		// A name that was not escaped in a comment ends the comment.
		if err := judgeSQL(before+"\n-- Table structure for table `a\n"+h+"`"+at+after, 4096); err == nil {
			t.Errorf("%q passes behind a comment", h)
		}
		// As a row it is data.
		row := "(1,'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`).Replace(h) + "'),\n(1000,'a'),"
		if err := judgeSQL(strings.Replace(dump, "(1000,'a'),", row, 1), 7); err != nil {
			t.Errorf("%q as a row: %v", h, err)
		}
	}
}

func TestSQLProofInsistsOnTheHeadAndTheLocks(t *testing.T) {
	dump := mariaDump(t)
	for name, c := range map[string]struct {
		old, new string
		want     error
	}{
		"no head":            {"-- MariaDB dump 10.19", "-- x", ErrBadDump},
		"an error message":   {dump[:strings.Index(dump, "--")], "sh: mariadb-dump: not found\n", ErrBadDump},
		"another database":   {"Database: shop", "Database: other", ErrBadDump},
		"no database":        {"-- Host: ", "-- Guest: ", ErrBadDump},
		"rows without lock":  {"LOCK TABLES `parent` WRITE;\n", "", ErrBadDump},
		"lock of another":    {"LOCK TABLES `parent` WRITE;\n", "LOCK TABLES `child` WRITE;\n", ErrBadDump},
		"lock without end":   {"UNLOCK TABLES;\n", "", ErrBadDump},
		"completed too soon": {"-- Dump completed\n", "-- Dump completed\nCOMMIT;\n", ErrCutDump},
		"completed twice":    {"-- Dump completed\n", "-- Dump completed\n-- more\n", ErrCutDump},
		"completed as text":  {"-- Dump completed\n", "SET @x = '\n-- Dump completed\n';\n", ErrCutDump},
		"without newline":    {"-- Dump completed\n", "-- Dump completed", ErrCutDump},
	} {
		i := strings.LastIndex(dump, c.old)
		if name == "lock without end" {
			i = strings.Index(dump, c.old)
		}
		if err := judgeSQL(dump[:i]+c.new+dump[i+len(c.old):], 4096); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestBackslashesEscapeUnlessTheModeSaysOtherwise(t *testing.T) {
	const head = "-- MySQL dump 10.13  Distrib 8.0.36, for Linux\n--\n-- Host: localhost    Database: shop\n"
	const tail = "-- Dump completed\n"
	for _, c := range []struct {
		sql  string
		good bool
	}{
		{"LOCK TABLES `t` WRITE;\nINSERT INTO `t` VALUES ('\\'');\nUNLOCK TABLES;\n", true},
		{"SET sql_mode = 'NO_BACKSLASH_ESCAPES';\nCREATE PROCEDURE `p`() SELECT '\\';\n", true},
		{"SET sql_mode = 'NO_BACKSLASH_ESCAPES';\nSET sql_mode = @saved_sql_mode;\nCREATE PROCEDURE `p`() SELECT '\\';\n", false},
		{"CREATE PROCEDURE `p`() SELECT `\\`;\n", true},
		{"DELIMITER ;;\nCREATE PROCEDURE `p`() BEGIN SELECT 1; -- it's;;\n END;;\nDELIMITER ;\n", true},
		{"DELIMITER ;;\nCREATE PROCEDURE `p`() BEGIN SELECT 1; /* it's;; */ # it's;;\n END;;\nDELIMITER ;\n", true},
		{"CREATE PROCEDURE `p`() SELECT 1--2;\n", true},
	} {
		if err := judgeSQL(head+c.sql+tail, 3); (err == nil) != c.good {
			t.Errorf("%q: %v", c.sql, err)
		}
	}
}

// filtered is what a restore feeds to the client.
func filteredDump(t testing.TB, from io.Reader, names loadNames) (string, error) {
	t.Helper()
	b, err := io.ReadAll(newLoadFilter(from, names))
	return string(b), err
}

func TestLoadFilterKeepsObjectsFromRunning(t *testing.T) {
	dump := mariaDump(t)
	names := loadNames{database: "shop", objects: "act.objects"}
	got, err := filteredDump(t, strings.NewReader(dump), names)
	if err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"TRIGGER", "EVENT `e1`", "PROCEDURE", "FUNCTION", "VIEW", "DELIMITER", "sandbox", "LOCK TABLES", "-- "} {
		for line := range strings.Lines(got) {
			if strings.Contains(line, no) && !strings.HasPrefix(line, "(") {
				t.Errorf("%s reaches the client: %.100q", no, line)
			}
		}
	}
	for _, yes := range []string{"CREATE TABLE `parent`", "(1000,'a'),\n", "0x00FF5C27", "CREATE SEQUENCE `s`", "DO SETVAL", "SET SQL_MODE=@OLD_SQL_MODE", "FOREIGN_KEY_CHECKS=0", "('trigger', 0x", "('qualified', 0x", "('routine', 0x", "('view', 0x", "('event', 0x"} {
		if !strings.Contains(got, yes) {
			t.Errorf("%q is missing", yes)
		}
	}
	if !strings.HasSuffix(got, myDoneSQL) {
		t.Errorf("it ends with %q", got[len(got)-40:])
	}
	if small, err := filteredDump(t, iotest.OneByteReader(strings.NewReader(dump)), names); err != nil || small != got {
		t.Errorf("byte by byte it differs: %v", err)
	}
}

// TestF08_LoadFilterPassesNoCutOn: what is cut ends in an error, never in EOF,
// and never with what says that all has arrived.
func TestF08_LoadFilterPassesNoCutOn(t *testing.T) {
	dump := mariaDump(t)
	names := loadNames{database: "shop", objects: "act.objects"}
	broken := errors.New("broken")
	for n := 0; n < len(dump); n += 97 {
		got, err := filteredDump(t, io.MultiReader(strings.NewReader(dump[:n]), iotest.ErrReader(broken)), names)
		if !errors.Is(err, broken) || strings.Contains(got, myDone) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if _, err := filteredDump(t, strings.NewReader(dump[:strings.Index(dump, "'a')")+2]), names); !errors.Is(err, ErrCutDump) {
		t.Errorf("cut in a string: %v", err)
	}
	if got, err := filteredDump(t, strings.NewReader("\\! id\n"), names); !errors.Is(err, ErrHostileSQL) || got != "" {
		t.Errorf("hostile: %q, %v", got, err)
	}
	names.renamed = true
	if _, err := filteredDump(t, strings.NewReader(dump), names); !errors.Is(err, ErrBadRequest) {
		t.Errorf("a trigger that names its database, under another name: %v", err)
	}
}

func TestLoadFilterPutsSequencesWhereDefaultsLookForThem(t *testing.T) {
	got, err := filteredDump(t, strings.NewReader(mariaDump(t)), loadNames{database: "shop", objects: "a.o", standIn: "`shop`"})
	if err != nil || !strings.Contains(got, "CREATE SEQUENCE IF NOT EXISTS `shop`.`s`;\nCREATE SEQUENCE `s`") {
		t.Errorf("%v", err)
	}
}

func FuzzSQLDump(f *testing.F) {
	dump := mariaDump(f)
	f.Add([]byte(dump), 1)
	for _, h := range hostile {
		f.Add([]byte("-- MariaDB dump 1\n-- Host: x    Database: shop\n"+h+"-- Dump completed\n"), 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		whole := judgeSQL(string(data), max(1, len(data)))
		pieces := judgeSQL(string(data), max(1, size&0xff))
		if (whole == nil) != (pieces == nil) {
			t.Fatalf("whole: %v; in pieces: %v", whole, pieces)
		}
		got, err := filteredDump(t, bytes.NewReader(data), loadNames{database: "shop", objects: "act.objects"})
		if whole == nil && err != nil {
			t.Fatalf("proven, and cannot be loaded: %v", err)
		}
		if err != nil {
			return
		}
		// Whatever is let through is statements, and no command to the client.
		again := &peopleSink{}
		again.lexer = newMyLexer(again)
		again.lexer.escapes = !strings.Contains(strings.ToUpper(got), "NO_BACKSLASH_ESCAPES")
		again.lexer.feed([]byte(got))
		if err := again.lexer.finish(); err != nil && again.lexer.escapes {
			t.Fatalf("what is loaded: %v\n%s", err, got)
		}
	})
}
