package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

func TestLimitsAreSharedByAllTransfers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, size, readers = 100 << 10, 1 << 20, 4
		l := storage.NewLimits(rate, 3*rate)
		for name, c := range map[string]struct {
			limit func(context.Context, io.ReadCloser) io.ReadCloser
			want  time.Duration
		}{
			"up":   {l.Upload, readers * size * time.Second / rate},
			"down": {l.Download, readers * size * time.Second / rate / 3},
		} {
			start := time.Now()
			var wg sync.WaitGroup
			for range readers {
				wg.Go(func() {
					r := c.limit(t.Context(), io.NopCloser(bytes.NewReader(make([]byte, size))))
					if n, err := io.Copy(io.Discard, r); n != size || err != nil {
						t.Errorf("%s: %d bytes, %v", name, n, err)
					}
				})
			}
			wg.Wait()
			// The last step is not waited for.
			if took := time.Since(start); took > c.want || took < c.want-2*time.Second {
				t.Errorf("%s took %s, want %s", name, took, c.want)
			}
		}
	})
}

// Whatever is sent first must not have all of the rate for itself.
func TestLimitsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := storage.NewLimits(64<<10, 0)
		var big, small time.Duration
		start := time.Now()
		var wg sync.WaitGroup
		for size, took := range map[int]*time.Duration{4 << 20: &big, 64 << 10: &small} {
			wg.Go(func() {
				if _, err := io.Copy(io.Discard, l.Upload(t.Context(), io.NopCloser(bytes.NewReader(make([]byte, size))))); err != nil {
					t.Error(err)
				}
				*took = time.Since(start)
			})
		}
		wg.Wait()
		if small > 4*time.Second || big < 60*time.Second {
			t.Errorf("64 KiB took %s beside 4 MiB, which took %s", small, big)
		}
	})
}

func TestLimitsEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := storage.NewLimits(10<<10, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := io.Copy(io.Discard, l.Upload(ctx, io.NopCloser(bytes.NewReader(make([]byte, 10<<20)))))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 4*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestNoLimits(t *testing.T) {
	src := io.NopCloser(bytes.NewReader(nil))
	for _, l := range []*storage.Limits{nil, storage.NewLimits(0, 0)} {
		if l.Upload(t.Context(), src) != src || l.Download(t.Context(), src) != src {
			t.Error("a reader was wrapped for nothing")
		}
	}
}
