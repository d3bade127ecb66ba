package dump

import (
	"encoding/binary"
	"errors"
	"hash/crc64"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// bsonDoc writes a document of texts, whole numbers and yes or no, as pairs.
func bsonDoc(pairs ...any) []byte {
	body := []byte{}
	for i := 0; i < len(pairs); i += 2 {
		name := append([]byte(pairs[i].(string)), 0)
		switch v := pairs[i+1].(type) {
		case string:
			body = append(append(body, 0x02), name...)
			body = binary.LittleEndian.AppendUint32(body, uint32(len(v)+1))
			body = append(append(body, v...), 0)
		case int32:
			body = append(append(body, 0x10), name...)
			body = binary.LittleEndian.AppendUint32(body, uint32(v))
		case int64:
			body = append(append(body, 0x12), name...)
			body = binary.LittleEndian.AppendUint64(body, uint64(v))
		case bool:
			body = append(append(body, 0x08), name...)
			if v {
				body = append(body, 1)
			} else {
				body = append(body, 0)
			}
		}
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(body)+5))
	return append(append(out, body...), 0)
}

// mongoArchive writes archives as the published format says.
type mongoArchive struct {
	b    []byte
	sums map[string]uint64
}

func newMongoArchive(collections ...string) *mongoArchive {
	a := &mongoArchive{b: binary.LittleEndian.AppendUint32(nil, 0x8199e26d), sums: map[string]uint64{}}
	a.add(bsonDoc("concurrent_collections", int32(1), "version", "0.1", "server_version", "7.0.5", "tool_version", "100.9.4"))
	for _, c := range collections {
		db, name, _ := strings.Cut(c, ".")
		kind := "collection"
		if rest, ok := strings.CutPrefix(name, "series:"); ok {
			name, kind = rest, "timeseries"
		}
		a.add(bsonDoc("db", db, "collection", name, "metadata", `{"options":{}}`, "size", int32(0), "type", kind))
	}
	return a.end()
}

func (a *mongoArchive) add(doc []byte) { a.b = append(a.b, doc...) }

func (a *mongoArchive) end() *mongoArchive {
	a.b = append(a.b, 0xff, 0xff, 0xff, 0xff)
	return a
}

func (a *mongoArchive) head(c string, last bool, sum uint64) {
	db, name, _ := strings.Cut(c, ".")
	a.add(bsonDoc("db", db, "collection", name, "EOF", last, "CRC", int64(sum)))
}

// block adds documents of a collection.
func (a *mongoArchive) block(c string, docs ...[]byte) *mongoArchive {
	a.head(c, false, 0)
	for _, d := range docs {
		a.add(d)
		a.sums[c] = crc64.Update(a.sums[c], crc64.MakeTable(crc64.ECMA), d)
	}
	return a.end()
}

func (a *mongoArchive) last(c string) *mongoArchive {
	a.head(c, true, a.sums[c])
	return a.end()
}

// wholeArchive has collections that take turns, an empty one, a view, one of a
// time series, and the oplog, which is in no database.
func wholeArchive() []byte {
	a := newMongoArchive("shop.orders", "shop.empty", "shop.view", "shop.series:temperature", "admin.system.users", ".oplog")
	a.block("admin.system.users", bsonDoc("_id", "admin.root")).last("admin.system.users")
	a.block("shop.orders", bsonDoc("_id", int32(1)), bsonDoc("_id", int32(2), "note", strings.Repeat("x", 5000)))
	a.block("shop.system.buckets.temperature", bsonDoc("_id", int32(7)))
	a.block("shop.orders", bsonDoc("_id", int32(3)))
	a.last("shop.view").last("shop.empty").last("shop.orders").last("shop.system.buckets.temperature")
	return a.block(".oplog", bsonDoc("op", "n")).last(".oplog").b
}

func proveMongo(b []byte, step int) (Proof, error) {
	p := newMongoProof()
	for part := range slices.Chunk(b, step) {
		p.Write(part)
	}
	return p, p.Finish()
}

func TestMongoArchiveIsProven(t *testing.T) {
	whole := wholeArchive()
	for _, step := range []int{1, 3, 4096, len(whole)} {
		p, err := proveMongo(whole, step)
		if err != nil {
			t.Fatalf("in steps of %d: %v", step, err)
		}
		if got := p.Summary(); got != "7 collections, 6 documents" {
			t.Errorf("in steps of %d: %s", step, got)
		}
	}
	if _, err := proveMongo(newMongoArchive().b, 7); err != nil {
		t.Errorf("of an empty server: %v", err)
	}
}

func TestF08_MongoArchiveThatIsCut(t *testing.T) {
	whole := wholeArchive()
	for n := range whole {
		if _, err := proveMongo(whole[:n], 512); !errors.Is(err, ErrCutDump) && !errors.Is(err, ErrEmptyDump) && !errors.Is(err, ErrBadDump) {
			t.Fatalf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
}

func TestMongoArchiveThatIsDamaged(t *testing.T) {
	whole := wholeArchive()
	at := strings.Index(string(whole), "xxxxx")
	damaged := slices.Clone(whole)
	damaged[at+100] = 'y'
	if _, err := proveMongo(damaged, 512); !errors.Is(err, ErrBadDump) || !strings.Contains(err.Error(), "shop.orders") {
		t.Errorf("a changed document: %v", err)
	}
	for name, b := range map[string][]byte{
		"another format":           []byte("PGDMP and more"),
		"compressed":               {0x1f, 0x8b, 8, 0, 0, 0, 0, 0},
		"an error text":            []byte("mongodump: command not found\n"),
		"goes on behind its end":   newMongoArchive("a.b").last("a.b").last("a.b").b,
		"a huge document":          append(newMongoArchive("a.b").b, 0xff, 0xff, 0xff, 0x7f),
		"a tiny document":          append(newMongoArchive("a.b").b, 4, 0, 0, 0),
		"a terminator too many":    newMongoArchive("a.b").last("a.b").end().b,
		"something behind the end": append(newMongoArchive("a.b").last("a.b").b, 'x'),
		"documents in the last one": func() []byte {
			a := newMongoArchive("a.b")
			a.head("a.b", true, 0)
			a.add(bsonDoc("x", "y"))
			return a.end().b
		}(),
		"no name": func() []byte { a := newMongoArchive(); a.head("a.", true, 0); return a.end().b }(),
	} {
		if _, err := proveMongo(b, 5); !errors.Is(err, ErrBadDump) && !errors.Is(err, ErrCutDump) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := proveMongo(newMongoArchive("a.b", "a.c").last("a.b").b, 5); !errors.Is(err, ErrCutDump) || !strings.Contains(err.Error(), "a.c") {
		t.Errorf("a collection that did not come: %v", err)
	}
	if _, err := proveMongo(newMongoArchive("a.b").block("a.b", bsonDoc("x", "y")).b, 5); !errors.Is(err, ErrCutDump) {
		t.Errorf("a collection without an end: %v", err)
	}
}

// FuzzMongoArchive holds that no bytes break the reader, and that in which
// parts they come makes no difference.
func FuzzMongoArchive(f *testing.F) {
	f.Add(wholeArchive(), 7)
	f.Add(newMongoArchive("a.b").last("a.b").b, 1)
	f.Add(newMongoArchive().b, 3)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		if step < 1 || step > 1<<20 {
			return
		}
		one, oneErr := proveMongo(b, max(len(b), 1))
		two, twoErr := proveMongo(b, step)
		if (oneErr == nil) != (twoErr == nil) || oneErr == nil && one.Summary() != two.Summary() {
			t.Fatalf("at once: %v; in steps of %d: %v", oneErr, step, twoErr)
		}
	})
}

const mongoSaid = `tools 100.9.4
secret
server {"version":"7.0.5","set":"rs0","mongos":false,"primary":true,"databases":[{"name":"admin","size":100},{"name":"config","size":5},{"name":"local","size":5},{"name":"shop","size":4000}]}
end
`

func mongoFacts(t *testing.T, said string) Facts {
	t.Helper()
	facts, err := Mongo{}.ParseProbe(Request{}, []byte(said))
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestMongoCommands(t *testing.T) {
	facts := mongoFacts(t, mongoSaid)
	shows := func(req Request, facts Facts) string {
		files, err := Mongo{}.Files(req, facts)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range files {
			all = append(all, f.Name+": "+f.Command.Show)
		}
		return strings.Join(all, "; ")
	}
	if got := shows(Request{}, facts); got != "all.archive: mongodump --archive --numParallelCollections=1 --oplog" {
		t.Error(got)
	}
	if got := shows(Request{Databases: []string{"shop"}}, facts); got != "shop.archive: mongodump --archive --numParallelCollections=1 --db=shop" {
		t.Error(got)
	}
	alone := mongoFacts(t, strings.Replace(mongoSaid, `"rs0"`, `""`, 1))
	if got := shows(Request{}, alone); strings.Contains(got, "--oplog") || len(alone.Warnings) != 1 {
		t.Errorf("without a replica set: %s, %q", got, alone.Warnings)
	}
	if _, err := (Mongo{}).Files(Request{Databases: []string{"nix"}}, facts); !errors.Is(err, ErrBadRequest) {
		t.Errorf("a database that is not there: %v", err)
	}
	for _, c := range []struct {
		database string
		dumped   Facts
		want     string
	}{
		{"all", facts, "mongorestore --archive --drop --stopOnError --oplogReplay"},
		{"all", alone, "mongorestore --archive --drop --stopOnError"},
		{"shop", facts, "mongorestore --archive --drop --stopOnError --nsInclude=shop.*"},
	} {
		steps, err := Mongo{}.Restore(RestoreRequest{Dumped: c.dumped, Target: facts, Database: c.database})
		if err != nil || len(steps) != 1 || steps[0].Command.Show != c.want || steps[0].Input != InputDump {
			t.Errorf("%s: %+v, %v", c.database, steps, err)
		}
		if got, _ := (Mongo{}).InPlace(c.database, Request{}, c.dumped); got != c.want {
			t.Errorf("the plan says %s", got)
		}
	}
}

func TestMongoRefuses(t *testing.T) {
	facts := mongoFacts(t, mongoSaid)
	older := mongoFacts(t, strings.Replace(mongoSaid, "7.0.5", "6.0.1", 1))
	if err := (Mongo{}).CanRestore(facts, older); !errors.Is(err, ErrNewerDump) {
		t.Errorf("a newer dump: %v", err)
	}
	if err := (Mongo{}).CanRestore(older, facts); err != nil {
		t.Errorf("an older dump: %v", err)
	}
	secondary := mongoFacts(t, strings.Replace(mongoSaid, `"primary":true`, `"primary":false`, 1))
	if err := (Mongo{}).CanRestore(facts, secondary); !errors.Is(err, ErrBadRequest) {
		t.Errorf("a secondary: %v", err)
	}
	for _, name := range []string{"a.b", "*", "a b", "", "$x", `a\b`, strings.Repeat("x", 64)} {
		if err := (Mongo{}).Check(Request{Databases: []string{name}}); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, bad := range []string{"", "end", "tools 100.9.4\nend\n", strings.TrimSuffix(mongoSaid, "end\n"), "tools 100.9\nserver {\nend\n"} {
		if _, err := (Mongo{}).ParseProbe(Request{}, []byte(bad)); err == nil {
			t.Errorf("%q is taken for an answer", bad)
		}
	}
	if _, err := (Mongo{}).ParseProbe(Request{}, []byte(strings.Replace(mongoSaid, "100.9.4", "100.2.1", 1))); !errors.Is(err, ErrBadRequest) {
		t.Errorf("tools that cannot take a password: %v", err)
	}
}

// mongoTools are stand-ins that note what they are given.
func mongoTools(t *testing.T, shell string) (run func(script []string, stdin string, env ...string) string, notes string) {
	t.Helper()
	dir := t.TempDir()
	notes = filepath.Join(dir, "notes")
	write := func(name, script string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tool := `case $1 in --version) echo "mongodump version: 100.9.4"; exit ;; esac
printf 'argument %s\n' "$@" >>"$NOTES"
for a do case $a in --config=*) sed 's/^/config /' "${a#--config=}" >>"$NOTES" ;; esac; done
`
	write("mongodump", tool+"echo the dump\n")
	write("mongorestore", tool+"sed 's/^/input /' >>\"$NOTES\"\n")
	// It writes a prompt, and the lines that it reads.
	write("mongosh", `printf 'argument %s\n' "$@" >>"$NOTES"
sed 's/^/test> /' | tee -a "$NOTES.script"
echo 'test> ripplebak<{"version":"7.0.5","set":"","mongos":false,"primary":true,"databases":[]}>end'
`)
	return func(script []string, stdin string, env ...string) string {
		cmd := exec.Command(shell, script[1:]...)
		cmd.Env = append([]string{"PATH=" + dir + ":" + os.Getenv("PATH"), "NOTES=" + notes}, env...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}, notes
}

func TestF48_MongoPasswordIsNoArgument(t *testing.T) {
	secretFile := filepath.Join(t.TempDir(), "secret")
	const secret = `it's $HOME "a" \ secret`
	if err := os.WriteFile(secretFile, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"MONGO_INITDB_ROOT_USERNAME=root", "MONGO_INITDB_ROOT_PASSWORD_FILE=" + secretFile}
	for _, shell := range []string{"bash", "dash"} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("there is no %s", shell)
			}
			run, notes := mongoTools(t, shell)
			out := run(Mongo{}.Probe(Request{}).Argv, "", env...)
			if _, err := (Mongo{}).ParseProbe(Request{}, []byte(out)); err != nil || strings.Contains(out, "var u=") {
				t.Errorf("%v: %s", err, out)
			}
			facts := mongoFacts(t, mongoSaid)
			files, err := Mongo{}.Files(Request{}, facts)
			if err != nil {
				t.Fatal(err)
			}
			if got := run(files[0].Command.Argv, "", env...); got != "the dump\n" {
				t.Errorf("the dump is %q", got)
			}
			steps, err := Mongo{}.Restore(RestoreRequest{Dumped: facts, Target: facts, Database: "all"})
			if err != nil {
				t.Fatal(err)
			}
			run(steps[0].Command.Argv, "line one\nline two\n", env...)
			noted, err := os.ReadFile(notes)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{
				"argument --username=root\n", "argument --authenticationDatabase=admin\n", "argument --archive\n", "argument --oplog\n", "argument --oplogReplay\n",
				"config password: 'it''s $HOME \"a\" \\ secret'\n", "input line one\ninput line two\n", "argument 127.0.0.1:27017/admin\n",
			} {
				if !strings.Contains(string(noted), want) {
					t.Errorf("%q is missing in\n%s", want, noted)
				}
			}
			for line := range strings.Lines(string(noted)) {
				if strings.HasPrefix(line, "argument") && strings.Contains(line, "secret") {
					t.Errorf("the password is an argument: %s", line)
				}
			}
		})
	}
}

// TestMongoHeadersAreKeptInPart: what is kept of a document about the archive
// does not grow with the number of its fields.
func TestMongoHeadersAreKeptInPart(t *testing.T) {
	pairs := []any{"db", "shop", "collection", "orders", "EOF", true, "CRC", int64(7)}
	for i := range 10000 {
		pairs = append(pairs, "x"+strconv.Itoa(i), int32(1))
	}
	fields, err := readBSON(bsonDoc(pairs...))
	if err != nil || len(fields) != 4 || fields["db"].text != "shop" || fields["EOF"].number != 1 || fields["CRC"].number != 7 {
		t.Errorf("%d fields are kept: %v", len(fields), err)
	}
	for _, twice := range []string{"db", "collection", "EOF"} {
		if _, err := readBSON(bsonDoc(append(pairs, twice, int32(0))...)); !errors.Is(err, ErrBadDump) {
			t.Errorf("%s is named twice: %v", twice, err)
		}
	}
	cut := bsonDoc(pairs...)
	if _, err := readBSON(append(cut[:len(cut)-3:len(cut)-3], 0)); !errors.Is(err, ErrBadDump) {
		t.Errorf("a field that is cut: %v", err)
	}
}
