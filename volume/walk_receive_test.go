package volume

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// sample is a walk's stream with everything in it.
func sample(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	s := newSender(&out)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	res := WalkResult{Started: Time{Sec: 5}, StableInodes: true}
	entry := func(kind EventKind, e Entry) {
		s.recs.entry(kind, &e)
		res.count(kind, &e)
	}
	entry(EnterDir, Entry{Type: Dir, Mode: 0o755})
	entry(EnterDir, Entry{Path: "dir", Type: Dir})
	e := Entry{Path: "small", Type: File, Size: 5, Links: 2, Inode: 9, Xattrs: []Xattr{{Name: "user.x", Value: []byte("v")}}}
	s.recs.file(&e, 5)
	res.count(FileStart, &e)
	s.recs.leave()
	s.recs.unchanged("same")
	res.Unchanged, res.Files = 1, res.Files+1
	entry(streamStart, Entry{Path: "stream", Type: File, Size: 3000})
	res.count(FileStart, &Entry{Type: File})
	must(s.flush([]byte("hello")))
	must(s.segment(0, bytes.Repeat([]byte("s"), 1000)))
	must(s.hole(1000, 1000))
	must(s.segment(2000, bytes.Repeat([]byte("t"), 1000)))
	s.recs.streamEnd()
	s.recs.warning(Warned, Warning{Kind: WarnChanged, Path: "stream", Text: "changed"})
	s.recs.warning(Unreadable, Warning{Kind: WarnUnreadable, Path: "u", Text: "EIO"})
	res.Warnings, res.Unreadable = 1, 1
	entry(Other, Entry{Path: "z-hard", Type: File, HardLinkOf: "dir/small", Links: 2, Inode: 9})
	entry(Other, Entry{Path: "z-link", Type: Symlink, LinkTarget: "../\xff"})
	s.recs.leave()
	must(s.flush(nil))
	res.Bytes = 2005
	must(s.end(res))
	return out.Bytes()
}

// receive reads a stream to its end and gives what it holds.
func receive(raw []byte) (*found, error) {
	s := &Walk{rx: newReceiver(bytes.NewReader(raw)), ended: false}
	return receiveWalk(s)
}

func receiveWalk(w *Walk) (*found, error) {
	f := &found{entries: map[string]Entry{}, content: map[string][]byte{}, holes: map[string]int64{}, kinds: map[string]EventKind{}}
	for {
		ev, err := w.rx.next()
		if errors.Is(err, io.EOF) {
			f.result = w.rx.res
			return f, nil
		}
		if err != nil {
			return f, err
		}
		if ev.Warning != nil {
			f.warnings = append(f.warnings, *ev.Warning)
			continue
		}
		if ev.Kind == LeaveDir {
			continue
		}
		path := ev.Entry.Path
		f.order = append(f.order, path)
		f.entries[path], f.kinds[path] = *ev.Entry, ev.Kind
		for ev.Kind == FileStart {
			seg, r, err := w.rx.segment()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return f, err
			}
			if seg.Hole {
				f.holes[path] += seg.Length
				continue
			}
			data, err := io.ReadAll(r)
			f.content[path] = append(f.content[path], data...)
			if err != nil {
				return f, err
			}
			if int64(len(data)) != seg.Length {
				return f, errors.New("a segment is short, and nobody said so")
			}
		}
	}
}

func TestReceiverGivesWhatWasSent(t *testing.T) {
	got, err := receive(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := "[ dir dir/small same stream z-hard z-link]"; fmt.Sprint(got.order) != want {
		t.Errorf("got %v, want %v", got.order, want)
	}
	if string(got.content["dir/small"]) != "hello" || len(got.content["stream"]) != 2000 || got.holes["stream"] != 1000 {
		t.Errorf("content %q, holes %v", got.content, got.holes)
	}
	if e := got.entries["dir/small"]; e.Xattrs[0].Name != "user.x" || e.Inode != 9 {
		t.Errorf("%+v", e)
	}
	if len(got.warnings) != 2 || got.result.Started.Sec != 5 || !got.result.StableInodes {
		t.Errorf("%v, %+v", got.warnings, got.result)
	}
	// Content that nobody reads is skipped.
	c := newReceiver(bytes.NewReader(sample(t)))
	for err == nil {
		_, err = c.next()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("skipping: %v", err)
	}
}

func TestF19_AStreamThatIsCutHasFailed(t *testing.T) {
	raw := sample(t)
	for n := range len(raw) {
		if _, err := receive(raw[:n]); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(raw), err)
		}
	}
	for _, empty := range [][]byte{nil, make([]byte, 2*tarBlock), make([]byte, 10*tarBlock)} {
		if _, err := receive(empty); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("an empty stream of %d bytes: %v", len(empty), err)
		}
	}
	if _, err := receive(append(bytes.Clone(raw), 0)); err == nil {
		t.Error("a byte behind the end was taken")
	}
}

func TestF20_AnAlteredStreamHasFailed(t *testing.T) {
	raw := sample(t)
	end := bytes.LastIndex(raw, []byte(tarEnd+"\x00"))
	for at := range end {
		bad := bytes.Clone(raw)
		bad[at] ^= 0x40
		if _, err := receive(bad); err == nil {
			t.Fatalf("byte %d of %d was altered, and nobody saw it", at, len(raw))
		}
	}
}

// entries takes a stream apart.
func entries(t testing.TB, raw []byte) [][]byte {
	t.Helper()
	var out [][]byte
	tr := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		var one bytes.Buffer
		tw := tar.NewWriter(&one)
		h.Format = tar.FormatUSTAR
		if len(h.PAXRecords) > 0 {
			h.Format = tar.FormatPAX
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(tw, tr); err != nil {
			t.Fatal(err)
		}
		if err := tw.Flush(); err != nil {
			t.Fatal(err)
		}
		out = append(out, one.Bytes())
	}
}

// sealed ends a stream with an end record that is right about its bytes.
func sealed(t testing.TB, body []byte, res WalkResult) []byte {
	t.Helper()
	sum := newStreamSum()
	sum.Write(body)
	rec, err := json.Marshal(endRecord{WalkResult: res, Length: int64(len(body)), Sum: hex.EncodeToString(sum.Sum(nil))})
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(bytes.Clone(body))
	tw := tar.NewWriter(out)
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: tarEnd, Size: int64(len(rec)), Format: tar.FormatUSTAR}); err != nil {
		t.Fatal(err)
	}
	tw.Write(rec)
	tw.Close()
	return out.Bytes()
}

// Parts left out, doubled or exchanged are found, also by who could make the
// hash right.
func TestF20_ARearrangedStreamHasFailed(t *testing.T) {
	parts := entries(t, sample(t))
	good, err := receive(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	body := parts[:len(parts)-1]
	if _, err := receive(sealed(t, bytes.Join(body, nil), good.result)); err != nil {
		t.Fatalf("put together again: %v", err)
	}
	for i := range body {
		left := append(append([][]byte{}, body[:i]...), body[i+1:]...)
		double := append(append([][]byte{}, body[:i+1]...), body[i:]...)
		for name, list := range map[string][][]byte{"left out": left, "doubled": double} {
			if _, err := receive(sealed(t, bytes.Join(list, nil), good.result)); err == nil {
				t.Errorf("part %d %s", i, name)
			}
		}
		for j := range i {
			swapped := append([][]byte{}, body...)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			if _, err := receive(sealed(t, bytes.Join(swapped, nil), good.result)); err == nil {
				t.Errorf("parts %d and %d exchanged", i, j)
			}
		}
	}
}

func TestF20_HostileRecords(t *testing.T) {
	root := Entry{Type: Dir}
	for name, build := range map[string]func(w *recordWriter){
		"no root":        func(w *recordWriter) { w.entry(EnterDir, &Entry{Path: "x", Type: Dir}) },
		"a root of file": func(w *recordWriter) { w.entry(FileStart, &Entry{Type: File}); w.enc.uint(0) },
		"dot dot":        func(w *recordWriter) { w.entry(EnterDir, &root); w.unchanged("..") },
		"dot":            func(w *recordWriter) { w.entry(EnterDir, &root); w.unchanged(".") },
		"slash":          func(w *recordWriter) { w.entry(EnterDir, &root); w.unchanged("a/b") },
		"absolute": func(w *recordWriter) {
			w.entry(EnterDir, &root)
			w.entry(Other, &Entry{Path: "/etc", Type: Symlink, LinkTarget: "x"})
		},
		"NUL":           func(w *recordWriter) { w.entry(EnterDir, &root); w.unchanged("a\x00b") },
		"empty":         func(w *recordWriter) { w.entry(EnterDir, &root); w.unchanged("") },
		"64 KiB name":   func(w *recordWriter) { w.entry(EnterDir, &root); w.unchanged(strings.Repeat("n", 64<<10)) },
		"double":        func(w *recordWriter) { w.entry(EnterDir, &root); w.unchanged("a"); w.unchanged("a") },
		"order":         func(w *recordWriter) { w.entry(EnterDir, &root); w.unchanged("b"); w.unchanged("a") },
		"left twice":    func(w *recordWriter) { w.entry(EnterDir, &root); w.leave(); w.leave() },
		"two roots":     func(w *recordWriter) { w.entry(EnterDir, &root); w.leave(); w.entry(EnterDir, &root) },
		"negative size": func(w *recordWriter) { w.entry(EnterDir, &root); w.file(&Entry{Path: "a", Type: File, Size: -1}, 0) },
		"too much":      func(w *recordWriter) { w.entry(EnterDir, &root); w.file(&Entry{Path: "a", Type: File}, 5<<20) },
		"content absent": func(w *recordWriter) {
			w.entry(EnterDir, &root)
			w.file(&Entry{Path: "a", Type: File}, 5)
			w.inline = 0
		},
		"later link": func(w *recordWriter) {
			w.entry(EnterDir, &root)
			w.entry(Other, &Entry{Path: "a", Type: File, HardLinkOf: "b"})
		},
		"link of dir": func(w *recordWriter) {
			w.entry(EnterDir, &root)
			w.entry(EnterDir, &Entry{Path: "a", Type: Dir, HardLinkOf: "A"})
		},
		"dir as other":   func(w *recordWriter) { w.entry(EnterDir, &root); w.entry(Other, &Entry{Path: "a", Type: Dir}) },
		"unknown type":   func(w *recordWriter) { w.entry(EnterDir, &root); w.entry(Other, &Entry{Path: "a", Type: 99}) },
		"unknown event":  func(w *recordWriter) { w.entry(EnterDir, &root); w.enc.byte(77) },
		"stream end":     func(w *recordWriter) { w.entry(EnterDir, &root); w.streamEnd() },
		"not left":       func(w *recordWriter) { w.entry(EnterDir, &root) },
		"nothing at all": func(w *recordWriter) {},
		"nanoseconds":    func(w *recordWriter) { w.entry(EnterDir, &Entry{Type: Dir, ModTime: Time{Nsec: 2_000_000_000}}) },
		"cut record": func(w *recordWriter) {
			w.entry(EnterDir, &root)
			w.unchanged("abc")
			w.enc.buf = w.enc.buf[:len(w.enc.buf)-1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			s := newSender(&out)
			build(&s.recs)
			if err := s.put(tarEvents, s.recs.batch()); err != nil {
				t.Fatal(err)
			}
			var res WalkResult
			c := newReceiver(bytes.NewReader(out.Bytes()))
			for err := error(nil); err == nil; {
				_, err = c.next()
			}
			res = c.got // who makes a stream can count what is in it
			if err := s.end(res); err != nil {
				t.Fatal(err)
			}
			if _, err := receive(out.Bytes()); err == nil {
				t.Error("was taken")
			}
		})
	}
}

func TestF20_HostileSegments(t *testing.T) {
	for name, send := range map[string]func(s *sender) error{
		"gap":           func(s *sender) error { return s.segment(1, []byte("x")) },
		"negative hole": func(s *sender) error { return s.hole(0, -5) },
		"endless hole": func(s *sender) error {
			if err := s.hole(0, 1<<62); err != nil {
				return err
			}
			return s.hole(1<<62, 1<<62)
		},
		"empty segment": func(s *sender) error { return s.segment(0, nil) },
		"hole with bytes": func(s *sender) error {
			return s.part(0, []byte("x"), map[string]string{paxHole: "1"})
		},
		"5 MiB":        func(s *sender) error { return s.segment(0, make([]byte, 5<<20)) },
		"other entry":  func(s *sender) error { return s.put("contents", []byte("x")) },
		"end too soon": func(s *sender) error { return s.end(WalkResult{Dirs: 1, Files: 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			s := newSender(&out)
			s.recs.entry(EnterDir, &Entry{Type: Dir})
			s.recs.entry(streamStart, &Entry{Path: "f", Type: File})
			if err := s.flush(nil); err != nil {
				t.Fatal(err)
			}
			if err := send(s); err != nil {
				t.Fatal(err)
			}
			s.recs.streamEnd()
			s.recs.leave()
			if err := s.flush(nil); err == nil {
				s.end(WalkResult{Dirs: 1, Files: 1})
			}
			if _, err := receive(out.Bytes()); !errors.Is(err, ErrProtocol) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A stream that claims much costs little.
func TestF20_AReceiverIsBounded(t *testing.T) {
	var out bytes.Buffer
	tw := tar.NewWriter(&out)
	tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: tarEvents, Size: 1 << 40, Format: tar.FormatPAX})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := receive(out.Bytes()); !errors.Is(err, ErrProtocol) {
		t.Errorf("got %v", err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated for a claim", n)
	}
}

func FuzzReceive(f *testing.F) {
	raw := sample(f)
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add([]byte{})
	for _, part := range entries(f, raw) {
		f.Add(part)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := receive(raw)
		if err != nil {
			return
		}
		// Whatever is taken kept the rules.
		if got.order[0] != "" || got.result.Dirs < 1 {
			t.Errorf("taken: %v", got.order)
		}
		for i := 1; i < len(got.order); i++ {
			if Compare(got.order[i-1], got.order[i]) >= 0 {
				t.Errorf("%q before %q", got.order[i-1], got.order[i])
			}
		}
	})
}

func FuzzDecodeKnown(f *testing.F) {
	raw := knownSample(f)
	f.Add(raw)
	f.Add([]byte{})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := decodeKnown(raw, "")
		if err != nil {
			return
		}
		last := ""
		for _, k := range got {
			if Compare(last, k.Path) >= 0 {
				t.Errorf("%q before %q", last, k.Path)
			}
			last = k.Path
		}
	})
}

// knownSample is a batch of what is known.
func knownSample(t testing.TB) []byte {
	t.Helper()
	k := knownSender{}
	for _, path := range []string{"a", "a.b", "dir/x", "dir/y", "dir.z", "\xff"} {
		if err := k.add(Known{Path: path, Type: File, Size: 5, Inode: 1 << 60, ModTime: Time{Sec: -5, Nsec: 999}, Trusted: true}); err != nil {
			t.Fatal(err)
		}
	}
	return k.enc.buf
}

func TestKnownComesBackAsItWasSent(t *testing.T) {
	got, err := decodeKnown(knownSample(t), "")
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, k := range got {
		paths = append(paths, k.Path)
		if k.Size != 5 || k.Inode != 1<<60 || k.ModTime != (Time{Sec: -5, Nsec: 999}) || !k.Trusted {
			t.Errorf("%+v", k)
		}
	}
	if want := []string{"a", "a.b", "dir/x", "dir/y", "dir.z", "\xff"}; fmt.Sprint(paths) != fmt.Sprint(want) {
		t.Errorf("got %q", paths)
	}
	if _, err := decodeKnown(knownSample(t), "b"); !errors.Is(err, errKnownOrder) {
		t.Errorf("a batch that comes too late: %v", err)
	}
}
