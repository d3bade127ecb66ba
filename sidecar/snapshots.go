package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// Tags of snapshots.
const (
	TagOurs       = "ripplebak"
	TagProject    = "project:" // followed by the project's name
	TagIncomplete = "incomplete"
	TagSafety     = "safety"
)

// snapshot is a stored snapshot of one project, its manifest read on demand.
type snapshot struct {
	repository.StoredSnapshot
	manifest *manifest.Manifest
}

// ofProject reports whether a snapshot is one of the project's.
func ofProject(s *repository.Snapshot, project string) bool {
	return slices.Contains(s.Tags, TagOurs) && slices.Contains(s.Tags, TagProject+project)
}

// projectSnapshots are the project's snapshots, newest first, without safety
// snapshots. Damaged snapshot files are warnings.
func (a *App) projectSnapshots(ctx context.Context, repo *repository.Repository, project string) ([]*snapshot, error) {
	all, damaged, err := repo.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range damaged {
		a.Log.Warn().Msg(a.Redactor().Redact(d.Error()))
	}
	var out []*snapshot
	instead := replaced(all)
	for _, s := range all {
		if _, damaged := instead[s.ID]; !damaged && ofProject(&s.Snapshot, project) && !slices.Contains(s.Snapshot.Tags, TagSafety) {
			out = append(out, &snapshot{StoredSnapshot: s})
		}
	}
	slices.Reverse(out)
	return out, nil
}

// replaced are the snapshots in whose place a repair has written others, and
// these: what they say of their items is no longer true.
func replaced(all []repository.StoredSnapshot) map[repository.ID]repository.ID {
	out := map[repository.ID]repository.ID{}
	for i := range all {
		if s := &all[i]; s.Original != nil && s.HasTag(repository.TagRepaired) {
			out[*s.Original] = s.ID
		}
	}
	return out
}

// errNoManifest means that a snapshot was not written by us.
var errNoManifest = errors.New("the snapshot has no manifest")

// loadManifest reads the snapshot's manifest.
func loadManifest(ctx context.Context, repo *repository.Repository, s *repository.Snapshot, project string) (*manifest.Manifest, error) {
	if s.Tree == nil {
		return nil, errNoManifest
	}
	node, err := repo.Resolve(ctx, *s.Tree, manifest.Escape(project), manifest.FileName)
	if errors.Is(err, repository.ErrNoNode) {
		return nil, errNoManifest
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	b, err := readSmall(ctx, repo, node, manifest.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	return manifest.Decode(b)
}

// readSmall reads a file of the repository into memory.
func readSmall(ctx context.Context, repo *repository.Repository, node *repository.Node, limit uint64) ([]byte, error) {
	if node.Size > limit {
		return nil, fmt.Errorf("%q has %d bytes, more than the %d that it may have", node.Name, node.Size, limit)
	}
	var out []byte
	for _, id := range node.Content {
		b, err := repo.LoadBlob(ctx, repository.BlobHandle{Type: repository.DataBlob, ID: id}, nil)
		if err != nil {
			return nil, err
		}
		if uint64(len(out)+len(b)) > limit {
			return nil, fmt.Errorf("%q has more bytes than it says", node.Name)
		}
		out = append(out, b...)
	}
	return out, nil
}

// parents finds for each item what the project's snapshots hold of it.
type parents struct {
	snapshots []*snapshot
	byKey     map[string]parentTree
	// marks are how much there was of each item when it was last good, the
	// newest first.
	marks map[string][]manifest.Mark
}

// parentDepth is how many runs that were to save an item are searched for one
// that did, and parentsRead how many manifests are read at most: where services
// have schedules of their own, most snapshots are not about a certain item.
const (
	parentDepth = 10
	parentsRead = 1000
)

// findParents looks for the newest snapshot that holds each item. What is
// not found is read anew, so nothing that goes wrong here is more than a
// warning.
func (a *App) findParents(ctx context.Context, repo *repository.Repository, project string, keys []string) (*parents, error) {
	list, err := a.projectSnapshots(ctx, repo, project)
	if err != nil {
		return nil, err
	}
	p := &parents{snapshots: list, byKey: map[string]parentTree{}, marks: map[string][]manifest.Mark{}}
	left := map[string]int{} // of the keys that are still looked for, how often
	for _, key := range keys {
		left[key] = parentDepth
	}
	unreadable := 0
	for i, s := range list {
		if i >= parentsRead || len(left) == 0 || unreadable >= parentDepth {
			break
		}
		m, err := loadManifest(ctx, repo, &s.Snapshot, project)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return nil, cause
			}
			unreadable++
			a.Log.Warn().Str("snapshot", s.ID.Short()).Msg(a.Redactor().Redact(err.Error()))
			continue
		}
		s.manifest = m
		p.look(ctx, repo, s, project, left)
	}
	return p, nil
}

// look takes what a snapshot has of the items that are still looked for. One that
// left an item out on purpose says nothing of it.
func (p *parents) look(ctx context.Context, repo *repository.Repository, s *snapshot, project string, left map[string]int) {
	skipped := map[string]bool{}
	for _, it := range s.manifest.Items {
		key := it.Key()
		if _, wanted := left[key]; !wanted {
			continue
		}
		skipped[key] = it.State == manifest.Skipped
		if _, ok := p.marks[key]; !ok && it.State == manifest.Good {
			p.marks[key] = marksWith(it, s.Time)
		}
		if _, ok := p.byKey[key]; !ok {
			p.take(ctx, repo, s, project, it)
		}
	}
	for key := range left {
		if !skipped[key] {
			left[key]--
		}
		if _, marked := p.marks[key]; marked || left[key] <= 0 {
			delete(left, key)
		}
	}
}

func (p *parents) take(ctx context.Context, repo *repository.Repository, s *snapshot, project string, it manifest.Item) {
	if it.State != manifest.Good && it.State != manifest.Partial || it.VolumeInfo == nil {
		return
	}
	node, err := repo.Resolve(ctx, *s.Snapshot.Tree, append([]string{manifest.Escape(project)}, it.Path()...)...)
	if err != nil || node.Subtree == nil {
		return
	}
	v := it.VolumeInfo
	p.byKey[it.Key()] = parentTree{
		tree:  node.Subtree,
		bytes: it.Bytes,
		trust: archive.Trust{
			WalkStarted:  volume.Time{Sec: v.WalkStartedSec, Nsec: v.WalkStartedNsec},
			Slack:        time.Duration(v.SlackMillis) * time.Millisecond,
			StableInodes: v.StableInodes,
		},
	}
}

func (p *parents) volume(key string) parentTree {
	if p == nil {
		return parentTree{}
	}
	return p.byKey[key]
}

// newest is the newest snapshot's ID, or nil.
func (p *parents) newest() *repository.ID {
	if p == nil || len(p.snapshots) == 0 {
		return nil
	}
	return &p.snapshots[0].ID
}
