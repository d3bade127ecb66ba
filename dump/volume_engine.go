package dump

// VolumeEngine is a FileEngine without a server: its databases are files in
// the volumes of a service. They are found, copied and checked by a helper that
// mounts the volume, and nothing runs in the container. Of Engine's methods
// Probe, ParseProbe and Ready are not used then.
type VolumeEngine interface {
	FileEngine

	// Seek says where in the volumes of a service to look for its databases.
	Seek(req Request, mounts []Mount) []Search

	// Found makes facts of the files that were found there.
	Found(req Request, mounts []Mount, found []FoundFile) Facts

	// Beside names what belongs to a database's file and lies beside it.
	Beside(path string) []string
}

// Mount is where a volume of a service is in its containers.
type Mount struct {
	Volume string // the volume's key
	Target string
}

// Search is a volume to look into: at the paths Within it, and below them.
type Search struct {
	Volume string
	Within []string // "": all of it
}

// FoundFile is a database's file in a volume.
type FoundFile struct {
	Volume string
	Path   string // below the volume's root
	Size   int64
	Owner  Owner
	// Checked is set where the file was looked through.
	Checked *CheckedFile
}

// Owner is to whom a file belongs, and its mode.
type Owner struct {
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	Mode uint32 `json:"mode"`
}

// CheckedFile is what a check of a database's file has found.
type CheckedFile struct {
	Pages, PageSize int64
	Problem         string // empty: it is whole
}

// Copy is a file of a dump that a helper makes of a file in a volume.
type Copy struct {
	Volume string // the volume's key
	Path   string // below its root
}

// Absent is a database that a label names and that cannot be dumped.
type Absent struct {
	Name, Why string
}
