package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// The helper of these tests is this test binary, run again: it kills itself, as
// nothing that is caught would, at a crash point.
const (
	envSocket = "RIPPLEBAK_TEST_SOCKET"
	envToken  = "RIPPLEBAK_TEST_TOKEN"
	envPoint  = "RIPPLEBAK_TEST_POINT"
	envTimes  = "RIPPLEBAK_TEST_TIMES"
)

// TestRestoreHelperProcess is that helper; by itself it is no test.
func TestRestoreHelperProcess(t *testing.T) {
	socket := os.Getenv(envSocket)
	if socket == "" {
		t.Skip("runs as another test's helper")
	}
	times, err := strconv.ParseInt(os.Getenv(envTimes), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var hits atomic.Int64
	ctx := WithCrashPoints(context.Background(), func(point string) {
		if point == os.Getenv(envPoint) && hits.Add(1) == times {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it takes effect
		}
	})
	if err := ServeHelper(ctx, HelperOptions{Socket: socket, Token: os.Getenv(envToken), Connections: 1}); err != nil {
		t.Fatal(err)
	}
}

// withDoomedHelper calls do with a helper that dies at the n-th time that it
// comes to point, and says whether it did.
func withDoomedHelper(t *testing.T, point string, n int, do func(*Peer)) (died bool) {
	t.Helper()
	l, err := Listen(socketDir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pending := l.Expect(1)
	cmd := exec.Command(os.Args[0], "-test.run=^TestRestoreHelperProcess$")
	cmd.Env = append(os.Environ(), envSocket+"="+pending.Socket, envToken+"="+pending.Token, envPoint+"="+point, fmt.Sprintf("%s=%d", envTimes, n))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peer, err := pending.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	do(peer)
	peer.Close()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status := exit.Sys().(syscall.WaitStatus); status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true
		}
	}
	if err != nil {
		t.Fatalf("the helper: %v", err)
	}
	return false
}

// oldAndNew makes a source tree and a volume that differs from it in every way,
// and gives its twin, which stays as it is.
func oldAndNew(t *testing.T) (src, dst, twin string) {
	src, dst, twin = t.TempDir(), t.TempDir(), t.TempDir()
	smallTree(t, src)
	copyTree(t, src, dst)
	sh(t, dst, `
		rm a.txt; printf X | dd of=big bs=1 seek=200000 conv=notrunc status=none
		echo other > d/e/two; rmdir d/hollow; echo file > d/hollow
		echo extra > extra; mkdir -p more/and; echo x > more/and/more
		chmod 600 d/one; rm link; mkdir -p link/dir; rm -r d-x
		touch -d '2001-02-03 04:05:06.789' d/e d more .
	`)
	copyTree(t, dst, twin)
	return src, dst, twin
}

func TestF22_RestoreKilledIsOldOrNewWhole(t *testing.T) {
	for point, want := range map[string]Outcome{
		"mid-restore": RolledBack, "before-rename": RolledForward, "mid-rename": RolledForward,
	} {
		t.Run(point, func(t *testing.T) {
			kills := 0
			for n := 1; ; n++ {
				src, dst, twin := oldAndNew(t)
				s := snapshotOf(t, src)
				died := withDoomedHelper(t, point, n, func(p *Peer) {
					_, err := p.Restore(t.Context(), RestoreRequest{Root: dst, ID: "killed"}, s)
					t.Logf("%s %d: %v", point, n, err)
				})
				if !died {
					sameTree(t, src, dst)
					break
				}
				kills++
				recoverTwice(t, dst, n, want)
				if want == RolledBack {
					sameTree(t, twin, dst)
				} else {
					sameTree(t, src, dst)
				}
				noStaging(t, dst)
				mustRestore(t, dst, s)
				sameTree(t, src, dst)
			}
			if kills == 0 || point == "mid-rename" && kills < 10 || point == "mid-restore" && kills < 3 {
				t.Errorf("killed %d times only", kills)
			}
		})
	}
}

// recoverTwice recovers with a helper that dies in the middle of it, and then
// with one that doesn't.
func recoverTwice(t *testing.T, dst string, n int, want Outcome) {
	t.Helper()
	died := withDoomedHelper(t, "mid-rename", n, func(p *Peer) {
		if got, err := p.Recover(t.Context(), dst, "killed"); err == nil && got != want {
			t.Errorf("the first recovery: %v", got)
		}
	})
	got, err := connect(t, 1).Recover(t.Context(), dst, "")
	if err != nil {
		t.Fatal(err)
	}
	if died && got != want || !died && got != NothingPending {
		t.Errorf("recovery: %v, died before: %v", got, died)
	}
}

// connectAt is connect with crash points.
func connectAt(t testing.TB, at func(string)) *Peer {
	t.Helper()
	l, err := Listen(socketDir(t))
	if err != nil {
		t.Fatal(err)
	}
	pending := l.Expect(1)
	helper := make(chan error, 1)
	go func() {
		helper <- ServeHelper(WithCrashPoints(context.Background(), at), HelperOptions{Socket: pending.Socket, Token: pending.Token, Connections: 1})
	}()
	peer, err := pending.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		peer.Close()
		<-helper
		l.Close()
	})
	return peer
}

func TestF22_RestoreThatCannotGoOnBringsTheOldBack(t *testing.T) {
	src, dst, twin := oldAndNew(t)
	hit := 0
	p := connectAt(t, func(point string) {
		if point == "before-rename" {
			hit++
			// Someone writes where the restore is about to.
			writeFile(t, dst+"/d-x", "foreign")
			writeFile(t, twin+"/d-x", "foreign")
		}
	})
	rep, err := p.Restore(t.Context(), RestoreRequest{Root: dst, ID: "x"}, snapshotOf(t, src))
	if hit == 0 || !errors.Is(err, ErrChangedMeanwhile) || rep == nil {
		t.Fatalf("hit %d, error = %v", hit, err)
	}
	sh(t, "/", "touch -r "+dst+" "+twin+"; touch -r "+dst+"/d-x "+twin+"/d-x")
	sameTree(t, twin, dst)
	noStaging(t, dst)
}

func TestF22_RecoveryGoesBackWhereTheRestoreHadBegunTo(t *testing.T) {
	src, dst, twin := oldAndNew(t)
	died := withDoomedHelper(t, "mid-rename", 4, func(p *Peer) {
		_, _ = p.Restore(t.Context(), RestoreRequest{Root: dst, ID: "x"}, snapshotOf(t, src))
	})
	if !died {
		t.Fatal("not killed")
	}
	writeFile(t, dst+"/"+StagingPrefix+"x/"+markUndo, "")
	got, err := connect(t, 1).Recover(t.Context(), dst, "x")
	if err != nil || got != RolledBack {
		t.Fatal(got, err)
	}
	sameTree(t, twin, dst)
	noStaging(t, dst)
}

func TestF22_JournalCutAnywhereIsNone(t *testing.T) {
	src, dst, twin := oldAndNew(t)
	if !withDoomedHelper(t, "before-rename", 1, func(p *Peer) {
		_, _ = p.Restore(t.Context(), RestoreRequest{Root: dst, ID: "x"}, snapshotOf(t, src))
	}) {
		t.Fatal("not killed")
	}
	path := dst + "/" + StagingPrefix + "x/" + journalName
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(dst + "/" + StagingPrefix + "x")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	check := func(content []byte) error {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := openJournal(int(dir.Fd()))
		if err == nil {
			j.close()
		}
		return err
	}
	if err := check(whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := check(whole[:n]); !errors.Is(err, errNoJournal) {
			t.Fatalf("cut at %d of %d: %v", n, len(whole), err)
		}
		bad := []byte(strings.Clone(string(whole)))
		bad[n] ^= 0x20
		if err := check(bad); !errors.Is(err, errNoJournal) {
			t.Fatalf("flipped at %d of %d: %v", n, len(whole), err)
		}
	}
	check(whole[:len(whole)-1])
	got, err := connect(t, 1).Recover(t.Context(), dst, "x")
	if err != nil || got != RolledBack {
		t.Fatal(got, err)
	}
	sameTree(t, twin, dst)
}

func TestF22_RestoreWhoseSidecarVanishesRollsBack(t *testing.T) {
	src, dst, twin := oldAndNew(t)
	l, err := Listen(socketDir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pending := l.Expect(1)
	helper := make(chan error, 1)
	go func() {
		helper <- ServeHelper(context.Background(), HelperOptions{Socket: pending.Socket, Token: pending.Token, Connections: 1})
	}()
	peer, err := pending.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := snapshotOf(t, src)
	hit := 0
	s.onFetch = func([]Blob) error { hit++; return peer.Close() }
	if _, err := peer.Restore(t.Context(), RestoreRequest{Root: dst, ID: "x"}, s); err == nil || hit == 0 {
		t.Errorf("hit %d, error = %v", hit, err)
	}
	<-helper // it has put everything back by then
	noStaging(t, dst)
	sameTree(t, twin, dst)
}
