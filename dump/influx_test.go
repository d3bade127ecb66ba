package dump

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func influxRecords(change ...string) []byte {
	text := strings.Join([]string{"version", "1.6.7", "dirs", "/var/lib/influxdb/meta", "/var/lib/influxdb/data", "/var/lib/influxdb/wal",
		"database", "shop", "database", "odd b", "size", "1024",
		"df", "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 100 40 60 40% /", "end", ""}, "\x00")
	return []byte(strings.NewReplacer(change...).Replace(text))
}

func influxFactsOf(t testing.TB, change ...string) Facts {
	t.Helper()
	f, err := Influx{}.ParseProbe(Request{}, influxRecords(change...))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestInfluxProbe(t *testing.T) {
	f := influxFactsOf(t)
	i := f.Influx
	if f.ServerVersion != "1.6.7" || f.ServerMajor != 106 || f.FreeBytes != 60<<10 || len(f.DataDirs) != 3 ||
		i.Meta != "/var/lib/influxdb/meta" || i.Data != "/var/lib/influxdb/data" || i.WAL != "/var/lib/influxdb/wal" || !slices.Equal(i.Databases, []string{"shop", "odd b"}) {
		t.Errorf("%+v %+v", f, i)
	}
	if d, ok := f.Database("all"); !ok || d.Size != 1<<20 {
		t.Errorf("the one item: %+v", d)
	}
	whole := influxRecords()
	for n := range whole {
		if _, err := (Influx{}).ParseProbe(Request{}, whole[:n]); err == nil {
			t.Fatalf("cut at %d: no error", n)
		}
	}
	for name, change := range map[string][]string{
		"no version": {"1.6.7", "x"}, "too old": {"1.6.7", "1.4.3"}, "too new": {"1.6.7", "2.7.1"}, "no directory": {"\x00/var/lib/influxdb/data\x00", "\x00data\x00"},
		"the root": {"\x00/var/lib/influxdb/data\x00", "\x00/\x00"}, "a way out": {"\x00/var/lib/influxdb/data\x00", "\x00/var/../etc\x00"}, "no files": {"dirs\x00/var/lib/influxdb/meta\x00/var/lib/influxdb/data\x00/var/lib/influxdb/wal\x00", ""},
		"no version at all": {"version\x001.6.7\x00", ""}, "a record of no kind": {"df\x00", "dg\x00"}, "too many": {"database\x00shop\x00", strings.Repeat("database\x00shop\x00", influxMost+1)},
	} {
		if _, err := (Influx{}).ParseProbe(Request{}, influxRecords(change...)); !errors.Is(err, errProbe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInfluxRequests(t *testing.T) {
	f := influxFactsOf(t)
	files, err := Influx{}.Files(Request{}, f)
	if err != nil || len(files) != 1 || files[0].Name != "backup.tar" || files[0].Item != "all" || !files[0].Command.Gate || files[0].Command.Show != "influxd backup -portable" {
		t.Fatalf("%+v, %v", files, err)
	}
	for _, req := range []Request{{Databases: []string{"shop"}}, {User: "root"}} {
		if _, err := (Influx{}).Files(req, f); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%+v: %v", req, err)
		}
	}
	env := map[string]string{"INFLUXDB_DATA_DIR": "/d/", "INFLUXDB_DATA_WAL_DIR": "/w"}
	if dirs := (Influx{}).FallbackDataDirs(func(name string) string { return env[name] }, []string{"/d/x", "/etc", "/var/lib/influxdb"}); !slices.Equal(dirs, []string{"/d", "/w", "/d/x", "/var/lib/influxdb"}) {
		t.Errorf("%q", dirs)
	}
	if dirs := (Influx{}).FallbackDataDirs(func(string) string { return "" }, []string{"/etc"}); !slices.Equal(dirs, []string{"/var/lib/influxdb"}) {
		t.Errorf("%q", dirs)
	}
	for _, c := range []struct {
		dumped, target string
		want           error
	}{{"1.6.7", "1.6.1", nil}, {"1.6.7", "1.8.10", nil}, {"1.8.10", "1.6.7", ErrNewerDump}} {
		if err := (Influx{}).CanRestore(influxFactsOf(t, "1.6.7", c.dumped), influxFactsOf(t, "1.6.7", c.target)); !errors.Is(err, c.want) {
			t.Errorf("%s into %s: %v", c.dumped, c.target, err)
		}
	}
}

func TestInfluxPlace(t *testing.T) {
	dumped := influxFactsOf(t)
	now := influxFactsOf(t, "/var/lib/influxdb/meta", "/m", "/var/lib/influxdb/data", "/d", "/var/lib/influxdb/wal", "/w")
	p, err := Influx{}.Place(dumped, &now)
	if err != nil || !slices.Equal(p.Empty, []string{"/m", "/d", "/w"}) || p.Files != nil || len(p.Load) != 1 || !slices.Equal(p.Load[0].Command.Argv[4:], []string{"/m", "/d", "/w"}) ||
		p.Load[0].Filter == nil || !p.Load[0].Command.Stdin || p.Load[0].Input != InputDump {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := (Influx{}).Place(dumped, nil); err != nil || p.Empty[1] != "/var/lib/influxdb/data" {
		t.Errorf("a server that cannot be asked: %+v, %v", p, err)
	}
	for name, facts := range map[string]*InfluxFacts{
		"nothing": nil, "the root": {Meta: "/m", Data: "/", WAL: "/w"}, "a way out": {Meta: "/m", Data: "/d/../etc", WAL: "/w"},
		"one in the other": {Meta: "/d/meta", Data: "/d", WAL: "/w"}, "the same": {Meta: "/d", Data: "/d", WAL: "/w"},
	} {
		if _, err := (Influx{}).Place(Facts{Engine: "influxdb", Influx: facts}, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestInfluxExplains(t *testing.T) {
	for text, want := range map[string]string{
		"influxd is not in the container": "lacks a program", "this is InfluxDB 2.7.1, and not InfluxDB 1": "ripplebak.during: stop", "influxd does not listen on 127.0.0.1:8088": "bind-address",
		"no space left for a backup of 7 KiB": "make room",
	} {
		if got := (Influx{}).Explain(text, 2); !strings.Contains(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// entryOf is one of a tar.
type entryOf struct {
	name, content string
	kind          byte
}

// tarOf is a tar of such entries, by whom archive/tar is.
func tarOf(t testing.TB, entries ...entryOf) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Size: int64(len(e.content)), Mode: 0o600}
		if e.kind != 0 {
			h.Typeflag, h.Size, h.Linkname = e.kind, 0, "/etc/passwd"
		}
		err := w.WriteHeader(h)
		if err == nil && e.kind == 0 {
			_, err = io.WriteString(w, e.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// protoField is a field with content.
func protoField(number byte, content []byte) []byte {
	return append(binary.AppendUvarint([]byte{number<<3 | 2}, uint64(len(content))), content...)
}

// influxBackup is one as influxd makes it. change alters its parts before they
// are put together.
type influxBackup struct {
	list   influxList
	meta   []byte
	shards []entryOf
	after  []entryOf
}

func newInfluxBackup(t testing.TB) *influxBackup {
	database := func(name string, more ...byte) []byte {
		return protoField(influxMetaDatabases, append(protoField(influxMetaName, []byte(name)), more...))
	}
	raw := slices.Concat([]byte{8, 0, 16, 13}, database("shop", protoField(influxMetaQueries, protoField(1, []byte("cq")))...), database("odd b"), protoField(influxMetaUsers, []byte("\x0a\x03bob")))
	b := &influxBackup{meta: append(protoField(influxMetaData, raw), 16, 0)}
	b.list.Meta = influxListed{FileName: "20261122T235204Z.meta", Size: int64(len(raw))}
	for i, e := range []struct{ database, number string }{{"shop", "1"}, {"odd b", "12"}} {
		at := e.database + "/autogen/" + e.number + "/"
		content := tarOf(t, entryOf{name: at + "000000001-000000001.tsm", content: strings.Repeat("tsm", 400+i)}, entryOf{name: at + "000000001-000000001.tombstone", content: "x"}, entryOf{name: at + "fields.idx", content: "idx"})
		b.add(e.database, "20261122T235204Z.s"+e.number, content)
	}
	return b
}

func (b *influxBackup) add(database, name string, content []byte) {
	b.list.Files = append(b.list.Files, influxListed{Database: database, FileName: name + ".tar.gz", Size: int64(len(content))})
	b.shards = append(b.shards, entryOf{name: name + ".tar", content: string(content)})
}

func (b *influxBackup) bytes(t testing.TB) []byte {
	t.Helper()
	list, err := json.Marshal(b.list)
	if err != nil {
		t.Fatal(err)
	}
	return tarOf(t, slices.Concat([]entryOf{{name: "20261122T235204Z.manifest", content: string(list)}, {name: "20261122T235204Z.meta", content: string(b.meta)}}, b.shards, b.after)...)
}

func judgeInflux(b []byte, piece int) (*influxProof, error) {
	p := newInfluxProof()
	for part := range slices.Chunk(b, piece) {
		p.Write(part)
	}
	return p, p.Finish()
}

func TestInfluxProof(t *testing.T) {
	whole := newInfluxBackup(t).bytes(t)
	for _, piece := range []int{1, 100, 512, 513, len(whole)} {
		p, err := judgeInflux(whole, piece)
		if err != nil || p.Summary() != "2 databases in 2 shards, 1 users, 1 continuous queries" || !slices.Equal(p.databases(), []string{"shop", "odd b"}) {
			t.Errorf("in pieces of %d: %v %s", piece, err, p.Summary())
		}
	}
	for n := range len(whole) - 1 {
		if _, err := judgeInflux(whole[:n], 4096); err == nil {
			t.Fatalf("cut at %d of %d: no error", n, len(whole))
		} else if n > 0 && !errors.Is(err, ErrCutDump) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if _, err := judgeInflux(nil, 1); !errors.Is(err, ErrEmptyDump) {
		t.Errorf("empty: %v", err)
	}
	if _, err := judgeInflux(append(bytes.Clone(whole), make([]byte, 8192)...), 4096); err != nil {
		t.Errorf("padded as tar does: %v", err)
	}
	if p, err := judgeInflux((&influxBackup{meta: append(protoField(1, []byte{8, 0}), 16, 0), list: influxList{Meta: influxListed{FileName: "20261122T235204Z.meta", Size: 2}}}).bytes(t), 512); err != nil || p.shards != 0 {
		t.Errorf("a server without any data: %v", err)
	}
}

func TestF20_InfluxProofRefuses(t *testing.T) {
	shard := func(entries ...entryOf) func(*influxBackup) {
		return func(b *influxBackup) { b.add("shop", "20261122T235204Z.s9", tarOf(t, entries...)) }
	}
	for name, change := range map[string]func(*influxBackup){
		"a shard is missing":       func(b *influxBackup) { b.shards = b.shards[1:] },
		"one too many":             func(b *influxBackup) { b.list.Files = b.list.Files[1:] },
		"one twice":                func(b *influxBackup) { b.shards = append(b.shards, b.shards[0]) },
		"one twice in the list":    func(b *influxBackup) { b.list.Files = append(b.list.Files, b.list.Files[0]) },
		"another size":             func(b *influxBackup) { b.list.Files[0].Size++ },
		"no size":                  func(b *influxBackup) { b.list.Files[0].Size = -1 },
		"a part of the server":     func(b *influxBackup) { b.list.Limited = true },
		"metadata of another size": func(b *influxBackup) { b.list.Meta.Size-- },
		"another metadata":         func(b *influxBackup) { b.list.Meta.FileName = "20261122T235205Z.meta" },
		"metadata that is cut":     func(b *influxBackup) { b.meta = b.meta[:len(b.meta)-9] },
		"metadata that is none":    func(b *influxBackup) { b.meta = []byte("text, and more of it") },
		"a shard that is cut": func(b *influxBackup) {
			b.shards[0].content = b.shards[0].content[:len(b.shards[0].content)-1024]
			b.list.Files[0].Size -= 1024
		},
		"a shard that is no tar":      func(b *influxBackup) { b.add("shop", "20261122T235204Z.s9", bytes.Repeat([]byte("x"), 1024)) },
		"a path":                      func(b *influxBackup) { b.after = []entryOf{{name: "../x", content: "x"}} },
		"an absolute path":            func(b *influxBackup) { b.after = []entryOf{{name: "/x", content: "x"}} },
		"an option":                   func(b *influxBackup) { b.after = []entryOf{{name: "--checkpoint=1", content: "x"}} },
		"a link":                      func(b *influxBackup) { b.after = []entryOf{{name: "20261122T235204Z.s9.tar", kind: tar.TypeSymlink}} },
		"a directory":                 func(b *influxBackup) { b.after = []entryOf{{name: "x/", kind: tar.TypeDir}} },
		"a way out of a shard":        shard(entryOf{name: "shop/../../1/1.tsm", content: "x"}),
		"a long way out of a shard":   shard(entryOf{name: strings.Repeat("long/", 60) + "../1.tsm", content: "x"}),
		"an absolute path in a shard": shard(entryOf{name: "/shop/autogen/1/1.tsm", content: "x"}),
		"a link in a shard":           shard(entryOf{name: "shop/autogen/1/1.tsm", kind: tar.TypeSymlink}),
		"a hard link in a shard":      shard(entryOf{name: "shop/autogen/1/1.tsm", kind: tar.TypeLink}),
		"a device in a shard":         shard(entryOf{name: "shop/autogen/1/1.tsm", kind: tar.TypeChar}),
		"a file elsewhere":            shard(entryOf{name: "shop/autogen/1/x/1.tsm", content: "x"}),
		"a shard without a number":    shard(entryOf{name: "shop/autogen/x/1.tsm", content: "x"}),
		"a name with a line break":    shard(entryOf{name: "sh\nop/autogen/1/1.tsm", content: "x"}),
		"a name without end":          shard(entryOf{name: strings.Repeat("x", 100000), content: "x"}),
	} {
		b := newInfluxBackup(t)
		change(b)
		if _, err := judgeInflux(b.bytes(t), 1000); !errors.Is(err, ErrBadDump) && !errors.Is(err, ErrCutDump) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := io.ReadAll(newInfluxFilter(bytes.NewReader(b.bytes(t)))); !errors.Is(err, ErrBadDump) && !errors.Is(err, ErrCutDump) {
			t.Errorf("%s, by the filter: %v", name, err)
		}
	}
}

// TestInfluxFilterWritesAServersFiles and nothing else.
func TestInfluxFilterWritesAServersFiles(t *testing.T) {
	b := newInfluxBackup(t)
	long := strings.Repeat("é", 100)
	b.add(long, "20261122T235204Z.s7", tarOf(t, entryOf{name: long + "/autogen/7/1.tsm", content: "of a long name"}))
	whole := b.bytes(t)
	want := map[string]int{influxMeta: int(b.list.Meta.Size), "shop/autogen/1/000000001-000000001.tsm": 1200, "shop/autogen/1/000000001-000000001.tombstone": 1,
		"odd b/autogen/12/000000001-000000001.tsm": 1203, "odd b/autogen/12/000000001-000000001.tombstone": 1, long + "/autogen/7/1.tsm": 14}
	for _, from := range []io.Reader{bytes.NewReader(whole), iotest.OneByteReader(bytes.NewReader(whole)), iotest.DataErrReader(bytes.NewReader(whole))} {
		r := tar.NewReader(newInfluxFilter(from))
		first := true
		got := map[string]int{}
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil || first != (h.Name == influxMeta) || h.Typeflag != tar.TypeReg {
				t.Fatalf("%s: %v", h.Name, err)
			}
			first = false
			got[h.Name] = len(content)
		}
		if len(got) != len(want) {
			t.Errorf("got %v", got)
		}
		for name, size := range want {
			if got[name] != size {
				t.Errorf("%s has %d bytes, want %d", name, got[name], size)
			}
		}
	}
}

// TestF08_InfluxFilterPassesNoCutOn: what is cut ends in an error, never in
// EOF, and what was passed on before is no whole tar.
func TestF08_InfluxFilterPassesNoCutOn(t *testing.T) {
	whole := newInfluxBackup(t).bytes(t)
	for n := 0; n < len(whole)-1; n += 97 {
		out, err := io.ReadAll(newInfluxFilter(bytes.NewReader(whole[:n])))
		if err == nil {
			t.Fatalf("cut at %d: no error", n)
		}
		if bytes.HasSuffix(out, make([]byte, 1024)) {
			t.Fatalf("cut at %d: it has written an end", n)
		}
	}
	if _, err := io.ReadAll(newInfluxFilter(io.MultiReader(bytes.NewReader(whole[:5000]), iotest.ErrReader(errFiltered)))); !errors.Is(err, errFiltered) {
		t.Errorf("a source that fails: %v", err)
	}
}

var errFiltered = errors.New("the source has failed")

func TestInfluxCame(t *testing.T) {
	p, err := judgeInflux(newInfluxBackup(t).bytes(t), 512)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Influx{}).Came(p, Facts{}, influxFactsOf(t)); err != nil {
		t.Error(err)
	}
	if _, err := (Influx{}).Came(p, Facts{}, influxFactsOf(t, "odd b", "other")); err == nil || !strings.Contains(err.Error(), "odd b") {
		t.Errorf("a database that is not there: %v", err)
	}
}

func FuzzInfluxProof(f *testing.F) {
	f.Add(newInfluxBackup(f).bytes(f), 100)
	f.Add([]byte{}, 1)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		if piece < 1 {
			return
		}
		_, first := judgeInflux(b, piece)
		_, second := judgeInflux(b, len(b)+1)
		if (first == nil) != (second == nil) {
			t.Fatal("the pieces matter")
		}
		out, err := io.ReadAll(newInfluxFilter(bytes.NewReader(b)))
		if (err == nil) != (first == nil) {
			t.Fatalf("the filter says %v, the proof %v", err, first)
		}
		for r := tar.NewReader(bytes.NewReader(out)); err == nil; {
			var h *tar.Header
			if h, err = r.Next(); err == nil && (h.Typeflag != tar.TypeReg || strings.HasPrefix(h.Name, "/") || slices.Contains(strings.Split(h.Name, "/"), "..")) {
				t.Fatalf("it writes %q", h.Name)
			}
		}
	})
}
