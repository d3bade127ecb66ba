package compose

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestFromFileReadsAProject(t *testing.T) {
	p, err := FromFile(t.Context(), []string{"testdata/shop/compose.yaml"}, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := filepath.Abs("testdata/shop")
	if p.Name != "shop" || p.WorkingDir != dir || !reflect.DeepEqual(p.ConfigFiles, []string{filepath.Join(dir, "compose.yaml")}) {
		t.Errorf("project %q in %q from %q", p.Name, p.WorkingDir, p.ConfigFiles)
	}
	var names []string
	for _, s := range p.Services {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "app cache db reader" {
		t.Errorf("services %q", got)
	}
	app, _ := p.Service("app")
	wantApp := Service{
		Name: "app", Image: "shop-app",
		Labels:    map[string]string{"ripplebak.enable": "true", "ripplebak.exclude": "/cache"},
		DependsOn: []Dependency{{"cache", ConditionStarted, false}, {"db", ConditionHealthy, true}},
		Mounts: []Mount{
			{Kind: KindBind, Source: filepath.Join(dir, "conf"), Target: "/etc/app", ReadOnly: true},
			{Kind: KindVolume, Target: "/scratch", Anonymous: true},
			{Kind: KindTmpfs, Target: "/tmp"},
			{Kind: KindVolume, Volume: "uploads", Name: "shop-files", Target: "/uploads"},
		},
	}
	if !reflect.DeepEqual(app, wantApp) {
		t.Errorf("app:\n got %+v\nwant %+v", app, wantApp)
	}
	db, _ := p.Service("db")
	if !db.HasHealthcheck || db.Labels["ripplebak.dump"] != "pg_dump" || !reflect.DeepEqual(db.EnvNames, []string{"POSTGRES_PASSWORD"}) {
		t.Errorf("db: %+v", db)
	}
	if want := []Mount{{Kind: KindVolume, Volume: "pgdata", Name: "shop_pgdata", Target: "/var/lib/postgresql/data"}}; !reflect.DeepEqual(db.Mounts, want) {
		t.Errorf("db mounts %+v", db.Mounts)
	}
	order, err := p.Order()
	if want := []string{"cache", "db", "app", "reader"}; err != nil || !reflect.DeepEqual(order, want) {
		t.Errorf("order %v, %v", order, err)
	}
	wantUses := []Use{{Service: "app"}, {Service: "reader", ReadOnly: true}}
	if uses := p.UsersOf("shop-files"); !reflect.DeepEqual(uses, wantUses) {
		t.Errorf("users %+v", uses)
	}
}

func TestFromFileTellsVolumesAndNotes(t *testing.T) {
	p, err := FromFile(t.Context(), []string{"testdata/shop/compose.yaml"}, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Volume{
		{Key: "pgdata", Name: "shop_pgdata", Labels: map[string]string{"ripplebak.exclude": "/tmp"}},
		{Key: "shared", Name: "everybodys", External: true},
		{Key: "uploads", Name: "shop-files"},
	}
	if !reflect.DeepEqual(p.Volumes, want) {
		t.Errorf("volumes:\n got %+v\nwant %+v", p.Volumes, want)
	}
	wantNotes := []string{
		"service backup: is ripplebak itself and left out",
		"variable CACHE_CPUS is not set",
		"variable CACHE_PORT is not set",
		"variable DB_PASSWORD is not set, and the compose file requires it",
		"variable REDIS_TAG is not set",
		"variable RIPPLEBAK_PASSWORD is not set, and the compose file requires it",
	}
	if !reflect.DeepEqual(p.Notes, wantNotes) {
		t.Errorf("notes:\n%s", strings.Join(p.Notes, "\n"))
	}
}

func TestFromFileSetVariablesAreNotNoted(t *testing.T) {
	p, err := FromFile(t.Context(), []string{"testdata/shop/compose.yaml"}, FileOptions{ProjectName: "other", Env: map[string]string{
		"DB_PASSWORD": "x", "REDIS_TAG": "7", "CACHE_PORT": "16379", "CACHE_CPUS": "1.5", "RIPPLEBAK_PASSWORD": "y", "RIPPLEBAK_IMAGE": "r/x:1",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"service backup: is ripplebak itself and left out"}; !reflect.DeepEqual(p.Notes, want) {
		t.Errorf("notes %q", p.Notes)
	}
	cache, _ := p.Service("cache")
	if p.Name != "other" || cache.Image != "redis:7" {
		t.Errorf("project %q, cache %q", p.Name, cache.Image)
	}
	if v, ok := p.Volume("pgdata"); !ok || v.Name != "other_pgdata" {
		t.Errorf("volume %+v", v)
	}
}

func TestFromFileHonoursLocalIncludesAndExtends(t *testing.T) {
	p, err := FromFile(t.Context(), []string{"testdata/include/compose.yaml"}, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	db, ok := p.Service("db")
	if !ok || db.Image != "postgres:16" {
		t.Errorf("db %+v", db)
	}
	app, _ := p.Service("app")
	if want := map[string]string{"ripplebak.enable": "true", "ripplebak.during": "stop"}; !reflect.DeepEqual(app.Labels, want) {
		t.Errorf("labels %v", app.Labels)
	}
	if p.Name != "include" {
		t.Errorf("project %q", p.Name)
	}
	if _, ok := p.Volume("data"); !ok {
		t.Errorf("volumes %+v", p.Volumes)
	}
}

func TestFromFileMergesFiles(t *testing.T) {
	over := filepath.Join(t.TempDir(), "over.yaml")
	write(t, over, "services:\n  cache:\n    labels:\n      ripplebak.enable: 'false'\n    ports: !reset []\n")
	p, err := FromFile(t.Context(), []string{"testdata/shop/compose.yaml", over}, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := p.Service("cache"); s.Labels["ripplebak.enable"] != "false" {
		t.Errorf("labels %v", s.Labels)
	}
	if len(p.ConfigFiles) != 2 || filepath.Base(p.WorkingDir) != "shop" {
		t.Errorf("files %v in %s", p.ConfigFiles, p.WorkingDir)
	}
}

func TestFromFileFetchesNothing(t *testing.T) {
	for _, ref := range []string{
		"https://127.0.0.1:1/compose.yaml", "oci://127.0.0.1:1/x:latest", "git@github.com:a/b.git",
		"github.com/a/b", "ssh://git@host/a/b", "me@host:a/b.git", "https://user:hunter2@127.0.0.1:1/x?token=hunter2",
	} {
		for _, form := range []string{
			"include:\n  - " + ref + "\n",
			"include:\n  - path: [" + ref + "]\n",
			"services:\n  app:\n    extends:\n      file: " + ref + "\n      service: x\n",
		} {
			file := filepath.Join(t.TempDir(), "compose.yaml")
			write(t, file, form)
			_, err := FromFile(t.Context(), []string{file}, FileOptions{ProjectName: "p"})
			checkRefused(t, ref, err)
		}
		_, err := FromFile(t.Context(), []string{ref}, FileOptions{ProjectName: "p"})
		checkRefused(t, ref, err)
	}
	file := filepath.Join(t.TempDir(), "compose.yaml")
	write(t, file, "services:\n  app:\n    build: https://127.0.0.1:1/x.git\n    image: busybox\n")
	if _, err := FromFile(t.Context(), []string{file}, FileOptions{ProjectName: "p"}); err != nil {
		t.Errorf("a remote build context, which nobody builds here: %v", err)
	}
}

func checkRefused(t *testing.T, ref string, err error) {
	t.Helper()
	if !errors.Is(err, ErrRemote) {
		t.Errorf("%s: %v", ref, err)
		return
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s: the error tells the password: %v", ref, err)
	}
	if !strings.Contains(ref, "hunter2") && !strings.Contains(err.Error(), ref) {
		t.Errorf("%s: not named: %v", ref, err)
	}
}

func TestFromFileErrors(t *testing.T) {
	dir := t.TempDir()
	bad := func(name, text string) string {
		file := filepath.Join(dir, name)
		write(t, file, text)
		return file
	}
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"none":             {nil, "no compose file"},
		"stdin":            {[]string{"-"}, "standard input"},
		"absent":           {[]string{"testdata/absent.yaml"}, "absent.yaml"},
		"not yaml":         {[]string{bad("a.yaml", "services: [")}, "a.yaml"},
		"empty":            {[]string{bad("b.yaml", "")}, "empty compose file"},
		"unknown key":      {[]string{bad("c.yaml", "services:\n  a:\n    imagee: x\n")}, "imagee"},
		"undefined volume": {[]string{"testdata/broken/undefined.yaml"}, "nowhere"},
		"label file":       {[]string{bad("d.yaml", "services:\n  a:\n    image: x\n    label_file: gone.labels\n")}, "gone.labels"},
		"bad service name": {[]string{bad("e.yaml", "services:\n  ..:\n    image: x\n")}, `".."`},
	} {
		_, err := FromFile(t.Context(), c.files, FileOptions{ProjectName: "p"})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := FromFile(cancelled, []string{"testdata/broken/cycle.yaml"}, FileOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFromFileNamesACircle(t *testing.T) {
	_, err := FromFile(t.Context(), []string{"testdata/broken/cycle.yaml"}, FileOptions{})
	if err == nil || !strings.Contains(err.Error(), " -> a") {
		t.Errorf("read: %v", err)
	}
}

func TestF48_FileErrorsTellNoSecrets(t *testing.T) {
	const secret = "hunter2hunter2"
	dir := t.TempDir()
	file := filepath.Join(dir, "compose.yaml")
	write(t, file, "services:\n  a:\n    image: x\n    ports: ['${DB_PASSWORD}:80']\n")
	_, err := FromFile(t.Context(), []string{file}, FileOptions{ProjectName: "p", Env: map[string]string{"DB_PASSWORD": secret}})
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("from the environment: %v", err)
	}
	write(t, filepath.Join(dir, ".env"), "PASSWORD "+secret+"'\n\"")
	_, err = FromFile(t.Context(), []string{file}, FileOptions{ProjectName: "p"})
	if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), ".env") {
		t.Errorf("from .env: %v", err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
