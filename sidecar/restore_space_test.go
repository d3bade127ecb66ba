package sidecar

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/docker/dockertest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// small is a shop whose volume "data" is a filesystem of one megabyte.
func small(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	dir := s.path("volumes", "shop_data")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	s.service("app", stopLabels(), "data")
	s.service("web", nil, "data")
	return s
}

// noise writes a file of random bytes into the volume.
func (s *shop) noise(name string, size int) []byte {
	s.t.Helper()
	b := make([]byte, size)
	rand.Read(b)
	if err := os.WriteFile(s.path("volumes", "shop_data", name), b, 0o644); err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *shop) restoreOf(opt RestoreOptions) (*plan.RestoreItem, error) {
	s.t.Helper()
	report, err := s.app.Restore(s.t.Context(), opt)
	if report == nil || report.Plan == nil || len(report.Plan.Items) != 1 || report.Plan.Items[0].Volume.Space == nil {
		s.t.Fatalf("%+v, %v", report, err)
	}
	return &report.Plan.Items[0], err
}

// TestF33_RestoreIntoAVolumeWithoutRoom: it is said before anything is asked,
// stopped or changed.
func TestF33_RestoreIntoAVolumeWithoutRoom(t *testing.T) {
	s := small(t)
	s.noise("big", 400<<10)
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	changed := s.noise("big", 400<<10)
	s.noise("hog", 400<<10)
	asked, before := 0, len(s.f.Calls())
	for _, dry := range []bool{true, false} {
		opt := latest()
		opt.DryRun, opt.Confirm = dry, func(*plan.Restore) error { asked++; return nil }
		it, err := s.restoreOf(opt)
		if !errors.Is(err, ErrProblems) || !strings.Contains(err.Error(), "volume data: the Docker volume shop_data lacks space: needs 400KiB") {
			t.Errorf("dry %v: %v", dry, err)
		}
		if sp := it.Volume.Space; !sp.Short || sp.AtMost || sp.NeedBytes < 400<<10 || sp.FreeBytes > 300<<10 {
			t.Errorf("%+v", sp)
		}
	}
	for _, c := range s.f.Calls()[before:] {
		if strings.HasSuffix(c, "/stop") {
			t.Errorf("call %s", c)
		}
	}
	if now, err := os.ReadFile(s.path("volumes", "shop_data", "big")); err != nil || !bytes.Equal(now, changed) || asked != 0 || s.snapshots() != 1 {
		t.Errorf("asked %d times, %d snapshots, %v", asked, s.snapshots(), err)
	}
	s.wantQuiet()
}

// TestRestoreThatHasRoomForWhatDiffersOnly: all of the snapshot would not fit
// beside what is there, but only a part has to.
func TestRestoreThatHasRoomForWhatDiffersOnly(t *testing.T) {
	s := small(t)
	s.noise("big", 700<<10)
	want := s.noise("little", 8<<10)
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	s.noise("little", 8<<10)
	it, err := s.restoreOf(latest())
	if err != nil {
		t.Fatal(err)
	}
	if sp := it.Volume.Space; sp.Short || sp.AtMost || sp.NeedBytes != 8<<10 || sp.NeedInodes != 1 {
		t.Errorf("%+v", sp)
	}
	if now, err := os.ReadFile(s.path("volumes", "shop_data", "little")); err != nil || !bytes.Equal(now, want) {
		t.Errorf("the file is not restored: %v", err)
	}
	s.wantQuiet()
}

// TestRoomForEverythingNeedsNoComparison, and it is in the plan that is shown.
func TestRoomForEverythingNeedsNoComparison(t *testing.T) {
	s := saved(t)
	opt, shown := latest(), ""
	opt.Confirm = func(p *plan.Restore) error {
		var b bytes.Buffer
		err := p.Print(&b)
		shown = b.String()
		return err
	}
	it, err := s.restoreOf(opt)
	if err != nil {
		t.Fatal(err)
	}
	// One file, in its one block.
	if sp := it.Volume.Space; !sp.AtMost || sp.Short || sp.NeedInodes != 1 || sp.NeedBytes <= 15 || sp.FreeBytes < sp.NeedBytes {
		t.Errorf("%+v", sp)
	}
	if !strings.Contains(shown, "needs at most ") {
		t.Errorf("the plan says:\n%s", shown)
	}
}

// TestSpaceThatCannotBeAskedFor is said, and the restore looks once more.
func TestSpaceThatCannotBeAskedFor(t *testing.T) {
	s := saved(t)
	s.f.Fail(dockertest.Fault{Call: "POST /containers/create", Status: 500, Message: "no such device"})
	report, err := s.app.Restore(t.Context(), latest())
	if err != nil || s.read("data") != "content of data" {
		t.Fatalf("%q, %v", s.read("data"), err)
	}
	if w := strings.Join(report.Plan.Warnings, "\n"); !strings.Contains(w, "volume data: whether it has room") || !strings.Contains(w, "no such device") {
		t.Errorf("warnings: %s", w)
	}
	s.wantQuiet()
}

// TestSpaceBesideTheState: volumes that Docker's own driver keeps are on one
// filesystem with ours, if that is one of them.
func TestSpaceBesideTheState(t *testing.T) {
	s := newShop(t)
	h := s.host()
	for _, c := range []struct {
		volume dockertest.Volume
		kind   string
		name   string
		want   bool
	}{
		{dockertest.Volume{Name: "st", Driver: "local"}, "volume", "st", true},
		{dockertest.Volume{Name: "nfs", Driver: "local", Options: map[string]string{"type": "nfs"}}, "volume", "nfs", false},
		{dockertest.Volume{Name: "plugin", Driver: "rclone"}, "volume", "plugin", false},
		{dockertest.Volume{Name: "other", Driver: "local"}, "bind", "", false},
	} {
		s.f.AddVolume(c.volume)
		h.stateMount = docker.Mount{Type: c.kind, Name: c.name}
		free, err := h.besideState(t.Context())
		if err != nil || (free != nil) != c.want || c.want && (free.Bytes <= 0 || free.Block <= 0 || free.Device == 0) {
			t.Errorf("%+v: %+v, %v", c.volume, free, err)
		}
	}
	h.stateMount = docker.Mount{Type: "volume", Name: "gone"}
	if free, err := h.besideState(t.Context()); free != nil || err == nil {
		t.Errorf("%+v, %v", free, err)
	}
}

func TestBoundOfWhatARestoreNeeds(t *testing.T) {
	free := volume.Space{Bytes: 1 << 40, Inodes: -1, Block: 4096, Device: 7}
	got := bound(repository.Extent{Bytes: 10_000, Files: 3, Dirs: 2}, free)
	if got != (plan.RestoreSpace{NeedBytes: 10_000 + 5*4096, FreeBytes: 1 << 40, NeedInodes: 5, FreeInodes: -1, AtMost: true, Device: 7}) {
		t.Errorf("%+v", got)
	}
	if got := bound(repository.Extent{Bytes: 1 << 60, Files: 1 << 60, Dirs: 1 << 60}, free); got.NeedBytes != unbounded || got.NeedInodes <= 0 {
		t.Errorf("a snapshot without bounds: %+v", got)
	}
}
