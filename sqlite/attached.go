package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// ErrAttached says that only the program of the database can roll it back.
var ErrAttached = errors.New("its last transaction wrote to several databases and was interrupted; whether it was finished is told by a file that only its service finds: start the service once, which settles it, and back up again")

// settled waits until no transaction over several (attached) databases is about
// to be committed. If one was interrupted there, each database has a journal
// with the path of the file that says whether it was finished. That path is true
// in the service's container only: SQLite would not find the file here, take the
// transaction for finished, and throw away the journal that undoes it.
//
// A journal may come to name such a file after this has looked, but then its
// writer is alive and holds a lock, and SQLite does not touch it.
func settled(ctx context.Context, path string, patience time.Duration) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		if !namesSuper(path + "-journal") {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late.C:
			return ErrAttached
		case <-again.C:
		}
	}
}

// superMagic ends a journal that names the file of a transaction over several
// databases.
const superMagic = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"

// maxSuper bounds the path in it, as SQLite does.
const maxSuper = 4 << 10

// namesSuper says whether a journal that is still to be played back names such a
// file. What cannot be read, SQLite cannot read either.
func namesSuper(journal string) bool {
	f, err := openPlain(journal)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	var first [1]byte
	if _, err := f.ReadAt(first[:], 0); err != nil || first[0] == 0 {
		return false // its transaction is over (journal_mode=PERSIST)
	}
	var end [16]byte // length and sum of the path, magic
	if _, err := f.ReadAt(end[:], info.Size()-int64(len(end))); err != nil || string(end[8:]) != superMagic {
		return false
	}
	n := int64(binary.BigEndian.Uint32(end[:]))
	if n == 0 || n >= maxSuper || n > info.Size()-int64(len(end)) {
		return false
	}
	name := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(f, info.Size()-int64(len(end))-n, n), name); err != nil {
		return false
	}
	var sum uint32
	for _, c := range name {
		sum += uint32(int8(c)) // as SQLite adds them up
	}
	return sum == binary.BigEndian.Uint32(end[4:]) && bytes.IndexByte(name, 0) != 0
}
