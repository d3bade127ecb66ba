package docker

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// input is how the feeding of a command's stdin went.
type input struct {
	mu sync.Mutex
	// finished: all of the source was written to the command.
	finished bool
}

// finish notes that all of the source was written.
func (i *input) finish() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.finished = true
}

// verdict judges the input of a command that succeeded.
func (i *input) verdict(mayRemain bool) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.finished && !mayRemain {
		return ErrInputRemains
	}
	return nil
}

// feed copies the source to the command's stdin. Only the source's own io.EOF
// becomes the command's end of input; on any other error the command is ended
// first, for it must not take half of its input for the whole.
func (x *Exec) feed() {
	buf := make([]byte, 128<<10)
	for {
		x.s.pace.source(true)
		n, err := x.req.Stdin.Read(buf)
		x.s.pace.source(false)
		if n > 0 && !x.put(buf[:n]) {
			return
		}
		switch {
		case err == io.EOF:
			x.input.finish()
			if cerr := x.s.closeWrite(); cerr != nil && !hungUp(cerr) {
				x.end(fmt.Errorf("end the input: %w", cerr))
			}
			return
		case err != nil:
			x.end(fmt.Errorf("read the input: %w", err))
			return
		}
	}
}

// put writes to the command and reports whether it takes more.
func (x *Exec) put(p []byte) bool {
	for len(p) > 0 {
		// In pieces, so that a slow reader isn't taken for a stalled one.
		piece := p[:min(len(p), 32<<10)]
		if _, err := x.s.Write(piece); err != nil {
			return false // what that means is for the exit code to say
		}
		x.s.pace.moved()
		p = p[len(piece):]
	}
	return true
}

// closeInput closes a source that can be closed.
func closeInput(r io.Reader) error {
	c, ok := r.(io.Closer)
	if !ok {
		return nil
	}
	if err := c.Close(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("close the input: %w", err)
	}
	return nil
}
