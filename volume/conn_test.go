package volume

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// wired is a connection whose other end is bytes.
type wired struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (w *wired) Read(p []byte) (int, error)  { return w.in.Read(p) }
func (w *wired) Write(p []byte) (int, error) { return w.out.Write(p) }

func streamOf(in io.Reader) (*stream, *wired) {
	w := &wired{in: in}
	return newStream(w, bufio.NewReader(in)), w
}

// sent gives what f writes into a stream, as bytes.
func sent(t *testing.T, f func(s *stream)) []byte {
	t.Helper()
	s, w := streamOf(strings.NewReader(""))
	f(s)
	return w.out.Bytes()
}

func TestStreamCarriesWhatIsWritten(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 300<<10/16)
	raw := sent(t, func(s *stream) {
		for _, p := range [][]byte{[]byte("small"), big, nil, []byte("x"), bytes.Repeat(big, 8)} {
			if n, err := s.Write(p); n != len(p) || err != nil {
				t.Fatalf("wrote %d of %d: %v", n, len(p), err)
			}
		}
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseWrite(); err != nil {
			t.Errorf("a second end: %v", err)
		}
		if _, err := s.Write([]byte("more")); !errors.Is(err, errEnded) {
			t.Errorf("written after the end: %v", err)
		}
	})
	s, _ := streamOf(bytes.NewReader(raw))
	got, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	if want := len("small") + 9*len(big) + 1; len(got) != want {
		t.Errorf("%d bytes, want %d", len(got), want)
	}
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

// Wherever a connection breaks, it is never the end of the data.
func TestF19_AConnectionThatBreaksIsNoEnd(t *testing.T) {
	raw := sent(t, func(s *stream) {
		s.Write([]byte("some data"))
		s.Flush()
		s.Write([]byte("and more"))
		s.CloseWrite()
	})
	for n := range raw {
		s, _ := streamOf(bytes.NewReader(raw[:n]))
		if _, err := io.ReadAll(readerOnly{s}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d of %d bytes: %v", n, len(raw), err)
		}
		if s.ended() || s.finish() {
			t.Errorf("cut after %d bytes, and called ended", n)
		}
	}
}

func TestStreamFailureTravels(t *testing.T) {
	long := strings.Repeat("x", 2*maxErrorText)
	for text, want := range map[string]string{"disk on fire": "disk on fire", "bad \xff byte": "bad ? byte", long: long[:maxErrorText]} {
		raw := sent(t, func(s *stream) {
			s.Write([]byte("data"))
			if err := s.Fail(errors.New(text)); err != nil {
				t.Fatal(err)
			}
			if err := s.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		})
		s, _ := streamOf(bytes.NewReader(raw))
		got, err := io.ReadAll(readerOnly{s})
		var remote *RemoteError
		if string(got) != "data" || !errors.As(err, &remote) || remote.Text != want {
			t.Errorf("%.20q: got %q and %v", text, got, err)
		}
	}
}

func TestF20_HostileFrames(t *testing.T) {
	for name, raw := range map[string]string{
		"too long":       "\x00\x10\x00\x01data",
		"huge":           "\x7f\xff\xff\xffdata",
		"error too long": "\x80\x00\x20\x01data",
		"error huge":     "\xff\xff\xff\xffdata",
	} {
		s, _ := streamOf(strings.NewReader(raw))
		if _, err := s.Read(make([]byte, 10)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
		s, _ = streamOf(strings.NewReader(raw))
		if _, err := s.readMessage(100); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s as a message: %v", name, err)
		}
	}
	s, _ := streamOf(strings.NewReader("\x00\x00\x00\x65" + strings.Repeat("m", 0x65)))
	if _, err := s.readMessage(100); !errors.Is(err, ErrProtocol) {
		t.Errorf("a message above its limit: %v", err)
	}
}
