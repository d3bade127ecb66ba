package repository

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// defaultUnused is how much of a repository may stay unused, in percent.
const defaultUnused = 5

// UnusedLimit says how many bytes may stay unused beside so many that are
// needed.
type UnusedLimit func(needed int64) int64

// UnusedPercent allows a part of what the repository has afterwards, in
// percent; at 100 and more there is no limit.
func UnusedPercent(p float64) UnusedLimit {
	return func(needed int64) int64 {
		if p >= 100 {
			return math.MaxInt64
		}
		return int64(p / (100 - p) * float64(needed))
	}
}

// UnusedBytes allows so many bytes.
func UnusedBytes(n int64) UnusedLimit { return func(int64) int64 { return n } }

// ParseUnusedLimit reads a limit as restic writes it: 5%, 200M, or unlimited.
func ParseUnusedLimit(text string) (UnusedLimit, error) {
	text = strings.TrimSpace(text)
	if text == "unlimited" {
		return UnusedBytes(math.MaxInt64), nil
	}
	if number, ok := strings.CutSuffix(text, "%"); ok {
		p, err := strconv.ParseFloat(number, 64)
		if err != nil || !(p >= 0 && p < 100) {
			return nil, fmt.Errorf("%q is no part of a repository: write for example 5%%, below 100%%", text)
		}
		return UnusedPercent(p), nil
	}
	n, err := ParseSize(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no limit: write a part such as 5%%, a size such as 200M, or unlimited", text)
	}
	return UnusedBytes(n), nil
}

// ParseSize reads a size: bytes, or with a letter such as K, M, G for powers of
// 1024.
func ParseSize(text string) (int64, error) {
	n, err := units.RAMInBytes(strings.TrimSpace(text))
	if err != nil || n < 0 {
		return 0, errors.New("write a size such as 512M or 16G")
	}
	return n, nil
}
