package volume

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// overlaid is a data directory with a log that has to go, and a listing that
// names one file for what is there and one that is not.
func overlaid(t *testing.T) (dst, twin string, s *testSnapshot) {
	t.Helper()
	dst, twin = t.TempDir(), t.TempDir()
	sh(t, dst, `
		mkdir -p data/log other; echo old >data/dump; chmod 640 data/dump; echo log >data/log/1; echo stays >data/nodes
		echo stays >other/file; chmod 770 data; touch -d '2001-02-03 04:05:06.789' data other .
	`)
	copyTree(t, dst, twin)
	content := []byte(noise(1, 300<<10))
	s = &testSnapshot{where: map[[32]byte]spotOf{}, fetched: map[[32]byte]int{}}
	var blobs []Blob
	for b := content; len(b) > 0; {
		n := min(len(b), testChunk)
		blob := blobOf(b[:n])
		s.where[blob.ID] = spotOf{data: b[:n]}
		blobs, b = append(blobs, blob), b[n:]
	}
	file := func(path string) listed {
		return listed{Entry{Path: path, Type: File, Mode: 0o600, Size: int64(len(content)), ModTime: Time{Sec: 5}}, blobs}
	}
	s.list = []listed{
		{Entry{Type: Dir}, nil}, {Entry{Path: "data", Type: Dir}, nil}, file("data/dump"),
		{Entry{Path: "data/fresh", Type: Dir}, nil}, file("data/fresh/file"), file("data/journal"),
	}
	return dst, twin, s
}

func overlay(req *RestoreRequest) {
	req.Overlay, req.Remove = true, []string{"data/log", "data/absent"}
}

func held(req *RestoreRequest) { overlay(req); req.Hold = true }

// wantOverlay asserts that the new is in, and the rest as it was.
func wantOverlay(t *testing.T, dst, twin string) {
	t.Helper()
	want := t.TempDir()
	copyTree(t, twin, want)
	content := noise(1, 300<<10)
	writeFile(t, want+"/data/fresh/file", content)
	for _, name := range []string{"data/dump", "data/journal"} {
		writeFile(t, filepath.Join(want, name), content)
	}
	sh(t, want, `
		rm -r data/log; chmod 770 data/fresh; chmod 660 data/fresh/file data/journal; chmod 640 data/dump
		touch -d @5 data/dump data/fresh/file data/journal; touch -d @0 data/fresh; touch -d '2001-02-03 04:05:06.789' data .
	`)
	sh(t, dst, "touch -d @0 data/fresh")
	sameTree(t, want, dst)
	noStaging(t, dst)
}

func TestOverlayReplacesWhatItNames(t *testing.T) {
	dst, twin, s := overlaid(t)
	rep := mustRestore(t, dst, s, overlay)
	wantOverlay(t, dst, twin)
	if rep.Created != 3 || rep.Replaced != 1 || rep.Removed != 1 {
		t.Errorf("%+v", rep)
	}
}

// serverRuns does to the volume what a server does that was started upon it.
func serverRuns(t *testing.T, dst string) {
	t.Helper()
	sh(t, dst, `
		mkdir data/log data/absent; mv data/journal data/log/base; echo more >data/absent/x; echo saved >data/tmp
		mv data/tmp data/dump; echo x >>data/fresh/file
	`)
}

func TestHeldRestoreGoesEitherWay(t *testing.T) {
	t.Run("keep", func(t *testing.T) {
		dst, twin, s := overlaid(t)
		mustRestore(t, dst, s, held)
		if got, err := connect(t, 1).Keep(t.Context(), dst, "test"); got != RolledForward || err != nil {
			t.Fatal(got, err)
		}
		wantOverlay(t, dst, twin)
	})
	t.Run("keep_what_a_server_wrote", func(t *testing.T) {
		dst, _, s := overlaid(t)
		mustRestore(t, dst, s, held)
		serverRuns(t, dst)
		if got, err := connect(t, 1).Keep(t.Context(), dst, "test"); got != RolledForward || err != nil {
			t.Fatal(got, err)
		}
		noStaging(t, dst)
		if b, err := os.ReadFile(dst + "/data/dump"); string(b) != "saved\n" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("back", func(t *testing.T) {
		dst, twin, s := overlaid(t)
		mustRestore(t, dst, s, held)
		serverRuns(t, dst)
		if got, err := connect(t, 1).Recover(t.Context(), dst, "test"); got != RolledBack || err != nil {
			t.Fatal(got, err)
		}
		sameTree(t, twin, dst)
		noStaging(t, dst)
		if _, err := connect(t, 1).Keep(t.Context(), dst, "test"); err == nil {
			t.Error("what was brought back was kept")
		}
	})
	t.Run("the_same_again", func(t *testing.T) {
		dst, _, s := overlaid(t)
		mustRestore(t, dst, s, overlay)
		twin := t.TempDir()
		copyTree(t, dst, twin)
		mustRestore(t, dst, s, held)
		serverRuns(t, dst)
		if got, err := connect(t, 1).Recover(t.Context(), dst, "test"); got != RolledBack || err != nil {
			t.Fatal(got, err)
		}
		sameTree(t, twin, dst)
	})
}

// TestKeptDataIsOnDiskBeforeTheOldGoes: what a server or its programs wrote
// into a volume need not have been synced by them, as slapadd -q never does.
func TestKeptDataIsOnDiskBeforeTheOldGoes(t *testing.T) {
	dst, twin, s := overlaid(t)
	mustRestore(t, dst, s, held)
	serverRuns(t, dst)
	done := filepath.Join(dst, StagingPrefix+"test", markDone)
	synced := 0
	sync := func(fd int) error {
		synced++
		if _, err := os.Stat(done); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("it is said to stay before it is on disk: %v", err)
		}
		return unix.EIO
	}
	if err := keepHeld(dst, "test", sync); !errors.Is(err, unix.EIO) || synced != 1 {
		t.Fatalf("synced %d times, %v", synced, err)
	}
	// What could not be written is not kept: the old data is still there.
	if got, err := connect(t, 1).Recover(t.Context(), dst, "test"); got != RolledBack || err != nil {
		t.Fatal(got, err)
	}
	sameTree(t, twin, dst)
	noStaging(t, dst)
}

// TestF22_HeldRestoreKilledIsOld: until it is said that the new stays, a
// recovery brings the old back, also one that is killed itself.
func TestF22_HeldRestoreKilledIsOld(t *testing.T) {
	for _, point := range []string{"mid-restore", "before-rename", "mid-rename"} {
		for n := 1; ; n++ {
			dst, twin, s := overlaid(t)
			died := withDoomedHelper(t, point, n, func(p *Peer) {
				req := RestoreRequest{Root: dst, ID: "killed"}
				held(&req)
				_, _ = p.Restore(t.Context(), req, s)
			})
			if _, err := connect(t, 1).Keep(t.Context(), dst, "killed"); died && err == nil {
				t.Errorf("%s %d: half a restore was kept", point, n)
			}
			if !died {
				if n == 1 {
					t.Errorf("%s was never reached", point)
				}
				wantOverlay(t, dst, twin)
				break
			}
			if got, err := connect(t, 1).Recover(t.Context(), dst, ""); got != RolledBack || err != nil {
				t.Fatal(point, n, got, err)
			}
			sameTree(t, twin, dst)
			noStaging(t, dst)
		}
	}
}

func TestHostileOverlay(t *testing.T) {
	dst, twin, s := overlaid(t)
	for _, path := range []string{"..", "data/../..", "/etc", "", "data//x"} {
		_, err := restoreInto(t, dst, s, held, func(r *RestoreRequest) { r.Remove = []string{path} })
		if !errors.Is(err, ErrHostileListing) {
			t.Errorf("%q: %v", path, err)
		}
		sameTree(t, twin, dst)
	}
}
