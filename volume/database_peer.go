package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// FindDatabases looks for databases of SQLite in the volume at root: at the
// paths within and below them ("" is all of it), but for what the globs leave
// out.
func (p *Peer) FindDatabases(ctx context.Context, root string, within, exclude []string) (found FoundDatabases, err error) {
	err = p.ask(ctx, findHeader{Job: jobFind, Root: root, Within: within, Exclude: exclude}, &found)
	return found, err
}

// CheckDatabase looks through a database of SQLite that nobody uses, as its
// owner.
func (p *Peer) CheckDatabase(ctx context.Context, root, path string) (info Database, err error) {
	err = p.ask(ctx, databaseHeader{Job: jobCheck, Root: root, Path: path}, &info)
	return info, err
}

// DatabaseCopy is a copy of a database that is being sent. Read gives its bytes,
// and EOF only once all have come that the helper has announced, and it has
// said that it is done.
type DatabaseCopy struct {
	Info Database

	call *call
	left int64
}

// CopyDatabase makes a copy of the database of SQLite at the path below root,
// as of one moment, and checks it; scratch is where the helper has room for it.
// Once the copy begins to come, stall bounds how long nothing may come. The
// caller must Close it.
func (p *Peer) CopyDatabase(ctx context.Context, root, path, scratch string, stall time.Duration) (*DatabaseCopy, error) {
	c, err := p.start(ctx, databaseHeader{Job: jobCopy, Root: root, Path: path, Scratch: scratch})
	if err != nil {
		return nil, err
	}
	d := &DatabaseCopy{call: c}
	if err := d.begin(stall); err != nil {
		c.done()
		return nil, c.explain(err)
	}
	return d, nil
}

func (d *DatabaseCopy) begin(stall time.Duration) error {
	if err := d.call.CloseWrite(); err != nil {
		return err
	}
	text, err := d.call.readMessage(maxFrame)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: no answer", ErrProtocol)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &d.Info); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if d.left = d.Info.Size; d.left < 0 {
		return fmt.Errorf("%w: a copy of %d bytes", ErrProtocol, d.left)
	}
	return d.call.conn.patient(stall)
}

// Read gives the next bytes.
func (d *DatabaseCopy) Read(p []byte) (int, error) {
	n, err := d.call.Read(p)
	d.left -= int64(n)
	switch {
	case d.left < 0:
		return 0, fmt.Errorf("%w: more than the %d bytes of the copy", ErrProtocol, d.Info.Size)
	case errors.Is(err, io.EOF) && d.left > 0:
		return n, fmt.Errorf("the copy ends %d bytes before its end: %w", d.left, io.ErrUnexpectedEOF)
	case err != nil && !errors.Is(err, io.EOF):
		return n, d.call.explain(err)
	}
	return n, err
}

// Close ends the job, and breaks it off where it is not done.
func (d *DatabaseCopy) Close() error {
	d.call.done()
	return nil
}
