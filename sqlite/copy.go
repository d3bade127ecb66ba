package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// ErrLocked says that somebody else kept the database to himself all the time.
var ErrLocked = errors.New("it stays locked by its service, which may keep it so for as long as it runs (locking_mode=EXCLUSIVE)")

// ErrUnreachable says that the owner of the file may not do what reading takes.
var ErrUnreachable = errors.New("the owner of the file cannot open it: reading a database takes the right to write to the file and, for the files beside it, to its folder")

// lockPatience is how long a copy waits for a lock that somebody else holds.
const lockPatience = 60 * time.Second

// Summary says what a database is.
type Summary struct {
	PageSize int64 `json:"page_size"`
	Pages    int64 `json:"pages"`
	// Problem is the first thing that a check has found; empty: it is whole.
	Problem string `json:"problem,omitempty"`
	// Unchecked are tables of which a part could not be checked, for they take
	// functions, collations or modules that only their program has.
	Unchecked []string `json:"unchecked,omitempty"`
	// Loose is the first row that breaks a rule of its own table, such as NOT
	// NULL: the file is whole, and a copy is as good as it.
	Loose string `json:"loose,omitempty"`
}

// Copy makes the new file to of the database from, as of one moment, by
// SQLite's online backup: what is in the write-ahead log is part of it, a
// transaction that a crash has left half done is rolled back first, and others
// may go on. In WAL mode nobody waits; in the other modes writers wait while it
// is copied, which is why the file is brought into memory before.
func Copy(ctx context.Context, from, to string) error {
	if err := plain(from); err != nil {
		return err
	}
	if err := warm(ctx, from); err != nil {
		return fmt.Errorf("%w (%w)", ErrUnreachable, err)
	}
	if err := settled(ctx, from, lockPatience); err != nil {
		return err
	}
	db, err := open(from, "mode=rw", "_pragma=busy_timeout("+strconv.Itoa(int(lockPatience.Milliseconds()))+")")
	if err != nil {
		return explain(err)
	}
	err = db.use(ctx, func(conn *sql.Conn) error {
		return conn.Raw(func(driver any) error { return backup(ctx, driver, to) })
	})
	return explain(err)
}

// plain refuses what is no file where SQLite looks for one: a pipe would keep it
// for ever, and a folder of such a name is nothing of the database's.
func plain(path string) error {
	for _, end := range []string{"", "-journal", "-wal", "-shm"} {
		info, err := os.Lstat(path + end)
		if err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%q, which SQLite would open with it, is no file", filepath.Base(path+end))
		}
	}
	return nil
}

// openPlain opens a file, and waits for no pipe that has come in its place.
func openPlain(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func backup(ctx context.Context, driver any, to string) error {
	source, ok := driver.(interface {
		NewBackup(dst string) (*sqlite.Backup, error)
	})
	if !ok {
		return errors.New("the driver makes no backups")
	}
	// The copy is thrown away if anything fails: it needs no journal, and no
	// patience for its disk.
	b, err := source.NewBackup(name(to, "mode=rwc", "_pragma=journal_mode(OFF)", "_pragma=synchronous(OFF)"))
	if err != nil {
		return fmt.Errorf("make the copy: %w", err)
	}
	err = all(ctx, b)
	return errors.Join(err, b.Finish())
}

// all copies every page in one step, so that no writer in between makes it
// begin again.
func all(ctx context.Context, b *sqlite.Backup) error {
	more := true
	for more {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		if more, err = b.Step(-1); err != nil {
			return err
		}
	}
	return nil
}

// warm reads a file whose writers will have to wait once its copy has begun.
// It must be done before SQLite opens the file: closing it would give up the
// locks of the whole process.
func warm(ctx context.Context, path string) (err error) {
	f, err := openPlain(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var head [20]byte
	if _, err := io.ReadFull(f, head[:]); err != nil || head[18] != rollbackMode {
		return nil // SQLite has its own words for what is wrong with it
	}
	buf := make([]byte, 256<<10)
	for ctx.Err() == nil {
		if _, err := f.Read(buf); err != nil {
			return nil
		}
	}
	return context.Cause(ctx)
}

// rollbackMode is the file format of a database that is not in WAL mode.
const rollbackMode = 1

// database is one connection.
type database struct{ *sql.DB }

// name is a path as SQLite takes it, with what is asked of it.
func name(path string, options ...string) string {
	u := url.URL{Scheme: "file", Path: path}
	return u.String() + "?" + strings.Join(options, "&")
}

// open trusts nothing in the file.
func open(path string, options ...string) (*database, error) {
	options = append(options, "_pragma=trusted_schema(OFF)", "_pragma=cell_size_check(ON)", "_pragma=mmap_size(0)", "_pragma=temp_store(MEMORY)")
	db, err := sql.Open("sqlite", name(path, options...))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &database{db}, nil
}

// use does something with a connection and closes the database.
func (db *database) use(ctx context.Context, do func(*sql.Conn) error) error {
	conn, err := db.Conn(ctx)
	if err == nil {
		err = errors.Join(do(conn), conn.Close())
	}
	return errors.Join(err, db.Close())
}

// explain says in our words what has a cure.
func explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fmt.Errorf("%w (%w)", ErrLocked, err)
	case lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		return fmt.Errorf("%w (%w)", ErrUnreachable, err)
	case lib.SQLITE_FULL:
		return fmt.Errorf("no space is left for the copy where Docker keeps its data: make room (%w)", err)
	}
	return err
}
