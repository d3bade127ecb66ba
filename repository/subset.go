package repository

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// PackInfo is a pack that an index names and the storage has.
type PackInfo struct {
	ID   ID
	Size int64 // stored bytes
}

// Subset is a part of the packs, as restic's --read-data-subset has it. The
// zero value is none.
type Subset struct {
	bucket, buckets uint    // "1/10"
	percent         float64 // "5%"
	size            int64   // "2G", in bytes
}

// errSubset is what is wrong with a subset.
var errSubset = errors.New("must be a part such as 1/10, a percentage such as 2.5%, or a size such as 2G")

// maxBuckets is how many parts there can be: the first byte of a pack's ID
// says in which it is.
const maxBuckets = 256

// ParseSubset reads n/t (1 <= n <= t <= 256), a percentage above 0 and up to
// 100, or a size in bytes with one of the suffixes K, M, G, T (powers of 1024).
func ParseSubset(text string) (Subset, error) {
	text = strings.TrimSpace(text)
	if n, t, ok := strings.Cut(text, "/"); ok {
		return parseBucket(n, t)
	}
	if p, ok := strings.CutSuffix(text, "%"); ok {
		v, err := strconv.ParseFloat(p, 64)
		if err != nil || math.IsNaN(v) || v <= 0 || v > 100 {
			return Subset{}, errSubset
		}
		return Subset{percent: v}, nil
	}
	return parseSubsetSize(text)
}

func parseBucket(n, t string) (Subset, error) {
	bucket, err := strconv.ParseUint(n, 10, 16)
	buckets, terr := strconv.ParseUint(t, 10, 16)
	switch {
	case err != nil || terr != nil || bucket == 0 || buckets == 0:
		return Subset{}, errSubset
	case bucket > buckets:
		return Subset{}, fmt.Errorf("part %d of %d does not exist", bucket, buckets)
	case buckets > maxBuckets:
		return Subset{}, fmt.Errorf("there are at most %d parts", maxBuckets)
	}
	return Subset{bucket: uint(bucket), buckets: uint(buckets)}, nil
}

func parseSubsetSize(text string) (Subset, error) {
	shift := 0
	if text != "" {
		if i := strings.IndexByte("BKMGT", text[len(text)-1]&^0x20); i >= 0 {
			shift, text = 10*i, text[:len(text)-1]
		}
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v <= 0 || v > math.MaxInt64>>shift {
		return Subset{}, errSubset
	}
	return Subset{size: v << shift}, nil
}

// IsZero says whether this is no subset.
func (s Subset) IsZero() bool { return s == Subset{} }

// Choose picks the subset's packs. n/t takes those whose first byte says so,
// whatever the order; a percentage takes so many of the first, at least one,
// and a size takes the first that have as many bytes together.
func (s Subset) Choose(packs []PackInfo) []PackInfo {
	switch {
	case s.buckets > 0:
		return slices.DeleteFunc(slices.Clone(packs), func(p PackInfo) bool { return uint(p.ID[0])%s.buckets != s.bucket-1 })
	case s.percent > 0:
		n := int(float64(len(packs)) * s.percent / 100)
		return packs[:min(max(n, 1), len(packs))]
	}
	return FirstBytes(packs, s.size)
}

// FirstBytes returns the first packs that have so many bytes together.
func FirstBytes(packs []PackInfo, bytes int64) []PackInfo {
	n := 0
	for ; n < len(packs) && bytes > 0; n++ {
		bytes -= packs[n].Size
	}
	return packs[:n]
}
