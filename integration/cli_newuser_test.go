package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readmeBlocks are the code blocks of README.md in a language.
func readmeBlocks(t *testing.T, language string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repositoryRoot(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^ *```"+language+"\n(.*?)^ *```").FindAllStringSubmatch(string(b), -1) {
		lines := strings.Split(m[1], "\n")
		margin := len(lines[0]) - len(strings.TrimLeft(lines[0], " "))
		for i, l := range lines {
			lines[i] = strings.TrimPrefix(l, strings.Repeat(" ", margin))
		}
		out = append(out, strings.Join(lines, "\n"))
	}
	return out
}

// A new user does what the README says, with its own compose file and its own
// commands. Only the images are others.
func TestReadmeWorksAsWritten(t *testing.T) {
	t.Parallel()
	yaml := readmeBlocks(t, "yaml")
	if len(yaml) == 0 || !strings.Contains(yaml[0], "include:") {
		t.Fatalf("README.md has no compose file to copy: %q", yaml)
	}
	p := newProject(t, "services: {}\n")
	text := strings.NewReplacer("postgres:17", p.env["POSTGRES_IMAGE"], "image: example/app", "image: "+p.env["FILES_IMAGE"]+"\n    init: true\n    command: [sleep, infinity]").Replace(yaml[0])
	p.write("compose.yaml", "name: "+p.name+"\n"+text)
	delete(p.env, "RIPPLEBAK_PASSWORD")
	p.env["DB_PASSWORD"] = "of-the-readme"
	if r := p.run("plan"); r.code == 0 || !strings.Contains(r.stderr, "RIPPLEBAK_PASSWORD") || !strings.Contains(r.stderr, ".env") {
		t.Errorf("without a password nothing may start, and the message names the variable and the file: %s", r)
	}
	p.write(".env", "RIPPLEBAK_PASSWORD=written-in-env\n")
	p.readmeCommands(t)
	p.downTakesNoBackups(t)
	p.underAnotherName(t)
}

// readmeCommands runs the commands of the README's first script, in its order.
func (p *project) readmeCommands(t *testing.T) {
	script := readmeBlocks(t, "sh")
	if len(script) == 0 {
		t.Fatal("README.md has no commands")
	}
	ran := 0
	for line := range strings.Lines(script[0]) {
		line, _, _ = strings.Cut(line, "#")
		argv := strings.Fields(line)
		if len(argv) == 0 {
			continue
		}
		if argv[0] != "docker" || argv[1] != "compose" {
			t.Fatalf("README.md: what is %q?", line)
		}
		args := argv[2:]
		if args[0] == "run" {
			args = append([]string{"run", "-T"}, args[1:]...) // there is no terminal here
		}
		r := p.compose(args...)
		if r.code != 0 {
			t.Errorf("README.md: %s: %s", line, r)
		}
		if strings.Contains(line, "up -d") && ran == 0 {
			// A person types the next command some seconds later.
			eventually(t, "the database answers", func() bool {
				return p.compose("exec", "-T", "db", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres").code == 0
			})
		}
		ran++
	}
	if ran < 3 {
		t.Errorf("README.md has %d commands, want at least 3", ran)
	}
	if got := p.state("backup"); got != "running" {
		t.Errorf("the sidecar is %q", got)
	}
	eventually(t, "the log says when the next run is", func() bool { return len(p.logged("next run")) > 0 })
}

// downTakesNoBackups takes the project down with its volumes, and everything
// comes back from what lies beside the compose file.
func (p *project) downTakesNoBackups(t *testing.T) {
	p.sql("postgres", "CREATE TABLE kept AS SELECT generate_series(1, 100) AS i")
	p.inVolume("uploads", "echo kept > file")
	p.backup()
	p.mustCompose("--profile", "backup", "down", "-v")
	if got := strings.TrimSpace(must(t, "docker", "volume", "ls", "-q", "--filter", "label=com.docker.compose.project="+p.name)); got != "" {
		t.Fatalf("volumes are left: %s", got)
	}
	if list, err := os.ReadDir(filepath.Join(p.dir, "backups", "snapshots")); err != nil || len(list) != 2 {
		t.Fatalf("the backups after down -v: %v, %v; want two snapshots", list, err)
	}
	// On the day, on a new machine: the same files, nothing running. The state
	// volume is new as well.
	p.mustCompose("up", "-d")
	eventually(t, "the database answers", func() bool {
		return p.compose("exec", "-T", "db", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres").code == 0
	})
	p.mustRun("restore", "latest", "--yes")
	if got := p.sql("postgres", "SELECT count(*) FROM kept"); got != "100" {
		t.Errorf("%s rows came back, want 100", got)
	}
	if got := p.inVolume("uploads", "cat file"); got != "kept\n" {
		t.Errorf("the file holds %q", got)
	}
}

// On a new machine the folder often has another name, and with it the project:
// the message says what to do, and by its ID the snapshot comes back.
func (p *project) underAnotherName(t *testing.T) {
	id := p.snapshots()[0].ID
	old := p.name
	other := *p
	other.name += "x"
	b, err := os.ReadFile(filepath.Join(p.dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p.mustCompose("--profile", "backup", "down", "-v")
	p.write("compose.yaml", strings.Replace(string(b), "name: "+old, "name: "+other.name, 1))
	defer func() {
		other.down()
		p.write("compose.yaml", string(b))
	}()
	other.mustCompose("up", "-d")
	eventually(t, "the database answers", func() bool {
		return other.compose("exec", "-T", "db", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres").code == 0
	})
	if r := other.run("restore", "latest", "--yes"); r.code != 1 || !strings.Contains(r.stderr, old) || !strings.Contains(r.stderr, "snapshots --all") {
		t.Errorf("under another name: %s", r)
	}
	if out := other.mustRun("snapshots", "--all"); !strings.Contains(out, id[:8]) {
		t.Errorf("snapshots --all does not list %s:\n%s", id, out)
	}
	var last string
	var all []snapshotInfo
	other.decode(other.mustRun("snapshots", "--all", "--json"), &all)
	for _, s := range all {
		if !s.Safety {
			last = s.ID
		}
	}
	other.mustRun("restore", last, "--yes")
	if got := other.inVolume("uploads", "cat file"); got != "kept\n" {
		t.Errorf("the file holds %q", got)
	}
	if got := other.sql("postgres", "SELECT count(*) FROM kept"); got != "100" {
		t.Errorf("%s rows came back, want 100", got)
	}
}

// A backup on a terminal, where lines are redrawn while the log is written
// above them.
func TestBackupOnATerminal(t *testing.T) {
	p := newFilesProject(t, "stop")
	p.inVolume("data", "head -c 30000000 /dev/urandom > d/more")
	r := command(t, p.dir, p.environ(), "", "script", "-qec", "docker compose run --rm backup backup", "/dev/null")
	if r.code != 0 || !strings.Contains(r.stdout, "snapshot ") || strings.Contains(r.stdout, "panic") || !strings.Contains(r.stdout, "item saved") {
		t.Errorf("backup on a terminal: %s", r)
	}
	if got := p.state("app"); got != "running" {
		t.Errorf("the service is %q", got)
	}
}

// A service in a profile, its container made by hand, takes part like others;
// what compose run makes of a service does not.
func TestProfilesAndOneOffs(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
services:
  tool:
    image: ${FILES_IMAGE}
    profiles: [tools]
    command: [sleep, infinity]
    init: true
    volumes: ["data:/data"]
    labels: {ripplebak.enable: "true"}
volumes:
  data:
`)
	p.mustCompose("--profile", "tools", "up", "-d")
	p.mustCompose("run", "-d", "--name", p.name+"-oneoff", "-v", p.name+"_data:/elsewhere", "tool")
	t.Cleanup(func() { command(t, "", nil, "", "docker", "rm", "-f", p.name+"-oneoff") })
	out := p.mustRun("plan")
	if strings.Count(out, "volume data  (mounted by tool)") != 1 || strings.Contains(out, "service "+p.name+"-oneoff") {
		t.Errorf("the plan:\n%s", out)
	}
	r := p.backup()
	if state, _ := r.item("volume", "", "data"); state != "good" {
		t.Errorf("volume data is %q: %+v", state, r)
	}
}
