package volume

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// serveRestore is the helper's end of a restore.
func serveRestore(ctx context.Context, header json.RawMessage, s *stream) error {
	var h restoreHeader
	if err := json.Unmarshal(header, &h); err != nil {
		return fmt.Errorf("read the restore's request: %w", err)
	}
	release, err := takeTurn(ctx, h.request().Root)
	if err != nil {
		return writeJSONMsg(s, msgReport, restoreResult{Error: err.Error(), Code: codeOf(err)})
	}
	defer release()
	rep, err := runRestore(ctx, h.request(), &wireSupply{s: s}, crashPoints(ctx))
	result := restoreResult{Report: rep}
	if err != nil {
		result.Error, result.Code = err.Error(), codeOf(err)
	}
	return writeJSONMsg(s, msgReport, result)
}

// wireSupply takes a restore from its stream.
type wireSupply struct {
	s   *stream
	buf []byte
}

func (w *wireSupply) entry() (*Entry, int64, error) {
	kind, length, err := readMsgHead(w.s)
	if err != nil {
		return nil, 0, cut(err)
	}
	if w.buf, err = readBody(w.s, length, w.buf); err != nil {
		return nil, 0, err
	}
	switch kind {
	case msgListed:
		return nil, 0, io.EOF
	case msgEntry:
	default:
		return nil, 0, unexpected(kind)
	}
	d := decoder{buf: w.buf}
	e, blobs := d.entry(), d.int()
	if err := d.end(); err != nil {
		return nil, 0, hostile(e.Path, "an entry beyond all bounds")
	}
	return &e, blobs, nil
}

func (w *wireSupply) blobs() ([]Blob, error) {
	kind, length, err := readMsgHead(w.s)
	if err != nil {
		return nil, cut(err)
	}
	if kind != msgBlobs {
		return nil, unexpected(kind)
	}
	if w.buf, err = readBody(w.s, length, w.buf); err != nil {
		return nil, err
	}
	return parseBlobs(w.buf)
}

func (w *wireSupply) planned(rep *RestoreReport) error {
	return writeJSONMsg(w.s, msgPlanned, rep)
}

func (w *wireSupply) want(blobs []Blob) error {
	if err := writeBlobs(w.s, msgWant, blobs); err != nil {
		return err
	}
	if err := writeMsg(w.s, msgWanted, 0); err != nil {
		return err
	}
	return w.s.Flush()
}

func (w *wireSupply) blob() (index, length int, err error) {
	kind, length, err := readMsgHead(w.s)
	if err != nil {
		return 0, 0, cut(err)
	}
	switch {
	case kind == msgFetched && length == 0:
		return 0, 0, io.EOF
	case kind != msgData || length < 4 || length > MaxBlob+4:
		return 0, 0, unexpected(kind)
	}
	var at [4]byte
	if err := w.read(at[:]); err != nil {
		return 0, 0, err
	}
	return int(binary.BigEndian.Uint32(at[:])), length - 4, nil
}

func (w *wireSupply) read(p []byte) error {
	_, err := io.ReadFull(w.s, p)
	return cut(err)
}

type recoverHeader struct {
	Job  string `json:"job"`
	Root string
	ID   string
	Keep bool // what was put in and held stays
	Back bool // the old data is wanted
}

// recoverResult is how a recovery ended; Error beside an outcome says why it
// went back.
type recoverResult struct {
	Outcome Outcome
	Error   string
	Code    string
}

// serveRecover is the helper's end of Peer.Recover.
func serveRecover(ctx context.Context, header json.RawMessage, s *stream) error {
	var h recoverHeader
	if err := json.Unmarshal(header, &h); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if h.ID != "" {
		if err := checkRestoreID(h.ID); err != nil {
			return err
		}
	}
	release, err := takeTurn(ctx, h.Root)
	if err != nil {
		return writeAnswer(s, recoverResult{Error: err.Error()})
	}
	defer release()
	outcome, err := NothingPending, error(nil)
	if h.Keep {
		err = keepHeld(h.Root, h.ID, unix.Syncfs)
	}
	if err == nil {
		outcome, err = recoverVolume(h.Root, h.ID, h.Back, crashPoints(ctx))
	}
	result := recoverResult{Outcome: outcome}
	if err != nil {
		result.Error, result.Code = err.Error(), codeOf(err)
	}
	return writeAnswer(s, result)
}

type spaceHeader struct {
	Job  string `json:"job"`
	Root string
}

// serveSpace is the helper's end of Peer.Space.
func serveSpace(_ context.Context, header json.RawMessage, s *stream) error {
	var h spaceHeader
	if err := json.Unmarshal(header, &h); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	free, err := SpaceAt(h.Root)
	if err != nil {
		return err
	}
	return writeAnswer(s, free)
}

// writeAnswer sends the one message that answers a job.
func writeAnswer(s *stream, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return s.writeMessage(text)
}

// ask runs a job that is answered by one message.
func (p *Peer) ask(ctx context.Context, header, answer any) error {
	c, err := p.start(ctx, header)
	if err != nil {
		return err
	}
	defer c.done()
	if err := c.CloseWrite(); err != nil {
		return c.explain(err)
	}
	text, err := c.readMessage(maxFrame)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: no answer", ErrProtocol)
	}
	if err != nil {
		return c.explain(err)
	}
	c.finish()
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

// Recover ends a restore of the volume at root that was interrupted, by
// whatever, as often as it takes: one that had been decided is rolled forward,
// any other back. With an id only that restore, else whichever there is.
//
// An error with NothingPending means that the volume is as it was found. An
// error with another outcome says why the new data could not be brought in
// although that was decided; the old data is in place, whole.
func (p *Peer) Recover(ctx context.Context, root, id string) (Outcome, error) {
	return p.recover(ctx, recoverHeader{Job: jobRecover, Root: root, ID: id})
}

// Undo is Recover for who wants the old data: also a restore that had been
// decided is rolled back, as long as not all of the new data is in.
func (p *Peer) Undo(ctx context.Context, root, id string) (Outcome, error) {
	return p.recover(ctx, recoverHeader{Job: jobRecover, Root: root, ID: id, Back: true})
}

func (p *Peer) recover(ctx context.Context, h recoverHeader) (Outcome, error) {
	var r recoverResult
	if err := p.ask(ctx, h, &r); err != nil {
		return NothingPending, err
	}
	if r.Error != "" {
		return r.Outcome, &farError{text: r.Error, is: restoreCodes()[r.Code]}
	}
	return r.Outcome, nil
}

// Keep ends a restore with Hold: the new data stays, and what it replaced is
// thrown away. The outcome is RolledForward, also when a Keep before was
// interrupted; after an error, and as long as none was given, it is for Recover
// to say which of the two is in place.
func (p *Peer) Keep(ctx context.Context, root, id string) (Outcome, error) {
	if err := checkRestoreID(id); err != nil {
		return NothingPending, err
	}
	return p.recover(ctx, recoverHeader{Job: jobRecover, Root: root, ID: id, Keep: true})
}

// Space gives what the volume at root has left for the helper.
func (p *Peer) Space(ctx context.Context, root string) (free Space, err error) {
	err = p.ask(ctx, spaceHeader{Job: jobSpace, Root: root}, &free)
	return free, err
}
