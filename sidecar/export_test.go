package sidecar

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/plugin"
	"github.com/klauspost/compress/zstd"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

// pluginName is the age plugin that this test binary is when it is called so.
const pluginName = "rbtest"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == pluginBinary+pluginName {
		os.Exit(testPlugin())
	}
	os.Exit(m.Run())
}

// testPlugin encrypts to the native recipient that its own one names.
func testPlugin() int {
	p, err := plugin.New(pluginName)
	if err != nil {
		return 1
	}
	p.HandleRecipient(func(data []byte) (age.Recipient, error) {
		if err := p.DisplayMessage("touch \x1b[2J the key"); err != nil {
			return nil, err
		}
		return age.ParseX25519Recipient(string(data))
	})
	return p.Main()
}

// randomText is content that cannot be compressed, the same each time.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return string(b)
}

// stocked is a library with a bad newest snapshot: the dump is only good in
// the one before, and one volume is partial.
func stocked(t *testing.T) (l *library, older, newer repository.ID) {
	l = newLibrary(t)
	dump := map[string]string{"shop.dump": "PGDMP\x01\x00\xff", "shop.sql": "GRANT;"}
	older = l.shelve(day(1), nil, shelvedDump("db", "shop", dump), shelvedDump("db", "", map[string]string{"globals.sql": "CREATE ROLE;"}),
		shelvedVolume("uploads", map[string]string{"a": "old"}))
	failed := shelvedDump("db", "shop", nil)
	failed.State, failed.Error = manifest.Failed, "gone"
	partial := shelvedVolume("part", map[string]string{"p": "p"})
	partial.State = manifest.Partial
	newer = l.shelve(day(2), func(s *repository.Snapshot) { s.Tags = append(s.Tags, TagIncomplete) }, failed, partial,
		shelvedVolume("uploads", map[string]string{"a": "new", "d/b\xff\x1b": strings.Repeat("0123456789", 200_000), "d/l": "-> ../a", "random": randomText(300_000)}))
	l.shelve(day(3), func(s *repository.Snapshot) { s.Tags = append(s.Tags, TagSafety) }, shelvedVolume("uploads", map[string]string{"a": "safety"}))
	return l, older, newer
}

func (l *library) export(opt ExportOptions) (string, *ExportReport) {
	l.t.Helper()
	var out bytes.Buffer
	opt.Output = &out
	rep, err := l.app.Export(l.t.Context(), opt)
	// What is missing from a snapshot must show in the exit code too.
	if rep != nil && len(rep.NotGood) > 0 != errors.Is(err, ErrIncomplete) || err != nil && !errors.Is(err, ErrIncomplete) {
		l.t.Fatalf("%+v: %v", opt, err)
	}
	sum := sha256.Sum256(out.Bytes())
	if rep.Size != int64(out.Len()) || rep.SHA256 != hex.EncodeToString(sum[:]) {
		l.t.Errorf("%+v: the report has %d bytes, and there are %d", opt, rep.Size, out.Len())
	}
	return out.String(), rep
}

// untar gives an archive's files, and fails for one without an end.
func untar(t *testing.T, archive string) map[string]string {
	t.Helper()
	if !strings.HasSuffix(archive, strings.Repeat("\x00", 1024)) {
		t.Error("the archive has no end")
	}
	out := map[string]string{}
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeSymlink {
			b = []byte("-> " + h.Linkname)
		}
		out[h.Name] = string(b)
	}
}

func TestExportFindsWhatIsMeant(t *testing.T) {
	t.Parallel()
	l, older, newer := stocked(t)
	for _, c := range []struct {
		snapshot, item string
		from           repository.ID
		name, want     string // want: the plain content, or a file of the archive and its content
	}{
		{"latest", "volume uploads", newer, "volume uploads", "a=new"},
		{"latest", "uploads", newer, "volume uploads", "a=new"},
		{older.Short(), "uploads", older, "volume uploads", "a=old"},
		{"latest", "db/shop", older, "dump db/shop", "PGDMP\x01\x00\xff"},
		{"latest", "dump db/shop", older, "dump db/shop", "PGDMP\x01\x00\xff"},
		{"latest", "db (globals)", older, "dump db (globals)", "CREATE ROLE;"},
		{older.String(), "dumps/db/shop.sql", older, "/shop/dumps/db/shop.sql", "GRANT;"},
		{newer.String(), "part", newer, "volume part", "p=p"},
		{"latest", "volumes/uploads/d", newer, "/shop/volumes/uploads/d", "l=-> ../a"},
		{"latest", "", newer, "", "shop/volumes/uploads/d/l=-> ../a"},
	} {
		out, rep := l.export(ExportOptions{Snapshot: c.snapshot, Item: c.item})
		if rep.Snapshot != c.from.String() || rep.Item != c.name {
			t.Errorf("%s %q: %q of snapshot %s, want %q of %s", c.snapshot, c.item, rep.Item, rep.Snapshot, c.name, c.from)
		}
		if rep.Format == formatFile {
			if out != c.want {
				t.Errorf("%s %q: %q", c.snapshot, c.item, out)
			}
			continue
		}
		file, content, _ := strings.Cut(c.want, "=")
		if got, ok := untar(t, out)[file]; !ok || got != content {
			t.Errorf("%s %q: %q has %q, want %q", c.snapshot, c.item, file, got, content)
		}
	}
	for item, want := range map[string]string{"nothing": `it has "volume part", "volume uploads"`, "part": "part", "volumes/uploads/d/l": "is a symlink", "/": "leave it out"} {
		_, err := l.app.Export(t.Context(), ExportOptions{Snapshot: "latest", Item: item, Output: io.Discard})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", item, err, want)
		}
	}
	if _, err := l.app.Export(t.Context(), ExportOptions{Snapshot: newer.String(), Item: "db/shop", Output: io.Discard}); err == nil || !strings.Contains(err.Error(), "dump db/shop is failed") {
		t.Errorf("an item that failed: %v", err)
	}
}

func TestExportOfAWholeSnapshotHasItsLayout(t *testing.T) {
	t.Parallel()
	l, older, newer := stocked(t)
	if err := l.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, rep := l.export(ExportOptions{Snapshot: older.String()})
	files := untar(t, out)
	m, err := manifest.Decode([]byte(files["shop/ripplebak.json"]))
	if err != nil || m.Project != "shop" || len(m.Items) != 3 {
		t.Errorf("manifest: %+v, %v", m, err)
	}
	for name, want := range map[string]string{"shop/dumps/db/shop.dump": "PGDMP\x01\x00\xff", "shop/dumps/db/globals.sql": "CREATE ROLE;", "shop/volumes/uploads/a": "old"} {
		if files[name] != want {
			t.Errorf("%s: %q", name, files[name])
		}
	}
	if _, root := files["./"]; root || len(rep.NotGood) != 0 || rep.Entries != int64(len(files)) {
		t.Errorf("report: %+v, %d files", rep, len(files))
	}
	// Stock restic gives the same bytes of a dump.
	dump, _ := l.export(ExportOptions{Snapshot: older.String(), Item: "db/shop"})
	if theirs := l.restic("dump", older.String(), "/shop/dumps/db/shop.dump"); dump != theirs || dump == "" {
		t.Errorf("restic dumps %q, and we export %q", theirs, dump)
	}
	if _, rep = l.export(ExportOptions{Snapshot: newer.String()}); len(rep.NotGood) != 2 {
		t.Errorf("not good: %q", rep.NotGood)
	}
}

func TestExportIsCompressedAndEncrypted(t *testing.T) {
	l, _, _ := stocked(t)
	plain, _ := l.export(ExportOptions{Snapshot: "latest"})
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	second, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	third, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	list, bin := l.path("recipients"), l.path("bin")
	text := "# the drawer\n" + third.Recipient().String() + "\n" + plugin.EncodeRecipient(pluginName, []byte(third.Recipient().String())) + "\n"
	exe, err := os.Executable()
	if err = errors.Join(err, os.WriteFile(list, []byte(text), 0o600), os.Mkdir(bin, 0o755), os.Symlink(exe, filepath.Join(bin, pluginBinary+pluginName))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))

	packed, rep := l.export(ExportOptions{Snapshot: "latest", Zstd: true})
	d, err := zstd.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got, err := io.ReadAll(d); err != nil || string(got) != plain || rep.Compression != "zstd" || len(packed) > len(plain)/4 {
		t.Errorf("zstd: %d bytes of %d, %v", len(packed), len(plain), err)
	}

	// A recipient of a hybrid key shares a file only with its like.
	for name, c := range map[string]struct {
		opt ExportOptions
		ids []age.Identity
	}{
		"two, a file and a plugin": {ExportOptions{Snapshot: "latest", Zstd: true, Recipients: []string{id.Recipient().String()}, RecipientFiles: []string{list}}, []age.Identity{id, third}},
		"hybrid":                   {ExportOptions{Snapshot: "latest", Zstd: true, Recipients: []string{second.Recipient().String()}}, []age.Identity{second}},
		"a plugin":                 {ExportOptions{Snapshot: "latest", Zstd: true, Recipients: []string{plugin.EncodeRecipient(pluginName, []byte(id.Recipient().String()))}}, []age.Identity{id}},
	} {
		sealed, rep := l.export(c.opt)
		for _, id := range c.ids {
			r, err := age.Decrypt(strings.NewReader(sealed), id)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != packed {
				t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(packed), err)
			}
		}
		if want := len(c.ids) + strings.Count(name, "file and"); rep.Recipients != want || strings.Contains(sealed, packed[:100]) {
			t.Errorf("%s: %d recipients, want %d", name, rep.Recipients, want)
		}
	}
	if log := l.log.String(); !strings.Contains(log, "age plugin rbtest: touch") {
		t.Errorf("what the plugin said is not in the log: %s", log)
	}

	// Debian's own programs read it.
	key, file := l.path("key"), l.path("out.tar.zst.age")
	if err := os.WriteFile(key, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, noAge := exec.LookPath("age")
	_, noZstd := exec.LookPath("zstd")
	if errors.Join(noAge, noZstd) != nil && os.Getenv("RIPPLEBAK_REQUIRE_TOOLS") != "1" {
		t.Skip("age or zstd is not installed")
	}
	if _, err := l.app.Export(t.Context(), ExportOptions{Snapshot: "latest", Zstd: true, File: file, Recipients: []string{id.Recipient().String()}}); !errors.Is(err, ErrIncomplete) {
		t.Fatal(err)
	}
	got, err := exec.Command("sh", "-c", `age -d -i "$1" "$2" | zstd -d`, "sh", key, file).Output()
	if err != nil || string(got) != plain {
		t.Errorf("age and zstd: %d bytes, want %d, %v", len(got), len(plain), err)
	}
}

func TestExportToAFileIsThereWholeOrNot(t *testing.T) {
	t.Parallel()
	l, _, _ := stocked(t)
	dir := l.path("drawer")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "uploads.tar")
	rep, err := l.app.Export(t.Context(), ExportOptions{Snapshot: "latest", Item: "uploads", File: file})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil || int64(len(b)) != rep.Size || untar(t, string(b))["a"] != "new" {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := l.app.Export(t.Context(), ExportOptions{Snapshot: "latest", File: file}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto a file that is there: %v", err)
	}
	if again, err := os.ReadFile(file); err != nil || !bytes.Equal(again, b) {
		t.Error("the file that was there was touched")
	}
	only := func(when string) {
		t.Helper()
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%s: %d files, %v", when, len(entries), err)
		}
	}
	only("done")

	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	l.app.Progress = stopping{func() { cancel(stop) }}
	if _, err := l.app.Export(ctx, ExportOptions{Snapshot: "latest", File: filepath.Join(dir, "stopped")}); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
	only("stopped")
	l.app.Progress = nil

	// The content is gone, and only the index still speaks of it.
	packs, err := filepath.Glob(l.path("repo", "data", "*", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("%d packs, %v", len(packs), err)
	}
	for _, p := range packs {
		if info, err := os.Stat(p); err != nil || info.Size() < 10_000 {
			continue // trees
		}
		if err := errors.Join(os.Chmod(p, 0o600), os.Truncate(p, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.app.Export(t.Context(), ExportOptions{Snapshot: "latest", File: filepath.Join(dir, "damaged")}); !errors.Is(err, repository.ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
	only("damaged")
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to := []string{id.Recipient().String()}
	for name, opt := range map[string]ExportOptions{
		"tar": {}, "zstd": {Zstd: true}, "age": {Recipients: to}, "both": {Item: "volumes/uploads/random", Zstd: true, Recipients: to},
	} {
		var out bytes.Buffer
		opt.Snapshot, opt.Output = "latest", &out
		if _, err := l.app.Export(t.Context(), opt); !errors.Is(err, repository.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if isWhole(out.Bytes(), opt, id) {
			t.Errorf("%s: what came out looks whole (%d bytes)", name, out.Len())
		}
	}
}

// isWhole says whether an export can be read to an end.
func isWhole(b []byte, opt ExportOptions, id age.Identity) bool {
	var r io.Reader = bytes.NewReader(b)
	if len(opt.Recipients) > 0 {
		var err error
		if r, err = age.Decrypt(r, id); err != nil {
			return false
		}
	}
	if opt.Zstd {
		d, err := zstd.NewReader(r)
		if err != nil {
			return false
		}
		defer d.Close()
		r = d
	}
	out, err := io.ReadAll(r)
	if opt.Zstd || len(opt.Recipients) > 0 {
		return err == nil && len(out)+len(b) > 0
	}
	return bytes.HasSuffix(out, make([]byte, 1024))
}

// stopping calls a function as soon as an item moves.
type stopping struct{ stop func() }

func (stopping) Begin(string, int64)            {}
func (s stopping) Advance(string, int64, int64) { s.stop() }
func (stopping) End(string, string)             {}

// TestExportOfStockResticsSnapshot: other layouts work by paths, and as a
// whole.
func TestExportOfStockResticsSnapshot(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	src := l.path("src")
	if err := errors.Join(os.MkdirAll(filepath.Join(src, "shop", "volumes", "data", "x"), 0o755), os.WriteFile(filepath.Join(src, "shop", "volumes", "data", "x", "y"), []byte("theirs"), 0o600)); err != nil {
		t.Fatal(err)
	}
	l.restic("backup", "--tag", "ripplebak,project:shop", src)
	out, rep := l.export(ExportOptions{Snapshot: "latest"})
	if got := untar(t, out)[strings.TrimPrefix(src, "/")+"/shop/volumes/data/x/y"]; got != "theirs" {
		t.Errorf("%q, %+v", got, rep)
	}
	if out, _ = l.export(ExportOptions{Snapshot: "latest", Item: src + "/shop/volumes/data"}); untar(t, out)["x/y"] != "theirs" {
		t.Error("a folder by its path")
	}
	if out, _ = l.export(ExportOptions{Snapshot: "latest", Item: "shop/volumes/data/x/y"}); out != "theirs" {
		t.Errorf("a file by its path: %q", out)
	}
}
