package volume

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestJobsOfOneVolumeTakeTurns(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		release, err := takeTurn(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		free, err := takeTurn(t.Context(), other)
		if err != nil {
			t.Fatalf("another volume has to wait: %v", err)
		}
		free()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := takeTurn(ctx, dir); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while another has its turn: %v", err)
		}
		release()
		again, err := takeTurn(t.Context(), dir)
		if err != nil {
			t.Fatalf("after the turn: %v", err)
		}
		again()
	})
}
