package docker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func frame(kind byte, payload string) []byte {
	b := make([]byte, 8, 8+len(payload))
	b[0] = kind
	binary.BigEndian.PutUint32(b[4:], uint32(len(payload)))
	return append(b, payload...)
}

func readFrames(raw io.Reader) (stdout, stderr string, err error) {
	var errs bytes.Buffer
	out, err := io.ReadAll(newFrames(bufio.NewReader(raw), &errs, func() {}))
	return string(out), errs.String(), err
}

func TestFrames(t *testing.T) {
	raw := bytes.Join([][]byte{
		frame(streamErr, "warn"), frame(streamOut, "hel"), frame(streamOut, ""), frame(streamErr, ""),
		frame(streamOut, "lo"), frame(streamErr, "ing"), frame(streamOut, strings.Repeat("x", 100_000)),
	}, nil)
	for name, r := range map[string]io.Reader{
		"at once":     bytes.NewReader(raw),
		"by bytes":    iotest.OneByteReader(bytes.NewReader(raw)),
		"with EOF":    iotest.DataErrReader(bytes.NewReader(raw)),
		"half buffer": iotest.HalfReader(bytes.NewReader(raw)),
	} {
		out, errs, err := readFrames(r)
		if err != nil || out != "hello"+strings.Repeat("x", 100_000) || errs != "warning" {
			t.Errorf("%s: %d bytes, %q, %v", name, len(out), errs, err)
		}
	}
}

func TestF07_EveryCut(t *testing.T) {
	// At the boundaries the end is clean (and for the gate to judge); anywhere
	// else it is ErrFrame.
	parts := [][]byte{frame(streamOut, "hello"), frame(streamErr, "warn"), frame(streamOut, "again")}
	raw := bytes.Join(parts, nil)
	clean := map[int]bool{0: true}
	n := 0
	for _, p := range parts {
		n += len(p)
		clean[n] = true
	}
	for i := range len(raw) + 1 {
		_, _, err := readFrames(bytes.NewReader(raw[:i]))
		if clean[i] && err != nil || !clean[i] && !errors.Is(err, ErrFrame) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestFramesThatAreNone(t *testing.T) {
	huge := frame(streamOut, "")
	binary.BigEndian.PutUint32(huge[4:], maxFrame+1)
	for name, raw := range map[string][]byte{
		"html":     []byte("<html><body>502 Bad Gateway</body></html>"),
		"kind":     frame(4, "x"),
		"padding":  {1, 0, 1, 0, 0, 0, 0, 1, 'x'},
		"stdin":    frame(streamIn, "x"),
		"too long": huge,
	} {
		if _, _, err := readFrames(bytes.NewReader(raw)); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := readFrames(bytes.NewReader(frame(streamSys, "the shim is gone\n")))
	if !errors.Is(err, ErrCut) || !strings.Contains(err.Error(), "the shim is gone") {
		t.Errorf("systemerr: %v", err)
	}
}

func TestFramesErrorStays(t *testing.T) {
	f := newFrames(bufio.NewReader(strings.NewReader("nonsense")), io.Discard, func() {})
	_, err1 := f.Read(make([]byte, 1))
	_, err2 := f.Read(make([]byte, 1))
	if err1 == nil || err1 != err2 {
		t.Fatalf("%v, then %v", err1, err2)
	}
}

// FuzzFrames: whatever comes, stdout is exactly the payload of the frames that
// came whole or in part, and the end is clean only at a boundary.
func FuzzFrames(f *testing.F) {
	f.Add(frame(streamOut, "hello"))
	f.Add(append(frame(streamErr, "a"), frame(streamOut, "b")...))
	f.Add(frame(streamOut, "hello")[:9])
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	f.Add(frame(streamSys, "x"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want bytes.Buffer
		clean, rest := true, raw
		for len(rest) > 0 {
			if len(rest) < 8 || rest[0] > streamErr || rest[0] == streamIn || rest[1]|rest[2]|rest[3] != 0 {
				clean = false
				break
			}
			n := int(binary.BigEndian.Uint32(rest[4:8]))
			if n > maxFrame {
				clean = false
				break
			}
			have := min(n, len(rest)-8)
			if rest[0] == streamOut {
				want.Write(rest[8 : 8+have])
			}
			clean = have == n
			rest = rest[8+have:]
		}
		out, _, err := readFrames(bytes.NewReader(raw))
		if out != want.String() || (err == nil) != clean {
			t.Fatalf("got %q, %v; want %q, clean %v", out, err, want.String(), clean)
		}
	})
}

func TestGate(t *testing.T) {
	token := newToken()
	if len(token) != tokenSize || token == newToken() {
		t.Fatalf("token %q", token)
	}
	for _, size := range []int{0, 1, 31, 32, 33, 1000, 32<<10 - 1, 64 << 10, 64<<10 + 1, 300_000} {
		data := strings.Repeat("d", size)
		for name, c := range map[string]struct {
			in   string
			pass bool
		}{
			"whole":      {data + token, true},
			"no token":   {data, false},
			"short":      {data + token[:tokenSize-1], false},
			"wrong":      {data + strings.Repeat("t", tokenSize), false},
			"more after": {data + token + "x", false},
		} {
			for rname, r := range map[string]io.Reader{
				"plain": strings.NewReader(c.in), "bytes": iotest.OneByteReader(strings.NewReader(c.in)),
				"EOF with data": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				g := newGate(r, token)
				out, err := io.ReadAll(g)
				if err != nil || g.passed() != c.pass {
					t.Fatalf("%s of %d, %s: passed %v, %v", name, size, rname, g.passed(), err)
				}
				if c.pass && string(out) != data {
					t.Fatalf("%s of %d, %s: %d bytes", name, size, rname, len(out))
				}
			}
		}
	}
	g := newGate(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(token))), token)
	if _, err := io.ReadAll(g); err == nil || g.passed() {
		t.Fatal("an error passed")
	}
}

func TestF10_TailIsBounded(t *testing.T) {
	tl := newTail(100)
	var all strings.Builder
	for i := range 5000 {
		p := strings.Repeat(string(rune('a'+i%26)), i%150)
		all.WriteString(p)
		if n, err := tl.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
		want := all.String()
		if len(want) > 100 {
			want = "... " + want[len(want)-100:]
		}
		if got := tl.String(); got != want {
			t.Fatalf("after %d bytes: %q, want %q", all.Len(), got, want)
		}
		if cap(tl.buf) > 400 {
			t.Fatalf("%d bytes held", cap(tl.buf))
		}
	}
}

func BenchmarkFrames(b *testing.B) {
	raw := bytes.Repeat(frame(streamOut, strings.Repeat("x", 32<<10)), 320)
	token := newToken()
	raw = append(raw, frame(streamOut, token)...)
	b.SetBytes(int64(len(raw)))
	buf := make([]byte, 256<<10)
	for b.Loop() {
		g := newGate(newFrames(bufio.NewReaderSize(bytes.NewReader(raw), 64<<10), io.Discard, func() {}), token)
		var err error
		for err == nil {
			_, err = g.Read(buf)
		}
		if !g.passed() {
			b.Fatal(err)
		}
	}
}
