package repository

import "slices"

// CopiesIn knows which snapshots a repository has, under their own ID or as
// copies of others.
type CopiesIn map[ID][]*StoredSnapshot

// FindCopies looks through the snapshots of a repository.
func FindCopies(list []StoredSnapshot) CopiesIn {
	in := make(CopiesIn, 2*len(list))
	for i := range list {
		s := &list[i]
		in[s.ID] = append(in[s.ID], s)
		if s.Original != nil && *s.Original != s.ID {
			in[*s.Original] = append(in[*s.Original], s)
		}
	}
	return in
}

// Of returns the copy of a snapshot, by the rule of stock restic: both are, or
// are copies of, the same one, and what they say of themselves is equal, but for
// the parent. One whose tags were changed since is another.
func (in CopiesIn) Of(s *StoredSnapshot) (ID, bool) {
	first := s.ID
	if s.Original != nil {
		first = *s.Original
	}
	for _, c := range in[first] {
		if c.sameAs(&s.Snapshot) {
			return c.ID, true
		}
	}
	return ID{}, false
}

// sameAs compares all but what a copy may have of its own.
func (s *Snapshot) sameAs(o *Snapshot) bool {
	return s.Time.Equal(o.Time) && *s.Tree == *o.Tree && s.Hostname == o.Hostname && s.Username == o.Username &&
		s.UID == o.UID && s.GID == o.GID && slices.Equal(s.Excludes, o.Excludes) &&
		sameSet(s.Paths, o.Paths) && sameSet(s.Tags, o.Tags)
}

func sameSet(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
