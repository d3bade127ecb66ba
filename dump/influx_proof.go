package dump

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxInfluxList bounds the list of a backup, which is held in memory.
const maxInfluxList = 16 << 20

// influxList is what a backup says that it holds.
type influxList struct {
	Meta    influxListed   `json:"meta"`
	Limited bool           `json:"limited"`
	Files   []influxListed `json:"files"`
}

type influxListed struct {
	Database string `json:"database"`
	FileName string `json:"fileName"`
	Size     int64  `json:"size"` // as it is without compression
}

// influxProof judges a backup as it streams by: its list comes first, then the
// metadata, then each shard of the list, whose tar comes to its end after as
// many bytes as the list says. Memory is bounded by list and metadata.
type influxProof struct {
	walk   *tarWalk
	list   *influxList
	want   map[string]influxListed // shards that are still to come, by name
	meta   influxMetadata
	whole  bool // the metadata is there
	held   bytes.Buffer
	kind   influxKind // of the entry at hand
	name   string
	shard  *tarWalk
	shards int64
	err    error

	// files gets the files of shards, where somebody wants them.
	files tarEntries
}

// influxKind is what an entry of a backup is.
type influxKind uint8

const (
	influxIsList influxKind = iota
	influxIsMeta
	influxIsShard
)

func newInfluxProof() *influxProof {
	p := &influxProof{files: influxIgnored{}}
	p.walk = newTarWalk(p)
	return p
}

func (p *influxProof) Write(b []byte) (int, error) {
	if p.err == nil {
		p.err = p.walk.write(b)
	}
	return len(b), nil
}

// entry begins a part of the backup.
func (p *influxProof) entry(h *tar.Header) error {
	p.name = h.Name
	if h.Typeflag != tar.TypeReg || !influxName(h.Name) {
		return badTar("%.60q is no part of a backup", h.Name)
	}
	switch {
	case p.list == nil:
		p.kind = influxIsList
		if !strings.HasSuffix(h.Name, ".manifest") || h.Size > maxInfluxList {
			return badTar("it does not begin with its list")
		}
	case !p.whole:
		p.kind = influxIsMeta
		if h.Name != p.list.Meta.FileName || h.Size > maxInfluxMeta {
			return badTar("its metadata does not follow its list")
		}
	default:
		p.kind = influxIsShard
		listed, ok := p.want[h.Name]
		if !ok {
			return badTar("%.60q is not in its list, or is there twice", h.Name)
		}
		if h.Size != listed.Size {
			return badTar("%.60q has %d bytes, and %d in its list", h.Name, h.Size, listed.Size)
		}
		delete(p.want, h.Name)
		p.shard = newTarWalk(p.files)
	}
	p.held.Reset()
	return nil
}

// influxName says whether a name is one that influxd gives: 20060102T150405Z
// and what the file is. It is nobody's path.
func influxName(name string) bool {
	stamp, rest, _ := strings.Cut(name, ".")
	odd := func(r rune) bool { return (r < '0' || r > '9') && r != 'T' && r != 'Z' }
	oddRest := func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'z') && r != '.' }
	return stamp != "" && rest != "" && len(name) <= 100 && !strings.ContainsFunc(stamp, odd) && !strings.ContainsFunc(rest, oddRest)
}

func (p *influxProof) content(b []byte) error {
	if p.kind == influxIsShard {
		return p.shard.write(b)
	}
	p.held.Write(b)
	return nil
}

func (p *influxProof) done() error {
	switch p.kind {
	case influxIsList:
		return p.takeList()
	case influxIsMeta:
		return p.takeMeta()
	}
	p.shards++
	if p.shard == nil || !p.shard.ended() {
		return fmt.Errorf("%w: the shard %s has no end", ErrCutDump, p.name)
	}
	p.shard = nil
	return nil
}

func (p *influxProof) takeList() error {
	list := &influxList{}
	if err := json.Unmarshal(p.held.Bytes(), list); err != nil {
		return badTar("its list is not understood: %v", err)
	}
	if list.Limited {
		return badTar("it is a backup of a part only")
	}
	p.want = map[string]influxListed{}
	for _, f := range list.Files {
		name, ok := strings.CutSuffix(f.FileName, ".gz")
		if _, twice := p.want[name]; !ok || twice || f.Size <= 0 {
			return badTar("its list has %.60q of %d bytes", f.FileName, f.Size)
		}
		p.want[name] = f
	}
	p.list = list
	return nil
}

func (p *influxProof) takeMeta() (err error) {
	if p.meta, err = parseInfluxMeta(bytes.Clone(p.held.Bytes())); err != nil {
		return err
	}
	if int64(len(p.meta.raw)) != p.list.Meta.Size {
		return badTar("its metadata has %d bytes, and %d in its list", len(p.meta.raw), p.list.Meta.Size)
	}
	p.whole = true
	return nil
}

// databases are those of which there are shards.
func (p *influxProof) databases() (names []string) {
	if p.list == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, f := range p.list.Files {
		if !seen[f.Database] {
			seen[f.Database] = true
			names = append(names, f.Database)
		}
	}
	return names
}

// Finish says whether everything of the list was there.
func (p *influxProof) Finish() error {
	switch {
	case p.err != nil:
		return p.err
	case p.walk.size == 0:
		return ErrEmptyDump
	case !p.walk.ended() || !p.whole:
		return fmt.Errorf("%w: after %d bytes", ErrCutDump, p.walk.size)
	}
	for name := range p.want {
		return fmt.Errorf("%w: the shard %s is missing, and %d more", ErrCutDump, name, len(p.want)-1)
	}
	return nil
}

// Summary says what is there.
func (p *influxProof) Summary() string {
	return fmt.Sprintf("%d databases in %d shards, %d users, %d continuous queries", len(p.meta.databases), p.shards, p.meta.users, p.meta.queries)
}

// Counts is what Summary says.
func (p *influxProof) Counts() map[string]int64 {
	return map[string]int64{"databases": int64(len(p.meta.databases)), "shards": p.shards, "users": int64(p.meta.users)}
}

// influxIgnored looks at names only.
type influxIgnored struct{}

func (influxIgnored) entry(h *tar.Header) error {
	_, err := influxPath(h)
	return err
}
func (influxIgnored) content([]byte) error { return nil }
func (influxIgnored) done() error          { return nil }

// influxPath says whether an entry of a shard is one of the files that a server
// needs: DATABASE/POLICY/NUMBER/NAME.tsm, or what was deleted of it. What else
// there may be, such as an index, it makes anew of these. A path that leads
// elsewhere is an error.
func influxPath(h *tar.Header) (wanted bool, err error) {
	parts := strings.Split(strings.TrimSuffix(h.Name, "/"), "/")
	for _, part := range parts {
		odd := part == "" || part == "." || part == ".." || len(part) > 255 || !utf8.ValidString(part) ||
			strings.ContainsFunc(part, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' })
		if odd {
			return false, badTar("%.80q is no file of a shard", h.Name)
		}
	}
	last := parts[len(parts)-1]
	data := strings.HasSuffix(last, ".tsm") || strings.HasSuffix(last, ".tombstone")
	if h.Typeflag != tar.TypeReg || !data {
		return false, nil
	}
	if number := parts[max(0, len(parts)-2)]; len(parts) != 4 || strings.Trim(number, "0123456789") != "" {
		return false, badTar("%.80q is no file of a shard", h.Name)
	}
	return true, nil
}
