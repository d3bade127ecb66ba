package sidecar

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// loadDump replaces a database by its dump, or creates missing roles.
func (r *restore) loadDump(ctx context.Context, op plan.RestoreOperation) error {
	key := op.Items[0]
	item, end := r.item(key)
	r.provenDump(key, item)
	err := r.loadItem(ctx, key, item)
	if err == nil {
		item.Fetched = item.Bytes
		item.Verified = append(item.Verified, "loaded without an error")
	}
	end(err)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	return nil
}

func (r *restore) loadItem(ctx context.Context, key string, out *RestoredItem) error {
	src := r.sources[key]
	engine, dumped, err := dumpedFacts(src.item)
	if err != nil {
		return err
	}
	service := src.item.Service
	if err := r.dead[service]; err != nil {
		return err
	}
	container, err := r.host.running(ctx, service)
	if err != nil {
		return err
	}
	target, err := r.target(ctx, engine, service, container)
	if err != nil {
		return err
	}
	if err := engine.CanRestore(dumped, target); err != nil {
		return err
	}
	if src.item.Name == "" {
		return r.loadGlobals(ctx, src, engine, dumped, target, container, out)
	}
	return r.loadDatabase(ctx, src, engine, dumped, target, container, out)
}

// target is what the service's server says of itself. To ask takes as long as
// to restore a small database, so an answer holds until we have added a role
// or a database, or something has failed.
func (r *restore) target(ctx context.Context, engine dump.Engine, service, container string) (dump.Facts, error) {
	if facts, ok := r.targets[service]; ok {
		return facts, nil
	}
	facts, err := r.app.probe(ctx, r.host, engine, r.found.requestOf(engine, service), container)
	if err == nil {
		r.targets[service] = facts
	}
	return facts, err
}

func (r *restore) loadGlobals(ctx context.Context, src *sourceItem, engine dump.Engine, dumped, target dump.Facts, container string, out *RestoredItem) error {
	sql, err := r.readSQL(ctx, src, dump.RoleGlobals)
	if err != nil {
		return err
	}
	steps, notes, err := engine.RestoreGlobals(dump.GlobalsRequest{Dumped: dumped, Target: target, SQL: sql, Replace: r.opt.Globals})
	if err != nil {
		return err
	}
	out.Notes = append(out.Notes, notes...)
	out.Bytes = int64(len(sql))
	if err := r.noteItemBegun(src.item.Key()); err != nil {
		return err
	}
	if len(steps) > 0 {
		delete(r.targets, src.item.Service)
	}
	return r.runSteps(ctx, src, engine, container, steps, out)
}

func (r *restore) loadDatabase(ctx context.Context, src *sourceItem, engine dump.Engine, dumped, target dump.Facts, container string, out *RestoredItem) error {
	properties, err := r.readSQL(ctx, src, dump.RoleProperties)
	if err != nil {
		return err
	}
	it, _ := r.plan.Item(src.item.Key())
	steps, err := engine.Restore(dump.RestoreRequest{ID: r.id, Dumped: dumped, Target: target, Database: src.item.Name, NewName: it.NewName, Properties: properties})
	if err != nil {
		return err
	}
	entry := state.DatabaseRestore{ID: r.id, Engine: engine.Name(), Service: src.item.Service, Database: cmp.Or(it.NewName, src.item.Name), User: r.userOf(src.item.Service)}
	if err := r.noteItemBegun(src.item.Key()); err != nil {
		return err
	}
	r.journal.Databases = append(r.journal.Databases, entry)
	if err := r.host.state.WriteJournal(&r.journal); err != nil {
		r.forgetDatabase() // nothing was begun
		return err
	}
	err = r.runSteps(ctx, src, engine, container, steps, out)
	_, existed := target.Database(entry.Database)
	if err != nil || !existed {
		delete(r.targets, entry.Service)
	}
	if _, ok := engine.(dump.InPlace); ok {
		r.forgetDatabase()
		r.noteLess()
		if err != nil {
			return &mixedError{service: entry.Service, safety: r.report.Safety, err: err}
		}
		return nil
	}
	if err != nil {
		done, serr := r.settleDatabase(ctx, engine, entry, container, existed, stepOf(err))
		if serr != nil {
			// The journal keeps the entry: the next command finds out how far it came.
			return fmt.Errorf("%w: %w", errUnsettled, errors.Join(err, serr))
		}
		if done {
			out.Notes = append(out.Notes, "was interrupted and then finished: "+r.app.Redactor().Redact(err.Error()))
			err = nil
		}
	}
	r.forgetDatabase()
	r.noteLess()
	return err
}

// mixedError means that a restore which changes data where it lies was broken
// off: what is there now may be neither the old nor the new as a whole.
type mixedError struct {
	service, safety string
	err             error
}

func (e *mixedError) Error() string { return e.err.Error() }
func (e *mixedError) Unwrap() error { return e.err }

// advice says what is there now, and what to do.
func (e *mixedError) advice() string {
	text := "its data may be partly old and partly new: put right what has failed and run the restore again"
	if e.safety != "" {
		text += fmt.Sprintf(`, or bring back what was there before with "restore %.8s --service %s"`, e.safety, e.service)
	}
	return text
}

func (r *restore) forgetDatabase() {
	r.journal.Databases = r.journal.Databases[:len(r.journal.Databases)-1]
}

// settleDatabase finds out what a restore came to of which a step failed, for
// it may be that the answer was lost and not the step, and clears up what it
// left, also on the way out. done says that the new data is in place.
func (r *restore) settleDatabase(ctx context.Context, engine dump.Engine, entry state.DatabaseRestore, container string, existed bool, failed string) (done bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*probeTime)
	defer cancel()
	outcome, facts, err := r.app.settle(ctx, r.host, engine, entry, container, false)
	if err != nil {
		return false, fmt.Errorf("and what it left in the server is cleared up by the next command, or serve: %w", err)
	}
	_, exists := facts.Database(entry.Database)
	return tookEffect(outcome, failed, existed, exists), nil
}

// swapStep is the name of the step that puts the new data in place.
const swapStep = "swap"

// tookEffect says whether a restore of which a step failed put the new data in
// place. Where nothing is left of it, a database that was not there before is
// the new one only if the swap was under way: before it, whatever has that name
// came from elsewhere.
func tookEffect(outcome dump.Outcome, failed string, existed, exists bool) bool {
	return outcome == dump.OutcomeNew || outcome == dump.OutcomeNothing && failed == swapStep && exists && !existed
}

// stepError says which step failed.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// stepOf is the name of the step that failed.
func stepOf(err error) string {
	var failed *stepError
	if !errors.As(err, &failed) {
		return ""
	}
	return failed.step
}

func (r *restore) runSteps(ctx context.Context, src *sourceItem, engine dump.Engine, container string, steps []dump.Step, out *RestoredItem) error {
	for _, s := range steps {
		input, size, err := r.inputOf(ctx, src, s)
		if err != nil {
			return err
		}
		err = r.app.runStep(ctx, r.host, engine, src.item.Service, container, s, input)
		if err != nil && s.Settled {
			out.Notes = append(out.Notes, r.app.Redactor().Redact(err.Error()))
			continue
		}
		if err != nil {
			return &stepError{s.Name, err}
		}
		out.Bytes += size
	}
	return nil
}

// inputOf opens what a step reads. A source that fails in the middle ends the
// command; it is never taken for the end of the dump.
func (r *restore) inputOf(ctx context.Context, src *sourceItem, s dump.Step) (io.Reader, int64, error) {
	switch s.Input {
	case dump.InputNone:
		return nil, 0, nil
	case dump.InputLiteral:
		return bytes.NewReader(s.Literal), 0, nil
	case dump.InputDump:
		stream, err := r.openDump(ctx, src, cmp.Or(s.File, dumpFileOf(src.item, dump.RoleDatabase)))
		if err != nil {
			return nil, 0, err
		}
		key := src.item.Key()
		counted := &countingReader{ReadCloser: stream, crash: r.app.crash, advance: func(n int64) { r.app.progress().Advance(key, 0, n) }}
		if s.Filter == nil {
			return counted, src.item.Bytes, nil
		}
		return filtered{s.Filter(counted), counted}, src.item.Bytes, nil
	}
	return nil, 0, fmt.Errorf("step %q reads the unknown input %d", s.Name, s.Input)
}

// filtered is what a filter makes of a stream, closed as that.
type filtered struct {
	io.Reader
	io.Closer
}

// countingReader tells how far it is, and passes the crash point of a restore
// once it is under way.
type countingReader struct {
	io.ReadCloser
	n       int64
	crash   func(string)
	advance func(int64)
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if n > 0 && c.n == 0 {
		c.crash("mid-restore")
	}
	c.n += int64(n)
	c.advance(c.n)
	return n, err
}
