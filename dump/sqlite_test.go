package dump

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

// sqliteOf is as much of a database as its header says.
func sqliteOf(page uint16, pages int) []byte {
	size := int(page)
	if page == 1 {
		size = 64 << 10
	}
	b := make([]byte, size*pages)
	copy(b, "SQLite format 3\x00")
	binary.BigEndian.PutUint16(b[16:], page)
	binary.BigEndian.PutUint32(b[28:], uint32(pages))
	return b
}

func proveSQLite(b []byte, step int) error {
	p := SQLite{}.Judge(RoleDatabase, "")
	for len(b) > 0 {
		n := min(step, len(b))
		p.Write(b[:n])
		b = b[n:]
	}
	return p.Finish()
}

func TestASQLiteCopyHasAsManyPagesAsItSays(t *testing.T) {
	whole := sqliteOf(4096, 3)
	for _, step := range []int{1, 7, 100, 1 << 20} {
		if err := proveSQLite(whole, step); err != nil {
			t.Errorf("in steps of %d: %v", step, err)
		}
	}
	if err := proveSQLite(sqliteOf(1, 2), 5000); err != nil {
		t.Errorf("pages of 64 KiB: %v", err)
	}
	for n := range len(whole) {
		if n%1000 != 0 && n > 120 {
			continue
		}
		if err := proveSQLite(whole[:n], 4096); n > 0 && !errors.Is(err, ErrCutDump) || n == 0 && !errors.Is(err, ErrEmptyDump) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	for what, b := range map[string][]byte{
		"a byte more":      append(slices.Clone(whole), 0),
		"another magic":    append([]byte("SQLite format 4\x00"), whole[16:]...),
		"pages of 1000":    sqliteOf(1000, 3),
		"pages of nothing": append(slices.Clone(whole[:16]), make([]byte, 4080)...),
	} {
		if err := proveSQLite(b, 4096); !errors.Is(err, ErrBadDump) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhereSQLiteIsSought(t *testing.T) {
	mounts := []Mount{{"data", "/data"}, {"logs", "/data/logs"}, {"twice", "/a"}, {"twice", "/b"}}
	for _, c := range []struct {
		paths []string
		want  []Search
	}{
		{nil, []Search{{"data", []string{""}}, {"logs", []string{""}}, {"twice", []string{""}}}},
		{[]string{"/data/app.db"}, []Search{{"data", []string{"app.db"}}}},
		{[]string{"/data/*/x.db", "/data/logs/l.db"}, []Search{{"data", []string{"", "logs/l.db"}}, {"logs", []string{"", "l.db"}}}},
		{[]string{"/**/*.db"}, []Search{{"data", []string{""}}, {"logs", []string{""}}, {"twice", []string{""}}}},
		{[]string{"/database/app.db"}, nil},
	} {
		got := SQLite{}.Seek(Request{Paths: c.paths}, mounts)
		if !slices.EqualFunc(got, c.want, func(a, b Search) bool { return a.Volume == b.Volume && slices.Equal(a.Within, b.Within) }) {
			t.Errorf("%q: %v, want %v", c.paths, got, c.want)
		}
	}
}

func TestWhatWasFoundOfSQLite(t *testing.T) {
	mounts := []Mount{{"data", "/data"}, {"data", "/again"}}
	found := []FoundFile{{Volume: "data", Path: "app.db", Size: 4096, Owner: Owner{1, 2, 0o640}}, {Volume: "data", Path: "sub/[x].db", Size: 512}}
	facts := SQLite{}.Found(Request{}, mounts, found)
	if len(facts.Databases) != 2 || facts.Databases[0].Name != "data/app.db" || len(facts.Absent) != 0 {
		t.Fatalf("%+v", facts)
	}
	facts = SQLite{}.Found(Request{Paths: []string{"/again/app.db", "/data/none.db", "/data/s*/*"}}, mounts, found)
	if len(facts.Databases) != 2 || facts.Databases[0].Name != "again/app.db" || len(facts.Absent) != 1 || facts.Absent[0].Name != "data/none.db" {
		t.Fatalf("%+v", facts)
	}
	files, err := SQLite{}.Files(Request{Databases: []string{"data/sub/[x].db"}}, facts)
	if err != nil || len(files) != 1 || files[0].Name != "data%2Fsub%2F[x].db.sqlite" || *files[0].Copy != (Copy{"data", "sub/[x].db"}) {
		t.Fatalf("%+v, %v", files, err)
	}
}

func TestWhereSQLiteIsPlaced(t *testing.T) {
	facts := SQLite{}.Found(Request{}, []Mount{{"data", "/data"}}, []FoundFile{{Volume: "data", Path: "a/app.db", Owner: Owner{1, 2, 0o640}}, {Volume: "data", Path: "top.db"}})
	if _, err := (SQLite{}).Place(facts, nil); err == nil {
		t.Error("two files have one place")
	}
	b, err := json.Marshal(facts.Of("data/a/app.db"))
	if err != nil {
		t.Fatal(err)
	}
	var stored Facts
	if err := json.Unmarshal(b, &stored); err != nil {
		t.Fatal(err)
	}
	p, err := SQLite{}.Place(stored, nil)
	if err != nil || p.Volume != "data" || p.Dir != "/a" || !slices.Equal(p.Files, []string{"app.db"}) || *p.Owner != (Owner{1, 2, 0o640}) ||
		!slices.Equal(p.Remove, []string{"app.db-journal", "app.db-shm", "app.db-wal"}) {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{"", "../x", "/x", "a/../../x", "a//b", "."} {
		stored.SQLite.Files[0].Path = bad
		if p, err := (SQLite{}).Place(stored, nil); err == nil {
			t.Errorf("%q is placed at %+v", bad, p)
		}
	}
}

func TestSQLiteCameOrNot(t *testing.T) {
	proof := SQLite{}.Judge(RoleDatabase, "")
	proof.Write(sqliteOf(4096, 3))
	now := func(c *CheckedFile) Facts { return Facts{SQLite: &SQLiteFacts{Files: []SQLiteFile{{Checked: c}}}} }
	if _, err := (SQLite{}).Came(proof, Facts{}, now(&CheckedFile{Pages: 3, PageSize: 4096})); err != nil {
		t.Error(err)
	}
	for _, c := range []*CheckedFile{nil, {Pages: 3, PageSize: 4096, Problem: "row 1 missing"}, {Pages: 2, PageSize: 4096}} {
		if _, err := (SQLite{}).Came(proof, Facts{}, now(c)); err == nil {
			t.Errorf("%+v came", c)
		}
	}
}
