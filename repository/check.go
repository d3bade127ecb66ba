package repository

import (
	"context"
	"crypto/sha256"
	"errors"
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
	BadKey        FindingKind = "key"      // a key file is not what was once written
	FlakyRead     FindingKind = "flaky"    // came wrong once, and right when read again (a note)
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
	// Select chooses the packs to read, where ReadData is not set. Packs whose
	// size is wrong are read in any case, so that what is lost can be said.
	// Nil: none.
	Select func([]PackInfo) []PackInfo
	// Verified is told of each pack that was read and is whole, one at a time.
	// Nil: nobody.
	Verified func(ID)
	// Headers reads the header of every pack and compares it with the index.
	// Reading a pack does so too.
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
	PacksRead uint64 // whole
	BytesRead uint64 // of packs
	// BadPacks are the packs that are gone or damaged.
	BadPacks []ID
	// Lost is what of which snapshots can no longer be read, as far as was
	// looked.
	Lost []Loss
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
	bad    map[badPlace]BlobHandle

	lost      map[BlobHandle]bool
	lostNames int
	seen      map[ID]*lostTree // by tree
}

// Check verifies the repository: every snapshot's directories load, every blob
// that they refer to is in an index, every pack of an index is stored with the
// size that the index implies. Packs that are to be read are read once, their
// names compared with their hashes, and every blob authenticated, decompressed
// and compared with its ID. What it finds, and what is lost by it, is in the
// report; err is for failures to look.
func (r *Repository) Check(ctx context.Context, opt CheckOptions) (CheckReport, error) {
	c := r.newChecker(opt)
	// Snapshots before the index: of a snapshot that was listed the index is
	// complete.
	list, bad, err := r.Snapshots(ctx)
	if err != nil {
		return c.report, err
	}
	for _, err := range bad {
		c.add(Finding{Kind: BadSnapshot, Detail: err.Error()})
	}
	c.report.Snapshots = uint64(len(list) + len(bad))
	err = c.checkKeys(ctx)
	if err == nil {
		err = c.checkBlobs(ctx)
	}
	if err == nil {
		err = c.checkSnapshots(ctx, list)
	}
	return c.report, err
}

func (r *Repository) newChecker(opt CheckOptions) *checker {
	return &checker{r: r, opt: opt, seen: make(map[ID]*lostTree), bad: make(map[badPlace]BlobHandle), lost: make(map[BlobHandle]bool)}
}

// checkBlobs loads the index and finds out which blobs are lost. It comes
// before the directories, so that their walk knows.
func (c *checker) checkBlobs(ctx context.Context) error {
	if err := c.r.LoadIndex(ctx); err != nil {
		if ctx.Err() != nil || !isDamage(err) {
			return err
		}
		c.add(Finding{Kind: BadIndex, Detail: err.Error()})
	}
	packs, err := c.checkPackList(ctx)
	if err != nil {
		return err
	}
	if err := c.checkPacks(ctx, packs); err != nil {
		return err
	}
	return c.findLost(ctx)
}

func (c *checker) checkSnapshots(ctx context.Context, list []StoredSnapshot) error {
	c.prog.TotalSnapshots = uint64(len(list))
	for i := range list {
		lost, err := c.checkTree(ctx, &list[i], *list[i].Tree)
		if err != nil {
			return err
		}
		if lost != nil {
			c.report.Lost = append(c.report.Lost, Loss{Snapshot: list[i], root: lost})
		}
		c.progress(func(p *CheckProgress) { p.Snapshots++ })
	}
	return nil
}

// checkKeys looks whether the key files are what was once written. Whether
// their passwords open them cannot be known.
func (c *checker) checkKeys(ctx context.Context) error {
	var keys []storage.Handle
	err := c.r.store.List(ctx, storage.KeyFile, func(i storage.Info) error {
		keys = append(keys, storage.Handle{Kind: storage.KeyFile, Name: i.Name})
		return nil
	})
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	for _, h := range keys {
		file, err := readFile(ctx, c.r.store, h, maxKeyFile)
		switch {
		case errors.Is(err, storage.ErrNotExist):
			continue // removed since it was listed
		case err == nil && ID(sha256.Sum256(file)).String() != h.Name:
			err = damaged("its content is not what its name says: its password opens nothing any more")
		}
		if err := c.finding(ctx, BadKey, h.String(), err); err != nil {
			return err
		}
	}
	return nil
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

// packSummary is what the index says of a pack.
type packSummary struct {
	size   int64 // stored size that the blobs imply; 0 where they do not fit
	stored int64 // -1: not listed
	count  uint32
	kinds  uint8
	read   bool // to be read
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
	c.choose(sums)
	return sums, nil
}

// choose says which packs are to be read.
func (c *checker) choose(sums []packSummary) {
	if c.opt.Select == nil || c.opt.ReadData {
		return
	}
	var all []PackInfo
	for n := range sums {
		if sums[n].stored >= 0 {
			all = append(all, PackInfo{ID: c.r.index.packID(uint32(n)), Size: sums[n].stored})
		}
	}
	for _, p := range c.opt.Select(all) {
		if n, ok := c.r.index.packNumber(p.ID); ok && int(n) < len(sums) {
			sums[n].read = true
		}
	}
}

func (c *checker) checkSummary(id ID, s *packSummary) {
	name := "pack " + id.String()
	switch {
	case s.stored < 0:
		c.add(Finding{Kind: MissingPack, File: name, Detail: fmt.Sprintf("is gone, with %d blobs", s.count)})
		c.badPack(id)
	case s.stored != s.size:
		c.add(Finding{Kind: WrongPackSize, File: name, Detail: fmt.Sprintf("has %d bytes, the index implies %d", s.stored, s.size)})
		s.read = true
	}
	if s.kinds == 1<<DataBlob|1<<TreeBlob {
		c.add(Finding{Kind: MixedPack, Note: true, File: name, Detail: "holds trees and data"})
	}
}

// badPack notes the ID of a pack that is gone or damaged.
func (c *checker) badPack(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.BadPacks = append(c.report.BadPacks, id)
}

// checkPacks reads the packs that are to be read, several at a time, and notes
// what was in those that are gone.
func (c *checker) checkPacks(ctx context.Context, sums []packSummary) error {
	var todo []int
	gone := false
	for i := range sums {
		switch {
		case sums[i].stored < 0:
			gone = true
		case sums[i].read || c.opt.ReadData || c.opt.Headers:
			sums[i].read = sums[i].read || c.opt.ReadData
			todo = append(todo, i)
		}
	}
	if len(todo) == 0 && !gone {
		return nil
	}
	perPack := c.r.index.byPack(len(sums))
	for i := range sums {
		if sums[i].stored >= 0 {
			continue
		}
		for _, b := range perPack(i) {
			c.markBad(uint32(i), &b)
		}
	}
	c.prog.TotalPacks = uint64(len(todo))
	g, ctx := errgroup.WithContext(ctx)
	next := make(chan int)
	g.Go(func() error {
		defer close(next)
		for _, i := range todo {
			select {
			case next <- i:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range min(c.r.opt.Workers+1, len(todo)) {
		g.Go(func() error {
			p := packCheck{checker: c}
			for i := range next {
				if err := p.check(ctx, uint32(i), &sums[i], perPack(i)); err != nil {
					return err
				}
				c.progress(func(p *CheckProgress) { p.Packs++ })
			}
			return nil
		})
	}
	return g.Wait()
}
