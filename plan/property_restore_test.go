package plan

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/manifest"
)

func TestRandomRestores(t *testing.T) {
	stops, loads := 0, 0
	for seed := range uint64(randomProjects) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		w := randomWorld(rnd)
		in := w.restore(t)
		for _, v := range in.Project.Volumes {
			if rnd.IntN(2) == 0 {
				s := volumeSource("p", v.Key)
				s.Item.During = pick(rnd, "live", "stop")
				in.Sources = append(in.Sources, s)
			}
		}
		for _, s := range in.Project.Services {
			if rnd.IntN(4) == 0 {
				in.Sources = append(in.Sources, dumpSource(s.Name, "a", dataVolumes(s, []string{"/var/lib/postgresql/data"})...), dumpSource(s.Name, ""))
			}
		}
		in.Safety = rnd.IntN(2) == 0
		r := MakeRestore(in)
		n, m := replayRestore(t, in, r)
		stops, loads = stops+n, loads+m
	}
	if stops < randomProjects || loads < randomProjects {
		t.Errorf("the projects are too tame: %d stops, %d dumps", stops, loads)
	}
}

func replayRestore(t *testing.T, in RestoreInput, r *Restore) (stops, loads int) {
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf(format+"\n%s", append(args, strings.Join(restoreSteps(r), "\n"))...)
	}
	down, was, engines, done := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]int{}
	for i, op := range r.Operations {
		if op.Cause == "" {
			fail("step %d has no cause", i)
		}
		switch op.Do {
		case StopService:
			stops++
			if was[op.Service] || !up(in.Project, op.Service) {
				fail("%s is stopped twice, or was not up", op.Service)
			}
			for s := range down {
				if dependencies(in.Project, op.Service)[s] {
					fail("%s is stopped after %s, on which it depends", op.Service, s)
				}
			}
			down[op.Service], was[op.Service] = true, true
		case FillVolume:
			it, _ := r.Item(op.Items[0])
			done[it.Key]++
			for _, u := range in.Project.UsersOf(it.Volume.Docker) {
				if up(in.Project, u.Service) && !down[u.Service] {
					fail("%s uses %s while it is restored", u.Service, it.Key)
				}
			}
			if len(engines) > 0 {
				fail("%s is restored after a database was started", it.Key)
			}
		case StartEngine, StartService:
			if op.Do == StartService && !down[op.Service] {
				fail("%s is started and was not stopped", op.Service)
			}
			delete(down, op.Service)
			engines[op.Service] = true
			for s := range down {
				if dependencies(in.Project, op.Service)[s] {
					fail("%s is started before %s, on which it depends", op.Service, s)
				}
			}
		case LoadDump:
			loads++
			done[op.Items[0]]++
			for _, d := range in.Project.Dependents(op.Service) {
				if up(in.Project, d) && !down[d] {
					fail("%s runs while %s is restored, on which it depends", d, op.Items[0])
				}
			}
		case StopEngine:
			if up(in.Project, op.Service) || !engines[op.Service] {
				fail("%s is stopped and ran before, or was never started", op.Service)
			}
		}
	}
	if len(down) > 0 {
		fail("left down: %v", down)
	}
	for _, it := range r.Items {
		if done[it.Key] != 1 && it.Kind != manifest.Config {
			fail("%s is restored %d times", it.Key, done[it.Key])
		}
	}
	return stops, loads
}
