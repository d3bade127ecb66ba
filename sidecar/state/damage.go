package state

import (
	"fmt"
	"slices"
	"time"
)

// CheckHistory is what checks of the repository left.
type CheckHistory struct {
	// Last is when one came to its end, whatever it found; Error why the last
	// one did not.
	Last  time.Time `json:"last,omitzero"`
	Error string    `json:"error,omitempty"`
	// Damage was found, and no check since has shown that it is gone.
	Damage *Damage `json:"damage,omitempty"`
}

// Damage is what a check found.
type Damage struct {
	Found  time.Time `json:"found"` // when it was found first
	Errors uint64    `json:"errors"`
	First  string    `json:"first"` // of the errors
	// Packs are the first packs concerned; More says that there are others,
	// so that only a check that reads everything can show that all is well.
	Packs []string `json:"packs,omitempty"`
	More  bool     `json:"more,omitempty"`
}

// maxDamagedPacks bounds the packs that are remembered.
const maxDamagedPacks = 1000

// NewDamage makes a record of damage.
func NewDamage(now time.Time, errors uint64, first string, packs []string) *Damage {
	d := &Damage{Found: now, Errors: errors, First: first, Packs: packs}
	if len(packs) >= maxDamagedPacks {
		d.Packs, d.More = packs[:maxDamagedPacks:maxDamagedPacks], true
	}
	return d
}

// Healthy returns nil where no damage is known.
func (c CheckHistory) Healthy() error {
	if c.Damage == nil {
		return nil
	}
	return fmt.Errorf("the repository is damaged: check found %d errors on %s, the first: %s; run \"check\" to see what is lost, and \"repair\" for what can be put right",
		c.Damage.Errors, c.Damage.Found.Format(time.RFC3339), c.Damage.First)
}

// Keep takes over the packs of damage that was found before, but for those
// read and found whole since.
func (d *Damage) Keep(old *Damage, whole map[string]bool) {
	for _, id := range old.Packs {
		switch {
		case whole[id] || slices.Contains(d.Packs, id):
		case len(d.Packs) >= maxDamagedPacks:
			d.More = true
		default:
			d.Packs = append(d.Packs, id)
		}
	}
	d.More = d.More || old.More
}
