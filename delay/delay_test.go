package delay

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := errors.New("over")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(over) })
		for _, c := range []struct {
			d, took time.Duration
			want    error
		}{{-time.Second, 0, nil}, {0, 0, nil}, {40 * time.Second, 40 * time.Second, nil}, {time.Hour, 20 * time.Second, over}, {0, 0, over}, {time.Hour, 0, over}} {
			began := time.Now()
			if err := For(ctx, c.d); !errors.Is(err, c.want) || time.Since(began) != c.took {
				t.Errorf("%s: %v after %s", c.d, err, time.Since(began))
			}
		}
	})
}
