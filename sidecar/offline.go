package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// startDouble starts the container in which a dump is made, while its service
// still runs.
func (r *run) startDouble(ctx context.Context, op plan.Operation) error {
	w := r.window(op.Window)
	key := op.Items[0]
	if r.failed(key) {
		return nil
	}
	it, _ := r.item(key)
	engine, ok := dump.Lookup(it.Dump.Engine)
	if !ok {
		r.fail(key, fmt.Errorf("the engine %q is not part of this version", it.Dump.Engine))
		return nil
	}
	d, err := r.app.startDouble(ctx, r.host, r.id, engine, it.Dump.Container)
	if err != nil {
		return r.walkFailed(ctx, key, fmt.Errorf("service %q: %w", it.Service, err))
	}
	w.doubles[key] = d
	return nil
}

// spooledFile is a file of a dump that waits to be stored.
type spooledFile struct {
	dump.File
	queue *volume.Queue
}

// dumpOffline makes a dump in a double, while the service is down. It returns
// when all of the dump is proven and in the spool; storing it goes on.
func (r *run) dumpOffline(ctx context.Context, op plan.Operation) error {
	w, key := r.window(op.Window), op.Items[0]
	if r.windowLost(op.Window) || r.failed(key) {
		return nil
	}
	it, res := r.item(key)
	d := w.doubles[key]
	r.mu.Lock()
	res.item.Started = r.app.Now()
	r.mu.Unlock()
	r.app.progress().Begin(key, 0)
	if len(it.Dump.Files) == 0 || d == nil {
		r.fail(key, errors.New("the plan has no command for it"))
		return nil
	}
	files := make(chan spooledFile, len(it.Dump.Files))
	w.saves.Go(func() error { return r.storeOffline(ctx, key, files) })
	defer close(files)
	for _, f := range it.Dump.Files {
		queue, err := volume.NewQueue(volume.Spool{
			Dir: r.host.state.SpoolDir(), Limit: r.app.Settings.SpoolSize,
			Memory: max(leastSpool, spoolMemory/max(2, int64(len(w.keys)+len(it.Dump.Files)))),
		})
		if err == nil {
			files <- spooledFile{f, queue}
			err = r.spoolDump(ctx, it, f, d.id, queue)
			queue.Finish(err)
		}
		if err != nil {
			// The command may still run, and the service is started next.
			delete(w.doubles, key)
			return r.walkFailed(ctx, key, errors.Join(err, d.close(ctx)))
		}
	}
	return nil
}

// spoolDump runs one command of a dump. Its output is proven when it returns.
func (r *run) spoolDump(ctx context.Context, it plan.Item, f dump.File, container string, queue *volume.Queue) error {
	engine, _ := dump.Lookup(it.Dump.Engine)
	x, err := r.host.engine.Exec(ctx, docker.ExecRequest{
		Container: container, Argv: f.Command.Argv, Stdin: known(f.Command), Gate: f.Command.Gate, NonEmpty: true,
		Stall: r.app.Settings.Stall, Deadline: r.app.Settings.Deadline,
	})
	if err != nil {
		return r.app.explain(engine, it.Service, err)
	}
	proof := f.NewProof()
	var content io.Reader = x
	if f.Trim != nil {
		content = f.Trim(x)
	}
	err = r.copyDump(content, &stoppable{queue, func() bool { return r.failed(it.Key) }}, proof, it.Key)
	if cerr := x.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return r.app.explain(engine, it.Service, err)
	}
	if err := proof.Finish(); err != nil {
		return fmt.Errorf("service %q: %s: %w", it.Service, f.Name, err)
	}
	return nil
}

// stoppable refuses to go on with what has failed elsewhere.
type stoppable struct {
	io.Writer
	over func() bool
}

var errFailedElsewhere = errors.New("it could not be stored")

func (s *stoppable) Write(p []byte) (int, error) {
	if s.over() {
		return 0, errFailedElsewhere
	}
	return s.Writer.Write(p)
}

// storeOffline stores the files of a dump as they come. What could not be made
// has failed already.
func (r *run) storeOffline(ctx context.Context, key string, files <-chan spooledFile) error {
	for f := range files {
		node, err := r.storeSpooled(ctx, f)
		if err != nil {
			err = r.walkFailed(ctx, key, err)
			for more := range files { // to the end, when nobody writes any more
				more.queue.Close()
			}
			f.queue.Close()
			return err
		}
		f.queue.Close()
		r.mu.Lock()
		res := r.results[key]
		if res.item.State != manifest.Failed {
			res.nodes = append(res.nodes, node)
			res.item.DumpInfo.Files = append(res.item.DumpInfo.Files, manifest.DumpFile{Name: f.Name, Role: string(f.Role), Size: int64(node.Size)})
			res.item.Bytes += int64(node.Size)
			res.item.Files++
		}
		r.mu.Unlock()
	}
	r.good(key)
	return nil
}

func (r *run) storeSpooled(ctx context.Context, f spooledFile) (*repository.Node, error) {
	file := r.writer.NewFile(repository.CutDump)
	if _, err := io.Copy(file, f.queue); err != nil {
		file.Abandon()
		return nil, err
	}
	ids, size, err := file.Finish().Wait(ctx)
	if err != nil {
		return nil, err
	}
	return r.fileNode(f.Name, ids, size), nil
}
