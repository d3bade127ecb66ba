package repository

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// batchBytes is how much of a file a FileReader loads at once, in bytes of
// plaintext. Two batches are held: one is read while the next is loaded.
const batchBytes = 8 << 20

// FileReader reads a file of the repository from its beginning to its end.
// Each byte is authenticated before it is handed out, and io.EOF comes only
// after as many bytes as the node says the file has.
type FileReader struct {
	cancel  context.CancelFunc
	batches chan batch
	wg      sync.WaitGroup

	rest [][]byte
	read uint64
	size uint64
	name string
	err  error
}

type batch struct {
	parts [][]byte
	err   error
}

// NewFileReader starts to read a file. The reader must be closed.
func NewFileReader(ctx context.Context, r *Repository, node *Node) *FileReader {
	ctx, cancel := context.WithCancel(ctx)
	f := &FileReader{cancel: cancel, batches: make(chan batch), size: node.Size, name: node.Name}
	f.wg.Go(func() {
		defer close(f.batches)
		f.load(ctx, r, node.Content)
	})
	return f
}

// load hands out batches in the order of the file.
func (f *FileReader) load(ctx context.Context, r *Repository, content []ID) {
	for len(content) > 0 {
		n, err := batchLength(r, content)
		b := batch{err: err}
		if err == nil {
			b.parts, b.err = loadBatch(ctx, r, content[:n])
		}
		select {
		case f.batches <- b:
		case <-ctx.Done():
			return
		}
		if b.err != nil {
			return
		}
		content = content[n:]
	}
}

// batchLength is how many of the blobs fit into a batch, at least one.
func batchLength(r *Repository, content []ID) (int, error) {
	var sum uint64
	for i, id := range content {
		size, ok := r.BlobSize(BlobHandle{Type: DataBlob, ID: id})
		if !ok {
			return 0, fmt.Errorf("data %s: %w", id.Short(), ErrNoBlob)
		}
		if sum += size; sum > batchBytes && i > 0 {
			return i, nil
		}
	}
	return len(content), nil
}

// loadBatch loads blobs, each different one once, and returns them in order.
func loadBatch(ctx context.Context, r *Repository, content []ID) ([][]byte, error) {
	var handles []BlobHandle
	data := make(map[ID][]byte, len(content))
	for _, id := range content {
		if _, ok := data[id]; !ok {
			data[id] = nil
			handles = append(handles, BlobHandle{Type: DataBlob, ID: id})
		}
	}
	var mu sync.Mutex
	err := r.LoadBlobs(ctx, handles, func(h BlobHandle, b []byte) error {
		own := append([]byte(nil), b...)
		mu.Lock()
		defer mu.Unlock()
		data[h.ID] = own
		return nil
	})
	if err != nil {
		return nil, err
	}
	parts := make([][]byte, len(content))
	for i, id := range content {
		parts[i] = data[id]
	}
	return parts, nil
}

// Read implements io.Reader.
func (f *FileReader) Read(p []byte) (int, error) {
	for len(f.rest) == 0 && f.err == nil {
		f.next()
	}
	if len(f.rest) == 0 {
		return 0, f.err
	}
	n := copy(p, f.rest[0])
	if f.rest[0] = f.rest[0][n:]; len(f.rest[0]) == 0 {
		f.rest = f.rest[1:]
	}
	f.read += uint64(n)
	return n, nil
}

// next takes the next batch, or finds out how the file ended.
func (f *FileReader) next() {
	b, ok := <-f.batches
	switch {
	case ok && b.err != nil:
		f.err = fmt.Errorf("read %q: %w", f.name, b.err)
	case ok:
		f.rest = b.parts
	case f.read == f.size:
		f.err = io.EOF
	default:
		f.err = fmt.Errorf("read %q: %w", f.name, damaged("its content has %d bytes and its node says %d", f.read, f.size))
	}
}

// Close ends the reading and waits for it.
func (f *FileReader) Close() error {
	f.cancel()
	for range f.batches {
		// What was loaded already is dropped.
	}
	f.wg.Wait()
	return nil
}
