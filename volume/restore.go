package volume

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// StagingPrefix begins the name of the directory, at a volume's root, in which
// a restore gathers what it needs and keeps what it replaces. Walks skip it.
const StagingPrefix = ".ripplebak-restore-"

var (
	// ErrRestorePending says that an earlier restore of the volume was
	// interrupted and has to be recovered before the next one.
	ErrRestorePending = errors.New("an earlier restore of this volume was interrupted: recover it first")
	// ErrNoSpace says that the volume lacks space or inodes. Nothing of it was
	// changed.
	ErrNoSpace = errors.New("not enough space in the volume")
	// ErrHostileListing is a listing that no walk of ours can have written.
	ErrHostileListing = errors.New("the snapshot's listing cannot be trusted")
	// ErrOccupied says that a volume that has to be empty holds something.
	// Nothing was changed.
	ErrOccupied = errors.New("the volume is not empty")
	// ErrInTheWay says that files which a restore must not touch lie where the
	// snapshot has something else. Nothing was changed.
	ErrInTheWay = errors.New("files that the restore must not touch are in the way")
	// ErrChangedMeanwhile says that someone else wrote into the volume while it
	// was being restored.
	ErrChangedMeanwhile = errors.New("the volume was changed by someone else during the restore")
)

// MaxBlob is the greatest length of a blob in bytes.
const MaxBlob = 64 << 20

// Blob is a piece of a file's content: the SHA-256 of its bytes, and how many
// they are (1 to MaxBlob). Hole says that they are known to be zeros: such a
// blob is never fetched, and becomes a hole where the filesystem has holes.
type Blob struct {
	ID     [32]byte
	Length uint32
	Hole   bool
}

// RestoreRequest says what a restore does to the directory tree at Root.
type RestoreRequest struct {
	// Root is where the helper has the volume mounted.
	Root string
	// ID names the restore: letters, digits, "-" and "_", at most 64. It is
	// what Recover is told.
	ID string
	// KeepExtra leaves what is not in the snapshot where it is.
	KeepExtra bool
	// Only are the paths to restore, each with all below it; the rest of the
	// volume is left as it is. None: all of it.
	Only []string `json:"-"`
	// Protected are the patterns that were excluded at backup (doublestar
	// globs, anchored by a leading "/"): what they match is never touched.
	Protected []string
	// ProtectedPaths could not be read at backup: they and what is below them
	// are never touched.
	ProtectedPaths []string `json:"-"`
	// TrustBefore is the start of the walk that recorded the snapshot, if
	// known: a file whose recorded times are not older is compared by content,
	// even if it looks untouched.
	TrustBefore Time
	// VerifyAll compares every file by content, also those that look untouched:
	// damage below the filesystem leaves size, times and inode as they were.
	VerifyAll bool
	// MustBeEmpty refuses a volume that holds anything but lost+found and the
	// files of Kept, which are never touched.
	MustBeEmpty bool
	Kept        []string
	// Lenient leaves out what whoever restores has no right to set: owners of
	// others, and devices. A warning says so.
	Lenient bool
	// DryRun compares and reports, and writes nothing.
	DryRun bool
	// Overlay lays the listing over what is there: what it does not name stays,
	// a directory that is there keeps its metadata, and what is new takes owner
	// and mode of what it replaces, else of the directory that it comes into.
	Overlay bool
	// Owned are files of an Overlay that take an owner and a mode of their own.
	Owned []Owned
	// Remove are paths that go in an Overlay all the same, with what is below
	// them, unless they are listed; the directory of each must be listed.
	Remove []string `json:"-"`
	// Empty are directories of an Overlay of which all content goes, "" being
	// the root; each must be listed. With Hold, whatever is made in them later
	// goes when the old comes back.
	Empty []string `json:"-"`
	// Hold keeps what was replaced aside once the new is in, until Peer.Keep
	// says that the new stays. Before that, Peer.Recover brings the old back,
	// whatever came into being at these paths meanwhile.
	Hold bool

	// Progress, if set, is told how far the restore is, often, and from several
	// goroutines at once.
	Progress func(RestoreProgress) `json:"-"`
}

// Owned says to whom a file is to belong, and its mode.
type Owned struct {
	Path           string
	UID, GID, Mode uint32
}

// RestoreProgress is how far a restore is. Total is 0 while it is not known.
type RestoreProgress struct {
	Listed           int64 // entries of the snapshot sent to the helper
	Fetched, ToFetch int64 // bytes of content
}

// RestoreSource is what a restore takes a snapshot from.
type RestoreSource interface {
	// Entries yields every entry, the root (Path "") first, in walk order (see
	// Compare), each regular file with its content, whose lengths add up to
	// Size; an entry with HardLinkOf has none. It ends with the first error,
	// its own or yield's. What is yielded is not kept by yield.
	Entries(ctx context.Context, yield func(Entry, []Blob) error) error
	// Fetch calls put once for each wanted blob, in whatever order is cheapest,
	// from as many goroutines as it likes, and returns when all are done. data
	// is authenticated, and is not kept by put.
	Fetch(ctx context.Context, want []Blob, put func(b Blob, data []byte) error) error
}

// Skip is an entry of the snapshot that was not restored, or something in the
// volume that was left where it is, and why.
type Skip struct {
	Path   string
	Reason string
}

// RestoreReport says what a restore did, or, after a dry run, would do.
type RestoreReport struct {
	Files, Dirs  int64 // of the snapshot, everything that is no directory being a file
	Created      int64 // were missing
	Replaced     int64 // had other content or another type
	Removed      int64 // were not in the snapshot; a directory counts once
	MetadataOnly int64 // had the content, and another owner, mode, time or attribute
	Unchanged    int64
	Intact       int64 // of Unchanged, files that look as recorded and were not read
	Compared     int64 // files in place that were compared by content

	BytesFetched  int64 // content that came from the repository
	BytesReused   int64 // content copied from the file in place
	BytesHoles    int64 // zeros that were neither
	BytesCompared int64 // content in place that was compared

	NeedBytes, FreeBytes   int64 // space that the new files take at most, and what there was
	NeedInodes, FreeInodes int64 // FreeInodes is -1 where the filesystem does not count them

	Skipped      []Skip // the first of them
	SkippedCount int64
	// Left is what is in the volume, not in the snapshot, and was left where it
	// is: the first of it, a directory counting once.
	Left         []Skip
	LeftCount    int64
	Warnings     []string // the first of them
	WarningCount int64
}

// maxNotes bounds the lists of a report.
const maxNotes = 1000

func (r *RestoreReport) skip(path, reason string) {
	r.SkippedCount++
	if len(r.Skipped) < maxNotes {
		r.Skipped = append(r.Skipped, Skip{Path: path, Reason: reason})
	}
}

func (r *RestoreReport) leave(path, reason string) {
	r.LeftCount++
	if len(r.Left) < maxNotes {
		r.Left = append(r.Left, Skip{Path: path, Reason: reason})
	}
}

func (r *RestoreReport) warn(text string) {
	r.WarningCount++
	if len(r.Warnings) < maxNotes {
		r.Warnings = append(r.Warnings, text)
	}
}

// Outcome is what recovering an interrupted restore came to.
type Outcome uint8

// The outcomes of a recovery.
const (
	// NothingPending: no restore was interrupted.
	NothingPending Outcome = iota
	// RolledBack: the volume holds the old data, as before the restore.
	RolledBack
	// RolledForward: the volume holds the new data, all of it.
	RolledForward
)

// String gives the outcome as messages use it.
func (o Outcome) String() string {
	switch o {
	case NothingPending:
		return "nothing to recover"
	case RolledBack:
		return "rolled back: the old data is in place"
	case RolledForward:
		return "rolled forward: the restored data is in place"
	}
	return "unknown"
}

// checkRestoreID says whether id can name a staging directory.
func checkRestoreID(id string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	if id == "" || len(id) > 64 || strings.Trim(id, letters) != "" {
		return fmt.Errorf("restore ID %.80q: want 1 to 64 letters, digits, - or _", id)
	}
	return nil
}
