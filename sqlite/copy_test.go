package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// made is a database with accounts whose sum is 1000.
func made(t *testing.T, mode string) (string, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "it's 50% a?b#c.db")
	db, err := sql.Open("sqlite", name(path, "_pragma=busy_timeout(20000)", "_pragma=journal_mode("+mode+")", "_txlock=immediate"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, q := range []string{
		"CREATE TABLE accounts (id INTEGER PRIMARY KEY, amount INTEGER, filler BLOB)",
		"CREATE INDEX amounts ON accounts (amount)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1000) INSERT INTO accounts SELECT i, 1, zeroblob(2000) FROM n",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	return path, db
}

// beside are the names in the folder of a file.
func beside(t *testing.T, path string) string {
	t.Helper()
	list, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, strings.TrimPrefix(e.Name(), filepath.Base(path)))
	}
	return strings.Join(names, " ")
}

func sum(t *testing.T, path string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", name(path, "mode=ro", "immutable=1"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT sum(amount) FROM accounts").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestACopyIsOfOneMoment(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			path, db := made(t, mode)
			stop := make(chan struct{})
			var wg sync.WaitGroup
			moves := 0
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					tx, err := db.Begin()
					if err == nil {
						_, err = tx.Exec("UPDATE accounts SET amount = amount - 1 WHERE id = ?", moves%1000+1)
					}
					if err == nil {
						_, err = tx.Exec("UPDATE accounts SET amount = amount + 1 WHERE id = ?", (moves*7+3)%1000+1)
					}
					if err == nil {
						err = tx.Commit()
					}
					if err != nil {
						t.Error(err)
						return
					}
					moves++
				}
			})
			for range 5 {
				to := filepath.Join(t.TempDir(), "copy")
				if err := Copy(t.Context(), path, to); err != nil {
					t.Fatal(err)
				}
				s, err := Check(t.Context(), to, false)
				if err != nil || s.Problem != "" || s.Pages < 500 {
					t.Errorf("%+v, %v", s, err)
				}
				if n := sum(t, to); n != 1000 {
					t.Errorf("the sum is %d", n)
				}
				if left := beside(t, to); left != "" && strings.TrimSpace(left) != "" {
					t.Errorf("beside the copy lie %q", left)
				}
			}
			close(stop)
			wg.Wait()
			if moves == 0 {
				t.Error("nobody wrote")
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if left := strings.TrimSpace(beside(t, path)); left != "" {
				t.Errorf("beside the database lie %q", left)
			}
		})
	}
}

func TestNothingIsLeftBesideADatabaseThatNobodyUses(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		path, db := made(t, mode)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(path)
		if err := Copy(t.Context(), path, filepath.Join(t.TempDir(), "copy")); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the database was changed (%v)", mode, err)
		}
		if left := strings.TrimSpace(beside(t, path)); left != "" {
			t.Errorf("%s: beside the database lie %q", mode, left)
		}
	}
}

func TestGarbageIsNoDatabase(t *testing.T) {
	path, db := made(t, "delete")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"only the magic":  append([]byte("SQLite format 3\x00"), bytes.Repeat([]byte{0xa5}, 8176)...),
		"half of it":      whole[:len(whole)/2],
		"a page of noise": append(append(append([]byte{}, whole[:16*4096]...), bytes.Repeat([]byte{0x5a}, 4096)...), whole[17*4096:]...),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		hold, end := io.Pipe()
		err := Serve(t.Context(), []string{"copy", path, filepath.Join(t.TempDir(), "copy")}, hold, &out)
		end.Close()
		var a Answer
		if err != nil || json.Unmarshal(out.Bytes(), &a) != nil || a.Problem == "" && a.Error == "" {
			t.Errorf("%s: %v, %s", what, err, out.String())
		}
	}
}

func TestAnIndexWithACollationOfItsProgramIsNoDamage(t *testing.T) {
	path, db := made(t, "delete")
	for _, q := range []string{
		"CREATE TABLE words (w TEXT)",
		"PRAGMA writable_schema = ON",
		"INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) SELECT 'index', 'by_w', 'words', rootpage, 'CREATE INDEX by_w ON words (w COLLATE theirs)' FROM sqlite_schema WHERE name = 'amounts'",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Skip(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Check(t.Context(), path, false)
	if err != nil || len(s.Unchecked) != 1 || s.Unchecked[0] != "words" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestATaskEndsWithItsInput(t *testing.T) {
	path, db := made(t, "delete")
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	defer db.Exec("ROLLBACK")
	hold, end := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Serve(t.Context(), []string{"copy", path, filepath.Join(t.TempDir(), "copy")}, hold, io.Discard)
	}()
	select {
	case err := <-done:
		t.Fatalf("it did not wait for who keeps the database: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	end.Close()
	select {
	case err := <-done:
		if err == nil {
			t.Error("it is done, it says")
		}
	case <-time.After(20 * time.Second):
		t.Error("it does not end")
	}
}

// hot is a copy of a database with the journal of a transaction that is half
// written to it. The journal names one of several databases where super is set.
func hot(t *testing.T, super string) string {
	t.Helper()
	path, db := made(t, "delete")
	db.SetMaxOpenConns(1)
	for _, q := range []string{"PRAGMA cache_size = 10", "BEGIN IMMEDIATE", "UPDATE accounts SET amount = amount + 1"} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(t.TempDir(), "crashed.db")
	for _, end := range []string{"", "-journal"} {
		b, err := os.ReadFile(path + end)
		if err != nil {
			t.Fatal(err)
		}
		if end != "" && super != "" {
			var sum uint32
			for _, c := range []byte(super) {
				sum += uint32(c)
			}
			b = binary.BigEndian.AppendUint32(b, (1<<30)/4096+1)
			b = append(b, super...)
			b = binary.BigEndian.AppendUint32(b, uint32(len(super)))
			b = binary.BigEndian.AppendUint32(b, sum)
			b = append(b, superMagic...)
		}
		if err := os.WriteFile(to+end, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestAHotJournalIsRolledBack(t *testing.T) {
	path := hot(t, "")
	if n := sum(t, path); n == 1000 {
		t.Fatal("nothing of the transaction is in the file")
	}
	to := filepath.Join(t.TempDir(), "copy")
	if err := Copy(t.Context(), path, to); err != nil {
		t.Fatal(err)
	}
	if n := sum(t, to); n != 1000 {
		t.Errorf("the sum is %d", n)
	}
}

// Whether a transaction over attached databases was done is told by a file that
// is known by its path in the container alone: SQLite would take it for done.
func TestAJournalOfAttachedDatabasesIsLeftAlone(t *testing.T) {
	path := hot(t, "/data/other.db-mj0123456789")
	before, err := os.ReadFile(path + "-journal")
	if err != nil {
		t.Fatal(err)
	}
	err = settled(t.Context(), path, 300*time.Millisecond)
	if !errors.Is(err, ErrAttached) {
		t.Errorf("%v, for a transaction that is half done", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := Copy(ctx, path, filepath.Join(t.TempDir(), "copy")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it did not wait for the transaction to end: %v", err)
	}
	if after, err := os.ReadFile(path + "-journal"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the journal was touched: %v", err)
	}
}

func TestPagesOfEachSize(t *testing.T) {
	for _, size := range []string{"512", "1024", "8192", "65536"} {
		path := filepath.Join(t.TempDir(), "db")
		db, err := sql.Open("sqlite", name(path))
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		for _, q := range []string{"PRAGMA page_size = " + size, "PRAGMA journal_mode = WAL", "CREATE TABLE t (a)"} { // which is in the log alone
			if _, err := db.Exec(q); err != nil {
				t.Fatal(err)
			}
		}
		to := filepath.Join(t.TempDir(), "copy")
		if err := Copy(t.Context(), path, to); err != nil {
			t.Errorf("%s: %v", size, err)
		}
		s, err := Check(t.Context(), to, false)
		if err != nil || s.Problem != "" || strconv.FormatInt(s.PageSize, 10) != size || s.Pages != 2 {
			t.Errorf("%s: %+v, %v", size, s, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A pipe without a writer would keep whoever opens it for ever.
func TestAPipeIsNotWaitedFor(t *testing.T) {
	for _, end := range []string{"", "-journal", "-wal", "-shm"} {
		path, db := made(t, "delete")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(path + end); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(path+end, 0o600); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- Copy(t.Context(), path, filepath.Join(t.TempDir(), "copy")) }()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%q: it was copied", end)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%q: it waits", end)
		}
	}
}

// TestRowsThatBreakTheirOwnRulesAreNoDamage: a program can bring them about, and
// a database with them is to be saved all the same. What is damaged is found
// behind them.
func TestRowsThatBreakTheirOwnRulesAreNoDamage(t *testing.T) {
	path, db := made(t, "delete")
	db.SetMaxOpenConns(1) // pragmas are of a connection
	for _, q := range []string{
		"CREATE TABLE rules (a INTEGER, b TEXT)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 300) INSERT INTO rules SELECT NULL, '7' FROM n",
		// As programs do that change a column, which takes a new table otherwise.
		"PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = 'CREATE TABLE rules (a INTEGER NOT NULL, b INTEGER)' WHERE name = 'rules'", "PRAGMA writable_schema = RESET",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	for _, quick := range []bool{false, true} {
		s, err := Check(t.Context(), path, quick)
		if err != nil || s.Problem != "" || s.Loose != "NULL value in rules.a" {
			t.Errorf("quick %t: %+v, %v", quick, s, err)
		}
	}
	// A row that its index does not know, behind all of these.
	for _, q := range []string{
		"CREATE TABLE zz (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO zz VALUES (1, 7), (2, 8)", "CREATE INDEX zzn ON zz (n)",
		"PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = 'CREATE INDEX zzn ON zz (id)' WHERE name = 'zzn'", "PRAGMA writable_schema = RESET",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Check(t.Context(), path, false)
	if err != nil || !strings.Contains(s.Problem, "zzn") {
		t.Errorf("%+v, %v", s, err)
	}
}
