package sidecar

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// TestF28_OpeningSaysWhatIsWrong: a fault that stays is told by the probe, after
// few tries; one that passes costs none of the patience that a run has.
func TestF28_OpeningSaysWhatIsWrong(t *testing.T) {
	refused := errors.New("the probe knows why")
	for _, c := range []struct {
		name   string
		faults []storagetest.Fault
		want   error
		tries  int // of reading the config
	}{
		{"all is well", nil, nil, 1},
		{"it passes", []storagetest.Fault{{Op: storagetest.OpLoad, Kind: storage.ConfigFile, Times: 8}}, nil, 9},
		{"nobody is there", []storagetest.Fault{
			{Op: storagetest.OpLoad, Kind: storage.ConfigFile, Times: -1}, {Op: storagetest.OpProbe, Err: refused, Times: -1},
		}, refused, 3},
		{"denied", []storagetest.Fault{
			{Op: storagetest.OpLoad, Kind: storage.ConfigFile, Err: storage.ErrDenied}, {Op: storagetest.OpProbe, Err: refused, Times: -1},
		}, refused, 1},
		{"only the config is denied", []storagetest.Fault{{Op: storagetest.OpLoad, Kind: storage.ConfigFile, Err: storage.ErrDenied}}, storage.ErrDenied, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t)
			mem := storagetest.NewMemory()
			err := repository.Init(t.Context(), mem.Reader(), mem.Writer(), s.app.Settings.Password, repository.InitOptions{KDF: s.app.kdf})
			if err != nil {
				t.Fatal(err)
			}
			faulty := storagetest.NewFaulty(t, mem)
			tries := 0
			for _, f := range c.faults {
				if f.Op == storagetest.OpLoad {
					f.Do = func() { tries++ }
				}
				faulty.Arm(f)
			}
			v := &vault{target: s.app.primary(), store: storage.Retry(faulty, storage.RetryOptions{Sleep: func(context.Context, time.Duration) error { return nil }})}
			if err := s.app.openRepository(t.Context(), v, nil, false); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if c.want == nil {
				tries++ // the one that went well
			}
			if tries != c.tries {
				t.Errorf("%d tries, want %d", tries, c.tries)
			}
		})
	}
}
