package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) lsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls SNAPSHOT [PATH]",
		Short: "List what a snapshot holds",
		Long: "ls lists the files of a snapshot, or those below a path of it. The snapshot is an ID,\n" +
			"the beginning of one, or \"latest\". A path may leave the project's name out:\n" +
			"volumes/uploads. It needs no Docker.\n\n" +
			"With --json it prints one object per line.\n\n" +
			repositoryCodes(),
		Example: example("ls latest", "everything", "ls 4f2a1c volumes/uploads", "one volume"),
		Args:    arguments(2, "SNAPSHOT"),
	}
	addJSON(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) error {
		below := ""
		if len(args) > 1 {
			below = args[1]
		}
		out := newListing(s)
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

// listingBatch is how many lines are written at once: a snapshot can have more
// files than fit into memory.
const listingBatch = 1000

// listing prints files as they come.
type listing struct {
	session *session
	json    *bufio.Writer
	batch   []sidecar.ListEntry
}

func newListing(s *session) *listing {
	return &listing{session: s, json: bufio.NewWriterSize(s.program.out, 64<<10)}
}

func (l *listing) add(e sidecar.ListEntry) error {
	if l.session.json {
		return l.addJSON(e)
	}
	if l.batch = append(l.batch, e); len(l.batch) < listingBatch {
		return nil
	}
	return l.flush()
}

func (l *listing) addJSON(e sidecar.ListEntry) error {
	line := listedFile{ListEntry: e, ModTime: fileTime(e.ModTime)}
	if !utf8.ValidString(e.Path) {
		line.PathRaw = []byte(e.Path)
	}
	if !utf8.ValidString(e.Target) {
		line.TargetRaw = []byte(e.Target)
	}
	b, err := encodeJSON(line, "")
	if err != nil {
		return err
	}
	_, err = l.json.Write(redactJSON(b, l.session.redactor.Redact))
	return err
}

func (l *listing) flush() error {
	batch := l.batch
	l.batch = nil
	if l.session.json || len(batch) == 0 {
		return l.json.Flush()
	}
	return l.session.print(func(out io.Writer) error {
		// Columns keep a width that most files fit in, from batch to batch.
		t := tabwriter.NewWriter(out, 7, 0, 2, ' ', 0)
		for _, e := range batch {
			name := l.session.name(e.Path)
			if e.Target != "" {
				name += " -> " + l.session.name(e.Target)
			}
			fmt.Fprintf(t, "%s\t%d\t%d\t%12d\t%s\t%s\n", e.Mode, e.UID, e.GID, e.Size, l.session.when(e.ModTime), name)
		}
		return t.Flush()
	})
}
