package plan

import (
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/dump"
)

func redisWorld(mounts ...string) world {
	return world{name: "shop", services: []svc{
		{name: "cache", image: "redis:7", mounts: mounts, labels: l("dump=redis")},
		{name: "app", deps: []string{"cache"}},
		{name: "reader", mounts: []string{"cache:/c:ro"}},
		{name: "mail"},
	}}
}

func redisSource(service string) Source {
	s := dumpSource(service, "all", "cache")
	s.Item.DumpInfo.Engine = "redis"
	return s
}

func atData(dir string) map[string]dump.Placement {
	return map[string]dump.Placement{"dump cache/all": {Dir: dir, Files: []string{"dump.rdb", "appendonly.aof"}, Remove: []string{"appendonlydir"}}}
}

func TestDumpThatComesBackAsFiles(t *testing.T) {
	in := redisWorld("cache:/data").restore(t, redisSource("cache"))
	in.Placements = atData("/data")
	r := MakeRestore(in)
	wantRestore(t, r, "safety dump cache/all", "stop reader", "stop app", "stop cache",
		"place-dump cache", "start-database cache", "confirm-dump cache", "start app", "start reader")
	it, _ := r.Item("dump cache/all")
	if len(it.Placed) != 1 {
		t.Fatalf("%+v", it.Placed)
	}
	if p := it.Placed[0]; p.Docker != "shop_cache" || len(p.Place) != 2 || p.Place[0] != "dump.rdb" || p.Place[1] != "appendonly.aof" || p.Remove[0] != "appendonlydir" {
		t.Errorf("%+v", p)
	}

	// Below the root of the volume.
	in.Placements = atData("/data/sub/dir/")
	it, _ = MakeRestore(in).Item("dump cache/all")
	if p := it.Placed[0]; p.Place[0] != "sub/dir/dump.rdb" || p.Remove[0] != "sub/dir/appendonlydir" {
		t.Errorf("%+v", p)
	}
}

// TestDumpThatIsLoadedOffline: directories in two volumes are emptied, and filled
// while the service is down.
func TestDumpThatIsLoadedOffline(t *testing.T) {
	in := redisWorld("cache:/data", "conf:/etc/conf").restore(t, redisSource("cache"))
	in.Placements = map[string]dump.Placement{"dump cache/all": {
		Empty: []string{"/data", "/etc/conf/d"},
		Load:  []dump.Step{{Name: "load", Command: dump.Command{Show: "load it"}}},
	}}
	r := MakeRestore(in)
	wantRestore(t, r, "safety dump cache/all", "stop reader", "stop app", "stop cache",
		"place-dump cache", "make-files cache", "start-database cache", "confirm-dump cache", "start app", "start reader")
	it, _ := r.Item("dump cache/all")
	if len(it.Placed) != 2 || it.Placed[0].Docker != "shop_cache" || it.Placed[0].Empty[0] != "." || it.Placed[1].Empty[0] != "d" || it.Commands[0] != "load it" {
		t.Errorf("%+v", it)
	}
	in.Placements["dump cache/all"] = dump.Placement{Empty: []string{"/data", "/etc/elsewhere"}, Load: it.Load}
	if got := strings.Join(MakeRestore(in).Problems, "\n"); !strings.Contains(got, "keeps its files in /etc/elsewhere, in the container itself") {
		t.Errorf("the problems are %q", got)
	}
}

func TestDumpThatWasDownComesBackAndStaysDown(t *testing.T) {
	w := redisWorld("cache:/data")
	w.services[0].state = "exited"
	w.services[1].state = "exited"
	in := w.restore(t, redisSource("cache"))
	in.Placements = atData("/data")
	in.Safety = false
	wantRestore(t, MakeRestore(in), "stop reader", "place-dump cache", "start-database cache", "confirm-dump cache", "start reader", "stop-database cache")
}

func TestFilesThatCannotBeReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		mounts []string
		dir    string
		want   string
	}{
		"in the container":     {nil, "/data", "in the container itself"},
		"beside the volume":    {[]string{"cache:/elsewhere"}, "/data", "in the container itself"},
		"on the host":          {[]string{"bind:/data"}, "/data", "bind mount"},
		"below a bind mount":   {[]string{"cache:/data", "bind:/data/db"}, "/data/db", "bind mount"},
		"nowhere":              {[]string{"cache:/data"}, "data", "no directory"},
		"read-only":            {[]string{"cache:/data:ro"}, "/data", "read-only"},
		"by something foreign": {[]string{"cache:/data"}, "/data", "container spy"},
	} {
		in := redisWorld(c.mounts...).restore(t, redisSource("cache"))
		in.Placements = atData(c.dir)
		if name == "by something foreign" {
			in.ForeignUsers = map[string][]string{"shop_cache": {"container spy"}}
		}
		wantLine(t, name, MakeRestore(in).Problems, "dump cache/all", c.want)
	}
}

func TestTwoDumpsInOneVolume(t *testing.T) {
	w := redisWorld("cache:/data")
	w.services = append(w.services, svc{name: "queue", mounts: []string{"cache:/data"}, labels: l("dump=redis")})
	in := w.restore(t, redisSource("cache"), redisSource("queue"))
	in.Placements = atData("/data")
	in.Placements["dump queue/all"] = in.Placements["dump cache/all"]
	wantLine(t, "problem", MakeRestore(in).Problems, "both go into the volume shop_cache", "--service")
}
