package sidecar

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ripplebak/ripplebak/docker/dockertest"
)

// cache is a shop with a service whose database is one RDB file.
type cache struct {
	*shop
	empty  atomic.Bool // the server comes up, and has loaded nothing
	silent atomic.Bool // it does not answer
}

// rdbOf is an RDB file of so many keys.
func rdbOf(keys int) []byte {
	b := []byte("REDIS0010" + strings.Repeat("\x00\x01k\x01v", keys) + "\xff")
	sum := ^crc64.Update(^uint64(0), crc64.MakeTable(0x95ac9329ac4bc9b5), b)
	return binary.LittleEndian.AppendUint64(b, sum)
}

func (c *cache) file() string { return c.path("volumes", "shop_cache", "dump.rdb") }

func (c *cache) keys() int {
	c.t.Helper()
	b, err := os.ReadFile(c.file())
	if err != nil {
		c.t.Fatal(err)
	}
	n := (len(b) - 18) / 5
	if !bytes.Equal(b, rdbOf(n)) {
		c.t.Errorf("the file is %q", b)
	}
	return n
}

func (c *cache) put(keys int) {
	c.t.Helper()
	if err := os.WriteFile(c.file(), rdbOf(keys), 0o640); err != nil {
		c.t.Fatal(err)
	}
}

// server is what the engine's scripts get to see.
func (c *cache) server(_ context.Context, p *dockertest.Process) int {
	script := p.Argv[2]
	b, err := os.ReadFile(c.file())
	switch {
	case c.silent.Load() || err != nil:
		fmt.Fprintln(p.Stderr, "Could not connect to Redis")
		return 2
	case strings.Contains(script, "--rdb -"):
		_, err = p.Stdout.Write(b)
	case strings.Contains(script, "CONFIG GET"):
		loaded := (len(b) - 18) / 5
		if c.empty.Load() {
			loaded = 0
		}
		info := fmt.Sprintf("redis_version:7.0.15\nrole:master\nloading:0\nrdb_last_load_keys_loaded:%d\nrdb_last_load_keys_expired:0\ndb0:keys=%d,expires=0\n", loaded, loaded)
		_, err = p.Stdout.Write([]byte(strings.Join([]string{"client", "redis-cli 7.0.15", "info", info, "files", "/cache", "dump.rdb", "appendonly.aof", "appendonlydir", "end", ""}, "\x00")))
	}
	if err != nil {
		return 1
	}
	return 0
}

// savedCache has one backup with three keys, and one key since.
func savedCache(t *testing.T) *cache {
	t.Helper()
	c := &cache{shop: newShop(t)}
	c.f.Command("sh", c.server)
	c.service("cache", map[string]string{"dump": "redis"}, "cache")
	c.service("app", map[string]string{"com.docker.compose.depends_on": "cache:service_started:true"})
	c.put(3)
	report, err := c.app.Backup(t.Context(), BackupOptions{})
	if err != nil || len(report.Items) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	c.put(1)
	return c
}

// wantCache asserts which data is in place, and that nothing else is.
func (c *cache) wantCache(keys int) {
	c.t.Helper()
	if got := c.keys(); got != keys {
		c.t.Errorf("%d keys, want %d", got, keys)
	}
	if names := c.files(c.path("volumes", "shop_cache")); len(names) != 2 {
		c.t.Errorf("the volume holds %q", names)
	}
	c.wantQuiet()
}

func TestDumpComesBackAsAFile(t *testing.T) {
	c := savedCache(t)
	report, err := c.app.Restore(t.Context(), latest())
	if err != nil || report.Safety == "" || len(report.Items) != 1 || !report.Items[0].Restored {
		t.Fatalf("%+v, %v", report, err)
	}
	c.wantCache(3)
	// The safety snapshot is what was there before.
	if _, err := c.app.Restore(t.Context(), RestoreOptions{Snapshot: report.Safety, NoSafety: true}); err != nil {
		t.Fatal(err)
	}
	c.wantCache(1)
}

func TestServerThatLoadsSomethingElseKeepsItsOldData(t *testing.T) {
	c := savedCache(t)
	c.empty.Store(true)
	opt := latest()
	opt.NoSafety = true
	report, err := c.app.Restore(t.Context(), opt)
	if !errors.Is(err, ErrRestoreFailed) || len(report.Items) != 1 || !strings.Contains(report.Items[0].Error, "came up with 0 keys") {
		t.Errorf("%+v, %v", report, err)
	}
	c.wantCache(1)
}

// TestServerThatEndsAtOnceRunsAgain: a server that ends upon the new files
// before anybody has looked at it runs again upon its old ones.
func TestServerThatEndsAtOnceRunsAgain(t *testing.T) {
	c := savedCache(t)
	var balked atomic.Int32
	c.f.Balks(func(b dockertest.Container) int {
		if b.Labels["com.docker.compose.service"] == "cache" && c.keys() == 3 {
			balked.Add(1)
			return 3
		}
		return 0
	})
	opt := latest()
	opt.NoSafety = true
	report, err := c.app.Restore(t.Context(), opt)
	if !errors.Is(err, ErrRestoreFailed) || len(report.Items) != 1 || !strings.Contains(report.Items[0].Error, "exit code 3") {
		t.Errorf("%+v, %v", report, err)
	}
	if balked.Load() != 1 {
		t.Errorf("the server was started upon the dump %d times", balked.Load())
	}
	c.wantCache(1)
}

// TestF44_FilesInterruptedAnywhere: until the server is seen to have come up
// with the dump, an interruption brings its old data back.
func TestF44_FilesInterruptedAnywhere(t *testing.T) {
	interrupted := errors.New("interrupted")
	for _, point := range []string{"after-stop", "mid-restore", "after-place", "before-confirm"} {
		t.Run(point, func(t *testing.T) {
			c := savedCache(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			hit := c.crashAt(point, func() { cancel(interrupted) })
			opt := latest()
			opt.NoSafety = true
			_, err := c.app.Restore(ctx, opt)
			if !errors.Is(err, interrupted) || !hit() {
				t.Errorf("the restore ended with %v, the point was passed: %v", err, hit())
			}
			c.wantCache(1)
		})
	}
}
