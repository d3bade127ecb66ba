package compose

import (
	"reflect"
	"strings"
	"testing"
)

// made is a container as Compose makes it.
func made(project, service, id string, more ...string) Container {
	c := Container{ID: id, Name: project + "-" + service + "-1", State: StateRunning, Labels: map[string]string{
		LabelProject: project, LabelService: service, LabelNumber: "1", LabelOneOff: "False", LabelConfigHash: "c0ffee",
	}}
	for i := 0; i+1 < len(more); i += 2 {
		c.Labels[more[i]] = more[i+1]
	}
	return c
}

func mounts(c Container, ms ...Mount) Container {
	c.Mounts = ms
	return c
}

func vol(name, target string) Mount { return Mount{Kind: KindVolume, Name: name, Target: target} }

func owned(project, key, name string) Volume {
	return Volume{Name: name, Driver: "local", Labels: map[string]string{LabelProject: project, LabelVolume: key}}
}

func serviceNames(p Project) string {
	var names []string
	for _, s := range p.Services {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

func volumeKeys(p Project) string {
	var keys []string
	for _, v := range p.Volumes {
		keys = append(keys, v.Key)
	}
	return strings.Join(keys, " ")
}

func noErrors(t *testing.T, errs []error) {
	t.Helper()
	for _, err := range errs {
		t.Errorf("unexpected: %v", err)
	}
}

func TestFromContainersGathersServices(t *testing.T) {
	app2 := made("shop", "app", "a2", LabelNumber, "2")
	app10 := made("shop", "app", "a10", LabelNumber, "10")
	app2.EnvNames, app2.HasHealthcheck, app2.Image = []string{"X"}, true, "img"
	p, errs := FromContainers("shop", []Container{
		app10, app2,
		made("shop", "db", "d1", LabelWorkingDir, "/srv/shop", LabelConfigs, "/srv/shop/a.yaml,/srv/shop/b.yaml"),
		made("shop", "job", "j", LabelOneOff, "True"),
	}, nil)
	noErrors(t, errs)
	if serviceNames(p) != "app db" || p.WorkingDir != "/srv/shop" || len(p.ConfigFiles) != 2 {
		t.Errorf("%q in %q from %q", serviceNames(p), p.WorkingDir, p.ConfigFiles)
	}
	app, _ := p.Service("app")
	if len(app.Containers) != 2 || app.Containers[0].ID != "a2" || app.Containers[1].Number != 10 {
		t.Errorf("containers %+v", app.Containers)
	}
	if !app.HasHealthcheck || app.Image != "img" || !reflect.DeepEqual(app.EnvNames, []string{"X"}) {
		t.Errorf("service %+v", app)
	}
}

func TestFromContainersDoesNotChangeItsInput(t *testing.T) {
	c := mounts(made("shop", "app", "a"), vol("shop_data", "/data"))
	if _, errs := FromContainers("shop", []Container{c}, nil); errs != nil {
		t.Fatal(errs)
	}
	if c.Mounts[0].Volume != "" || c.Number != 0 {
		t.Errorf("changed: %+v", c)
	}
}

func TestF45_LabelsOfOtherProjectsAndOfImages(t *testing.T) {
	foreign := made("other", "db", "f", "ripplebak.dump", "pg_dump")
	loose := Container{ID: "l", Name: "loose", Labels: map[string]string{"ripplebak.enable": "true"}}
	stray := Container{ID: "s", Name: "stray", Labels: map[string]string{LabelProject: "shop", LabelService: "app", "ripplebak.enable": "true"},
		ImageLabels: map[string]string{LabelProject: "shop", LabelService: "app", "ripplebak.enable": "true"}}
	baked := made("shop", "evil", "e", LabelConfigHash, "same")
	baked.ImageLabels = map[string]string{LabelProject: "shop", LabelConfigHash: "same"}
	built := made("shop", "web", "w")
	built.ImageLabels = map[string]string{LabelProject: "shop", LabelService: "web"}
	p, errs := FromContainers("shop", []Container{foreign, loose, stray, baked, built}, nil)
	noErrors(t, errs)
	if serviceNames(p) != "web" {
		t.Errorf("services %q", serviceNames(p))
	}
	notes := strings.Join(p.Notes, "\n")
	for _, want := range []string{`"other-db-1": belongs to another`, `"loose": belongs to another`, `"stray": has its project's name from its image`, `"shop-evil-1": has`} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note %q in\n%s", want, notes)
		}
	}
}

func TestF31_ProjectsWithNearNames(t *testing.T) {
	cs := []Container{
		mounts(made("app", "db", "a"), vol("app_data", "/d"), vol("app_2_data", "/x")),
		mounts(made("app2", "db", "b"), vol("app2_data", "/d")),
		mounts(made("app_2", "db", "c"), vol("app_2_data", "/d")),
		mounts(made("App", "db", "d"), vol("App_data", "/d")),
		mounts(made("app ", "db", "e"), vol("app _data", "/d")),
	}
	vols := []Volume{owned("app", "data", "app_data"), owned("app2", "data", "app2_data"), owned("app_2", "data", "app_2_data")}
	p, errs := FromContainers("app", cs, vols)
	noErrors(t, errs)
	if len(p.Services) != 1 || len(p.Services[0].Containers) != 1 || p.Services[0].Containers[0].ID != "a" {
		t.Errorf("services %+v", p.Services)
	}
	if volumeKeys(p) != "app_2_data data" {
		t.Errorf("volumes %q", volumeKeys(p))
	}
	if v, _ := p.Volume("app_2_data"); !v.External || v.Name != "app_2_data" {
		t.Errorf("another project's volume %+v", v)
	}
	for _, bad := range []string{"", ".", "..", "a/b", "../x", "a b", "ä", "a\nb", "app/"} {
		if _, errs := FromContainers(bad, cs, vols); len(errs) != 1 {
			t.Errorf("project %q: %v", bad, errs)
		}
	}
}

func TestFromContainersLeavesOutOurOwn(t *testing.T) {
	sidecar := mounts(made("shop", "backup", "s"), vol("shop_ripplebak", "/var/lib/ripplebak"), vol("shop_data", "/look"))
	sidecar.ImageLabels = map[string]string{LabelSidecar: "true"}
	oneOff := made("shop", "backup", "o", LabelOneOff, "True", LabelSidecar, "true")
	helper := Container{ID: "h", Labels: map[string]string{LabelProject: "shop", LabelHelper: "run1"}}
	foreign := Container{ID: "x", Labels: map[string]string{LabelHelper + ".owner": "abc"}}
	stray := Container{ID: "y", Labels: map[string]string{LabelProject: "shop", LabelService: "backup", LabelSidecar: "true"},
		ImageLabels: map[string]string{LabelProject: "shop", LabelService: "backup", LabelSidecar: "true"}}
	hiding := made("shop", "hides", "hid", LabelHelper, "run1")
	app := mounts(made("shop", "app", "a"), vol("shop_data", "/data"))
	vols := []Volume{owned("shop", "ripplebak", "shop_ripplebak"), owned("shop", "data", "shop_data"), owned("shop", "unused", "shop_unused")}
	p, errs := FromContainers("shop", []Container{sidecar, oneOff, helper, foreign, stray, hiding, app}, vols)
	noErrors(t, errs)
	if serviceNames(p) != "app hides" {
		t.Errorf("services %q: a service cannot hide behind the helpers' label", serviceNames(p))
	}
	if volumeKeys(p) != "data unused" {
		t.Errorf("volumes %q", volumeKeys(p))
	}
	if want := []string{"service backup: is ripplebak itself and left out"}; !reflect.DeepEqual(p.Notes, want) {
		t.Errorf("notes %q", p.Notes)
	}
}

func TestOneBadContainerHurtsNobody(t *testing.T) {
	noService := made("shop", "", "n")
	delete(noService.Labels, LabelService)
	p, errs := FromContainers("shop", []Container{
		made("shop", "good", "g"), noService, made("shop", "../up", "u"), made("shop", "..", "v"), made("shop", "noid", ""),
		made("shop", "odd", "o", LabelNumber, "-7", LabelDependsOn, "good:sometimes,good"),
		made("shop", strings.Repeat("x", 1<<20), "long"), {},
	}, []Volume{{}, owned("shop", "../etc", "shop_evil"), {Name: "no/name", Labels: map[string]string{LabelProject: "shop"}}})
	if serviceNames(p) != "good odd" {
		t.Errorf("services %q", serviceNames(p))
	}
	odd, _ := p.Service("odd")
	if want := []Dependency{{Service: "good", Condition: ConditionStarted}}; !reflect.DeepEqual(odd.DependsOn, want) {
		t.Errorf("what can be read of depends_on: %+v", odd.DependsOn)
	}
	if volumeKeys(p) != "shop_evil" {
		t.Errorf("volumes %q", volumeKeys(p))
	}
	if len(errs) != 9 {
		t.Errorf("%d errors: %v", len(errs), errs)
	}
	for _, err := range errs {
		if len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("error of %d bytes: %.200s", len(err.Error()), err)
		}
	}
}

func TestF17_VolumeKeys(t *testing.T) {
	anonymous := strings.Repeat("0a", 32)
	cs := []Container{
		mounts(made("shop", "a", "1"), vol("custom", "/1"), vol("shop_plain", "/2"), vol("nas", "/3"), vol(anonymous, "/4"),
			Mount{Kind: KindBind, Source: "/srv", Target: "/5"}, Mount{Kind: KindTmpfs, Target: "/6"}),
		mounts(made("shop", "b", "2"), Mount{Kind: KindVolume, Name: "nas", Target: "/n", ReadOnly: true}),
	}
	cs[1].State = StateExited
	p, errs := FromContainers("shop", cs, []Volume{
		owned("shop", "named", "custom"), {Name: "nas", Driver: "nfs", Options: map[string]string{"o": "addr"}}, {Name: anonymous},
		owned("shop", "idle", "shop_idle"), {Name: "stranger"}, owned("other", "x", "other_x"),
	})
	noErrors(t, errs)
	if volumeKeys(p) != "idle named nas plain" {
		t.Errorf("volumes %q", volumeKeys(p))
	}
	for key, want := range map[string]Volume{
		"named": {Key: "named", Name: "custom", Driver: "local", Exists: true, Labels: map[string]string{LabelProject: "shop", LabelVolume: "named"}},
		"nas":   {Key: "nas", Name: "nas", Driver: "nfs", Options: map[string]string{"o": "addr"}, Exists: true, External: true},
		"plain": {Key: "plain", Name: "shop_plain", External: true},
	} {
		if v, _ := p.Volume(key); !reflect.DeepEqual(v, want) {
			t.Errorf("%s: %+v", key, v)
		}
	}
	a, _ := p.Service("a")
	if m := a.Mounts[3]; m.Volume != "" || !m.Anonymous || m.Name != anonymous {
		t.Errorf("anonymous %+v", m)
	}
	if a.Mounts[0].Volume != "named" || a.Mounts[1].Volume != "plain" || a.Mounts[4].Volume != "" || a.Mounts[4].Anonymous {
		t.Errorf("mounts %+v", a.Mounts)
	}
	want := []Use{{Service: "a", Container: "1"}, {Service: "b", Container: "2", ReadOnly: true}}
	if uses := p.UsersOf("nas"); !reflect.DeepEqual(uses, want) {
		t.Errorf("users %+v", uses)
	}
	if uses := append(p.UsersOf(""), p.UsersOf("na")...); len(uses) != 0 {
		t.Errorf("users of nothing %+v", uses)
	}
}

func TestVolumeKeysAreUnique(t *testing.T) {
	c := mounts(made("shop", "a", "1"), vol("data", "/1"), vol("shop_data", "/2"), vol("mine", "/3"), vol("shop_shop_data", "/4"))
	p, errs := FromContainers("shop", []Container{c}, []Volume{owned("shop", "data", "mine")})
	noErrors(t, errs)
	seen := map[string]string{}
	for _, v := range p.Volumes {
		if seen[v.Key] != "" {
			t.Errorf("%s and %s are both %s", seen[v.Key], v.Name, v.Key)
		}
		seen[v.Key] = v.Name
	}
	if seen["data"] != "mine" || seen["data@external"] != "data" || seen["shop_data"] != "shop_data" || seen["shop_shop_data"] != "shop_shop_data" {
		t.Errorf("keys %v", seen)
	}
}

func TestReplicasThatDiffer(t *testing.T) {
	one, two := made("shop", "a", "1", "ripplebak.enable", "true"), made("shop", "a", "2", LabelNumber, "2")
	p, errs := FromContainers("shop", []Container{two, one}, nil)
	noErrors(t, errs)
	if p.Services[0].Labels["ripplebak.enable"] != "true" || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "different ripplebak labels") {
		t.Errorf("%v, notes %q", p.Services[0].Labels, p.Notes)
	}
	old := made("shop", "b", "0old", "ripplebak.during", "stop")
	old.State = StateExited
	p, _ = FromContainers("shop", []Container{old, made("shop", "b", "9new", "ripplebak.during", "live")}, nil)
	if p.Services[0].Labels["ripplebak.during"] != "live" {
		t.Errorf("of two with one number the running one speaks: %v", p.Services[0].Labels)
	}
}
