package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) lsCommand() *cobra.Command {
	var long bool
	cmd := &cobra.Command{
		Use:   "ls SNAPSHOT [PATH]",
		Short: "List what a snapshot holds",
		Long: "ls lists the files of a snapshot, or those below a path of it. The snapshot is an ID,\n" +
			"the beginning of one, or \"latest\". A path may leave the project's name out:\n" +
			"volumes/uploads. It needs no Docker.\n\n" +
			"--long shows mode, links, owner, group, size and time, as \"ls -l\" does. Names that\n" +
			"could be taken for anything but themselves are quoted.\n\n" +
			"With --json it prints one object per line.\n\n" +
			repositoryCodes(),
		Example: example("ls latest", "everything", "ls --long 4f2a1c volumes/uploads", "one volume, with modes, owners and sizes"),
		Args:    arguments(2, "SNAPSHOT"),
	}
	cmd.Flags().BoolVarP(&long, "long", "l", false, "show mode, links, owner, group, size, time and link targets")
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) error {
		below := ""
		if len(args) > 1 {
			below = args[1]
		}
		out := listing{newStream(s), long}
		err := s.app.List(ctx, args[0], below, out.add)
		return errors.Join(err, out.flush())
	})
	return cmd
}

// listedFile is a file of a snapshot as JSON. Names are bytes; those that are
// no UTF-8 are there a second time, as they are.
type listedFile struct {
	sidecar.ListEntry
	ModTime   fileTime `json:"mtime"` // in place of the entry's
	PathRaw   []byte   `json:"path_raw,omitempty"`
	TargetRaw []byte   `json:"target_raw,omitempty"`
}

// fileTime is a time of any year. The library's own refuses to write those of
// more than four digits, which files can have.
type fileTime time.Time

// MarshalJSON writes the time by RFC 3339, with as many digits as it takes.
func (t fileTime) MarshalJSON() ([]byte, error) {
	return []byte(`"` + time.Time(t).Format(time.RFC3339Nano) + `"`), nil
}

// listing prints files as they come.
type listing struct {
	*stream
	long bool
}

func (l *listing) add(e sidecar.ListEntry) error {
	switch {
	case l.session.json:
		return l.addJSON(e)
	case l.long:
		return l.row("%s", l.session.longLine(e))
	}
	return l.row("%s", l.session.name(e.Path))
}

func (l *listing) addJSON(e sidecar.ListEntry) error {
	line := listedFile{ListEntry: e, ModTime: fileTime(e.ModTime), PathRaw: rawName(e.Path), TargetRaw: rawName(e.Target)}
	return l.object(line)
}

// rawName is a name's bytes where JSON cannot hold them, else nothing.
func rawName(name string) []byte {
	if utf8.ValidString(name) {
		return nil
	}
	return []byte(name)
}

// longLine is a file as "ls -l" shows it.
func (s *session) longLine(e sidecar.ListEntry) string {
	length := strconv.FormatUint(e.Size, 10)
	if e.Type == repository.NodeDevice || e.Type == repository.NodeCharDevice {
		length = fmt.Sprintf("%d, %d", unix.Major(e.Device), unix.Minor(e.Device))
	}
	name := s.name(e.Path)
	if e.Type == repository.NodeSymlink {
		name += " -> " + s.name(e.Target)
	}
	return fmt.Sprintf("%s\t%d\t%s\t%s\t%12s\t%s\t%s", modeLetters(e.Type, e.Bits), e.Links, s.owner(e.User, e.UID), s.owner(e.Group, e.GID), length, s.when(e.ModTime), name)
}

// owner is a name where one is recorded, as other programs do, else the number.
func (s *session) owner(name string, id uint32) string {
	if name == "" {
		return strconv.FormatUint(uint64(id), 10)
	}
	return s.name(name)
}

// modeLetters writes a mode as "ls -l" does.
func modeLetters(kind string, m os.FileMode) string {
	letters := map[string]byte{
		repository.NodeFile: '-', repository.NodeDir: 'd', repository.NodeSymlink: 'l', repository.NodeDevice: 'b',
		repository.NodeCharDevice: 'c', repository.NodeFIFO: 'p', repository.NodeSocket: 's',
	}
	out := []byte("?rwxrwxrwx")
	if c, ok := letters[kind]; ok {
		out[0] = c
	}
	for i := range 9 {
		if m&(1<<(8-i)) == 0 {
			out[1+i] = '-'
		}
	}
	for _, special := range []struct {
		bit     os.FileMode
		at      int
		letters string // where it can be executed as well, and where not
	}{{os.ModeSetuid, 3, "sS"}, {os.ModeSetgid, 6, "sS"}, {os.ModeSticky, 9, "tT"}} {
		switch {
		case m&special.bit == 0:
		case out[special.at] == 'x':
			out[special.at] = special.letters[0]
		default:
			out[special.at] = special.letters[1]
		}
	}
	return string(out)
}
