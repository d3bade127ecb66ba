package manifest

// Overwritten is what the restore was about to do that made a safety snapshot:
// what it takes to undo it, also where nothing else is left to tell.
type Overwritten struct {
	Restore string `json:"restore"` // its ID
	// Snapshot is what it was asked to restore: an ID, "latest", or empty for one
	// that undoes another.
	Snapshot string `json:"snapshot,omitempty"`
	// Globals says that roles which existed were changed too.
	Globals bool              `json:"globals,omitempty"`
	Items   []OverwrittenItem `json:"items"`
}

// OverwrittenItem is an item that a restore writes over.
type OverwrittenItem struct {
	Key      string `json:"key"`
	Snapshot string `json:"snapshot"` // the ID of the one that it comes from
	// Paths are what of a volume is restored, as raw bytes; none: all of it.
	Paths [][]byte `json:"paths,omitempty"`
	// Exclude are the globs of what the restore leaves alone in a volume.
	Exclude []string `json:"exclude,omitempty"`
	// Unreadable are paths that it leaves alone, because they could not be read
	// when the volume was saved.
	Unreadable []string `json:"unreadable,omitempty"`
	// Saved are the keys of the safety snapshot's items that hold what was there
	// before; none: nothing was.
	Saved []string `json:"saved,omitempty"`
}
