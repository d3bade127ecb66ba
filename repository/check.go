package repository

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/storage"
)

// FindingKind says what is wrong.
type FindingKind string

// The kinds of findings.
const (
	BadSnapshot   FindingKind = "snapshot" // cannot be read
	BadIndex      FindingKind = "index"    // cannot be read
	BadTree       FindingKind = "tree"     // a directory cannot be read, or is not one
	MissingBlob   FindingKind = "blob"     // referenced, and in no index
	MissingPack   FindingKind = "missing"  // in the index, and not stored
	WrongPackSize FindingKind = "size"     // stored with another size than the index implies
	BadHeader     FindingKind = "header"   // the pack's header and the index differ
	BadPack       FindingKind = "pack"     // content of a pack is damaged
	MixedPack     FindingKind = "mixed"    // trees and data in one pack (a note)
	UnusedPack    FindingKind = "unused"   // stored, and in no index (a note)
)

// Finding is one thing that Check found.
type Finding struct {
	Kind   FindingKind
	Note   bool   // nothing is lost by it
	File   string // the repository file concerned, in short; may be empty
	Detail string
}

// String is the finding as one line.
func (f Finding) String() string {
	if f.File == "" {
		return f.Detail
	}
	return f.File + ": " + f.Detail
}

// maxFindings bounds what a report lists; all are counted.
const maxFindings = 1000

// CheckOptions says how far a check goes.
type CheckOptions struct {
	// ReadData reads every pack and verifies every blob; otherwise only
	// structure and headers are checked.
	ReadData bool
	// Headers reads the header of every pack and compares it with the index.
	// ReadData does so too.
	Headers bool
	// Progress is called now and then, from one goroutine at a time. Nil:
	// nobody.
	Progress func(CheckProgress)
}

// CheckProgress is how far a check has come.
type CheckProgress struct {
	Snapshots, TotalSnapshots uint64
	Packs, TotalPacks         uint64
	BytesRead                 uint64
}

// CheckReport is the outcome of a check.
type CheckReport struct {
	Findings  []Finding // the first thousand
	Errors    uint64    // all findings that are no notes
	Notes     uint64
	Snapshots uint64
	Trees     uint64 // distinct directories
	Packs     uint64 // listed in the storage
	Blobs     uint64 // in the index
	BytesRead uint64 // of packs
}

// OK says whether the repository is whole.
func (r CheckReport) OK() bool { return r.Errors == 0 }

// checker is one check.
type checker struct {
	r   *Repository
	opt CheckOptions

	mu     sync.Mutex
	report CheckReport
	prog   CheckProgress
	seen   map[ID]struct{} // trees
}

// Check verifies the repository: every snapshot's directories load, every blob
// that they refer to is in an index, every pack of an index is stored with the
// size that the index implies. With ReadData, every pack is read once, its
// name compared with its hash, and every blob authenticated, decompressed and
// compared with its ID. What it finds is in the report; err is for failures to
// look.
func (r *Repository) Check(ctx context.Context, opt CheckOptions) (CheckReport, error) {
	c := &checker{r: r, opt: opt, seen: make(map[ID]struct{})}
	// Snapshots before the index: of a snapshot that was listed the index is
	// complete.
	list, bad, err := r.Snapshots(ctx)
	if err != nil {
		return c.report, err
	}
	if err := r.LoadIndex(ctx); err != nil {
		if ctx.Err() != nil || !isDamage(err) {
			return c.report, err
		}
		c.add(Finding{Kind: BadIndex, Detail: err.Error()})
	}
	for _, err := range bad {
		c.add(Finding{Kind: BadSnapshot, Detail: err.Error()})
	}
	c.report.Snapshots = uint64(len(list) + len(bad))
	c.prog.TotalSnapshots = uint64(len(list))
	packs, err := c.checkPackList(ctx)
	if err != nil {
		return c.report, err
	}
	for i := range list {
		if err := c.checkSnapshot(ctx, &list[i]); err != nil {
			return c.report, err
		}
		c.progress(func(p *CheckProgress) { p.Snapshots++ })
	}
	if opt.ReadData || opt.Headers {
		err = c.checkPacks(ctx, packs)
	}
	return c.report, err
}

// add records a finding.
func (c *checker) add(f Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Note {
		c.report.Notes++
	} else {
		c.report.Errors++
	}
	if len(c.report.Findings) < maxFindings {
		if len(f.Detail) > 2000 {
			f.Detail = f.Detail[:2000] + "..."
		}
		c.report.Findings = append(c.report.Findings, f)
	}
}

func (c *checker) progress(step func(*CheckProgress)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	step(&c.prog)
	c.report.BytesRead = c.prog.BytesRead
	if c.opt.Progress != nil {
		c.opt.Progress(c.prog)
	}
}

// checkSnapshot walks the trees of a snapshot that were not walked before.
func (c *checker) checkSnapshot(ctx context.Context, s *StoredSnapshot) error {
	todo := []ID{*s.Tree}
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if _, ok := c.seen[id]; ok {
			continue
		}
		c.seen[id] = struct{}{}
		c.report.Trees++
		tree, err := c.r.LoadTree(ctx, id)
		if err != nil {
			if ctx.Err() != nil || !isDamage(err) {
				return err
			}
			c.add(Finding{Kind: BadTree, File: "snapshot " + s.ID.Short(), Detail: err.Error()})
			continue
		}
		for _, n := range tree.Nodes {
			if c.checkNode(s, id, n) {
				todo = append(todo, *n.Subtree)
			}
		}
	}
	return nil
}

// checkNode looks whether all that a node refers to is there, and says whether
// it has a directory to descend into.
func (c *checker) checkNode(s *StoredSnapshot, tree ID, n *Node) (descend bool) {
	name := fmt.Sprintf("snapshot %s, tree %s", s.ID.Short(), tree.Short())
	switch n.Type {
	case NodeDir:
		if n.Subtree == nil {
			c.add(Finding{Kind: BadTree, File: name, Detail: fmt.Sprintf("directory %.200q has no tree", n.Name)})
			return false
		}
		return true
	case NodeFile:
	default:
		return false
	}
	var size uint64
	missing := 0
	for _, id := range n.Content {
		blob, ok := c.r.BlobSize(BlobHandle{Type: DataBlob, ID: id})
		if !ok {
			if missing++; missing == 1 {
				c.add(Finding{Kind: MissingBlob, File: name, Detail: fmt.Sprintf("file %.200q needs data blob %s, which is in no index", n.Name, id)})
			}
			continue
		}
		size += blob
	}
	if missing > 1 {
		c.add(Finding{Kind: MissingBlob, File: name, Detail: fmt.Sprintf("file %.200q needs %d more blobs that are in no index", n.Name, missing-1)})
	}
	if missing == 0 && size != n.Size {
		c.add(Finding{Kind: BadTree, Note: true, File: name, Detail: fmt.Sprintf("file %.200q has %d bytes of content and a size of %d: it changed while it was read", n.Name, size, n.Size)})
	}
	return false
}

// packSummary is what the index says of a pack.
type packSummary struct {
	size   int64 // stored size that the blobs imply; 0 where they do not fit
	stored int64 // -1: not listed
	count  uint32
	kinds  uint8
}

// checkPackList compares the packs of the index with those in the storage.
func (c *checker) checkPackList(ctx context.Context) ([]packSummary, error) {
	x := c.r.index
	sums := make([]packSummary, x.packCount())
	for i := range sums {
		sums[i] = packSummary{size: headerSize(nil), stored: -1}
	}
	x.each(func(e *indexEntry) {
		b := e.packed()
		s := &sums[e.pack]
		s.size += int64(b.length) + headerSize([]packedBlob{b}) - headerSize(nil)
		s.count++
		s.kinds |= 1 << b.Type
		c.report.Blobs++
	})
	err := c.r.store.List(ctx, storage.PackFile, func(i storage.Info) error {
		c.report.Packs++
		id, err := ParseID(i.Name)
		if err != nil {
			return nil
		}
		if n, ok := x.packNumber(id); ok && int(n) < len(sums) {
			sums[n].stored = i.Size
			return nil
		}
		c.add(Finding{Kind: UnusedPack, Note: true, File: "pack " + id.String(), Detail: "in no index: left by a run that did not end, or by one under way; prune removes it"})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list packs: %w", err)
	}
	for n := range sums {
		c.checkSummary(x.packID(uint32(n)), &sums[n])
	}
	return sums, nil
}

func (c *checker) checkSummary(id ID, s *packSummary) {
	name := "pack " + id.String()
	switch {
	case s.stored < 0:
		c.add(Finding{Kind: MissingPack, File: name, Detail: fmt.Sprintf("is gone, with %d blobs", s.count)})
	case s.stored != s.size:
		c.add(Finding{Kind: WrongPackSize, File: name, Detail: fmt.Sprintf("has %d bytes, the index implies %d", s.stored, s.size)})
	}
	if s.kinds == 1<<DataBlob|1<<TreeBlob {
		c.add(Finding{Kind: MixedPack, Note: true, File: name, Detail: "holds trees and data"})
	}
}

// checkPacks reads packs, several at a time.
func (c *checker) checkPacks(ctx context.Context, sums []packSummary) error {
	perPack := c.r.index.byPack(len(sums))
	for i := range sums {
		if sums[i].stored >= 0 {
			c.prog.TotalPacks++
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan int)
	g.Go(func() error {
		defer close(todo)
		for i := range sums {
			if sums[i].stored < 0 {
				continue
			}
			select {
			case todo <- i:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range c.r.opt.Workers + 1 {
		g.Go(func() error {
			var scratch []byte
			for i := range todo {
				id := c.r.index.packID(uint32(i))
				var err error
				if scratch, err = c.checkPack(ctx, id, sums[i].stored, perPack(i), scratch); err != nil {
					return err
				}
				c.progress(func(p *CheckProgress) { p.Packs++ })
			}
			return nil
		})
	}
	return g.Wait()
}
