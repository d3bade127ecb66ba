package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"
)

// streamBatch is how many lines are written at once: a result can have more
// than fit into memory.
const streamBatch = 1000

// stream prints a result as it comes: a table for people, or one JSON object
// per line.
type stream struct {
	session *session
	json    *bufio.Writer
	text    bytes.Buffer
	table   *tabwriter.Writer
	rows    int
}

func newStream(s *session) *stream {
	o := &stream{session: s, json: bufio.NewWriterSize(s.program.out, 64<<10)}
	// Columns keep a width that most numbers fit in, from batch to batch.
	o.table = tabwriter.NewWriter(&o.text, 7, 0, 2, ' ', 0)
	return o
}

// object prints a value on a line.
func (o *stream) object(v any) error {
	b, err := encodeJSON(v, "")
	if err != nil {
		return err
	}
	_, err = o.json.Write(redactJSON(b, o.session.redactor.Redact))
	return err
}

// row prints a line whose columns are separated by tabs. Names in it have been
// made printable.
func (o *stream) row(format string, args ...any) error {
	fmt.Fprintf(o.table, format+"\n", args...)
	if o.rows++; o.rows < streamBatch {
		return nil
	}
	return o.flush()
}

// flush prints what is left.
func (o *stream) flush() error {
	if o.rows > 0 {
		o.rows = 0
		if err := o.table.Flush(); err != nil {
			return err
		}
		err := o.session.print(func(out io.Writer) error {
			_, err := out.Write(o.text.Bytes())
			return err
		})
		o.text.Reset()
		if err != nil {
			return err
		}
	}
	return o.json.Flush()
}
