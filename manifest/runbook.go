package manifest

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// Runbook writes how to recover this project, in Markdown: what is in the backup
// and what is not, what is needed, and the commands in order. snapshot is the ID
// to restore; empty for the newest of each item. It depends on the manifest
// alone, and says nothing that changes from run to run while the project stays
// the same: times are rough, and no time of a run is named.
func (m *Manifest) Runbook(snapshot string) []byte {
	b := &runbook{m: m, snapshot: "latest", sidecar: "backup"}
	if snapshot != "" {
		b.snapshot = snapshot
	}
	if m.Recovery != nil && m.Recovery.Sidecar != "" {
		b.sidecar = m.Recovery.Sidecar
	}
	b.line("# Recovery of %s\n", text(m.Project))
	b.line("How to bring this project back, on this machine or on a new one. ripplebak %s wrote it from the backup of host %s; it holds no secret. Print it, or keep it where you look when the machine is gone.\n", text(m.Program), text(m.Host))
	b.contents()
	b.missing()
	b.needs()
	b.newMachine()
	b.single()
	b.withoutUs()
	return b.Bytes()
}

type runbook struct {
	bytes.Buffer
	m                 *Manifest
	snapshot, sidecar string
}

func (b *runbook) line(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }

// command writes a command of ours, as Compose runs it.
func (b *runbook) command(args ...string) string {
	out := []string{"docker", "compose", "run", "--rm", ShellWord(b.sidecar)}
	for _, a := range args {
		out = append(out, ShellWord(a))
	}
	return strings.Join(out, " ")
}

// stored says whether the snapshot holds anything of the item.
func stored(it Item) bool { return it.State == Good || it.State == Partial }

// contents lists what is in the backup, with sizes and how long it took.
func (b *runbook) contents() {
	b.line("## What is in it\n")
	b.line("| item | size | files | saved in | last restored in | what it is |\n| --- | --- | --- | --- | --- | --- |")
	for _, it := range b.m.Items {
		if !stored(it) {
			continue
		}
		saved, restored := "-", "-"
		if !it.Finished.IsZero() {
			saved = about(it.Finished.Sub(it.Started))
		}
		if r := b.m.Recovery; r != nil {
			if last, ok := r.Restores[it.Key()]; ok {
				restored = about(time.Duration(last.Seconds * float64(time.Second)))
			}
		}
		b.line("| %s | %s | %d | %s | %s | %s |", cell(it.Key()), units.BytesSize(float64(it.Bytes)), it.Files, saved, restored, describe(it))
	}
	b.line("\nServices and their images, which are pulled or built again:\n")
	for _, s := range b.m.Services {
		b.line("- %s: %s", code(s.Name), code(s.Image))
	}
	b.line("")
}

// describe says what an item is, and what of it to know before it is restored.
func describe(it Item) string {
	var says []string
	switch {
	case it.DumpInfo != nil && it.Name == "":
		says = append(says, fmt.Sprintf("roles and the like of service %s, by %s", cell(it.Service), text(it.DumpInfo.Engine)))
	case it.DumpInfo != nil:
		says = append(says, fmt.Sprintf("a database of service %s, by %s from a server of version %s; the server that takes it must not be older", cell(it.Service), text(it.DumpInfo.Engine), text(it.DumpInfo.ServerVersion)))
	case it.ConfigInfo != nil:
		says = append(says, "the project's own files, from "+cell(it.ConfigInfo.WorkingDir)+"; no restore overwrites them")
	case it.VolumeInfo != nil:
		if it.VolumeInfo.HostPath != "" {
			says = append(says, it.VolumeInfo.what()+" "+cell(it.VolumeInfo.HostPath)+" of the host")
		} else {
			says = append(says, "the volume "+cell(it.VolumeInfo.DockerName))
		}
		if it.Service == HostService {
			says = append(says, "restored only when it is named")
		}
		if len(it.VolumeInfo.UsedBy) > 0 {
			says = append(says, "used by "+list(it.VolumeInfo.UsedBy, cell))
		}
		if it.VolumeInfo.External {
			says = append(says, "external to the project")
		}
		if it.VolumeInfo.Withheld {
			says = append(says, "mounted with a password that no backup holds")
		}
		if len(it.VolumeInfo.Exclude) > 0 {
			says = append(says, "without what matches "+list(it.VolumeInfo.Exclude, cell))
		}
	}
	if it.State == Partial {
		says = append(says, "**some files could not be read**: it is restored only when it is named")
	}
	if it.Inconsistent != "" {
		says = append(says, "no single point in time: "+text(it.Inconsistent))
	}
	return strings.Join(says, "; ")
}

// missing lists what is not in the backup, and would be lost.
func (b *runbook) missing() {
	b.line("## What is not in it\n")
	for _, it := range b.m.Items {
		switch it.State {
		case Failed:
			b.line("- %s **failed**: %s. `restore latest` takes it from an older snapshot, if it is good in one.", code(it.Key()), text(it.Error))
		case Skipped:
			b.line("- %s was not asked for in this run. `restore latest` takes it from an older snapshot.", code(it.Key()))
		}
	}
	for _, u := range b.m.Unlabelled {
		if u.Service == "" {
			b.line("- %s, which no service mounts", list(u.Holds, code))
			continue
		}
		b.line("- service %s holds %s, and has no label that asks to save it", code(u.Service), list(u.Holds, code))
	}
	if !b.hasConfig() {
		b.line("- the compose files, `.env` and other files beside them: keep them in version control, or somewhere else that is not this machine")
	}
	b.line("- images, and what containers have written outside of volumes\n")
}

func (b *runbook) hasConfig() bool {
	for _, it := range b.m.Items {
		if it.Kind == Config && stored(it) {
			return true
		}
	}
	return false
}

// needs lists what must be at hand: names, never values.
func (b *runbook) needs() {
	b.line("## What you need\n")
	r := b.m.Recovery
	if r == nil {
		r = &Recovery{}
	}
	if r.Repository != "" {
		b.line("- The repository: %s", code(r.Repository))
		if strings.HasPrefix(r.Repository, "/") {
			b.line("  It is a path in the sidecar's container: on the host it is what is mounted there, in `./backups` unless `RIPPLEBAK_DIR` says otherwise. If it was on the machine that is gone, so is it.")
		}
	}
	b.line("- Its password and the storage's keys, as they were set when this was written:")
	for _, c := range r.Credentials {
		if c.File != "" {
			b.line("  - %s, from the file %s", code(c.Name+"_FILE"), code(c.File))
		} else {
			b.line("  - %s, from the environment of the sidecar: `.env`, or the shell", code(c.Name))
		}
	}
	if len(r.Credentials) == 0 {
		b.line("  - `RIPPLEBAK_PASSWORD`, and what else the storage asks for")
	}
	b.line("  Without the password nobody can read the backup.")
	where := ""
	if r.Folder != "" {
		where = ", which were in " + code(r.Folder)
	}
	if len(r.Files) > 0 {
		where += " (" + list(r.Files, code) + ")"
	}
	if b.hasConfig() {
		where += "; they are in the backup, as the item `config`"
	}
	b.line("- The compose files and `.env`%s", where)
	b.line("- A machine with Docker and Compose, and the image of ripplebak\n")
}

// newMachine is the way from nothing to a project that runs.
func (b *runbook) newMachine() {
	b.line("## On a new machine\n")
	if b.hasConfig() {
		b.bootstrap()
		b.line("Or, with the compose files at hand:\n")
	}
	b.line("1. Put the compose files and `.env` into a folder named %s, unless they have a `name:`. Set the variables above in `.env`, and where the repository is.", code(b.m.Project))
	b.configFiles()
	b.line("2. See that the repository opens, and what it has:\n\n       %s\n", b.command("snapshots"))
	b.line("3. Have Compose make the containers, the networks and the empty volumes, and start the databases:\n\n       docker compose up -d\n")
	b.line("4. See what would be restored, then restore it:\n\n       %s\n       %s\n", b.command("restore", "--dry-run", b.snapshot), b.command("restore", b.snapshot))
	b.line("   Whole: %s in %d items. What is restored is verified first; services are stopped and started as needed.", units.BytesSize(float64(b.total())), b.count())
	b.line("5. Look whether everything runs, and make the first backup here:\n\n       docker compose ps\n       %s\n", b.command("backup"))
}

// bootstrap is the way where there is nothing but Docker, the repository and the
// password.
func (b *runbook) bootstrap() {
	b.line("With Docker, Compose and the image of ripplebak, and nothing of the project, in the folder above the new one:\n")
	b.line("    docker run --rm -it \\\n      -v /var/run/docker.sock:/var/run/docker.sock \\\n      -v ripplebak-run:/run/ripplebak -v ripplebak:/var/lib/ripplebak \\")
	repository := "REPOSITORY"
	if r := b.m.Recovery; r != nil && r.Repository != "" {
		repository = r.Repository
	}
	if strings.HasPrefix(repository, "/") {
		b.line("      -v /path/to/the/repository:%s \\", ShellWord(repository))
	}
	b.line("      -e %s \\", ShellWord("RIPPLEBAK_REPOSITORY="+repository))
	for _, name := range b.credentials() {
		b.line("      -e %s \\", ShellWord(name))
	}
	b.line("      ripplebak restore --project %s --bootstrap \"$PWD\"/%s %s\n", ShellWord(b.m.Project), ShellWord(b.folder()), ShellWord(b.snapshot))
	b.line("It brings back the compose files and the volumes, prints the commands of Compose to run in another terminal, restores the databases in between, and ends when everything is healthy. Interrupted, the same command goes on. `--dry-run` shows the steps.\n")
}

// credentials are the variables to hand on, whose values nobody has written down
// here.
func (b *runbook) credentials() []string {
	if b.m.Recovery == nil || len(b.m.Recovery.Credentials) == 0 {
		return []string{"RIPPLEBAK_PASSWORD"}
	}
	var out []string
	for _, c := range b.m.Recovery.Credentials {
		out = append(out, c.Name)
	}
	return out
}

// folder is the name of the project's directory.
func (b *runbook) folder() string {
	for _, it := range b.m.Items {
		if it.ConfigInfo != nil && stored(it) && path.Base(it.ConfigInfo.WorkingDir) != "/" {
			return path.Base(it.ConfigInfo.WorkingDir)
		}
	}
	return b.m.Project
}

// configFiles says where the project's own files were.
func (b *runbook) configFiles() {
	for _, it := range b.m.Items {
		if it.ConfigInfo == nil || !stored(it) {
			continue
		}
		b.line("\n   The binary of ripplebak alone gives these files back too (`ripplebak restore --to-dir DIR`), and so does restic, as below:\n")
		for _, f := range it.ConfigInfo.Files {
			b.line("   - %s, %s, from %s", code("config/"+f.Path), text(f.Role), code(f.Source))
		}
		b.line("")
	}
}

func (b *runbook) total() (bytes int64) {
	for _, it := range b.m.Items {
		if stored(it) {
			bytes += it.Bytes
		}
	}
	return bytes
}

func (b *runbook) count() (n int) {
	for _, it := range b.m.Items {
		if stored(it) {
			n++
		}
	}
	return n
}

// single lists the commands for one thing that is lost.
func (b *runbook) single() {
	b.line("## One thing only\n")
	b.line("What is overwritten is saved first, in a safety snapshot that the report names.\n")
	for _, it := range b.m.Items {
		switch {
		case !stored(it):
		case it.Kind == Config:
			b.line("    %s > config.tar", b.command("export", b.snapshot, it.Key()))
		case it.Kind == Bind:
			b.line("    %s", b.command("restore", "--service", it.Service, b.snapshot))
		case it.Kind == Volume:
			b.line("    %s", b.command("restore", "--volume", it.Name, b.snapshot))
		case it.Kind == Dump && it.Name != "":
			b.line("    %s", b.command("restore", "--database", it.Service+"/"+it.Name, b.snapshot))
		}
	}
	b.line("\nAs it was at another time, with `--at` in place of the snapshot; one file of a volume, with `--path`; into a folder, with `--to-dir`:\n")
	b.line("    %s", b.command("restore", "--at", "2026-01-31 14:00"))
	b.line("    %s\n", b.command("find", "*invoice*"))
}

// withoutUs is what to do where ripplebak is not to be had.
func (b *runbook) withoutUs() {
	project := Escape(b.m.Project)
	b.line("## Without ripplebak\n")
	b.line("The repository is one of [restic](https://restic.net): version 0.14 or later reads it, with the same password.\n")
	b.line("    restic -r REPOSITORY snapshots --tag %s", ShellWord("project:"+b.m.Project))
	b.line("    restic -r REPOSITORY restore SNAPSHOT --target /tmp/back\n")
	b.line("Below %s are\n", code("/tmp/back/"+project))
	for _, it := range b.m.Items {
		if !stored(it) {
			continue
		}
		path := strings.Join(it.Path(), "/")
		switch {
		case it.DumpInfo != nil:
			for _, f := range it.DumpInfo.Files {
				b.line("- %s: %s, for the client of %s", code(path+"/"+f.Name), code(it.Key()), text(it.DumpInfo.Engine))
			}
		default:
			b.line("- %s: %s", code(path), code(it.Key()))
		}
	}
}

// about is a duration in rough words, the same for runs that took as long.
func about(d time.Duration) string {
	steps := []struct {
		most time.Duration
		says string
	}{
		{time.Minute, "a minute"}, {5 * time.Minute, "5 minutes"}, {15 * time.Minute, "a quarter of an hour"}, {30 * time.Minute, "half an hour"},
		{time.Hour, "an hour"}, {2 * time.Hour, "2 hours"}, {4 * time.Hour, "4 hours"}, {8 * time.Hour, "8 hours"}, {24 * time.Hour, "a day"},
	}
	for _, s := range steps {
		if d < s.most {
			return "less than " + s.says
		}
	}
	return "more than a day"
}
