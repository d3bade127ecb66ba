package dump

import (
	"errors"
	"io"
)

// ErrNewerDump says that a dump comes from a newer server or client than the
// one that it is to be restored with.
var ErrNewerDump = errors.New("the dump is newer than the server it would be restored into")

// ErrEmptyDump says that a dump command produced no data at all.
var ErrEmptyDump = errors.New("produced no data")

// ErrCutDump says that a dump ended before its end.
var ErrCutDump = errors.New("the dump is cut short")

// ErrBadDump says that the bytes are not what the engine's client writes.
var ErrBadDump = errors.New("the dump is not well-formed")

// ErrBadRequest says that a label asks for something that cannot be.
var ErrBadRequest = errors.New("bad request")

// ErrHostileSQL says that stored SQL holds something that its writer never
// writes, such as a command to the client.
var ErrHostileSQL = errors.New("the stored SQL holds what a dump never holds")

// ErrAmbiguous says that what an interrupted restore left behind cannot be
// told apart, so that nothing was decided.
var ErrAmbiguous = errors.New("the state that an interrupted restore left is ambiguous")

// Engine builds the commands of one kind of database and judges what they
// write. Its methods do nothing but compute.
type Engine interface {
	// Name is the engine's name in the label: "pg_dump".
	Name() string

	// Check says whether what the labels ask for can be asked of this engine.
	// The error names what is wrong, not the label.
	Check(Request) error

	// Probe is one command that says whether the client is there, how to reach
	// the server, versions, rights, databases and where its files lie. It needs
	// no gate: its output ends with a record that ParseProbe insists upon.
	Probe(Request) Command

	// ParseProbe reads the output of a Probe that exited with 0.
	ParseProbe(req Request, stdout []byte) (Facts, error)

	// FallbackDataDirs names the paths inside the container that hold the
	// engine's own files, for a server that cannot be asked. env reads the
	// container's environment; mounts are its mount targets.
	FallbackDataDirs(env func(string) string, mounts []string) []string

	// Files lists the dump files of a request, in the order in which they are
	// to be made.
	Files(Request, Facts) ([]File, error)

	// Skipped names what a request for all leaves out although it may hold
	// somebody's data, each with the reason.
	Skipped(Request, Facts) []string

	// Judge is the proof for one dump file that is read back before a restore.
	Judge(role Role, item string) Proof

	// Ready is a command that succeeds when the real server answers: over TCP on
	// 127.0.0.1, which the images' temporary init server does not. One without
	// Argv leaves it to the healthcheck, or where there is none to the container
	// that runs.
	Ready() Command

	// CanRestore says whether a dump made of one server can go into another.
	CanRestore(dumped, target Facts) error

	// SpaceNeeded is the number of free bytes that restoring a database takes
	// beside the old one, to be compared with Facts.FreeBytes of the target.
	// dumpBytes is the size of the stored dump.
	SpaceNeeded(dumped Facts, database string, dumpBytes int64) int64

	// RestoreGlobals lists what restores what belongs to no single database,
	// to be done before the databases. Notes say what is left as it is.
	RestoreGlobals(GlobalsRequest) (steps []Step, notes []string, err error)

	// Restore lists what restores one database. The first step that fails ends
	// it: its Undo, where there is one, and the old data is untouched.
	Restore(RestoreRequest) ([]Step, error)

	// Recover decides what to do about one database after a restore was killed,
	// from facts that were probed afterwards.
	Recover(RecoverRequest) (Recovery, error)

	// Leftovers names the databases that an interrupted restore left behind.
	Leftovers(Facts) []string

	// Explain says in one line what the error text of a command means and what
	// to look at. It is empty where it knows no better than the text.
	Explain(stderr string, exit int) string
}

// Request is what the labels of a service ask for.
type Request struct {
	Service   string
	User      string   // empty: the container's own, else the engine's superuser
	Databases []string // nil: all
	Paths     []string // of files in the container, or patterns of them; nil: all
	// ExcludeTableData are patterns of tables whose rows are left out.
	ExcludeTableData []string
	// Argv is the command that the container was made with. It may hold
	// secrets: never shown, never logged.
	Argv Secrets
	// Command and RestoreCommand are the labels' own, for the engine "command".
	Command, RestoreCommand string
}

// Secrets are texts that may be secret. They print as nothing.
type Secrets []string

// String shows none of them.
func (Secrets) String() string { return "[not shown]" }

// GoString shows none of them.
func (Secrets) GoString() string { return "[not shown]" }

// Command is something to run inside the container.
type Command struct {
	// Argv is complete, ready for an exec: sh -c SCRIPT sh ARGS...
	Argv []string
	// Stdin says that the command reads its standard input to the end.
	Stdin bool
	// Input is what it reads there, a line each, where that is known
	// beforehand.
	Input Secrets
	// Gate says that standard output is content, which counts only with the
	// proof that the command succeeded and that no tail was lost.
	Gate bool
	// Show is how a plan prints it: the real tool and its flags, no secret.
	Show string
}

// Proof judges content as it streams by, in bounded memory. Write never
// fails; Finish says what was wrong.
type Proof interface {
	io.Writer
	// Finish is called once, after the last byte. It is nil only when the
	// content is whole.
	Finish() error
	// Summary says in a few words what the content is.
	Summary() string
}

// Counter is a Proof that knows how much of what it has seen.
type Counter interface {
	// Counts is called after Finish: numbers by what they count ("tables").
	Counts() map[string]int64
}

// Role says what a dump file is.
type Role string

// The roles of dump files.
const (
	RoleDatabase   Role = "database"   // the content of one database
	RoleProperties Role = "properties" // grants, settings and comments on one database
	RoleGlobals    Role = "globals"    // what belongs to no database: roles
)

// File is one file that a dump consists of.
type File struct {
	Name     string // its name below dumps/SERVICE/, escaped
	Item     string // the database's name, or "globals"
	Role     Role
	Command  Command
	NewProof func() Proof
	// Copy, where it is set, says of which file in a volume a helper makes it.
	// Nothing is run for it in the container then; Command says it in words.
	Copy *Copy
	// Trim, where it is set, takes away what the client writes beside the
	// content. It passes EOF on, and makes none of its own.
	Trim func(io.Reader) io.Reader
}

// Input says what a step reads on standard input.
type Input uint8

// The inputs of a step.
const (
	InputNone    Input = iota
	InputDump          // the stored file that Step.File names, or the one with RoleDatabase
	InputLiteral       // Step.Literal
)

// Step is one command of a restore. Steps run one after the other.
type Step struct {
	Name    string // "create", "load", "swap", "drop"
	Cause   string // why it is there, for the plan
	Command Command
	Input   Input
	File    string // of InputDump: a file's name; "": the one with RoleDatabase
	Literal []byte // may hold password hashes: never shown, never logged
	// Filter makes of InputDump what the command reads; nil: it reads it as it
	// is. An error of it ends the command, like one of the input.
	Filter func(io.Reader) io.Reader
	// CrashPoint is the name of the crash point just before this step.
	CrashPoint string
	// Undo puts things back when this step fails. It needs no input.
	Undo *Command
	// Settled says that the restore has taken effect before this step: if it
	// fails the new data stays, and the failure is a warning.
	Settled bool
}

// GlobalsRequest asks for the restore of what belongs to no database.
type GlobalsRequest struct {
	Dumped  Facts
	Target  Facts
	SQL     []byte // the stored file with RoleGlobals, proven
	Replace bool   // existing roles get the stored password and attributes too
}

// RestoreRequest asks for the restore of one database.
type RestoreRequest struct {
	ID         string // of the restore: 1 to 32 of 0-9 a-z; names what is under way
	Dumped     Facts
	Target     Facts  // probed after the globals were restored
	Database   string // its name in the dump
	NewName    string // restore under this name instead; it must not exist
	Properties []byte // the stored file with RoleProperties, proven; nil: none
}

// RecoverRequest asks what to do after a restore was killed.
type RecoverRequest struct {
	ID       string // the ID of that restore
	Database string // the name that the restored database was to have
	Target   Facts  // probed now
	// Back says that the old data is wanted, wherever it is still there.
	Back bool
}

// Outcome says what a recovery comes to.
type Outcome string

// The outcomes of a recovery.
const (
	// OutcomeNothing: nothing of the restore is left. It either had not begun,
	// or was complete.
	OutcomeNothing Outcome = "nothing"
	// OutcomeOld: the restore is undone, the old data is in place.
	OutcomeOld Outcome = "old"
	// OutcomeNew: the restore is finished, the new data is in place.
	OutcomeNew Outcome = "new"
)

// Recovery is what finishes or undoes an interrupted restore. Running the
// steps twice does no harm.
type Recovery struct {
	Outcome Outcome
	Steps   []Step
}
