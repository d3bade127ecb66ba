package plan

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
)

func configSource() Source {
	return Source{Snapshot: "0123456789abcdef", Time: night(9), Item: manifest.Item{
		Kind: manifest.Config, State: manifest.Good, Bytes: 100, Files: 2, ConfigInfo: &manifest.ConfigInfo{WorkingDir: "/srv/shop"},
	}}
}

func bindSource(service, target string) Source {
	return Source{Snapshot: "0123456789abcdef", Time: night(9), Item: manifest.Item{
		Kind: manifest.Bind, Service: service, Name: target, State: manifest.Good, VolumeInfo: &manifest.VolumeInfo{HostPath: "/srv/shop/data"},
	}}
}

// nothing is a machine that has nothing of the shop.
func nothing(t *testing.T, sources ...Source) BootstrapInput {
	t.Helper()
	return BootstrapInput{
		Project: world{name: "shop"}.project(t), Sources: sources, Dir: "/root/my shop", Compose: []string{"docker", "compose"},
		Services: []manifest.Service{{Name: "app", Image: "shop/app"}, {Name: "db"}, {Name: "job", Stopped: true}}, HasState: true, HasSocket: true,
	}
}

func commandOf(r *Restore, do RestoreVerb) string {
	for _, op := range r.Operations {
		if op.Do == do {
			return op.Command
		}
	}
	return ""
}

func TestBootstrapOfAProject(t *testing.T) {
	r := MakeBootstrap(nothing(t, configSource(), volumeSource("shop", "files"), dumpSource("db", "", "pg"), dumpSource("db", "shop", "pg")))
	wantRestore(t, r, "write-config config", "create-volume volume files", "restore-volume volume files", "ask-to-start-databases ",
		"restore-into-containers dump db (globals), dump db/shop", "ask-to-start-all ")
	if got := commandOf(r, AskToStart); got != "cd '/root/my shop' && docker compose up -d db" {
		t.Errorf("the databases start with %q", got)
	}
	if got := commandOf(r, AskToStartRest); got != "cd '/root/my shop' && docker compose up -d" {
		t.Errorf("the rest starts with %q", got)
	}
	if last := r.Operations[5]; strings.Join(last.Containers, " ") != "app db" {
		t.Errorf("it waits for %q", last.Containers)
	}
	it, _ := r.Item("volume files")
	if l := it.Volume.Spec.Labels; !it.Volume.Create || it.Volume.Docker != "shop_files" || l[compose.LabelProject] != "shop" || l[compose.LabelVolume] != "files" || l["own"] != "label" {
		t.Errorf("%+v", it.Volume)
	}
	wantNone(t, "warnings", r.Warnings)
	var out bytes.Buffer
	if err := r.Print(&out); err != nil || !strings.Contains(out.String(), "$ cd '/root/my shop' && docker compose up -d db\n") {
		t.Errorf("%v, printed:\n%s", err, out.String())
	}
}

// Compose would offer to make a volume
// anew, empty, whose hash is of another name or another version of it.
func TestBootstrapLeavesOutTheHashOfVolumes(t *testing.T) {
	s := volumeSource("shop", "files")
	s.Item.VolumeInfo.Labels[compose.LabelConfigHash] = "c0ffee"
	it, _ := MakeBootstrap(nothing(t, configSource(), s)).Item("volume files")
	if _, ok := it.Volume.Spec.Labels[compose.LabelConfigHash]; ok || it.Volume.Spec.Labels["own"] != "label" {
		t.Errorf("%+v", it.Volume.Spec)
	}
	if s.Item.VolumeInfo.Labels[compose.LabelConfigHash] == "" {
		t.Error("the manifest has changed")
	}
}

func TestBootstrapOfWhatNeedsContainersOnly(t *testing.T) {
	sqlite := dumpSource("app", "files:/db.sqlite")
	sqlite.Item.DumpInfo.Engine = "sqlite"
	share := volumeSource("shop", "share")
	share.Item.VolumeInfo.Withheld, share.Item.VolumeInfo.UsedBy = true, []string{"web"}
	in := nothing(t, configSource(), bindSource("app", "/data"), sqlite, share)
	in.Outline.Profiles = map[string][]string{"web": {"front"}}
	in.Services = append(in.Services, manifest.Service{Name: "web"})
	r := MakeBootstrap(in)
	wantRestore(t, r, "write-config config", "ask-to-start-databases ", "restore-into-containers bind app:/data, dump app/files:/db.sqlite, volume share", "ask-to-start-all ")
	if got := commandOf(r, AskToStart); got != "cd '/root/my shop' && mkdir -p ./data && docker compose up --no-start app web" {
		t.Errorf("the containers are made with %q", got)
	}
	if got := commandOf(r, AskToStartRest); got != "cd '/root/my shop' && docker compose up -d app db web" {
		t.Errorf("the rest starts with %q", got)
	}
}

func TestBootstrapGoesOn(t *testing.T) {
	in := nothing(t, configSource(), volumeSource("shop", "files"), volumeSource("shop", "more"), dumpSource("db", "shop", "pg"))
	in.Project = world{name: "shop", services: []svc{{name: "db", mounts: []string{"pg:/pg"}}}, volumes: map[string]map[string]string{"files": nil, "more": nil}}.project(t)
	wantLine(t, "problem", MakeBootstrap(in).Problems, "is on this machine", "service db", "volume shop_files", "volume shop_pg")
	in.Begun, in.Done = true, map[string]bool{"volume files": true}
	r := MakeBootstrap(in)
	wantRestore(t, r, "write-config config", "restore-volume volume more", "ask-to-start-databases ", "restore-into-containers dump db/shop", "ask-to-start-all ")
	if len(r.Bootstrap.Done) != 1 {
		t.Errorf("done are %q", r.Bootstrap.Done)
	}
	in.Project = world{name: "shop", services: []svc{{name: "app", mounts: []string{"more:/more"}}}}.project(t)
	wantLine(t, "problem", MakeBootstrap(in).Problems, "volume more", "was started too early", "docker compose stop app")
}

// TestBootstrapTouchesNothingThatIsThere: not a file that differs, not a volume
// of another project.
func TestBootstrapTouchesNothingThatIsThere(t *testing.T) {
	in := nothing(t, configSource(), volumeSource("shop", "files"))
	in.Files = []BootstrapFile{
		{Path: "compose.yaml", Source: "/srv/shop/compose.yaml", InTheWay: "has another content there"}, {Path: ".env", Same: true},
		{Path: "elsewhere/etc/app's.env", Source: "/etc/app's.env", Elsewhere: true, Mode: 0o640},
	}
	in.Found = map[string]compose.Volume{"shop_files": {Name: "shop_files", Labels: map[string]string{compose.LabelProject: "other"}, Exists: true}}
	r := MakeBootstrap(in)
	wantLine(t, "problem", r.Problems, "/root/my shop/compose.yaml", "has another content there", "move it away")
	wantLine(t, "problem", r.Problems, "volume shop_files")
	if got, want := commandOf(r, AskToCopy), `install --backup=numbered -D -m 0640 '/root/my shop/elsewhere/etc/app'\''s.env' '/etc/app'\''s.env'`; got != want {
		t.Errorf("the file is copied with %q, want %q", got, want)
	}
}

// TestBootstrapRestoresAgainWhatIsGone: what an earlier run has noted counts for
// nothing where somebody has removed the volume since.
func TestBootstrapRestoresAgainWhatIsGone(t *testing.T) {
	in := nothing(t, configSource(), volumeSource("shop", "files"), volumeSource("shop", "more"), dumpSource("db", "shop", "pg"))
	in.Begun, in.Done = true, map[string]bool{"volume files": true, "volume more": true, "dump db/shop": true}
	in.Project = world{name: "shop", volumes: map[string]map[string]string{"more": nil}}.project(t)
	r := MakeBootstrap(in)
	wantRestore(t, r, "write-config config", "create-volume volume files", "restore-volume volume files", "ask-to-start-databases ", "restore-into-containers dump db/shop", "ask-to-start-all ")
	if got := strings.Join(r.Bootstrap.Done, ", "); got != "volume more" {
		t.Errorf("done are %q", got)
	}
	in.Found = map[string]compose.Volume{"shop_files": {Name: "shop_files", Exists: true}}
	in.Project = world{name: "shop", services: []svc{{name: "db", mounts: []string{"pg:/pg"}}}, volumes: map[string]map[string]string{"more": nil}}.project(t)
	if r := MakeBootstrap(in); len(r.Bootstrap.Done) != 3 {
		t.Errorf("what is there is restored again: done are only %q", r.Bootstrap.Done)
	}
}

// TestBootstrapLeavesFilesThatWereFitted: once they were all written, a file that
// differs is somebody's change, and not in the way.
func TestBootstrapLeavesFilesThatWereFitted(t *testing.T) {
	in := nothing(t, configSource(), volumeSource("shop", "files"))
	in.Files = []BootstrapFile{{Path: ".env", Source: "/srv/shop/.env", InTheWay: "has another content there"}}
	in.Begun, in.Done = true, map[string]bool{"config": true}
	r := MakeBootstrap(in)
	wantNone(t, "problems", r.Problems)
	wantLine(t, "warning", r.Warnings, "/root/my shop/.env", "has another content there", "stays as it is")
	in.Done = nil
	wantLine(t, "problem", MakeBootstrap(in).Problems, "/root/my shop/.env", "move it away")
}

// TestBootstrapBringsAServerItsFilesFirst: a server may not start without them,
// and where a single file is missing Docker makes a directory.
func TestBootstrapBringsAServerItsFilesFirst(t *testing.T) {
	conf, own := bindSource("db", "/etc/pg.conf"), bindSource("app", "/app.conf")
	conf.Item.VolumeInfo = &manifest.VolumeInfo{HostPath: "/srv/shop/conf/pg.conf", File: "pg.conf"}
	own.Item.VolumeInfo = &manifest.VolumeInfo{HostPath: "/srv/shop/app.conf", File: "app.conf"}
	r := MakeBootstrap(nothing(t, configSource(), conf, own, dumpSource("db", "shop", "pg")))
	wantRestore(t, r, "write-config config", "ask-to-start-databases ", "restore-into-containers bind db:/etc/pg.conf, bind app:/app.conf",
		"ask-to-start-databases ", "restore-into-containers dump db/shop", "ask-to-start-all ")
	if got := r.Operations[1].Command; got != "cd '/root/my shop' && mkdir -p ./conf && docker compose up --no-start" {
		t.Errorf("the containers are made with %q", got)
	}
	if got := r.Operations[3].Command; got != "cd '/root/my shop' && docker compose up -d db" {
		t.Errorf("the database is started with %q", got)
	}
	r = MakeBootstrap(nothing(t, configSource(), own, dumpSource("db", "shop", "pg")))
	wantRestore(t, r, "write-config config", "ask-to-start-databases ", "restore-into-containers bind app:/app.conf, dump db/shop", "ask-to-start-all ")
}

func TestBootstrapWithoutFilesOrImages(t *testing.T) {
	in := nothing(t, volumeSource("shop", "files"))
	in.Outline.Build = map[string]bool{"app": true}
	r := MakeBootstrap(in)
	wantLine(t, "warning", r.Warnings, "compose files are in no snapshot", "/root/my shop")
	wantLine(t, "warning", r.Warnings, `service "app" is built`, "shop/app")
	wantRestore(t, r, "create-volume volume files", "restore-volume volume files", "ask-to-start-all ")
	in.HasState, in.HasSocket = false, false
	r = MakeBootstrap(in)
	wantLine(t, "problem", r.Problems, "no state volume")
	wantLine(t, "problem", r.Problems, "cannot reach this one")
}
