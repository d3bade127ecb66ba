package volume

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The jobs on files that are databases.
const (
	jobFind  = "find-databases"
	jobCopy  = "copy-database"
	jobCheck = "check-database"
)

// Database says what a copy or a check of a database came to.
type Database struct {
	PageSize int64 `json:"page_size"`
	Pages    int64 `json:"pages"`
	// Problem is what is wrong with it; empty: it is whole. Unchecked are
	// tables that only their own program could check in full.
	Problem   string   `json:"problem,omitempty"`
	Unchecked []string `json:"unchecked,omitempty"`
	// Loose is the first row that breaks a rule of its own table.
	Loose string `json:"loose,omitempty"`
	// Size is that of the copy, in bytes. UID, GID and Mode are the file's own.
	Size int64  `json:"size"`
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	Mode uint32 `json:"mode"`
}

type databaseHeader struct {
	Job     string
	Root    string
	Path    string
	Scratch string
}

// serveCopy makes a copy of a database and sends it. The copy lies in the
// helper's scratch space meanwhile: so whoever writes to the database waits for
// nothing but this disk, and what is checked is what is sent.
func serveCopy(ctx context.Context, header json.RawMessage, s *stream) error {
	var h databaseHeader
	if err := json.Unmarshal(header, &h); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	m, err := lookAt(h.Root, h.Path)
	if err != nil {
		return err
	}
	if err := roomFor(m.size, h); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(h.Scratch, "copy-")
	if err != nil {
		return fmt.Errorf("make room for the copy: %w", err)
	}
	defer os.RemoveAll(dir) // what stays goes with the container
	if err := os.Chmod(dir, 0o777); err != nil {
		return fmt.Errorf("make room for the copy: %w", err)
	}
	to := filepath.Join(dir, "copy")
	info, err := asOwner(ctx, m, "copy", filepath.Join(h.Root, h.Path), to)
	if err != nil {
		return err
	}
	// Whoever made it may not be who we think: it is a file, or nothing.
	f, err := os.OpenFile(to, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("read the copy: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return errors.Join(errors.New("read the copy: it is no file"), err)
	}
	info.Size, info.UID, info.GID, info.Mode = st.Size(), m.uid, m.gid, m.mode
	if err := writeAnswer(s, info); err != nil {
		return err
	}
	if n, err := io.Copy(s, io.LimitReader(f, info.Size)); err != nil || n != info.Size {
		return errors.Join(fmt.Errorf("read the copy: %d of %d bytes", n, info.Size), err)
	}
	return nil
}

// roomFor refuses a copy that would fill the disk, which others use too. The copy
// has no more pages than the database and its write-ahead log have together.
func roomFor(size int64, h databaseHeader) error {
	if log, err := lookAt(h.Root, h.Path+"-wal"); err == nil {
		size += log.size
	}
	free, err := SpaceAt(h.Scratch)
	if err != nil {
		return fmt.Errorf("make room for the copy: %w", err)
	}
	if size > free.Bytes {
		return fmt.Errorf("the copy takes up to %d bytes where Docker keeps its data, and %d are free there: make room", size, free.Bytes)
	}
	return nil
}

// serveCheck looks through a database that nobody uses.
func serveCheck(ctx context.Context, header json.RawMessage, s *stream) error {
	var h databaseHeader
	if err := json.Unmarshal(header, &h); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	m, err := lookAt(h.Root, h.Path)
	if err != nil {
		return err
	}
	info, err := asOwner(ctx, m, "check", filepath.Join(h.Root, h.Path))
	if err != nil {
		return err
	}
	info.Size, info.UID, info.GID, info.Mode = m.size, m.uid, m.gid, m.mode
	return writeAnswer(s, info)
}

// lookAt finds a file below the root, through no symlink.
func lookAt(rootPath, at string) (m meta, err error) {
	if at == "" || path.Clean("/"+at) != "/"+at {
		return m, fmt.Errorf("%q is no path in the volume", at)
	}
	r, err := openRoot(rootPath)
	if err != nil {
		return m, err
	}
	defer r.close()
	parts := strings.Split(at, "/")
	dir := r.fd
	for _, name := range parts[:len(parts)-1] {
		fd, err := r.openDir(dir, name)
		if dir != r.fd {
			unix.Close(dir)
		}
		if err != nil {
			return m, fmt.Errorf("open %q: %s", at, errnoText(err))
		}
		dir = fd
	}
	if dir != r.fd {
		defer unix.Close(dir)
	}
	if err := statName(dir, append([]byte(parts[len(parts)-1]), 0), &m); err != nil {
		return m, fmt.Errorf("open %q: %s", at, errnoText(err))
	}
	if m.typ != File {
		return m, fmt.Errorf("%q is no file", at)
	}
	return m, nil
}

// Bounds of what a process that handles a database may say.
const (
	maxAnswer = 64 << 10
	maxSaid   = 4 << 10
)

// databaseProgram is what handles a database, in a process of its own.
type databaseProgram struct{}

// WithDatabaseProgram names the program that a helper runs to copy or check a
// database: its arguments follow, and its answer is JSON.
func WithDatabaseProgram(ctx context.Context, argv ...string) context.Context {
	return context.WithValue(ctx, databaseProgram{}, argv)
}

// asOwner runs the program as the owner of the file, who it has to be for the
// files that SQLite makes beside it, and so that what is hostile in it comes to
// nothing that its service could not do. The process is told to end by the end
// of its input, for we may not be allowed to kill another user's.
func asOwner(ctx context.Context, m meta, task ...string) (info Database, err error) {
	argv, _ := ctx.Value(databaseProgram{}).([]string)
	if len(argv) == 0 {
		return info, errors.New("this helper has nothing that handles databases")
	}
	argv = append(append([]string{}, argv...), task...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = []string{}, "/"
	if int(m.uid) != os.Geteuid() || int(m.gid) != os.Getegid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: m.uid, Gid: m.gid}}
	}
	hold, err := cmd.StdinPipe()
	if err != nil {
		return info, err
	}
	said, complaint := &firstBytes{max: maxAnswer}, &firstBytes{max: maxSaid}
	cmd.Stdout, cmd.Stderr = said, complaint
	stop := context.AfterFunc(ctx, func() { hold.Close() })
	defer stop()
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return info, cause
		}
		return info, fmt.Errorf("the process that handles the database ended: %w: %s", err, strings.ToValidUTF8(complaint.String(), "?"))
	}
	var answer struct {
		Database
		Error string `json:"error"`
	}
	if err := json.Unmarshal(said.Bytes(), &answer); err != nil {
		return info, fmt.Errorf("the process that handles the database did not answer: %w", err)
	}
	if answer.Error != "" {
		return info, errors.New(answer.Error)
	}
	return answer.Database, nil
}

// firstBytes keeps the beginning of what is written.
type firstBytes struct {
	bytes.Buffer
	max int
}

func (b *firstBytes) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(0, b.max-b.Len()))])
	return len(p), nil
}
