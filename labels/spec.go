package labels

import "github.com/ripplebak/ripplebak/retention"

// Source is what a service says about itself and what its labels may refer to.
type Source struct {
	// Service is the Compose name; it is used in problems.
	Service string
	// Labels are the labels of the container, or of the service in a compose
	// file. Labels without our prefix are passed over.
	Labels map[string]string
	// ImageLabels are the labels that the service's image declares. The Engine
	// merges them into the container's, so a label of the container whose value
	// equals the image's is taken for the image's.
	ImageLabels map[string]string
	// TrustImage lets labels that come from the image count.
	TrustImage bool
	// Mounts are the mounts of the service's containers, each target once.
	Mounts []Mount
}

// Mount kinds, as Compose and the Engine name them.
const (
	KindVolume = "volume"
	KindBind   = "bind"
	KindTmpfs  = "tmpfs"
)

// Mount is a mount of a service, as far as a label can refer to it.
type Mount struct {
	Kind   string // KindVolume, KindBind or KindTmpfs
	Volume string // the volume's Compose key; empty for binds and anonymous volumes
	Source string // the host path of a bind
	Target string // the absolute path inside the container
}

// Spec is what a service's labels ask for, with every default filled in that
// the grammar itself knows.
type Spec struct {
	Service string
	// Enabled says whether the service takes part: it carries a label of ours
	// that counts, and ripplebak.enable doesn't say false.
	Enabled bool
	// Labelled says whether any label of ours counted, also enable=false.
	Labelled bool
	// Asked says that ripplebak.enable is "true" in so many words: then what is
	// not labelled further may be recognised.
	Asked bool
	// Auto says that no label but RIPPLEBAK_AUTO enabled the service.
	Auto bool
	Dump *Dump // nil: no dump
	// NoDump says that none is to be made, whatever the service may run.
	NoDump   bool
	Volumes  Selection
	Binds    Selection
	Exclude  []string // doublestar patterns, unescaped; a leading "/" anchors
	During   During
	Group    string // empty: the service alone
	Pre      string // a shell command, or empty
	Post     string
	OnError  OnError
	Schedule string           // one space between fields; empty: the sidecar's
	Keep     retention.Policy // empty: the sidecar's
	// Notices are labels that were left out because they come from the image.
	Notices []Notice
}

// Dump is a database, or whatever else answers with a dump of itself.
type Dump struct {
	Engine string
	// Cause says why there is a dump that no label names: the engine was
	// recognised. Empty: by the label.
	Cause     string
	Databases []string // nil: all
	User      string   // empty: the image's own, else the engine's superuser
	// ExcludeTableData are patterns of tables whose rows are left out.
	ExcludeTableData []string
	Paths            []string // absolute paths inside the container, for file engines
	// Command and RestoreCommand belong to the engine "command" only.
	Command        string
	RestoreCommand string
}

// Mode says how a Selection was made.
type Mode string

// The modes of a Selection.
const (
	// Default: no label. For volumes all of them, but with a dump those that
	// hold the database's own files are left out; for binds none.
	Default Mode = "default"
	All     Mode = "all"
	None    Mode = "none"
	Listed  Mode = "listed"
)

// Selection chooses among the mounts of a service.
type Selection struct {
	Mode Mode
	// Names are what the label lists, each checked against the service's
	// mounts: a volume's Compose key or a mount target. Only with Listed.
	Names []string
}

// During is what a service does while its volumes are read.
type During string

// The values of ripplebak.during.
const (
	Live  During = "live"
	Pause During = "pause"
	Stop  During = "stop"
)

// OnError is what becomes of a volume of which some files cannot be read.
type OnError string

// The values of ripplebak.on-error.
const (
	Fail OnError = "fail"
	Warn OnError = "warn"
)

// VolumeSpec is what the labels of a volume say.
type VolumeSpec struct {
	Enabled *bool // nil: the volume doesn't say
	Exclude []string
}
