package dump

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// etcdTool makes what "snapshot restore" makes of a snapshot; of a bad one half.
const etcdTool = `#!/bin/sh
[ "$1 $2" = "snapshot restore" ] || exit 9
snapshot=$3; shift 3
wal=
for a do case $a in --data-dir=*) dir=${a#*=} ;; --wal-dir=*) wal=${a#*=} ;; esac; done
[ ! -e "$dir" ] || { echo "data-dir $dir exists" >&2; exit 1; }
wal=${wal:-$dir/member/wal}
mkdir -p "$dir/member/snap" "$wal"
cp "$snapshot" "$dir/member/snap/db"
case $(cat "$snapshot") in bad) echo "expected sha256" >&2; exit 1 ;; esac
echo log >"$wal/0.wal"
`

// TestEtcdLoadMakesTheDirectory: wherever the log lies, beside the data or in it,
// and nothing of the work is left.
func TestEtcdLoadMakesTheDirectory(t *testing.T) {
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "etcdctl"), []byte(etcdTool), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, wal := range []string{"", "wal", "data/wal", "data/member/wal"} {
		for _, snapshot := range []string{"good", "bad"} {
			root := t.TempDir()
			dir, at := filepath.Join(root, "data"), ""
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if wal != "" {
				at = filepath.Join(root, wal)
			}
			cmd := exec.Command("sh", shell(etcdLoad, dir, at, "--name=one")[1:]...)
			cmd.Env = []string{"PATH=" + tools + ":" + os.Getenv("PATH")}
			cmd.Stdin = strings.NewReader(snapshot)
			out, err := cmd.CombinedOutput()
			if at == "" {
				at = filepath.Join(dir, "member", "wal")
			}
			if snapshot == "bad" {
				if err == nil || !strings.Contains(string(out), "sha256") {
					t.Errorf("log in %q: a bad snapshot: %v %s", wal, err, out)
				}
			} else {
				log, _ := os.ReadFile(filepath.Join(at, "0.wal"))
				db, _ := os.ReadFile(filepath.Join(dir, "member", "snap", "db"))
				if err != nil || string(log) != "log\n" || string(db) != "good" {
					t.Errorf("log in %q: %v, log %q, database %q: %s", wal, err, log, db, out)
				}
			}
			if _, err := os.Lstat(filepath.Join(dir, ".ripplebak-load")); !os.IsNotExist(err) {
				t.Errorf("log in %q: the work is left: %v", wal, err)
			}
		}
	}
}
