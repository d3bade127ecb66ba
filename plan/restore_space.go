package plan

import (
	"fmt"
	"strings"

	"github.com/docker/go-units"
)

// RestoreSpace is what a restore takes of a volume that is there, beside what
// the volume holds: the new goes in before the old goes.
type RestoreSpace struct {
	NeedBytes  int64 `json:"need_bytes"`
	FreeBytes  int64 `json:"free_bytes"`
	NeedInodes int64 `json:"need_inodes"`
	FreeInodes int64 `json:"free_inodes"` // -1: the filesystem does not count them
	// AtMost says that what is needed is a bound, for which nothing was
	// compared: as if the volume were empty.
	AtMost bool `json:"at_most"`
	// Short says that the volume lacks space or inodes.
	Short bool `json:"short"`
	// Unknown says why nothing of this could be found out.
	Unknown string `json:"unknown,omitempty"`

	// Device tells filesystems apart.
	Device uint64 `json:"-"`
}

// CheckSpace takes what was found out about the space of volumes, by their
// items' keys. A volume that lacks it is a problem.
func (r *Restore) CheckSpace(found map[string]RestoreSpace) {
	for _, it := range r.Items {
		s, ok := found[it.Key]
		if !ok || it.Volume == nil {
			continue
		}
		it.Volume.Space = &s
		switch {
		case s.Unknown != "":
			r.warn("%s: whether it has room for what comes back is not known before it is restored: %s", it.Key, s.Unknown)
		case s.Short:
			r.problem("%s: %s lacks space: %s; make room, and restore again", it.Key, placeText(it.Volume.Docker), s)
		}
	}
	r.checkShared()
}

// checkShared warns of volumes of one filesystem. Whether they fit, one after
// the other, cannot be told before, for each also frees what it replaces.
func (r *Restore) checkShared() {
	need := map[uint64]int64{}
	keys := map[uint64][]string{}
	for _, it := range r.Items {
		if it.Volume == nil || it.Volume.Space == nil || it.Volume.Space.Unknown != "" || it.Volume.Space.Short {
			continue
		}
		s := it.Volume.Space
		need[s.Device] += s.NeedBytes
		if keys[s.Device] = append(keys[s.Device], it.Key); need[s.Device] > s.FreeBytes && need[s.Device]-s.NeedBytes <= s.FreeBytes && len(keys[s.Device]) > 1 {
			r.warn("%s: shares its filesystem with %s, which is restored before it, and there may not be room for both: %s is free; it keeps its old data if so",
				it.Key, strings.Join(keys[s.Device][:len(keys[s.Device])-1], ", "), units.BytesSize(float64(s.FreeBytes)))
		}
	}
}

// String says it in one line.
func (s RestoreSpace) String() string {
	if s.Unknown != "" {
		return "how much space it needs is not known"
	}
	atMost := ""
	if s.AtMost {
		atMost = "at most "
	}
	text := fmt.Sprintf("needs %s%s beside what is there, and %s are free", atMost, units.BytesSize(float64(s.NeedBytes)), units.BytesSize(float64(s.FreeBytes)))
	if s.FreeInodes >= 0 && s.NeedInodes > s.FreeInodes {
		text += fmt.Sprintf("; needs %s%d inodes, and %d are free", atMost, s.NeedInodes, s.FreeInodes)
	}
	return text
}
