package repository

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// mergeablePack is the size below which packs are merged, and mergeableIndex the
	// number of blobs below which index files are, once there are fewMany of
	// them: each backup leaves one or two.
	mergeablePack  = packCapacity / 4
	mergeableIndex = indexBlobs / 8
	fewMany        = 16
)

// pruneWork is the plan as the executor needs it.
type pruneWork struct {
	facts    *pruneFacts
	repack   []uint32 // packs, by their number
	reindex  []uint32 // packs that stay, to be named by new index files
	indexes  []indexFacts
	remove   []packRemoval
	untilNow int // packs in the index
}

// packRemoval is a pack that goes.
type packRemoval struct {
	id   ID
	size int64
}

// decidePrune makes the plan. It is pure.
func decidePrune(f *pruneFacts, opt PruneOptions) *PrunePlan {
	p := &PrunePlan{Snapshots: f.snapshots, work: &pruneWork{facts: f, untilNow: len(f.packs)}}
	p.sum(f)
	if f.snapshots == 0 {
		p.Stays = p.Unused
		return p
	}
	s := &sorting{f: f, opt: opt, plan: p, goes: newBitset(len(f.packs))}
	s.sortOut()
	s.choose()
	s.merge()
	s.indexes()
	s.strays()
	for _, st := range p.Steps {
		if st.Do != PruneKeep {
			p.Freed += st.Size - st.Needed
		}
	}
	p.Stays = s.left + p.Young
	return p
}

// sum adds up what there is.
func (p *PrunePlan) sum(f *pruneFacts) {
	for i := range f.packs {
		k := &f.packs[i]
		if k.stored < 0 {
			continue
		}
		p.Packs++
		p.Bytes += k.stored
		p.Needed += k.needed
		p.Unused += k.waste + k.again
	}
	for _, stray := range f.strays {
		p.Packs++
		p.Bytes += stray.Size
		p.Unused += stray.Size
	}
}

// sorting is the making of a plan.
type sorting struct {
	f        *pruneFacts
	opt      PruneOptions
	plan     *PrunePlan
	goes     bitset // packs that leave the index
	repack   []PruneStep
	gone     []PruneStep // packs to remove or forget
	young    []PruneStep // packs that stay for their age
	left     int64       // unused bytes in packs that stay, so far, but for these
	repacked int64       // size of the packs to repack, so far
	wanted   []candidate
	whole    []uint32 // packs of which everything is needed
}

// candidate is a pack that is worth repacking.
type candidate struct {
	pack  uint32
	must  bool // whatever the limit of what may stay unused
	cause string
}

// sortOut finds the packs that go as they are, and those worth repacking.
func (s *sorting) sortOut() {
	for i := range s.f.packs {
		k := &s.f.packs[i]
		n := uint32(i)
		switch unused := k.waste + k.again; {
		case k.stored < 0:
			s.drop(n, PruneForget, "it is gone, and nothing in it is needed")
			continue
		case k.waste > 0 && k.young != "":
			s.keep(k)
			continue
		case k.needed == 0 && k.again > 0:
			s.drop(n, PruneRemove, "what is needed of it is in other packs too")
			continue
		case k.needed == 0:
			s.drop(n, PruneRemove, "no snapshot needs it")
			continue
		case k.kinds == 1<<DataBlob|1<<TreeBlob:
			s.wanted = append(s.wanted, candidate{n, true, "it holds trees and data"})
		case k.again > 0:
			s.wanted = append(s.wanted, candidate{n, true, "part of it is in other packs too"})
		case k.waste > 0 && k.kinds == 1<<TreeBlob:
			s.wanted = append(s.wanted, candidate{n, true, "no snapshot needs some of its trees"})
		case k.waste > 0:
			s.wanted = append(s.wanted, candidate{n, false, "no snapshot needs part of it"})
		case unused == 0:
			s.whole = append(s.whole, n)
		}
		s.left += k.waste + k.again
	}
}

// keep leaves a pack as it is: what nobody needs of it is not what may stay
// unused, lest others are repacked in its place.
func (s *sorting) keep(k *packFacts) {
	what := "no snapshot needs it"
	if k.needed > 0 {
		what = "no snapshot needs part of it"
	}
	s.plan.Young += k.waste + k.again
	s.young = append(s.young, PruneStep{Do: PruneKeep, File: k.id, Cause: what + ", but " + k.young, Size: k.stored, Needed: k.needed})
}

// young says why a pack that was stored at a time may be of use yet; empty where
// it may not. A time far in the future says nothing.
func (o *PruneOptions) young(stored, now time.Time) string {
	const use = ": a backup that did not end may go on with it"
	age := now.Sub(stored)
	switch undated := stored.IsZero() || age < -24*time.Hour; {
	case o.KeepYoung == 0:
		return ""
	case undated && o.KeepUndated:
		return "when it was stored is not known" + use
	case !undated && age < o.KeepYoung:
		return fmt.Sprintf("it is less than %s old%s", inDays(o.KeepYoung), use)
	}
	return ""
}

// inDays writes a duration in days where it is whole ones.
func inDays(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day != 0 {
		return d.String()
	}
	return fmt.Sprintf("%d days", d/day)
}

func (s *sorting) drop(n uint32, do PruneAction, cause string) {
	k := &s.f.packs[n]
	s.goes.set(n)
	s.gone = append(s.gone, PruneStep{Do: do, File: k.id, Cause: cause, Size: max(k.stored, 0)})
	if do == PruneRemove {
		s.plan.work.remove = append(s.plan.work.remove, packRemoval{k.id, k.stored})
	}
}

// choose takes what must be repacked, and then the packs with the largest
// unused part, until few enough is left.
func (s *sorting) choose() {
	part := func(c candidate) float64 {
		k := &s.f.packs[c.pack]
		return float64(k.waste+k.again) / float64(k.stored)
	}
	slices.SortFunc(s.wanted, func(a, b candidate) int {
		if a.must != b.must {
			return cmp.Compare(rank(a.must), rank(b.must))
		}
		return cmp.Or(cmp.Compare(part(b), part(a)), compareIDs(s.f.packs[a.pack].id, s.f.packs[b.pack].id))
	})
	limit := s.opt.MaxUnused(s.plan.Needed)
	for _, c := range s.wanted {
		if c.must || s.left > limit {
			s.take(c.pack, c.cause)
		}
	}
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

func compareIDs(a, b ID) int { return strings.Compare(string(a[:]), string(b[:])) }

// take repacks a pack, unless that is more than may be repacked at once.
func (s *sorting) take(n uint32, cause string) {
	k := &s.f.packs[n]
	if s.opt.MaxRepack > 0 && s.repacked+k.stored > s.opt.MaxRepack {
		return
	}
	s.repacked += k.stored
	s.left -= k.waste + k.again
	s.goes.set(n)
	s.repack = append(s.repack, PruneStep{Do: PruneRepack, File: k.id, Cause: cause, Size: k.stored, Needed: k.needed})
	w := s.plan.work
	w.repack = append(w.repack, n)
	w.remove = append(w.remove, packRemoval{k.id, k.stored})
}

// merge takes small packs of a type together, once there are many.
func (s *sorting) merge() {
	var small [2][]uint32
	for _, n := range s.whole {
		if k := &s.f.packs[n]; k.stored < mergeablePack {
			t := DataBlob
			if k.kinds == 1<<TreeBlob {
				t = TreeBlob
			}
			small[t] = append(small[t], n)
		}
	}
	for _, list := range small {
		if len(list) < fewMany {
			continue
		}
		for _, n := range list {
			s.take(n, "it is small, and there are many such")
		}
	}
}

// indexes replaces the index files that name a pack that goes, and those that
// need not be there.
func (s *sorting) indexes() {
	causes := make([]string, len(s.f.indexes))
	var small []int
	for i := range s.f.indexes {
		x := &s.f.indexes[i]
		causes[i] = s.whyReplace(x)
		if causes[i] == "" && x.blobs < mergeableIndex {
			small = append(small, i)
		}
	}
	if len(small) >= fewMany {
		for _, i := range small {
			causes[i] = "it is small, and there are many such"
		}
	}
	w := s.plan.work
	named := newBitset(len(s.f.packs))
	var steps []PruneStep
	for i, cause := range causes {
		if cause == "" {
			continue
		}
		x := s.f.indexes[i]
		steps = append(steps, PruneStep{Do: PruneIndex, File: x.id, Cause: cause})
		w.indexes = append(w.indexes, x)
		for _, n := range x.packs {
			if !s.goes.has(n) && !named.has(n) {
				named.set(n)
				w.reindex = append(w.reindex, n)
			}
		}
	}
	s.plan.Steps = slices.Concat(s.repack, steps, s.gone, s.young)
}

func (s *sorting) whyReplace(x *indexFacts) string {
	if x.replaced {
		return "another index has taken its place"
	}
	twice := false
	for _, n := range x.packs {
		if s.goes.has(n) {
			return "packs go that it names"
		}
		twice = twice || s.f.packs[n].listed > 1
	}
	if twice {
		return "packs that it names are named by another index too"
	}
	return ""
}

// strays are packs that no index names. Nobody writes now, for the lock is
// exclusive: they are left by runs that did not end.
func (s *sorting) strays() {
	for _, stray := range s.f.strays {
		id, err := ParseID(stray.Name)
		if err != nil {
			continue
		}
		s.plan.Steps = append(s.plan.Steps, PruneStep{Do: PruneRemove, File: id, Size: stray.Size, Cause: "it is in no index: left by a run that did not end"})
		s.plan.work.remove = append(s.plan.work.remove, packRemoval{id, stray.Size})
	}
}
