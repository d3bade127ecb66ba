package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

// Memory is a store in memory. Beside the Store that it is, it lets a test
// look at the files and alter them behind the repository's back.
type Memory struct {
	storage.Store
	m *memory
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	m := &memory{files: make(map[storage.Handle][]byte), modified: make(map[storage.Handle]time.Time)}
	return &Memory{Store: storage.New(m), m: m}
}

// Bytes returns a copy of a file's content, false where it does not exist.
func (m *Memory) Bytes(h storage.Handle) ([]byte, bool) {
	m.m.mu.Lock()
	defer m.m.mu.Unlock()
	data, ok := m.m.files[h]
	return bytes.Clone(data), ok
}

// Put sets a file's content without any check.
func (m *Memory) Put(h storage.Handle, data []byte) {
	m.m.mu.Lock()
	defer m.m.mu.Unlock()
	m.m.files[h], m.m.modified[h] = bytes.Clone(data), time.Now()
}

// Delete removes a file of any kind.
func (m *Memory) Delete(h storage.Handle) {
	m.m.mu.Lock()
	defer m.m.mu.Unlock()
	delete(m.m.files, h)
}

// Handles returns the files of a kind, in no particular order.
func (m *Memory) Handles(k storage.Kind) []storage.Handle {
	m.m.mu.Lock()
	defer m.m.mu.Unlock()
	var out []storage.Handle
	for h := range m.m.files {
		if h.Kind == k {
			out = append(out, h)
		}
	}
	return out
}

// Copy returns a store of its own with the same files: what another machine
// would see at this moment.
func (m *Memory) Copy() *Memory {
	out := NewMemory()
	m.m.mu.Lock()
	defer m.m.mu.Unlock()
	for h, data := range m.m.files {
		out.m.files[h], out.m.modified[h] = data, m.m.modified[h] // never changed in place
	}
	return out
}

// memory is the backend. Contents are replaced whole, never changed in place.
type memory struct {
	mu       sync.Mutex
	files    map[storage.Handle][]byte
	modified map[storage.Handle]time.Time // when each was stored
}

func (m *memory) get(h storage.Handle) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.files[h]
	if !ok {
		return nil, fmt.Errorf("%s: %w", h, storage.ErrNotExist)
	}
	return data, nil
}

func (m *memory) Load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	data, err := m.get(h)
	if err != nil {
		return nil, 0, fmt.Errorf("load %w", err)
	}
	if offset > int64(len(data)) {
		return nil, 0, storage.Truncated(h, offset, length, int64(len(data))-offset)
	}
	data = data[offset:]
	if length > 0 && length < int64(len(data)) {
		data = data[:length]
	}
	return io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil
}

func (m *memory) Stat(ctx context.Context, h storage.Handle) (storage.Info, error) {
	if err := ctx.Err(); err != nil {
		return storage.Info{}, err
	}
	data, err := m.get(h)
	if err != nil {
		return storage.Info{}, fmt.Errorf("stat %w", err)
	}
	return storage.Info{Name: h.Name, Size: int64(len(data))}, nil
}

func (m *memory) List(ctx context.Context, k storage.Kind, fn func(storage.Info) error) error {
	m.mu.Lock()
	var infos []storage.Info
	for h, data := range m.files {
		if h.Kind == k {
			infos = append(infos, storage.Info{Name: h.Name, Size: int64(len(data)), Modified: m.modified[h]})
		}
	}
	m.mu.Unlock()
	for _, info := range infos {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(info); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (m *memory) Location() string { return "memory" }

func (m *memory) Save(ctx context.Context, h storage.Handle, p storage.Payload) error {
	data, err := content(ctx, p)
	if err != nil {
		return fmt.Errorf("save %s: %w", h, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[h], m.modified[h] = data, time.Now()
	return nil
}

func (m *memory) Create(ctx context.Context, h storage.Handle, p storage.Payload) error {
	data, err := content(ctx, p)
	if err != nil {
		return fmt.Errorf("create %s: %w", h, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.files[h]; ok {
		return fmt.Errorf("create %s: %w", h, storage.ErrExist)
	}
	m.files[h], m.modified[h] = data, time.Now()
	return nil
}

// content reads and proves a payload.
func content(ctx context.Context, p storage.Payload) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := p.Open()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	if cerr := r.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("%w: %w", storage.ErrSource, cerr)
	}
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(data) != p.SHA256 {
		return nil, fmt.Errorf("%w: its content is not what its hash says", storage.ErrSource)
	}
	return data, ctx.Err()
}

func (m *memory) Provision(ctx context.Context) error { return ctx.Err() }

func (m *memory) Remove(ctx context.Context, h storage.Handle) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, h)
	return nil
}

func (m *memory) Probe(ctx context.Context) error { return ctx.Err() }

func (m *memory) Close() error { return nil }
