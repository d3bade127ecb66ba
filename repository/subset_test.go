package repository

import (
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestParseSubset(t *testing.T) {
	for text, want := range map[string]Subset{
		"1/1": {bucket: 1, buckets: 1}, "3/10": {bucket: 3, buckets: 10}, "256/256": {bucket: 256, buckets: 256},
		"5%": {percent: 5}, "2.5%": {percent: 2.5}, "100%": {percent: 100},
		"1": {size: 1}, "7b": {size: 7}, "50K": {size: 50 << 10}, "3m": {size: 3 << 20}, "2G": {size: 2 << 30}, "1T": {size: 1 << 40},
	} {
		if got, err := ParseSubset(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0/1", "2/1", "1/257", "1/0", "-1/3", "a/b", "1/", "0%", "101%", "-5%", "NaN%", "%", "0", "-1G", "G", "1.5G", "9223372036854775807T", "5 apples"} {
		if got, err := ParseSubset(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestSubsetChooses(t *testing.T) {
	var packs []PackInfo
	for i := range 100 {
		packs = append(packs, PackInfo{ID: ID{byte(i), 1}, Size: 10})
	}
	for text, want := range map[string]int{"5%": 5, "0.1%": 1, "100%": 100, "1": 1, "10": 1, "11": 2, "1G": 100, "1/1": 100, "1/256": 1, "256/256": 0} {
		s, err := ParseSubset(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Choose(packs); len(got) != want || len(got) > 0 && !strings.Contains(text, "/") && got[0] != packs[0] {
			t.Errorf("%s: %d packs, want %d", text, len(got), want)
		}
	}
	// The parts of n/t are all of it, each pack in one, by its first byte.
	seen := map[ID]int{}
	for n := range uint(7) {
		for _, p := range (Subset{bucket: n + 1, buckets: 7}).Choose(packs) {
			seen[p.ID]++
			if uint(p.ID[0])%7 != n {
				t.Errorf("%s is in part %d", p.ID.Short(), n+1)
			}
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d of the packs are in a part", len(seen))
	}
	if got := (Subset{percent: 5}).Choose(nil); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// TestCheckReadsWhatIsChosen: only the packs that were chosen are read, each
// verified one is told, and those of a wrong size are read in any case.
func TestCheckReadsWhatIsChosen(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	backup(t, testOpen(t, mem, Options{}), mem.Writer(), map[string][]byte{"a": randomData(1, 12<<20)})
	var verified []ID
	var all []PackInfo
	opt := CheckOptions{
		Select:   func(p []PackInfo) []PackInfo { all = p; return p[:1] },
		Verified: func(id ID) { verified = append(verified, id) },
	}
	r := mustCheck(t, mem, opt)
	if !r.OK() || len(all) != 3 || r.PacksRead != 1 || r.BytesRead != uint64(all[0].Size) || len(verified) != 1 || verified[0] != all[0].ID {
		t.Errorf("of %d packs: %+v, verified %v", len(all), r, verified)
	}
	h, data := dataPack(t, mem)
	mem.Put(h, data[:len(data)-1])
	opt.Select, verified = func([]PackInfo) []PackInfo { return nil }, nil
	r = mustCheck(t, mem, opt)
	if r.OK() || r.PacksRead != 1 || len(verified) != 0 || len(r.BadPacks) != 1 || r.BadPacks[0].String() != h.Name {
		t.Errorf("%+v, verified %v", r, verified)
	}
	if len(r.Lost) != 0 {
		t.Errorf("only the header is cut, and %+v is called lost", r.Lost)
	}
}
