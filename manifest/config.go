package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"
)

// ConfigInfo says where the files of a config item were on the host.
type ConfigInfo struct {
	// WorkingDir is the project's directory.
	WorkingDir string       `json:"working_dir"`
	Files      []ConfigFile `json:"files"`
	// Compose and Env are the compose files and the files of variables that
	// Compose was given, in its order; absolute. Env is empty where it took .env
	// by itself; manifests of earlier versions have neither.
	Compose []string `json:"compose_files,omitempty"`
	Env     []string `json:"env_files,omitempty"`
}

// ConfigFile is one of the project's own files.
type ConfigFile struct {
	// Path is where it lies below config/.
	Path string `json:"path"`
	// Source is its absolute path on the host.
	Source string `json:"source"`
	// Role says what it is to Compose: compose, override, include, extends, env,
	// env_file, label_file, config or secret.
	Role string `json:"role"`
	Size int64  `json:"size"`
}

// maxConfigName bounds the escaped name of a file from elsewhere, so that it can
// be a file's name.
const maxConfigName = 200

// ConfigPath is where a file of the host lies below config/: as below the
// working directory, each name escaped, or, from elsewhere, under its whole
// path as one escaped name. Different files have different places.
func ConfigPath(workingDir, source string) string {
	if below, ok := strings.CutPrefix(source, strings.TrimSuffix(workingDir, "/")+"/"); ok {
		names := strings.Split(below, "/")
		for i := range names {
			names[i] = Escape(names[i])
		}
		return strings.Join(names, "/")
	}
	name := Escape(source)
	if len(name) > maxConfigName {
		sum := sha256.Sum256([]byte(source))
		name = "%2F" + hex.EncodeToString(sum[:]) + "-" + Escape(path.Base(source))
		name = name[:min(len(name), maxConfigName)]
	}
	return name
}
