package dump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// archiveWriter writes what pg_dump would, for every version of the format.
type archiveWriter struct {
	bytes.Buffer
	minor byte
	ends  []int // where a block ends: the only places that look like an end
}

func (w *archiveWriter) int(n int) {
	sign := byte(0)
	if n < 0 {
		sign, n = 1, -n
	}
	w.WriteByte(sign)
	w.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
}

func (w *archiveWriter) text(s string) {
	w.int(len(s))
	w.WriteString(s)
}

func (w *archiveWriter) header(database string, entries int) {
	w.WriteString(archiveMagic)
	w.Write([]byte{1, w.minor, 0, 4, 8, archiveCustom})
	if w.minor >= 15 {
		w.WriteByte(0)
	} else {
		w.int(0)
	}
	for range 7 {
		w.int(1)
	}
	w.text(database)
	w.text("17.2")
	w.text("17.3")
	w.int(entries)
}

func (w *archiveWriter) entry(id int, desc string, data bool) {
	w.int(id)
	offset, had := byte(offsetNoData), 0
	if data {
		offset, had = offsetNotSet, 1
	}
	w.int(had)
	w.text("0")
	w.text("0")
	w.text("tag")
	w.text(desc)
	w.int(3)
	w.text(strings.Repeat("CREATE ", 100))
	w.text("")
	w.int(-1)
	w.text("public")
	w.text("")
	if w.minor >= 14 {
		w.text("heap")
	}
	if w.minor >= 16 {
		w.int('r')
	}
	w.text("owner")
	w.text("false")
	w.text("12")
	w.text("13")
	w.int(-1)
	w.WriteByte(offset)
	w.Write(make([]byte, 8))
}

func (w *archiveWriter) chunks(contents ...string) {
	for _, c := range contents {
		w.text(c)
	}
	w.int(0)
}

func (w *archiveWriter) block(kind byte, id int) {
	w.WriteByte(kind)
	w.int(id)
}

func (w *archiveWriter) end() { w.ends = append(w.ends, w.Len()) }

// sampleArchive has two tables, an entry without data, and large objects.
func sampleArchive(minor byte) *archiveWriter {
	w := &archiveWriter{minor: minor}
	w.header("shop", 4)
	w.entry(9, "TABLE DATA", true)
	w.entry(2, "TABLE", false)
	w.entry(5, "BLOBS", true)
	w.entry(7, "TABLE DATA", true)
	w.end()
	w.block(blockData, 9)
	w.chunks("1\tone\n", strings.Repeat("2\ttwo\n", 300))
	w.end()
	w.block(blockBlobs, 5)
	w.int(16400)
	w.chunks("hello")
	w.int(-1294967296) // OID 3000000000
	w.chunks()
	w.int(0)
	w.end()
	w.block(blockData, 7)
	w.chunks()
	w.end()
	return w
}

func judge(database string, b []byte) error {
	p := newArchiveProof(database)
	p.Write(b)
	return p.Finish()
}

func TestArchiveProofOfEveryVersion(t *testing.T) {
	for minor := byte(archiveMinMinor); minor <= archiveMaxMinor; minor++ {
		w := sampleArchive(minor)
		p := newArchiveProof("shop")
		for _, b := range w.Bytes() { // one byte at a time
			p.Write([]byte{b})
		}
		if err := p.Finish(); err != nil {
			t.Errorf("1.%d: %v", minor, err)
		}
		if want := "data of 3 tables, 2 large objects"; !strings.HasSuffix(p.Summary(), want) || !strings.Contains(p.Summary(), "pg_dump 17.3 of PostgreSQL 17.2") {
			t.Errorf("1.%d: summary %q", minor, p.Summary())
		}
		// Every cut is found, those between two tables included.
		for n := range w.Len() {
			err := judge("shop", w.Bytes()[:n])
			if n == 0 && !errors.Is(err, ErrEmptyDump) || n > 0 && !errors.Is(err, ErrCutDump) {
				t.Fatalf("1.%d: cut at %d of %d: %v", minor, n, w.Len(), err)
			}
		}
		for _, n := range w.ends[:len(w.ends)-1] {
			if err := judge("shop", w.Bytes()[:n]); err == nil || !strings.Contains(err.Error(), "between two tables") {
				t.Errorf("1.%d: cut between two tables, at %d: %v", minor, n, err)
			}
		}
		if err := judge("shop", append(bytes.Clone(w.Bytes()), 1)); !errors.Is(err, ErrCutDump) {
			t.Errorf("1.%d: a byte behind the end: %v", minor, err)
		}
	}
}

func TestArchiveProofRefuses(t *testing.T) {
	alter := func(at int, b ...byte) []byte {
		a := bytes.Clone(sampleArchive(16).Bytes())
		copy(a[at:], b)
		return a
	}
	build := func(fn func(w *archiveWriter)) []byte {
		w := &archiveWriter{minor: 14}
		fn(w)
		return w.Bytes()
	}
	cases := map[string][]byte{
		"text":              []byte("sh: pg_dump: not found\n"),
		"short text":        []byte("oops"),
		"a newer format":    alter(6, 17),
		"an older format":   alter(6, 11),
		"another major":     alter(5, 2),
		"odd integers":      alter(8, 3),
		"odd offsets":       alter(9, 200),
		"a tar":             alter(10, 3),
		"another database":  build(func(w *archiveWriter) { w.header("other", 0) }),
		"negative count":    build(func(w *archiveWriter) { w.header("shop", -5) }),
		"entry number zero": build(func(w *archiveWriter) { w.header("shop", 1); w.entry(0, "TABLE", false) }),
		"a bad sign":        alter(12, 9),
		"entry twice": build(func(w *archiveWriter) {
			w.header("shop", 2)
			w.entry(4, "TABLE DATA", true)
			w.entry(4, "TABLE DATA", true)
		}),
		"data twice": build(func(w *archiveWriter) {
			w.header("shop", 1)
			w.entry(4, "TABLE DATA", true)
			for range 2 {
				w.block(blockData, 4)
				w.chunks("x")
			}
		}),
		"data of nobody":   build(func(w *archiveWriter) { w.header("shop", 1); w.entry(4, "TABLE DATA", true); w.block(blockData, 5) }),
		"data unannounced": build(func(w *archiveWriter) { w.header("shop", 1); w.entry(4, "TABLE", false); w.block(blockData, 4) }),
		"blobs for a table": build(func(w *archiveWriter) {
			w.header("shop", 1)
			w.entry(4, "TABLE DATA", true)
			w.block(blockBlobs, 4)
			w.int(0)
		}),
		"an unknown block": build(func(w *archiveWriter) { w.header("shop", 1); w.entry(4, "TABLE DATA", true); w.block(7, 4); w.int(0) }),
		"a negative chunk": build(func(w *archiveWriter) {
			w.header("shop", 1)
			w.entry(4, "TABLE DATA", true)
			w.block(blockData, 4)
			w.int(-3)
		}),
	}
	for name, b := range cases {
		if err := judge("shop", b); !errors.Is(err, ErrBadDump) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := judge("shop", cases["text"]); !strings.Contains(err.Error(), "sh: pg_dump: not found") {
		t.Errorf("the text on standard output is not in the error: %v", err)
	}
	if err := judge("shop", build(func(w *archiveWriter) { w.header("shop", 0) })); err != nil {
		t.Errorf("an archive without entries: %v", err)
	}
}

func FuzzArchiveProof(f *testing.F) {
	for minor := byte(archiveMinMinor); minor <= archiveMaxMinor; minor++ {
		f.Add(sampleArchive(minor).Bytes(), uint8(7))
	}
	f.Add([]byte("PGDMP\x01\x0e\x00\x08\x08\x01"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		whole := newArchiveProof("")
		whole.Write(b)
		want := whole.Finish()
		// How the bytes are cut into writes makes no difference.
		parts := newArchiveProof("")
		for rest := b; len(rest) > 0; {
			n := min(len(rest), int(step)+1)
			parts.Write(rest[:n])
			rest = rest[n:]
		}
		if got := parts.Finish(); (got == nil) != (want == nil) {
			t.Fatalf("in one go %v, in parts %v", want, got)
		}
		if len(whole.buf) > maxText || len(whole.announced) > len(b)/50+1 {
			t.Fatalf("%d bytes kept, %d entries of %d bytes", len(whole.buf), len(whole.announced), len(b))
		}
		// What is whole ceases to be with its last byte.
		if want == nil && judge("", b[:len(b)-1]) == nil {
			t.Fatal("whole without its last byte")
		}
	})
}

// TestDumpCutBetweenTwoTables cuts real dumps everywhere that matters.
func TestDumpCutBetweenTwoTables(t *testing.T) {
	s := startPostgres(t, "")
	s.sql("postgres", rolesSQL+"CREATE DATABASE shop; CREATE DATABASE bare")
	s.sql("shop", shopSQL)
	b := s.backup(Request{})
	if err := judge("bare", b.files["bare.dump"]); err != nil {
		t.Errorf("a database without tables: %v", err)
	}
	facts := b.facts
	compressed := databaseCommand(facts, "shop", nil)
	compressed.Argv = strings.Split(strings.ReplaceAll(strings.Join(compressed.Argv, "\x00"), "--compress=0", "--compress=6"), "\x00")
	packed, err := s.run(compressed, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, dump := range map[string][]byte{"plain": b.files["shop.dump"], "compressed": packed} {
		p := newArchiveProof("shop")
		// Places where a block begins or ends, as the proof itself sees them.
		var boundaries []int
		for i := range dump {
			was := p.atBlock
			p.Write(dump[i : i+1])
			if p.atBlock && !was {
				boundaries = append(boundaries, i+1)
			}
		}
		if err := p.Finish(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := "data of 6 tables, 3 large objects"; !strings.HasSuffix(p.Summary(), want) {
			t.Errorf("%s: %s, want %s", name, p.Summary(), want)
		}
		if len(boundaries) < 6 {
			t.Fatalf("%s: only %d boundaries", name, len(boundaries))
		}
		random := rand.New(rand.NewPCG(1, 2))
		cuts := append([]int{1, 5, 11, 100, len(dump) - 1}, boundaries[:len(boundaries)-1]...)
		for range 50 {
			cuts = append(cuts, 1+random.IntN(len(dump)-1))
		}
		for _, n := range cuts {
			if err := judge("shop", dump[:n]); !errors.Is(err, ErrCutDump) {
				t.Errorf("%s: cut at %d of %d: %v", name, n, len(dump), err)
			}
		}
		// The client itself must refuse what we refuse, or we guard too much.
		if _, err := s.run(Command{Argv: shell(`exec pg_restore -f /dev/null`), Stdin: true}, dump[:boundaries[1]]); err == nil {
			t.Errorf("%s: pg_restore takes a dump cut between two tables", name)
		}
	}
}

func BenchmarkArchiveProof(b *testing.B) {
	w := &archiveWriter{minor: 14}
	w.header("shop", 1)
	w.entry(4, "TABLE DATA", true)
	w.block(blockData, 4)
	row := strings.Repeat("x", 100)
	for range 100_000 {
		w.text(row)
	}
	w.int(0)
	b.SetBytes(int64(w.Len()))
	for b.Loop() {
		if err := judge("shop", w.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
}
