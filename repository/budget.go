package repository

import (
	"context"
	"sync"
)

// byteBudget bounds the bytes between two stages. Who asks for more than all
// of it gets it once nobody else holds any.
type byteBudget struct {
	mu    sync.Mutex
	freed *sync.Cond
	limit int64
	used  int64
}

func newByteBudget(limit int64) *byteBudget {
	b := &byteBudget{limit: limit}
	b.freed = sync.NewCond(&b.mu)
	return b
}

// acquire waits for n bytes. Whoever ends ctx calls wake.
func (b *byteBudget) acquire(ctx context.Context, n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.used > 0 && b.used+n > b.limit && ctx.Err() == nil {
		b.freed.Wait()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.used += n
	return nil
}

func (b *byteBudget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.freed.Signal()
}

func (b *byteBudget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freed.Broadcast()
}
