package repository

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
)

const mib = 1 << 20

// namedPack is a pack of the test: its ID begins with the number.
func namedPack(n byte, p packFacts) packFacts {
	p.id, p.whole, p.listed = ID{n}, p.stored >= 0, 1
	if p.kinds == 0 && p.needed > 0 {
		p.kinds = 1 << DataBlob
	}
	return p
}

// decided is what a plan does with the packs of the test, by their number.
func decided(packs []packFacts, opt PruneOptions) map[byte]PruneAction {
	f := &pruneFacts{snapshots: 1, packs: packs}
	for i := range packs {
		f.packs[i] = namedPack(byte(i), packs[i])
	}
	if opt.MaxUnused == nil {
		opt.MaxUnused = UnusedPercent(defaultUnused)
	}
	out := make(map[byte]PruneAction)
	for _, s := range decidePrune(f, opt).Steps {
		out[s.File[0]] = s.Do
	}
	return out
}

func TestDecidePrune(t *testing.T) {
	tree, mixed := uint8(1<<TreeBlob), uint8(1<<TreeBlob|1<<DataBlob)
	full := packFacts{stored: 8 * mib, needed: 8 * mib}
	half := packFacts{stored: 8 * mib, needed: 4 * mib, waste: 4 * mib}
	tenth := packFacts{stored: 8 * mib, needed: 7 * mib, waste: mib}
	type steps = map[byte]PruneAction
	for name, c := range map[string]struct {
		packs []packFacts
		opt   PruneOptions
		want  steps
	}{
		"all needed":                    {[]packFacts{full, full}, PruneOptions{}, steps{}},
		"nobody needs it":               {[]packFacts{full, {stored: mib, waste: mib}}, PruneOptions{}, steps{1: PruneRemove}},
		"needed, and elsewhere too":     {[]packFacts{full, {stored: mib, again: mib}}, PruneOptions{}, steps{1: PruneRemove}},
		"nobody needs it, but young":    {[]packFacts{full, {stored: mib, waste: mib, young: "new"}}, PruneOptions{MaxUnused: UnusedBytes(0)}, steps{1: PruneKeep}},
		"part of it is young":           {[]packFacts{{stored: 8 * mib, needed: 4 * mib, waste: 4 * mib, young: "new"}, full}, PruneOptions{}, steps{0: PruneKeep}},
		"young, trees and data in one":  {[]packFacts{full, {stored: mib, needed: mib - 1, waste: 1, kinds: mixed, young: "new"}}, PruneOptions{}, steps{1: PruneKeep}},
		"young does not push out":       {[]packFacts{full, full, full, tenth, {stored: 9 * mib, waste: 9 * mib, young: "new"}}, PruneOptions{}, steps{4: PruneKeep}},
		"young, all needed":             {[]packFacts{full, {stored: 8 * mib, needed: 8 * mib, young: "new"}}, PruneOptions{}, steps{}},
		"young, and elsewhere too":      {[]packFacts{full, {stored: mib, again: mib, young: "new"}}, PruneOptions{}, steps{1: PruneRemove}},
		"young, and gone":               {[]packFacts{full, {stored: -1, waste: mib, young: "new"}}, PruneOptions{}, steps{1: PruneForget}},
		"gone":                          {[]packFacts{full, {stored: -1, waste: mib}}, PruneOptions{}, steps{1: PruneForget}},
		"the emptiest first":            {[]packFacts{tenth, half, tenth}, PruneOptions{MaxUnused: UnusedBytes(2 * mib)}, steps{1: PruneRepack}},
		"until few is left":             {[]packFacts{tenth, half, tenth}, PruneOptions{MaxUnused: UnusedBytes(mib)}, steps{1: PruneRepack, 0: PruneRepack}},
		"nothing may be left":           {[]packFacts{tenth, half, tenth}, PruneOptions{MaxUnused: UnusedBytes(0)}, steps{0: PruneRepack, 1: PruneRepack, 2: PruneRepack}},
		"five percent":                  {[]packFacts{full, full, full, tenth}, PruneOptions{}, steps{}},
		"more than five percent":        {[]packFacts{full, full, half}, PruneOptions{}, steps{2: PruneRepack}},
		"unlimited":                     {[]packFacts{half, {stored: mib, waste: mib}}, PruneOptions{MaxUnused: UnusedBytes(math.MaxInt64)}, steps{1: PruneRemove}},
		"bounded":                       {[]packFacts{half, half, half}, PruneOptions{MaxUnused: UnusedBytes(0), MaxRepack: 17 * mib}, steps{0: PruneRepack, 1: PruneRepack}},
		"bounded, removal is free":      {[]packFacts{half, {stored: mib, waste: mib}}, PruneOptions{MaxUnused: UnusedBytes(0), MaxRepack: 1}, steps{1: PruneRemove}},
		"trees and data in one":         {[]packFacts{full, {stored: mib, needed: mib, kinds: mixed}}, PruneOptions{MaxUnused: UnusedBytes(math.MaxInt64)}, steps{1: PruneRepack}},
		"trees that nobody needs":       {[]packFacts{full, {stored: mib, needed: mib - 1, waste: 1, kinds: tree}}, PruneOptions{}, steps{1: PruneRepack}},
		"second copies, within 5 %":     {[]packFacts{full, {stored: mib, needed: mib - 1, again: 1}}, PruneOptions{}, steps{1: PruneRepack}},
		"fifteen small ones":            {small(15, 0), PruneOptions{}, steps{}},
		"sixteen small ones":            {small(16, 0), PruneOptions{}, all(16, PruneRepack)},
		"eight of each type":            {slices.Concat(small(8, 0), small(8, tree)), PruneOptions{}, steps{}},
		"small ones within what may be": {small(16, 0), PruneOptions{MaxRepack: mib / 2}, all(8, PruneRepack)},
	} {
		if got := decided(slices.Clone(c.packs), c.opt); !maps.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func small(n int, kinds uint8) []packFacts {
	return slices.Repeat([]packFacts{{stored: mib / 16, needed: mib / 16, kinds: kinds}}, n)
}

func all(n int, do PruneAction) map[byte]PruneAction {
	out := make(map[byte]PruneAction)
	for i := range n {
		out[byte(i)] = do
	}
	return out
}

// TestDecideIndexes: an index file is replaced where a pack goes that it names,
// where another has taken its place, where one pack is named twice, and where
// there are many small ones.
func TestDecideIndexes(t *testing.T) {
	packs := []packFacts{{stored: mib, needed: mib}, {stored: mib, waste: mib}, {stored: mib, needed: mib}, {stored: mib, needed: mib}}
	f := &pruneFacts{snapshots: 1, packs: packs}
	for i := range packs {
		f.packs[i] = namedPack(byte(i), packs[i])
	}
	f.packs[3].listed = 2
	f.indexes = []indexFacts{
		{id: ID{10}, packs: []uint32{0, 1}, blobs: indexBlobs},
		{id: ID{11}, packs: []uint32{2}, blobs: indexBlobs},
		{id: ID{12}, replaced: true, blobs: indexBlobs},
		{id: ID{13}, packs: []uint32{3}, blobs: indexBlobs},
		{id: ID{14}, packs: []uint32{3}, blobs: indexBlobs},
	}
	p := decidePrune(f, PruneOptions{MaxUnused: UnusedBytes(0)})
	var got []string
	for _, s := range p.Steps {
		got = append(got, fmt.Sprintf("%s %d", s.Do, s.File[0]))
	}
	if want := "index 10, index 12, index 13, index 14, remove 1"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.Equal(p.work.reindex, []uint32{0, 3}) {
		t.Errorf("named anew: %v", p.work.reindex)
	}
	for n, want := range map[int]int{fewMany - 1: 0, fewMany: fewMany} {
		f := &pruneFacts{snapshots: 1, indexes: slices.Repeat([]indexFacts{{blobs: mergeableIndex - 1}}, n)}
		if p := decidePrune(f, PruneOptions{MaxUnused: UnusedBytes(0)}); p.Count(PruneIndex) != want {
			t.Errorf("of %d small index files %d are replaced", n, p.Count(PruneIndex))
		}
	}
}

func TestParseUnusedLimit(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "5%": 50, "50%": 950, "0%": 0, "2K": 2048, " 1M ": mib, "unlimited": math.MaxInt64, "99.9%": 949050} {
		limit, err := ParseUnusedLimit(text)
		if err != nil || limit(950) != want {
			t.Errorf("%q: %v, %v", text, limit, err)
		}
	}
	for _, text := range []string{"", "100%", "-1%", "-5", "%", "five", "NaN%", "1e400%", "5 percent"} {
		if _, err := ParseUnusedLimit(text); err == nil || !strings.Contains(err.Error(), "write") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
