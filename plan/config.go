package plan

import (
	"bufio"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
)

// ConfigItem is where the project's own files are: those that are known before
// they are read. What these name is saved with them.
type ConfigItem struct {
	WorkingDir string       `json:"working_dir"`
	Files      []ConfigFile `json:"files"`
	// Sources are the files as they are read.
	Sources []compose.ConfigFile `json:"-"`
	// Notes are what was left out, and are warnings of the item.
	Notes []string `json:"-"`
}

// ConfigFile is one of these files.
type ConfigFile struct {
	Path string `json:"path"`
	Role string `json:"role"`
}

// addConfig adds the project's own files.
func (p *Plan) addConfig(in Input) {
	if len(in.Config.Files) == 0 {
		return
	}
	c := &ConfigItem{WorkingDir: in.Config.WorkingDir, Files: []ConfigFile{}, Sources: in.Config.Files, Notes: in.Config.Notes}
	for _, f := range in.Config.Files {
		c.Files = append(c.Files, ConfigFile{Path: f.Path, Role: f.Role})
	}
	it := Item{
		Key: manifest.Key(manifest.Config, "", ""), Kind: manifest.Config, Config: c,
		Cause: "Compose's labels say where the project's own files are",
	}
	if !in.HasSocket {
		it.Skip = "the container that reads it could not reach this one"
		p.warn("the project's compose files are not saved; %s", addSocket)
	}
	p.Items = append(p.Items, it)
}

// config reads the project's own files, once all else is done that somebody may
// wait for.
func (b *builder) config() {
	for _, it := range b.plan.Items {
		if it.Config != nil && it.active() {
			b.ops = append(b.ops, Operation{Do: Config, Items: []string{it.Key}, Cause: "with the files that they name"})
		}
	}
}

func printConfig(w *bufio.Writer, c *ConfigItem) {
	for _, f := range c.Files {
		line(w, 3, "%s, %s", visible(f.Path), f.Role)
	}
}
