package volume

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"
)

// TestAheadPassesEverythingOnInOrder: the end of the source, whatever it is,
// comes behind all that was read before it, and again.
func TestAheadPassesEverythingOnInOrder(t *testing.T) {
	want := make([]byte, 3*aheadPieces*aheadPiece+17)
	rand.NewChaCha8([32]byte{1}).Read(want)
	broken := errors.New("broken")
	for name, end := range map[string]error{"end": io.EOF, "broken": broken} {
		for source, src := range map[string]io.Reader{
			"whole pieces":   bytes.NewReader(want),
			"halves":         iotest.HalfReader(bytes.NewReader(want)),
			"error and data": iotest.DataErrReader(bytes.NewReader(want)),
		} {
			t.Run(name+", "+source, func(t *testing.T) {
				if end != io.EOF {
					src = io.MultiReader(src, iotest.ErrReader(end))
				}
				a := newAhead(src)
				var filling sync.WaitGroup
				filling.Go(a.fill)
				got, buf := []byte{}, make([]byte, 100_003)
				var err error
				for err == nil {
					var n int
					n, err = a.Read(buf)
					got = append(got, buf[:n]...)
				}
				filling.Wait()
				if !errors.Is(err, end) || !bytes.Equal(got, want) {
					t.Errorf("%d of %d bytes, then %v", len(got), len(want), err)
				}
				if n, again := a.Read(buf); n != 0 || again != err {
					t.Errorf("read again: %d, %v", n, again)
				}
			})
		}
	}
}

// TestAheadStops: who fills does not wait for a reader that is gone, and what
// it reads is bounded.
func TestAheadStops(t *testing.T) {
	src := &endless{}
	a := newAhead(src)
	var filling sync.WaitGroup
	filling.Go(a.fill)
	if _, err := a.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	a.stop()
	a.stop()
	filling.Wait()
	if src.reads > aheadPieces {
		t.Errorf("%d pieces were read", src.reads)
	}
	for {
		if _, err := a.Read(make([]byte, aheadPiece)); err != nil {
			if !errors.Is(err, errStopped) {
				t.Errorf("after the end: %v", err)
			}
			return
		}
	}
}

type endless struct{ reads int }

func (e *endless) Read(p []byte) (int, error) {
	e.reads++
	return len(p), nil
}
