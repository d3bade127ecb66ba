package dump

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func neo4jRecords(change ...string) []byte {
	text := strings.Join([]string{"version", "5.26.1", "dir", "/data", "/data/transactions", "database", "neo4j", "1024", "database", "system", "100",
		"df", "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 100 40 60 40% /", "end", ""}, "\x00")
	return []byte(strings.NewReplacer(change...).Replace(text))
}

func neo4jFactsOf(t testing.TB, change ...string) Facts {
	t.Helper()
	f, err := Neo4j{}.ParseProbe(Request{}, neo4jRecords(change...))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestNeo4jProbe(t *testing.T) {
	f := neo4jFactsOf(t)
	if f.ServerVersion != "5.26.1" || f.ServerMajor != 5 || f.FreeBytes != 60<<10 || !slices.Equal(f.DataDirs, []string{"/data", "/data/transactions"}) ||
		f.Neo4j.Dir != "/data" || f.Neo4j.Logs != "/data/transactions" || !slices.Equal(f.Neo4j.Databases, []string{"system", "neo4j"}) {
		t.Errorf("%+v %+v", f, f.Neo4j)
	}
	if d, ok := f.Database("all"); !ok || d.Size != 1124<<10 {
		t.Errorf("the one item: %+v", d)
	}
	whole := neo4jRecords()
	for n := range whole {
		if _, err := (Neo4j{}).ParseProbe(Request{}, whole[:n]); err == nil {
			t.Fatalf("cut at %d: no error", n)
		}
	}
	for name, change := range map[string][]string{
		"no version":             {"5.26.1", "x"},
		"too old":                {"5.26.1", "3.5.9"},
		"an option":              {"\x00neo4j\x00", "\x00--to-path\x00"},
		"a path":                 {"\x00neo4j\x00", "\x00../x\x00"},
		"a hidden name":          {"\x00neo4j\x00", "\x00..\x00"},
		"all by a pattern":       {"\x00neo4j\x00", "\x00*\x00"},
		"twice":                  {"\x00neo4j\x00", "\x00system\x00"},
		"no directory":           {"\x00/data\x00", "\x00data\x00"},
		"the root":               {"\x00/data\x00", "\x00/\x00"},
		"a second line":          {"\x00/data\x00", "\x00/data\nx=y\x00"},
		"no database":            {"database\x00neo4j\x001024\x00database\x00system\x00100\x00", ""},
		"a record of no kind":    {"df\x00", "dg\x00"},
		"more than there can be": {"database\x00neo4j\x001024\x00", strings.Repeat("database\x00neo4j\x001024\x00", 300)},
	} {
		if _, err := (Neo4j{}).ParseProbe(Request{}, neo4jRecords(change...)); !errors.Is(err, errProbe) && !errors.Is(err, ErrBadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNeo4jCommands(t *testing.T) {
	for version, want := range map[string]string{
		"5.26.1":  "system.dump: neo4j-admin database dump --to-stdout system; neo4j.dump: neo4j-admin database dump --to-stdout neo4j",
		"2025.01": "system.dump: neo4j-admin database dump --to-stdout system; neo4j.dump: neo4j-admin database dump --to-stdout neo4j",
		"4.4.30":  "system.dump: neo4j-admin dump --database=system --to=FILE; neo4j.dump: neo4j-admin dump --database=neo4j --to=FILE",
	} {
		files, err := Neo4j{}.Files(Request{}, neo4jFactsOf(t, "5.26.1", version))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range files {
			if !f.Command.Gate || f.Item != "all" || f.Role != RoleDatabase {
				t.Errorf("%+v", f)
			}
			got = append(got, f.Name+": "+f.Command.Show)
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: %s", version, strings.Join(got, "; "))
		}
	}
	for _, req := range []Request{{Databases: []string{"neo4j"}}, {User: "neo4j"}} {
		if _, err := (Neo4j{}).Files(req, neo4jFactsOf(t)); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%+v: %v", req, err)
		}
	}
	if dirs := (Neo4j{}).FallbackDataDirs(func(name string) string {
		return map[string]string{"NEO4J_server_directories_data": "/elsewhere/"}[name]
	}, []string{"/data", "/logs", "/elsewhere/databases"}); !slices.Equal(dirs, []string{"/elsewhere", "/data", "/elsewhere/databases"}) {
		t.Errorf("%q", dirs)
	}
}

func TestNeo4jCanRestore(t *testing.T) {
	v := func(version string) Facts { return neo4jFactsOf(t, "5.26.1", version) }
	for _, c := range []struct {
		dumped, target string
		want           error
	}{
		{"5.26.1", "5.26.0", nil}, {"5.20.0", "5.26.1", nil}, {"5.26.1", "2025.02.0", nil}, {"5.26.1", "5.20.0", ErrNewerDump},
		{"2025.01.0", "5.26.1", ErrNewerDump}, {"4.4.9", "4.4.30", nil}, {"4.4.30", "5.26.1", ErrBadRequest}, {"5.1.0", "4.4.30", ErrNewerDump},
	} {
		if err := (Neo4j{}).CanRestore(v(c.dumped), v(c.target)); !errors.Is(err, c.want) {
			t.Errorf("%s into %s: %v", c.dumped, c.target, err)
		}
	}
	if err := (Neo4j{}).CanRestore(Facts{Engine: "slapd"}, v("5.26.1")); !errors.Is(err, ErrBadRequest) {
		t.Errorf("another engine: %v", err)
	}
}

func TestNeo4jPlace(t *testing.T) {
	dumped := neo4jFactsOf(t)
	now := neo4jFactsOf(t, "\x00/data\x00/data/transactions\x00", "\x00/mnt/x\x00/tx\x00", "neo4j", "other")
	p, err := Neo4j{}.Place(dumped, &now)
	if err != nil || !slices.Equal(p.Empty, []string{"/mnt/x/databases", "/tx"}) || p.Files != nil || p.Remove != nil || len(p.Load) != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	for i, name := range []string{"system", "neo4j"} {
		s := p.Load[i]
		if s.Input != InputDump || s.File != name+".dump" || !s.Command.Stdin || !slices.Equal(s.Command.Argv[4:], []string{"/mnt/x", "/tx", name}) {
			t.Errorf("%+v", s)
		}
	}
	if p, err := (Neo4j{}).Place(dumped, nil); err != nil || !slices.Equal(p.Empty, []string{"/data/databases", "/data/transactions"}) {
		t.Errorf("a server that cannot be asked: %+v, %v", p, err)
	}
	// What a snapshot of somebody else's may say.
	for name, facts := range map[string]*Neo4jFacts{
		"nothing": nil, "no database": {Dir: "/data", Logs: "/tx"},
		"the root":         {Dir: "/", Logs: "/tx", Databases: []string{"a"}},
		"a way out":        {Dir: "/data/../etc", Logs: "/tx", Databases: []string{"a"}},
		"all of the data":  {Dir: "/data", Logs: "/data", Databases: []string{"a"}},
		"above the data":   {Dir: "/data/x", Logs: "/data", Databases: []string{"a"}},
		"in the databases": {Dir: "/data", Logs: "/data/databases/tx", Databases: []string{"a"}},
		"a setting":        {Dir: "/data\nserver.jvm.additional=x", Logs: "/tx", Databases: []string{"a"}},
		"an option":        {Dir: "/data", Logs: "/tx", Databases: []string{"--force"}},
		"a path":           {Dir: "/data", Logs: "/tx", Databases: []string{"../../etc"}},
	} {
		if _, err := (Neo4j{}).Place(Facts{Engine: "neo4j", Neo4j: facts}, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNeo4jCame(t *testing.T) {
	dumped := neo4jFactsOf(t)
	if _, err := (Neo4j{}).Came(nil, dumped, neo4jFactsOf(t, "\x00neo4j\x001024", "\x00neo4j\x001024\x00database\x00more\x001")); err != nil {
		t.Error(err)
	}
	if _, err := (Neo4j{}).Came(nil, dumped, neo4jFactsOf(t, "\x00neo4j\x00", "\x00other\x00")); err == nil || !strings.Contains(err.Error(), `"neo4j"`) {
		t.Errorf("a database that is not there: %v", err)
	}
}

func TestNeo4jExplains(t *testing.T) {
	for text, want := range map[string]string{
		"neo4j-admin is not in the container": "no neo4j-admin", "Active logical log detected, this might be a source of inconsistencies.": "stop_grace_period",
		"The database is in use. Stop database 'neo4j' and try again.": "stop what mounts", "no space left for a dump of 7 KiB": "make room",
	} {
		if got := (Neo4j{}).Explain(text, 1); !strings.Contains(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// zstdFrame is a frame of one block each of the kinds, with a sum.
func zstdFrame(content string) []byte {
	b := []byte(zstdMagic + "\x04\x58") // a sum, and the size of its window
	b = append(b, byte(len(content)<<3), byte(len(content)>>5), 0)
	b = append(b, content...)                   // as it is
	b = append(b, 0b10|7<<3, 0, 0, 'x')         // seven times x
	b = append(b, 0b101|3<<3, 0, 0, 0, 1, 2)    // compressed, the last
	return append(b, 0xde, 0xad, 0xbe, 0xef, 0) // and one more, which is cut off below
}

func judgeNeo4j(b []byte, piece int) error {
	p := newNeo4jProof()
	for part := range slices.Chunk(b, piece) {
		p.Write(part)
	}
	return p.Finish()
}

func TestNeo4jProof(t *testing.T) {
	frame := zstdFrame("some content")
	frame = frame[:len(frame)-1]
	two := slices.Concat([]byte(neo4jZstd), frame, frame)
	for _, whole := range [][]byte{frame, append([]byte(neo4jZstd), frame...), two} {
		ends := 0
		for _, piece := range []int{1, 2, 3, 7, len(whole)} {
			if err := judgeNeo4j(whole, piece); err != nil {
				t.Errorf("in pieces of %d: %v", piece, err)
			}
		}
		for n := range whole {
			switch err := judgeNeo4j(whole[:n], 5); {
			case err == nil:
				ends++
			case n == 0 && !errors.Is(err, ErrEmptyDump), n > 0 && !errors.Is(err, ErrCutDump):
				t.Errorf("cut at %d: %v", n, err)
			}
		}
		if want := bytes.Count(whole, []byte(zstdMagic)) - 1; ends != want {
			t.Errorf("%d cuts look whole, want %d: between frames", ends, want)
		}
		if err := judgeNeo4j(append(bytes.Clone(whole), "more"...), 5); !errors.Is(err, ErrBadDump) {
			t.Errorf("something follows: %v", err)
		}
	}
	for name, bad := range map[string]string{
		"text": "Picked up JAVA_TOOL_OPTIONS: -Xmx1g\n" + string(frame), "a block of no kind": zstdMagic + "\x04\x58\x06\x00\x00", "a block too large": zstdMagic + "\x04\x58\x00\xff\xff",
		"a head of no kind": zstdMagic + "\x0c\x58", "the mark alone, and text": neo4jZstd + "text",
	} {
		if err := judgeNeo4j([]byte(bad), 5); !errors.Is(err, ErrBadDump) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []struct {
		text string
		want error
	}{{neo4jGzip + gzipMagic + strings.Repeat("x", 20), nil}, {gzipMagic + strings.Repeat("x", 20), nil}, {neo4jGzip, ErrCutDump}, {gzipMagic + "x", ErrCutDump}} {
		if err := judgeNeo4j([]byte(c.text), 3); !errors.Is(err, c.want) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
}

// TestNeo4jProofOfARealFrame takes what zstd itself writes.
func TestNeo4jProofOfARealFrame(t *testing.T) {
	zstd, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("there is no zstd")
	}
	for _, flags := range [][]string{{"--check"}, {"--no-check"}, {"--check", "-T2", "-19"}} {
		cmd := exec.Command(zstd, append(flags, "-q", "-c")...)
		cmd.Stdin = strings.NewReader(strings.Repeat("some content, again and again; ", 40000) + strings.Repeat("\x00", 300000))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := judgeNeo4j(out, 1000); err != nil {
			t.Errorf("%q: %v", flags, err)
		}
		if err := judgeNeo4j(out[:len(out)-1], 1000); !errors.Is(err, ErrCutDump) {
			t.Errorf("%q, cut: %v", flags, err)
		}
	}
}

func FuzzNeo4jProof(f *testing.F) {
	frame := zstdFrame("content")
	f.Add(frame[:len(frame)-1], 3)
	f.Add([]byte(neo4jGzip), 1)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		if piece < 1 {
			return
		}
		if (judgeNeo4j(b, piece) == nil) != (judgeNeo4j(b, len(b)+1) == nil) {
			t.Fatal("the pieces matter")
		}
	})
}

// TestNeo4jFindsItsFiles runs the probe where a server could be.
func TestNeo4jFindsItsFiles(t *testing.T) {
	for _, c := range []struct {
		name, conf string
		env        []string
		dir, logs  string
	}{
		{"by default", "", nil, "data", "data/transactions"},
		{"by the file", "#server.directories.data=no\nserver.directories.data=/ROOT/elsewhere\n", nil, "elsewhere", "elsewhere/transactions"},
		{"by a relative path of 4.x", "dbms.directories.data=elsewhere\ndbms.directories.transaction.logs.root=/ROOT/tx\n", nil, "elsewhere", "tx"},
		{"by the environment", "server.directories.data=no\n", []string{"NEO4J_server_directories_data=/ROOT/elsewhere", "NEO4J_server_directories_transaction_logs_root=/ROOT/tx"}, "elsewhere", "tx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{
				"conf/neo4j.conf": strings.ReplaceAll(c.conf, "/ROOT", root), "bin/neo4j-admin": "#!/bin/sh\nexit 1\n", "lib/neo4j-kernel-5.26.1.jar": "", "lib/neo4j-kernel-api-5.0.0.jar": "",
				c.dir + "/databases/neo4j/neostore": "", c.dir + "/databases/system/neostore": "", c.dir + "/databases/store_lock": "", c.logs + "/neo4j/log": "",
			} {
				at := filepath.Join(root, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o755)); err != nil {
					t.Fatal(err)
				}
			}
			argv := Neo4j{}.Probe(Request{}).Argv
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NEO4J_HOME=" + root}
			for _, e := range c.env {
				cmd.Env = append(cmd.Env, strings.ReplaceAll(e, "/ROOT", root))
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			f, err := Neo4j{}.ParseProbe(Request{}, out)
			if err != nil || f.Neo4j.Dir != filepath.Join(root, c.dir) || f.Neo4j.Logs != filepath.Join(root, c.logs) || !slices.Equal(f.Neo4j.Databases, []string{"system", "neo4j"}) || f.ServerVersion != "5.26.1" {
				t.Errorf("%v: %+v", err, f.Neo4j)
			}
		})
	}
}
