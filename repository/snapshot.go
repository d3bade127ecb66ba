package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/storage"
)

// Snapshot is the content of a file below snapshots/, as restic has it.
type Snapshot struct {
	Time           time.Time `json:"time"`
	Parent         *ID       `json:"parent,omitempty"`
	Tree           *ID       `json:"tree"`
	Paths          []string  `json:"paths"`
	Hostname       string    `json:"hostname,omitempty"`
	Username       string    `json:"username,omitempty"`
	UID            uint32    `json:"uid,omitempty"`
	GID            uint32    `json:"gid,omitempty"`
	Excludes       []string  `json:"excludes,omitempty"`
	Tags           []string  `json:"tags,omitempty"`
	Original       *ID       `json:"original,omitempty"`
	ProgramVersion string    `json:"program_version,omitempty"`
	Summary        *Summary  `json:"summary,omitempty"`
}

// Summary is what a run did, as restic since 0.17 records it. Sizes are in
// bytes.
type Summary struct {
	BackupStart         time.Time `json:"backup_start"`
	BackupEnd           time.Time `json:"backup_end"`
	FilesNew            uint64    `json:"files_new"`
	FilesChanged        uint64    `json:"files_changed"`
	FilesUnmodified     uint64    `json:"files_unmodified"`
	DirsNew             uint64    `json:"dirs_new"`
	DirsChanged         uint64    `json:"dirs_changed"`
	DirsUnmodified      uint64    `json:"dirs_unmodified"`
	DataBlobs           int64     `json:"data_blobs"`
	TreeBlobs           int64     `json:"tree_blobs"`
	DataAdded           uint64    `json:"data_added"`
	DataAddedPacked     uint64    `json:"data_added_packed"`
	TotalFilesProcessed uint64    `json:"total_files_processed"`
	TotalBytesProcessed uint64    `json:"total_bytes_processed"`
}

// StoredSnapshot is a snapshot with the ID that it is stored under.
type StoredSnapshot struct {
	ID ID
	Snapshot
}

// HasTag says whether a snapshot carries a tag.
func (s *Snapshot) HasTag(tag string) bool { return slices.Contains(s.Tags, tag) }

func decodeSnapshot(doc []byte) (*Snapshot, error) {
	var s Snapshot
	if err := json.Unmarshal(doc, &s); err != nil {
		return nil, damaged("not a snapshot: %w", err)
	}
	if s.Tree == nil || s.Tree.IsZero() {
		return nil, damaged("the snapshot has no tree")
	}
	return &s, nil
}

// LoadSnapshot loads one snapshot.
func (r *Repository) LoadSnapshot(ctx context.Context, id ID) (*Snapshot, error) {
	return r.loadSnapshot(ctx, id, 0)
}

func (r *Repository) loadSnapshot(ctx context.Context, id ID, size int64) (*Snapshot, error) {
	doc, err := r.loadUnpacked(ctx, storage.SnapshotFile, id, size, maxSnapshotFile)
	if errors.Is(err, storage.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", id.Short(), ErrNoSnapshot)
	}
	if err != nil {
		return nil, err
	}
	s, err := decodeSnapshot(doc)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", id.Short(), err)
	}
	return s, nil
}

// snapshotLoaders is how many snapshots are loaded at a time.
const snapshotLoaders = 8

// Snapshots returns all snapshots by time, oldest first, those of one instant
// by ID. Damaged ones are returned as errors of their own; err is for failures
// of the storage.
func (r *Repository) Snapshots(ctx context.Context) (list []StoredSnapshot, bad []error, err error) {
	infos, err := r.listSnapshots(ctx)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(snapshotLoaders)
	for id, size := range infos {
		g.Go(func() error {
			s, err := r.loadSnapshot(gctx, id, size)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				list = append(list, StoredSnapshot{ID: id, Snapshot: *s})
			case errors.Is(err, ErrNoSnapshot): // removed since it was listed
			case errors.Is(err, ErrDamaged):
				bad = append(bad, err)
			default:
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, fmt.Errorf("load snapshots: %w", err)
	}
	sortSnapshots(list)
	r.cache.retain(storage.SnapshotFile, func(id ID) bool { _, ok := infos[id]; return ok })
	return list, bad, nil
}

func sortSnapshots(list []StoredSnapshot) {
	slices.SortFunc(list, func(a, b StoredSnapshot) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		return strings.Compare(a.ID.String(), b.ID.String())
	})
}

func (r *Repository) listSnapshots(ctx context.Context) (map[ID]int64, error) {
	infos := make(map[ID]int64)
	err := r.store.List(ctx, storage.SnapshotFile, func(i storage.Info) error {
		if id, err := ParseID(i.Name); err == nil {
			infos[id] = i.Size
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	return infos, nil
}

// FindSnapshot returns the ID of the one snapshot whose ID begins with prefix,
// or which had such an ID before its tags were changed.
func (r *Repository) FindSnapshot(ctx context.Context, prefix string) (ID, error) {
	infos, err := r.listSnapshots(ctx)
	if err != nil {
		return ID{}, err
	}
	var found []ID
	for id := range infos {
		if prefix != "" && strings.HasPrefix(id.String(), strings.ToLower(prefix)) {
			found = append(found, id)
		}
	}
	if len(found) == 0 && prefix != "" {
		if found, err = r.findOriginal(ctx, strings.ToLower(prefix)); err != nil {
			return ID{}, err
		}
	}
	switch len(found) {
	case 0:
		return ID{}, fmt.Errorf("%.80q: %w", prefix, ErrNoSnapshot)
	case 1:
		return found[0], nil
	}
	return ID{}, fmt.Errorf("%q: %w (%d of them): give more digits", prefix, ErrAmbiguous, len(found))
}

// findOriginal returns the snapshots whose first ID begins with prefix, one for
// each first ID: of those with one they are the same but for their tags.
func (r *Repository) findOriginal(ctx context.Context, prefix string) ([]ID, error) {
	list, _, err := r.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[ID]bool{}
	var found []ID
	for _, s := range list {
		if s.Original != nil && strings.HasPrefix(s.Original.String(), prefix) && !seen[*s.Original] {
			seen[*s.Original] = true
			found = append(found, s.ID)
		}
	}
	return found, nil
}

// SnapshotFilter selects snapshots. Empty fields select all.
type SnapshotFilter struct {
	Hostname string
	Paths    []string // exactly these, in any order
	Tags     []string // all of these
	Without  []string // none of these tags
}

// Match says whether a snapshot is selected.
func (f *SnapshotFilter) Match(s *Snapshot) bool {
	if f.Hostname != "" && f.Hostname != s.Hostname {
		return false
	}
	for _, tag := range f.Tags {
		if !s.HasTag(tag) {
			return false
		}
	}
	for _, tag := range f.Without {
		if s.HasTag(tag) {
			return false
		}
	}
	if len(f.Paths) == 0 {
		return true
	}
	have, want := slices.Sorted(slices.Values(s.Paths)), slices.Sorted(slices.Values(f.Paths))
	return slices.Equal(slices.Compact(have), slices.Compact(want))
}

// Latest returns the newest of the snapshots that f selects; one from the
// future counts as any other. It is how a run finds its parent.
func Latest(list []StoredSnapshot, f SnapshotFilter) (StoredSnapshot, bool) {
	for _, s := range slices.Backward(list) {
		if f.Match(&s.Snapshot) {
			return s, true
		}
	}
	return StoredSnapshot{}, false
}
