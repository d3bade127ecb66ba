package manifest

// RunbookName is the name of the recovery document inside the project's
// directory, beside the manifest.
const RunbookName = "RUNBOOK.md"

// Recovery is what it takes to open the repository again. It holds no secret:
// of those only where they are.
type Recovery struct {
	// Repository is its address, as the settings had it, without a password.
	Repository string `json:"repository"`
	// Sidecar is the service of the sidecar; empty where it ran outside.
	Sidecar string `json:"sidecar,omitempty"`
	// Folder and Files are where the project's compose files were on the host.
	Folder string   `json:"folder,omitempty"`
	Files  []string `json:"files,omitempty"`
	// Credentials are the secrets, and what goes with them, that were set.
	Credentials []Credential `json:"credentials,omitempty"`
	// Restores are what the last restore of items measured, by key.
	Restores map[string]Measured `json:"restores,omitempty"`
}

// Credential is a variable with a secret, and the file that it was read from, if
// its twin with _FILE was set.
type Credential struct {
	Name string `json:"name"`
	File string `json:"file,omitempty"`
}

// Measured is how long an item took.
type Measured struct {
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"bytes"` // what was written for it
}

// Unlabelled is a service that holds data and that nobody asked to save; without
// a name, volumes that no service mounts.
type Unlabelled struct {
	Service string   `json:"service,omitempty"`
	Holds   []string `json:"holds"`
}
