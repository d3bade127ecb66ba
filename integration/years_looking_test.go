package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// lines decodes what is printed as one object per line.
func lines[T any](t testing.TB, out string) (list []T) {
	t.Helper()
	for line := range strings.Lines(out) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, v)
	}
	return list
}

// looks compares the snapshots, finds a file in them, and measures them.
func (a *aged) looks() {
	a.t.Helper()
	t := a.t
	type difference struct {
		Change struct{ Change, Item, Path string }
	}
	var got []string
	for _, d := range lines[difference](t, a.mustRun("diff", a.first, a.second, "--json")) {
		got = append(got, d.Change.Change+" "+strings.TrimPrefix(d.Change.Path, "/"+a.name+"/volumes/data/"))
	}
	slices.Sort(got)
	// The last line is the summary, which is no change. The volume's root has
	// another time, since something was made in it.
	want := []string{" ", "added d/hard", "added later", "added later/invoice.pdf", "changed d/a", "metadata d", "removed d/big"}
	if got = slices.DeleteFunc(got, func(s string) bool { return s == "metadata /"+a.name+"/volumes/data" }); !slices.Equal(got, want) {
		t.Errorf("diff: %q, want %q", got, want)
	}

	type found struct {
		Path     string
		Versions []struct {
			Size      int64
			Snapshots []struct{ ID string }
		}
	}
	in := lines[found](t, a.mustRun("find", "a", "*.pdf", "--json"))
	slices.SortFunc(in, func(x, y found) int { return strings.Compare(x.Path, y.Path) })
	if len(in) != 2 || len(in[0].Versions) != 2 || len(in[1].Versions) != 1 || in[1].Versions[0].Size != 700_000 || in[1].Versions[0].Snapshots[0].ID != a.second {
		t.Errorf("find: %+v", in)
	}

	type sizes struct {
		Ours   int64 `json:"restore_size"`
		Theirs int64 `json:"total_size"`
	}
	var ours, theirs sizes
	a.decode(a.mustRun("stats", "--json"), &ours)
	a.decode(resticS3(t, a.g, "app", "stats", "--json"), &theirs)
	if ours.Ours != theirs.Theirs || ours.Ours < 3_000_000 {
		t.Errorf("stats: %d bytes; restic says %d", ours.Ours, theirs.Theirs)
	}
}

// exports takes a volume out as people without ripplebak read it: by GNU tar,
// zstd and age.
func (a *aged) exports() {
	a.t.Helper()
	t := a.t
	root, dir := a.mountpoint("data"), t.TempDir()
	extracted := func(name, archive string) string {
		t.Helper()
		to := filepath.Join(dir, name)
		if err := os.Mkdir(to, 0o755); err != nil {
			t.Fatal(err)
		}
		must(t, "tar", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-C", to, "-xpf", archive)
		return to
	}
	file := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		writeFile(t, path, content)
		return path
	}
	assertSame(t, root, extracted("plain", file("plain.tar", a.mustRun("export", "latest", "data"))))

	key := filepath.Join(dir, "key")
	must(t, "age-keygen", "-o", key)
	recipient := strings.TrimSpace(must(t, "age-keygen", "-y", key))
	sealed := file("all.tar.zst.age", a.mustRun("export", a.second, "--zstd", "--recipient", recipient))
	if strings.Contains(readFile(t, sealed), "HELLO") {
		t.Error("the encrypted export can be read")
	}
	must(t, "age", "-d", "-i", key, "-o", filepath.Join(dir, "all.tar.zst"), sealed)
	must(t, "zstd", "-qd", filepath.Join(dir, "all.tar.zst"))
	assertSame(t, root, filepath.Join(extracted("all", filepath.Join(dir, "all.tar")), a.name, "volumes", "data"))

	other := filepath.Join(dir, "other")
	must(t, "age-keygen", "-o", other)
	if r := command(t, "", nil, "", "age", "-d", "-i", other, sealed); r.code == 0 {
		t.Error("somebody else's key decrypts it")
	}
}

// copies to a second repository on the same server, which has another password,
// and restores from that alone.
func (a *aged) copies() {
	a.t.Helper()
	t := a.t
	const copyPassword = "the password of the copy"
	a.env["RIPPLEBAK_COPY_TO"], a.env["RIPPLEBAK_COPY_PASSWORD"] = s3Location(a.g.Host, "copy"), copyPassword
	type report struct {
		Copies []struct {
			Error     string
			Snapshots []struct{ Snapshot, Copy string }
		}
	}
	var done report
	a.decode(a.mustRun("copy", "--json"), &done)
	if len(done.Copies) != 1 || len(done.Copies[0].Snapshots) != 2 || done.Copies[0].Snapshots[0].Snapshot != a.second {
		t.Fatalf("copy: %+v; want both, the newest first", done)
	}
	a.inVolume("data", "echo once more > d/more")
	var run report
	a.decode(a.mustRun("backup", "--json"), &run)
	if len(run.Copies) != 1 || run.Copies[0].Error != "" || len(run.Copies[0].Snapshots) != 1 {
		t.Fatalf("the copy after a run: %+v", run.Copies)
	}
	if got := resticIDs(t, a, "copy", copyPassword, "project:"+a.name); len(got) != 3 || !slices.Contains(got, run.Copies[0].Snapshots[0].Copy) {
		t.Errorf("restic sees %v in the copy", got)
	}
	a.wantClean("copy", copyPassword)
	if r := resticWith(t, a.g, "copy", password, "snapshots"); r.code == 0 {
		t.Error("the repository's password opens the copy")
	}

	files := a.inVolume("data", fingerprint)
	a.inVolume("data", "rm -r d later; echo other > other")
	lost := []string{"RIPPLEBAK_REPOSITORY=" + s3Location(a.g.Host, "lost")} // and the copy is all there is
	if r := a.runEnv(lost, "restore", "--from", "copy", "latest", "--yes", "--no-safety-snapshot"); r.code != 0 {
		t.Errorf("restore --from copy: %s", r)
	}
	if got := a.inVolume("data", fingerprint); got != files {
		t.Errorf("files after the restore:\n%s\nwant\n%s", got, files)
	}
	if n := len(objects(t, a.g, "lost", "")); n != 0 {
		t.Errorf("the restore has put %d files where there is no repository", n)
	}
	delete(a.env, "RIPPLEBAK_COPY_TO")
	delete(a.env, "RIPPLEBAK_COPY_PASSWORD")
}
