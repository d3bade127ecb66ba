package volume

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"time"
)

const jobWalk = "walk"

// WalkRequest says what is walked.
type WalkRequest struct {
	// Root is where the helper has the volume mounted.
	Root string `json:"root"`
	// Exclude are doublestar globs, anchored by a leading "/", else matched at
	// any depth; a directory that matches is left out with all below it.
	Exclude []string `json:"exclude,omitempty"`
	// Only is the one name in Root that is walked; it fails where that is not
	// there. Empty: all of them.
	Only string `json:"only,omitempty"`
	// Stall is how long the helper may send nothing while it is waited for; the
	// walk then fails with ErrSilent. 0: for ever.
	Stall time.Duration `json:"-"`
}

type walkHeader struct {
	Job string `json:"job"`
	WalkRequest
}

// serveWalk walks a volume at the helper's end.
func serveWalk(ctx context.Context, header json.RawMessage, s *stream) error {
	var head walkHeader
	if err := json.Unmarshal(header, &head); err != nil {
		return fmt.Errorf("read the walk's request: %w", err)
	}
	exclude, err := newExcluder(head.Exclude)
	if err != nil {
		return err
	}
	r, err := openRoot(head.Root)
	if err != nil {
		return err
	}
	defer r.close()
	return walkTo(ctx, r, exclude, head.Only, s)
}

// walkTo walks r, or one name in it, and sends what it finds to s, from which it
// takes what is known.
func walkTo(ctx context.Context, r *root, exclude excluder, only string, s *stream) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	known, readKnown := newKnownReader(ctx, s)
	w := &walker{
		root: r, exclude: exclude, only: only, known: known, stop: cancel, done: ctx.Done(),
		work: make(chan *batch, batchesAhead), order: make(chan *batch, batchesAhead),
		free: make(chan *batch, batchesAhead),
	}
	var reading, walking sync.WaitGroup
	reading.Go(readKnown)
	started, syncErr := r.sync()
	walking.Go(w.lister)
	for range readers {
		walking.Go(w.reader)
	}
	e := newEmitter(w, newSender(s))
	err := e.run(started, syncErr)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(err)
	walking.Wait()
	if err != nil {
		// The sidecar stops sending when it hears of it.
		if failed := s.Fail(err); failed != nil {
			err = failed
		}
	}
	reading.Wait()
	return err
}

// How far the parts of a walk run ahead of each other. Memory is bounded by
// batchesAhead batches, each of batchItems names and batchContent bytes, and the
// names of the directories that are open.
const (
	batchesAhead = 8
	batchItems   = 64
	batchContent = 512 << 10
	smallFile    = 256 << 10 // files up to this size are read ahead
)

// readers are the goroutines that look at files and read the small ones: some
// more than there are cores, for disks like to be asked several things at once.
var readers = max(4, runtime.GOMAXPROCS(0)+2)
