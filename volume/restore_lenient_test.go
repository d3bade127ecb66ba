package volume

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const lenientChild = "VOLUME_TEST_LENIENT"

// TestRestoreByWhoMayNotSetEverything restores as a user that is not root: all
// content comes, with what that user may set, and the rest is told.
func TestRestoreByWhoMayNotSetEverything(t *testing.T) {
	if dirs := os.Getenv(lenientChild); dirs != "" {
		lenientRestore(t, dirs)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can be two users")
	}
	base, err := os.MkdirTemp("", "rblenient")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	src, dst := filepath.Join(base, "src"), filepath.Join(base, "dst")
	for _, d := range []string{src, dst} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	smallTree(t, src)
	sh(t, src, `
		chmod 755 d/hollow; chown 12:13 a.txt d/one; cp /bin/true tool; chmod 4755 tool; cp /bin/true mine; chown 65534:65534 mine; chmod 4755 mine
		mknod null c 1 3; mkfifo d/fifo; setfattr -n user.x -v y d/one || true
		mkdir -p closed/below; echo x > closed/below/file; chmod 555 closed/below closed; chmod 555 .
		chmod 604 d/e/two; touch -d 2001-01-01 d/e/two closed closed/below`)
	sh(t, base, `chmod 755 .; chown 65534:65534 dst; cp "`+os.Args[0]+`" test; chmod 755 test`)
	cmd := exec.Command(filepath.Join(base, "test"), "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), lenientChild+"="+src+":"+dst, "HOME=/")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("as nobody: %v\n%s", err, out)
	}
	// Content, times, modes and links are the same; owners and devices are not.
	sh(t, src, `rm null; chmod 755 tool; chown -R 65534:65534 .; chmod 4755 mine; touch -r "`+dst+`" .`)
	diff, err := exec.Command("rsync", "-aHXn", "--checksum", "--itemize-changes", "--delete", src+"/", dst+"/").CombinedOutput()
	if err != nil || len(diff) > 0 {
		t.Errorf("differ: %v\n%s", err, diff)
	}
	noStaging(t, dst)
}

func lenientRestore(t *testing.T, dirs string) {
	src, dst, _ := strings.Cut(dirs, ":")
	peer, end, err := Here(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	}()
	rep, err := peer.Restore(t.Context(), RestoreRequest{Root: dst, ID: "lenient", Lenient: true}, snapshotOf(t, src))
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Skipped) != 1 || rep.Skipped[0].Path != "null" || !strings.Contains(rep.Skipped[0].Reason, "only root") {
		t.Errorf("skipped: %+v", rep.Skipped)
	}
	told := strings.Join(rep.Warnings, "\n")
	if len(rep.Warnings) != 2 || !strings.Contains(told, "belong to whoever restored them") || !strings.Contains(told, "1 of them are not setuid") {
		t.Errorf("warnings: %q", rep.Warnings)
	}
}

// TestHereIsAHelper: it does several jobs, and ends.
func TestHereIsAHelper(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	smallTree(t, src)
	peer, end, err := Here(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := peer.Restore(t.Context(), RestoreRequest{Root: dst, ID: "here", Lenient: true}, snapshotOf(t, src)); err != nil {
			t.Fatal(err)
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	sameTree(t, src, dst)
}
