package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
)

func dumpInfo(it plan.Item) *manifest.DumpInfo {
	d := it.Dump
	info := &manifest.DumpInfo{Engine: d.Engine, ServerVersion: d.Facts.ServerVersion, ClientVersion: d.Facts.ClientVersion, Volumes: d.DataVolumes}
	if facts, err := json.Marshal(d.Facts); err == nil { // strings and numbers: it cannot fail
		info.Facts = facts
	}
	if it.Name != "" { // roles have no rows
		info.ExcludeTableData = d.Request.ExcludeTableData
	}
	return info
}

// dump makes every file of a dump. The item is good only when each command
// succeeded, each stream is whole, and each content is proven.
func (r *run) dump(ctx context.Context, op plan.Operation) error {
	key := op.Items[0]
	if r.failed(key) {
		return nil
	}
	it, res := r.item(key)
	r.mu.Lock()
	res.item.Started = r.app.Now()
	if w := r.window(op.Window); w != nil && w.lost != nil {
		res.item.Inconsistent = "the other services of its group were not down: " + r.app.Redactor().Redact(w.lost.Error())
	}
	r.mu.Unlock()
	var expect int64
	if db, ok := it.Dump.Facts.Database(it.Name); ok && db.Size > 0 {
		expect = db.Size
	}
	r.app.progress().Begin(key, expect)
	if len(it.Dump.Files) == 0 {
		r.fail(key, errors.New("the plan has no command for it"))
		return nil
	}
	for _, f := range it.Dump.Files {
		node, err := r.dumpFile(ctx, it, f)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			r.fail(key, err)
			return nil
		}
		res.nodes = append(res.nodes, node)
		res.item.DumpInfo.Files = append(res.item.DumpInfo.Files, manifest.DumpFile{Name: f.Name, Role: string(f.Role), Size: int64(node.Size)})
		res.item.Bytes += int64(node.Size)
		res.item.Files++
	}
	r.good(key)
	return nil
}

// good closes an item that is proven whole.
func (r *run) good(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := r.results[key]
	if res.done {
		return
	}
	if res.item.State == "" {
		res.item.State = manifest.Good
	}
	res.item.Finished, res.done = r.app.Now(), true
	before := r.parents.marksOf(key)
	res.item.Recent = before
	if text, ok := r.app.suddenly(before, res.item); ok && res.item.Kind != manifest.Config { // files that people edit
		res.item.Warnings = append(res.item.Warnings, text)
		r.warnings = append(r.warnings, key+": "+text)
		r.changed = append(r.changed, key)
		r.app.Log.Warn().Str("item", key).Msg(text)
	}
	r.app.Log.Info().Str("item", key).Str("state", string(res.item.State)).Int64("bytes", res.item.Bytes).Int64("files", res.item.Files).
		Float64("seconds", res.item.Finished.Sub(res.item.Started).Seconds()).Msg("item saved")
	r.app.progress().End(key, string(res.item.State))
}

// dumpFile streams one command's output into the repository.
func (r *run) dumpFile(ctx context.Context, it plan.Item, f dump.File) (*repository.Node, error) {
	if f.Copy != nil {
		return r.copyFile(ctx, it, f)
	}
	engine, _ := dump.Lookup(it.Dump.Engine)
	x, err := r.host.engine.Exec(ctx, docker.ExecRequest{
		Container: it.Dump.Container, Argv: f.Command.Argv, Stdin: known(f.Command), Gate: f.Command.Gate, NonEmpty: true,
		Stall: r.app.Settings.Stall, Deadline: r.app.Settings.Deadline,
	})
	if err != nil {
		return nil, r.app.explain(engine, it.Service, err)
	}
	file := r.writer.NewFile(repository.CutDump)
	proof := f.NewProof()
	var content io.Reader = x
	if f.Trim != nil {
		content = f.Trim(x)
	}
	err = r.copyDump(content, file, proof, it.Key)
	if cerr := x.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		file.Abandon()
		return nil, r.app.explain(engine, it.Service, err)
	}
	if err := proof.Finish(); err != nil {
		file.Abandon()
		return nil, fmt.Errorf("service %q: %s: %w", it.Service, f.Name, err)
	}
	ids, size, err := file.Finish().Wait(ctx)
	if err != nil {
		return nil, err
	}
	return r.fileNode(f.Name, ids, size), nil
}

// copyDump reads the stream to its proven end.
func (r *run) copyDump(from io.Reader, file io.Writer, proof dump.Proof, key string) error {
	buf := make([]byte, 256<<10)
	var n int64
	for {
		k, err := from.Read(buf)
		if k > 0 {
			if _, werr := proof.Write(buf[:k]); werr != nil {
				return werr
			}
			if _, werr := file.Write(buf[:k]); werr != nil {
				return werr
			}
			n += int64(k)
			r.app.progress().Advance(key, 0, n)
			if n == int64(k) {
				r.app.crash("mid-stream")
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fileNode is a file that we made ourselves.
func (r *run) fileNode(name string, content []repository.ID, size uint64) *repository.Node {
	return &repository.Node{
		Name: name, Type: "file", Mode: os.FileMode(0o600), ModTime: r.started, AccessTime: r.started, ChangeTime: r.started,
		Size: size, Links: 1, Content: content,
	}
}
