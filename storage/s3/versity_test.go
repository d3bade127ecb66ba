package s3

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// openAt returns the store in a bucket and prefix of a server, logging to the
// test.
func openAt(t *testing.T, spec string, env func(string) string, opt Options) storage.Store {
	t.Helper()
	addr, err := ParseAddress(spec)
	if err != nil {
		t.Fatal(err)
	}
	if opt.StallTimeout == 0 {
		opt.StallTimeout = 20 * time.Second
	}
	s, err := Open(addr, env, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestContractVersity(t *testing.T) {
	g := storagetest.StartGateway(t, t.TempDir())
	var n atomic.Int64
	for name, spec := range map[string]func(int64) string{
		"Bucket": func(i int64) string { return fmt.Sprintf("http://%s/bucket-%d", g.Host, i) },
		"Prefix": func(i int64) string { return fmt.Sprintf("http://%s/shared/app%d/Zürich backups", g.Host, i) },
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.Contract(t, func(t *testing.T) storage.Store {
				return openAt(t, spec(n.Add(1)), g.Env, Options{})
			})
		})
	}
	t.Run("Retry", func(t *testing.T) {
		storagetest.Contract(t, func(t *testing.T) storage.Store {
			return storage.Retry(openAt(t, fmt.Sprintf("http://%s/retried-%d", g.Host, n.Add(1)), g.Env, Options{}), storage.RetryOptions{})
		})
	})
}
