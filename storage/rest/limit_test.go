package rest_test

import (
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/rest"
	"github.com/ripplebak/ripplebak/storage/rest/resttest"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// A limit slows transfers down over a real connection, without being taken for
// a server that stalls.
func TestLimitsOnTheWire(t *testing.T) {
	srv := resttest.New(t)
	const rate = 200 << 10
	s := provision(t, openAt(t, srv.URL(), noEnv, rest.Options{StallTimeout: 200 * time.Millisecond, Limits: storage.NewLimits(rate, 2*rate)}))
	data := storagetest.Content(1, 200<<10)
	start := time.Now()
	h := storagetest.Put(t, s, storage.PackFile, data) // which is read back, at 0.5 s
	if took := time.Since(start); took < 1300*time.Millisecond {
		t.Errorf("saved in %s", took)
	}
	start = time.Now()
	storagetest.Get(t, s, h)
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("loaded in %s", took)
	}
}
