package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// PackTimes says when each pack of a repository was last read and found whole,
// or else when it was first seen, so that checks take turns. Losing it costs
// only that packs are read again earlier or later than they would be. It keeps
// twelve bytes a pack.
type PackTimes struct {
	repository string
	times      map[packKey]uint32 // minutes since 1970; the top bit: never read
}

// packKey is how a pack's ID begins.
type packKey [8]byte

const (
	packTimesFile  = "packtimes"
	packTimesMagic = "ripplebak packs 1\n"
	neverRead      = 1 << 31
	// maxPackTimes bounds the record: 16 TiB of packs. What is beyond is
	// read by chance.
	maxPackTimes = 2 << 20
)

func keyOfPack(id [32]byte) packKey { return packKey(id[:8]) }

// minutes is a time as it is kept; outside of what fits it is the nearest.
func minutes(at time.Time) uint32 {
	return uint32(min(max(at.Unix()/60, 0), neverRead-1))
}

// Note takes in the packs that there are: those that are new were seen now,
// and those that are gone are forgotten.
func (p *PackTimes) Note(packs func(yield func(id [32]byte) bool), now time.Time) {
	times := make(map[packKey]uint32, len(p.times))
	for id := range packs {
		key := keyOfPack(id)
		at, ok := p.times[key]
		if !ok {
			at = minutes(now) | neverRead
		}
		if len(times) < maxPackTimes {
			times[key] = at
		}
	}
	p.times = times
}

// When says when a pack was last read and found whole, or, where read is
// false, first seen. It is the zero time for a pack that is not known.
func (p *PackTimes) When(id [32]byte) (at time.Time, read bool) {
	v, ok := p.times[keyOfPack(id)]
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(int64(v&^neverRead)*60, 0).UTC(), v&neverRead == 0
}

// Read notes that a pack was read and is whole.
func (p *PackTimes) Read(id [32]byte, now time.Time) {
	key := keyOfPack(id)
	if _, ok := p.times[key]; ok || len(p.times) < maxPackTimes {
		p.times[key] = minutes(now)
	}
}

// PackTimes returns the record for a repository. It is never nil: where there
// is none, where it is of another repository or damaged, it is empty. The
// error says what is wrong with it.
func (d *Dir) PackTimes(repository string) (*PackTimes, error) {
	p := &PackTimes{repository: repository, times: map[packKey]uint32{}}
	b, err := os.ReadFile(filepath.Join(d.path, packTimesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = p.decode(b)
	}
	if err != nil {
		return p, fmt.Errorf("read the record of packs that were read: %w", err)
	}
	return p, nil
}

// SavePackTimes replaces the record.
func (d *Dir) SavePackTimes(p *PackTimes) error {
	if err := d.replaceFile(packTimesFile, p.encode()); err != nil {
		return fmt.Errorf("write the record of packs that were read: %w", err)
	}
	return nil
}

// encode writes the magic, the repository, the entries, and the hash of it all.
func (p *PackTimes) encode() []byte {
	owner := sha256.Sum256([]byte(p.repository))
	b := append([]byte(packTimesMagic), owner[:]...)
	for key, at := range p.times {
		b = binary.BigEndian.AppendUint32(append(b, key[:]...), at)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func (p *PackTimes) decode(b []byte) error {
	const entry = len(packKey{}) + 4
	head := len(packTimesMagic) + sha256.Size
	if len(b) < head+sha256.Size || (len(b)-head-sha256.Size)%entry != 0 {
		return errors.New("it has a wrong size")
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(sum, want[:]) || string(b[:len(packTimesMagic)]) != packTimesMagic {
		return fmt.Errorf("it is damaged (%s)", hex.EncodeToString(sum[:4]))
	}
	owner := sha256.Sum256([]byte(p.repository))
	if !bytes.Equal(body[len(packTimesMagic):head], owner[:]) {
		return nil // of a repository that was here before
	}
	for body = body[head:]; len(body) > 0; body = body[entry:] {
		p.times[packKey(body)] = binary.BigEndian.Uint32(body[len(packKey{}):])
	}
	return nil
}
