package resttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// Rclone is a running "rclone serve restic".
type Rclone struct {
	URL string // of the remote's root, with a slash at its end, without "rest:"
}

// StartRclone serves a remote of rclone's, for example a directory, on loopback
// until the test ends; args are more options. Where rclone is not installed the
// test is skipped, or fails if RIPPLEBAK_REQUIRE_TOOLS is 1.
func StartRclone(t testing.TB, remote string, args ...string) *Rclone {
	t.Helper()
	binary, err := exec.LookPath("rclone")
	if err != nil {
		if os.Getenv("RIPPLEBAK_REQUIRE_TOOLS") == "1" {
			t.Fatal("rclone is required and not installed")
		}
		t.Skip("rclone is not installed")
	}
	// Nobody's own configuration has a say.
	args = append(args, "--config", filepath.Join(t.TempDir(), "rclone.conf"), "--cache-dir", t.TempDir())
	host := storagetest.StartServer(t, binary, func(host string) []string {
		return append([]string{"serve", "restic", remote, "--addr", host}, args...)
	})
	return &Rclone{URL: "http://" + host + "/"}
}
