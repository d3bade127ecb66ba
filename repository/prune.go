package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/ripplebak/ripplebak/storage"
)

// ErrPruneRefused: something that a snapshot needs is missing or cannot be
// read, so that nothing may be removed. The error is a *[PruneRefusedError].
var ErrPruneRefused = errors.New("nothing was removed, because something that is needed is missing")

// ErrPruneStopped: a prune was asked to end before it was done. Nothing that is
// needed has gone; what it copied is in an index, and the next prune goes on
// from there.
var ErrPruneStopped = errors.New("the prune was stopped before its end")

// PruneRefusedError says what is missing.
type PruneRefusedError struct {
	Missing []string // the first of them
	Count   int      // all of them
}

func (e *PruneRefusedError) Error() string {
	more := ""
	if n := e.Count - len(e.Missing); n > 0 {
		more = fmt.Sprintf("; and %d more", n)
	}
	return fmt.Sprintf("%v: %s%s: run \"check\", and \"repair\" for what it finds", ErrPruneRefused, strings.Join(e.Missing, "; "), more)
}

// Is makes errors.Is(err, ErrPruneRefused) true.
func (e *PruneRefusedError) Is(target error) bool { return target == ErrPruneRefused }

// maxMissing is how many missing things an error names.
const maxMissing = 10

// PruneAction is what a prune does with a pack or an index file.
type PruneAction string

// The actions.
const (
	PruneRepack PruneAction = "repack" // what is needed of a pack is copied to a new one, then the pack is removed
	PruneRemove PruneAction = "remove" // the pack is removed
	PruneForget PruneAction = "forget" // the pack is gone already, and leaves the index
	PruneIndex  PruneAction = "index"  // an index file is replaced by a new one
	PruneKeep   PruneAction = "keep"   // the pack stays for now, though not all of it is needed
)

// PruneStep is what a prune does with one file, and why.
type PruneStep struct {
	Do     PruneAction
	File   ID // of a pack, or for PruneIndex of an index file
	Cause  string
	Size   int64 // bytes stored; 0 for an index file and a pack that is gone
	Needed int64 // bytes of Size that are needed
}

// PrunePlan is what a prune will do. It is made by [Deleter.PlanPrune], for the
// repository as it is then, and does nothing by itself.
type PrunePlan struct {
	// Steps by what they do, and in this order when carried out: repack, index
	// (new ones are stored before old ones are removed), forget, remove; keep is
	// nothing to do. Packs that are not named stay as they are.
	Steps []PruneStep
	// Snapshots is how many there are. Where there are none nothing is removed:
	// a first backup that was killed goes on with what it stored.
	Snapshots int
	Packs     int   // stored, before
	Bytes     int64 // size of all packs, before
	Needed    int64 // what snapshots refer to, each blob once
	Unused    int64 // what they do not refer to, second copies among it
	Stays     int64 // of Unused, what is left in packs that stay
	Young     int64 // of Stays, what is left because it is young
	Freed     int64 // by how much the packs shrink together

	work *pruneWork
}

// Repacked is the size of the packs that are repacked, and the part of them
// that is stored again.
func (p *PrunePlan) Repacked() (bytes, again int64) {
	for _, s := range p.Steps {
		if s.Do == PruneRepack {
			bytes += s.Size
			again += s.Needed
		}
	}
	return bytes, again
}

// Count is how many steps do something.
func (p *PrunePlan) Count(do PruneAction) (n int) {
	for _, s := range p.Steps {
		if s.Do == do {
			n++
		}
	}
	return n
}

// printedSteps is how many steps of one kind are printed.
const printedSteps = 50

// Print writes the plan for people.
func (p *PrunePlan) Print(w io.Writer) error {
	var b strings.Builder
	size := func(n int64) string { return units.BytesSize(float64(n)) }
	fmt.Fprintf(&b, "%d snapshots need %s; %d packs hold %s, of which %s are unused\n",
		p.Snapshots, size(p.Needed), p.Packs, size(p.Bytes), size(p.Unused))
	for _, do := range []PruneAction{PruneRepack, PruneIndex, PruneForget, PruneRemove, PruneKeep} {
		printed := 0
		for _, s := range p.Steps {
			if s.Do != do {
				continue
			}
			if printed++; printed <= printedSteps {
				fmt.Fprintf(&b, "  %s\n", s)
			}
		}
		if printed > printedSteps {
			fmt.Fprintf(&b, "  %s %d more\n", do, printed-printedSteps)
		}
	}
	switch {
	case p.Snapshots == 0 && p.Packs > 0:
		b.WriteString("nothing is removed while there is no snapshot: a first backup that was interrupted goes on with what it stored\n")
	case len(p.Steps) == 0:
		b.WriteString("nothing to do\n")
	default:
		fmt.Fprintf(&b, "frees %s, and leaves %s unused\n", size(p.Freed), size(p.Stays))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String is the step as one line.
func (s PruneStep) String() string {
	switch s.Do {
	case PruneIndex:
		return fmt.Sprintf("replace index %s: %s", s.File.Short(), s.Cause)
	case PruneRepack:
		return fmt.Sprintf("repack pack %s, %s, of which %s are needed: %s", s.File.Short(),
			units.BytesSize(float64(s.Size)), units.BytesSize(float64(s.Needed)), s.Cause)
	case PruneForget:
		return fmt.Sprintf("forget pack %s: %s", s.File.Short(), s.Cause)
	case PruneKeep:
		return fmt.Sprintf("keep pack %s, %s: %s", s.File.Short(), units.BytesSize(float64(s.Size)), s.Cause)
	}
	return fmt.Sprintf("remove pack %s, %s: %s", s.File.Short(), units.BytesSize(float64(s.Size)), s.Cause)
}

// PruneOptions says how far a prune goes, and who is told.
type PruneOptions struct {
	// MaxUnused is what may stay unused; nil means 5 %.
	MaxUnused UnusedLimit
	// MaxRepack bounds the size of the packs that are repacked, in bytes; 0 for
	// no bound. What is left is for the next time.
	MaxRepack int64
	// KeepYoung keeps what is not needed in packs that were stored less than so
	// long ago, by the storage's clock: a backup that did not end may go on with
	// it. 0: nothing is kept for that.
	KeepYoung time.Duration
	// KeepUndated takes packs for young where the storage does not say when they
	// were stored, if anything young is kept.
	KeepUndated bool
	// Stop ends a prune early when it is closed: between two packs that are
	// copied, and between two files that are removed. Nil: never.
	Stop <-chan struct{}
	// CrashPoint is called at the named point mid-prune: after repacking,
	// after new indexes are stored, after old ones are removed, and after each
	// pack that is removed. Nil in production.
	CrashPoint func(name string)
	// Progress is told how far the work is, from one goroutine at a time. Nil:
	// nobody.
	Progress func(PruneProgress)
}

// PruneProgress is how far a prune has come.
type PruneProgress struct {
	Trees                  uint64 // directories looked at
	Repacked, TotalRepack  int64  // bytes of packs
	Removed, TotalToRemove int    // packs
}

// PlanPrune reads what snapshots need, all indexes and the list of packs, and
// decides what a prune is to do. It changes nothing. Where something needed is
// missing, the error is ErrPruneRefused.
func (d *Deleter) PlanPrune(ctx context.Context, opt PruneOptions) (*PrunePlan, error) {
	if err := d.mayDelete(); err != nil {
		return nil, err
	}
	if opt.MaxUnused == nil {
		opt.MaxUnused = UnusedPercent(defaultUnused)
	}
	f, err := d.r.pruneFacts(ctx, opt)
	if err != nil {
		return nil, err
	}
	return decidePrune(f, opt), nil
}

// pruneFacts is all that a prune goes by.
type pruneFacts struct {
	snapshots int
	entries   int         // of the index, when this was read
	kept      bitset      // the entries that stay, or are copied
	twice     []uint32    // of them, those that have other places too
	packs     []packFacts // by their number in the index
	strays    []storage.Info
	indexes   []indexFacts // by ID
}

// packFacts is what is known of one pack of the index.
type packFacts struct {
	id     ID
	stored int64  // size in the storage, -1 where it is not there
	whole  bool   // stored as the index says
	young  string // why it may be of use yet, though nobody needs it; else empty
	blobs  uint32
	needed int64 // stored bytes of the blobs that are kept here
	waste  int64 // of the blobs that nobody needs
	again  int64 // of the blobs that are needed, and kept elsewhere
	kinds  uint8 // of the blobs that are kept, a bit for each type
	listed uint32
}

// indexFacts is what is known of one index file.
type indexFacts struct {
	id       ID
	packs    []uint32 // their numbers
	blobs    int
	replaced bool // another file says that it replaces this one
}

// pruneFacts reads everything. The lock is exclusive: what is read stays so.
func (r *Repository) pruneFacts(ctx context.Context, opt PruneOptions) (*pruneFacts, error) {
	list, bad, err := r.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	if len(bad) > 0 {
		return nil, refuse(bad...)
	}
	indexes, err := r.loadIndexFacts(ctx)
	if err != nil {
		return nil, err
	}
	f := &pruneFacts{snapshots: len(list), entries: r.index.count, indexes: indexes}
	if err := r.listPackFacts(ctx, f, opt); err != nil {
		return nil, err
	}
	n := newNeeds(r.index, opt.Progress)
	for i := range list {
		n.root(*list[i].Tree)
	}
	if err := r.collectNeeds(ctx, n); err != nil {
		return nil, err
	}
	if err := r.choosePlaces(f, n); err != nil {
		return nil, err
	}
	return f, nil
}

// refuse returns a *PruneRefusedError for damage.
func refuse(causes ...error) error {
	e := &PruneRefusedError{Count: len(causes)}
	for _, c := range causes[:min(len(causes), maxMissing)] {
		e.Missing = append(e.Missing, c.Error())
	}
	return e
}

// loadIndexFacts loads the whole index, and notes which file names which packs.
// An index that cannot be read may be the only one that names what is needed.
func (r *Repository) loadIndexFacts(ctx context.Context) ([]indexFacts, error) {
	type noted struct {
		packs []ID
		blobs int
	}
	read := newNotes[noted]()
	replaces := newNotes[[]ID]()
	err := r.loadIndexNoting(ctx, func(id ID, p *parsedIndex) {
		n := noted{blobs: len(p.blobs)}
		for i := range p.packs {
			n.packs = append(n.packs, p.packs[i].id)
		}
		read.set(id, n)
		replaces.set(id, slices.Clone(p.supersedes))
	})
	if err != nil {
		if ctx.Err() == nil && isDamage(err) {
			return nil, refuse(err)
		}
		return nil, err
	}
	old := superseded(replaces.m)
	var out []indexFacts
	for id, n := range read.m {
		f := indexFacts{id: id, blobs: n.blobs, replaced: old[id]}
		for _, pack := range n.packs {
			if num, ok := r.index.packNumber(pack); ok && !f.replaced {
				f.packs = append(f.packs, num)
			}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b indexFacts) int { return strings.Compare(string(a.id[:]), string(b.id[:])) })
	return out, nil
}

// listPackFacts compares the packs of the index with those that are stored.
// Names that are not ours are none of our business.
func (r *Repository) listPackFacts(ctx context.Context, f *pruneFacts, opt PruneOptions) error {
	x, now := r.index, r.opt.Now()
	f.packs = make([]packFacts, x.packCount())
	implied := make([]int64, len(f.packs))
	for i := range f.packs {
		f.packs[i] = packFacts{id: x.packID(uint32(i)), stored: -1}
		implied[i] = headerSize(nil)
	}
	x.each(func(e *indexEntry) {
		b := e.packed()
		f.packs[e.pack].blobs++
		implied[e.pack] += int64(b.length) + headerSize([]packedBlob{b}) - headerSize(nil)
	})
	for i := range f.indexes {
		for _, p := range f.indexes[i].packs {
			f.packs[p].listed++
		}
	}
	err := r.store.List(ctx, storage.PackFile, func(i storage.Info) error {
		id, err := ParseID(i.Name)
		if err != nil {
			return nil
		}
		if n, ok := x.packNumber(id); ok {
			f.packs[n].stored = i.Size
			f.packs[n].whole = i.Size == implied[n]
			f.packs[n].young = opt.young(i.Modified, now)
			return nil
		}
		f.strays = append(f.strays, i)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list packs: %w", err)
	}
	slices.SortFunc(f.strays, func(a, b storage.Info) int { return strings.Compare(a.Name, b.Name) })
	return nil
}
