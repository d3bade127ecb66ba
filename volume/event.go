package volume

// EventKind says what an event of a walk is.
type EventKind uint8

// The events of a walk. The numbers are part of the wire form.
const (
	// EnterDir opens a directory; the root comes first, with the path "".
	EnterDir EventKind = iota + 1
	// LeaveDir closes the directory that was entered last and not left.
	LeaveDir
	// Unchanged is a file, of any type but a directory, that is as the Known
	// entry of its path says. Only the entry's path is set.
	Unchanged
	// FileStart is a file with its content: NextSegment gives it.
	FileStart
	// Other is any other entry: a symlink, a device, a FIFO, a socket, or a
	// further hard link to a file that came before.
	Other
	// Warned says that something was noticed; see Warning.
	Warned
	// Unreadable says that a file or a directory, or a part of it, could not be
	// read: the volume is partial. It comes in place of the file's event, or
	// after the content that could be read.
	Unreadable

	streamStart // FileStart of a file whose content follows in segments
	streamEnd   // its end
)

// WarningKind says what a warning is about.
type WarningKind uint8

// The kinds of warnings. The numbers are part of the wire form.
const (
	// WarnChanged: the file changed while it was read; what was saved may be a
	// mixture.
	WarnChanged WarningKind = iota + 1
	// WarnVanished: the file was removed before it was read; it is not saved.
	WarnVanished
	// WarnMount: something is mounted there; it is not entered.
	WarnMount
	// WarnXattr: extended attributes of the file could not be read.
	WarnXattr
	// WarnSync: the filesystem could not be synced; the next run will trust
	// nothing of this walk, and read everything.
	WarnSync
	// WarnUnreadable accompanies Unreadable.
	WarnUnreadable
)

// Warning is something noticed about a path.
type Warning struct {
	Kind WarningKind
	Path string
	Text string
}

// Event is one step of a walk. Entry is set for the first five kinds and good
// until the next call of Next; Warning for Warned and Unreadable.
type Event struct {
	Kind    EventKind
	Entry   *Entry
	Warning *Warning
}

// Name gives the last part of a path.
func (e *Entry) Name() string {
	for i := len(e.Path) - 1; i >= 0; i-- {
		if e.Path[i] == '/' {
			return e.Path[i+1:]
		}
	}
	return e.Path
}

// Segment is a part of a file's content. A hole has no bytes; it reads as
// zeros.
type Segment struct {
	Offset int64
	Length int64
	Hole   bool
}

// WalkResult is what the helper counted. It is known once Next has returned
// io.EOF.
type WalkResult struct {
	Files      int64 `json:"files"` // regular files, unchanged ones included
	Dirs       int64 `json:"dirs"`
	Others     int64 `json:"others"`
	Unchanged  int64 `json:"unchanged"`  // of whatever type
	Bytes      int64 `json:"bytes"`      // content that was read
	Opened     int64 `json:"opened"`     // regular files that were opened
	Warnings   int64 `json:"warnings"`   // those that Warned events carry
	Unreadable int64 `json:"unreadable"` // Unreadable events
	// Started is the moment, by the filesystem's own clock, after which nothing
	// can have changed unseen; zero if nothing may be trusted.
	Started Time `json:"started"`
	// SlackMillis is how far the filesystem's stamps may lie behind Started.
	SlackMillis uint32 `json:"slack_ms"`
	// StableInodes says that inode numbers stay with their files.
	StableInodes bool `json:"stable_inodes"`
}
