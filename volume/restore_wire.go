package volume

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// On a restore's stream travel messages: a byte that says what it is, four
// bytes, big-endian, of length, and that many more. The sidecar sends the
// listing, in walk order; the helper answers what it is going to do, and then
// asks for batches of blobs, which the sidecar sends in whatever order it likes;
// last comes the report. Content is not hashed again at the helper's end: it
// was authenticated when it was decrypted, and a Unix socket alters nothing;
// what is checked is that every blob comes once and has its length.
const (
	msgEntry   = 1 // an entry, and how many blobs its content has
	msgBlobs   = 2 // blobs of the entry before
	msgListed  = 3 // the listing is complete
	msgData    = 4 // four bytes of index into what was wanted, and a blob's content
	msgFetched = 5 // all that was wanted has been sent

	msgPlanned = 16 // the report so far, as JSON
	msgWant    = 17 // blobs
	msgWanted  = 18 // that is all for now: send them
	msgReport  = 19 // restoreResult as JSON; the last
)

const (
	msgHead = 5
	// blobsPerMessage bounds the blobs of a message.
	blobsPerMessage = 1024
	maxMessage      = maxRecord + 1024
)

const (
	jobRestore = "restore"
	jobRecover = "recover"
	jobSpace   = "space"
)

// restoreHeader is a restore's request as it travels: paths are raw bytes, which
// JSON strings cannot carry.
type restoreHeader struct {
	Job string `json:"job"`
	RestoreRequest
	RawPaths  [][]byte
	RawOnly   [][]byte
	RawRemove [][]byte
	RawEmpty  [][]byte
}

func newRestoreHeader(req RestoreRequest) restoreHeader {
	h := restoreHeader{Job: jobRestore, RestoreRequest: req}
	for _, p := range req.ProtectedPaths {
		h.RawPaths = append(h.RawPaths, []byte(p))
	}
	for _, p := range req.Only {
		h.RawOnly = append(h.RawOnly, []byte(p))
	}
	for _, p := range req.Remove {
		h.RawRemove = append(h.RawRemove, []byte(p))
	}
	for _, p := range req.Empty {
		h.RawEmpty = append(h.RawEmpty, []byte(p))
	}
	return h
}

func (h *restoreHeader) request() RestoreRequest {
	req := h.RestoreRequest
	for _, p := range h.RawPaths {
		req.ProtectedPaths = append(req.ProtectedPaths, string(p))
	}
	for _, p := range h.RawOnly {
		req.Only = append(req.Only, string(p))
	}
	for _, p := range h.RawRemove {
		req.Remove = append(req.Remove, string(p))
	}
	for _, p := range h.RawEmpty {
		req.Empty = append(req.Empty, string(p))
	}
	return req
}

// restoreResult is how a restore ended. Code stands for the sentinel that the
// error is, if it is one.
type restoreResult struct {
	Report *RestoreReport
	Error  string
	Code   string
}

// restoreCodes names the errors that callers of a restore tell apart.
func restoreCodes() map[string]error {
	return map[string]error{
		"pending": ErrRestorePending, "space": ErrNoSpace, "listing": ErrHostileListing,
		"in-the-way": ErrInTheWay, "changed": ErrChangedMeanwhile, "occupied": ErrOccupied, "not-held": ErrNotHeld,
	}
}

func codeOf(err error) string {
	for code, sentinel := range restoreCodes() {
		if errors.Is(err, sentinel) {
			return code
		}
	}
	return ""
}

// farError is an error of the helper's end, with the sentinel that it was.
type farError struct {
	text string
	is   error
}

func (e *farError) Error() string { return e.text }
func (e *farError) Unwrap() error { return e.is }

func (r *restoreResult) err() error {
	if r.Error == "" {
		return nil
	}
	return &farError{text: r.Error, is: restoreCodes()[r.Code]}
}

// crashKey is the key of what WithCrashPoints puts into a context.
type crashKey struct{}

// WithCrashPoints gives a context in which ServeHelper calls at, with its name,
// at each crash point of a restore (mid-restore, before-rename, mid-rename), so
// that a test can kill the process there. at may be called from several
// goroutines at once.
func WithCrashPoints(ctx context.Context, at func(name string)) context.Context {
	return context.WithValue(ctx, crashKey{}, at)
}

func crashPoints(ctx context.Context) func(string) {
	at, _ := ctx.Value(crashKey{}).(func(string))
	return at
}

// writeMsg sends one message; the rest of it may follow in parts.
func writeMsg(w io.Writer, kind byte, length int, parts ...[]byte) error {
	var head [msgHead]byte
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(length))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func writeJSONMsg(s *stream, kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("describe the restore: %w", err)
	}
	if err := writeMsg(s, kind, len(text), text); err != nil {
		return err
	}
	return s.Flush()
}

// readHead reads the head of the next message; io.EOF only at the proven end of
// the stream.
func readMsgHead(r io.Reader) (kind byte, length int, err error) {
	var head [msgHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, err
	}
	return head[0], int(binary.BigEndian.Uint32(head[1:])), nil
}

// readBody reads a message's body into buf, growing it as needed.
func readBody(r io.Reader, length int, buf []byte) ([]byte, error) {
	if length > maxMessage {
		return nil, fmt.Errorf("%w: a message of %d bytes", ErrProtocol, length)
	}
	if cap(buf) < length {
		buf = make([]byte, length)
	}
	buf = buf[:length]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, cut(err)
	}
	return buf, nil
}

func unexpected(kind byte) error {
	return fmt.Errorf("%w: message %d at the wrong time", ErrProtocol, kind)
}

// writeBlobs sends blobs as messages of bounded size.
func writeBlobs(w io.Writer, kind byte, blobs []Blob) error {
	for len(blobs) > 0 {
		n := min(len(blobs), blobsPerMessage)
		var e encoder
		for _, b := range blobs[:n] {
			e.blob(b)
		}
		if err := writeMsg(w, kind, len(e.buf), e.buf); err != nil {
			return err
		}
		blobs = blobs[n:]
	}
	return nil
}

func parseBlobs(body []byte) ([]Blob, error) {
	if len(body) == 0 || len(body)%blobRecord != 0 || len(body) > blobsPerMessage*blobRecord {
		return nil, fmt.Errorf("%w: a list of blobs of %d bytes", ErrProtocol, len(body))
	}
	d := decoder{buf: body}
	out := make([]Blob, 0, len(body)/blobRecord)
	for len(d.buf) > 0 {
		out = append(out, d.blob())
	}
	return out, d.end()
}
