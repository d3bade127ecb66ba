package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// RunLimit is how much stdout Run takes.
const RunLimit = 16 << 20

// Run runs a small command and returns its stdout, bounded by RunLimit, and
// the end of its stderr. It is for probes and queries; what may be large is
// read from Exec.
func (e *Engine) Run(ctx context.Context, req ExecRequest) (stdout []byte, stderr string, err error) {
	x, err := e.Exec(ctx, req)
	if err != nil {
		return nil, "", err
	}
	stdout, err = io.ReadAll(io.LimitReader(x, RunLimit+1))
	if err == nil && len(stdout) > RunLimit {
		err = fmt.Errorf("run %s: %w: more than %d bytes", req.Argv[0], ErrTooMuchOutput, RunLimit)
	}
	err = errors.Join(err, x.Close())
	if err != nil {
		return nil, x.Stderr(), err
	}
	return stdout, x.Stderr(), nil
}

// Do runs a command of which only the success counts. What it writes to stdout
// is read and thrown away, however much that is: a command that was ended for
// its talk would leave half of its work.
func (e *Engine) Do(ctx context.Context, req ExecRequest) error {
	x, err := e.Exec(ctx, req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, x)
	return errors.Join(err, x.Close())
}
