package dockertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
)

type route struct {
	call string
	re   *regexp.Regexp
	// query are the parameters that the call may carry.
	query  string
	answer func(e *Engine, w http.ResponseWriter, r *http.Request, name string)
}

func at(call, query string, answer func(*Engine, http.ResponseWriter, *http.Request, string)) route {
	pattern := strings.NewReplacer(`\{id\}`, "([^/]+)", `\{name\}`, "(.+)").Replace(regexp.QuoteMeta(call))
	return route{call, regexp.MustCompile("^" + pattern + "$"), query, answer}
}

// routes are all the calls that there are.
func routes() []route {
	return []route{
		at("GET /version", "", (*Engine).version),
		at("GET /info", "", (*Engine).info),
		at("GET /containers/json", "all filters", (*Engine).list),
		at("GET /containers/{id}/json", "", (*Engine).inspect),
		at("POST /containers/create", "name", (*Engine).create),
		at("POST /containers/{id}/start", "", (*Engine).start),
		at("POST /containers/{id}/stop", "t", (*Engine).stop),
		at("POST /containers/{id}/pause", "", (*Engine).pause),
		at("POST /containers/{id}/unpause", "", (*Engine).unpause),
		at("POST /containers/{id}/wait", "condition", (*Engine).wait),
		at("DELETE /containers/{id}", "force v", (*Engine).remove),
		at("POST /containers/{id}/exec", "", (*Engine).execCreate),
		at("POST /exec/{id}/start", "", (*Engine).execStart),
		at("GET /exec/{id}/json", "", (*Engine).execInspect),
		at("GET /volumes", "filters", (*Engine).volumeList),
		at("POST /volumes/create", "", (*Engine).volumeCreate),
		at("GET /volumes/{name}", "", (*Engine).volumeInspect),
		at("DELETE /volumes/{name}", "", (*Engine).volumeRemove),
		at("GET /images/{name}/json", "", (*Engine).imageInspect),
	}
}

var versioned = regexp.MustCompile(`^/v(\d+\.\d+)(/.*)$`)

// serve answers a call, or fails the test.
func (e *Engine) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_ping" {
		e.hit(w, r, "GET /_ping", func() { e.ping(w) })
		return
	}
	m := versioned.FindStringSubmatch(r.URL.Path)
	if m == nil {
		e.unexpected(r, "no version")
		refuse(w, http.StatusBadRequest, "page not found")
		return
	}
	path := r.Method + " " + m[2]
	for _, rt := range routes() {
		sub := rt.re.FindStringSubmatch(path)
		if sub == nil {
			continue
		}
		for k := range r.URL.Query() {
			if !strings.Contains(" "+rt.query+" ", " "+k+" ") {
				e.unexpected(r, "parameter "+k)
			}
		}
		name := ""
		if len(sub) > 1 {
			name = sub[1]
		}
		e.hit(w, r, rt.call, func() { rt.answer(e, w, r, name) })
		return
	}
	e.unexpected(r, "no such call in the fake")
	refuse(w, http.StatusNotImplemented, "not implemented by the fake")
}

// hit notes a call and lets a fault hit it.
func (e *Engine) hit(w http.ResponseWriter, r *http.Request, call string, answer func()) {
	e.mu.Lock()
	e.calls = append(e.calls, call)
	e.mu.Unlock()
	if call == "POST /exec/{id}/start" {
		answer() // looks for its faults itself
		return
	}
	f := e.take(call)
	switch {
	case f == nil:
		answer()
	case f.Stall:
		select {
		case <-r.Context().Done():
		case <-e.closing.Done():
		}
	case f.Drop:
		if f.After {
			quiet := &silent{header: http.Header{}}
			for _, rt := range routes() {
				if rt.call == call {
					m := versioned.FindStringSubmatch(r.URL.Path)
					sub := rt.re.FindStringSubmatch(r.Method + " " + m[2])
					rt.answer(e, quiet, r, append(sub, "")[1])
				}
			}
		}
		panic(http.ErrAbortHandler)
	default:
		refuse(w, f.Status, f.Message)
	}
}

// silent swallows an answer.
type silent struct{ header http.Header }

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }
func (s *silent) WriteHeader(int)             {}

func refuse(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]string{"message": message})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if v != nil && status != http.StatusNoContent && status != http.StatusNotModified {
		_ = json.NewEncoder(w).Encode(v) // the caller may be gone
	}
}

func (e *Engine) ping(w http.ResponseWriter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.api != "" {
		w.Header().Set("Api-Version", e.api)
	}
	w.Header().Set("Ostype", "linux")
	w.WriteHeader(http.StatusOK)
}

func (e *Engine) version(w http.ResponseWriter, _ *http.Request, _ string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	reply(w, http.StatusOK, map[string]string{"Version": "20.10.0-fake", "ApiVersion": e.api, "MinAPIVersion": e.minAPI})
}

func (e *Engine) info(w http.ResponseWriter, _ *http.Request, _ string) {
	e.mu.Lock()
	dataRoot := e.dataRoot
	e.mu.Unlock()
	reply(w, http.StatusOK, map[string]string{"ID": "FAKE:ENGINE", "Name": "fakehost", "ServerVersion": "20.10.0-fake", "OSType": "linux", "DockerRootDir": dataRoot})
}

// labelled reports whether labels pass the filters' "label" entries.
func labelled(f filters.Args, labels map[string]string) bool {
	return f.MatchKVList("label", labels)
}

func (e *Engine) list(w http.ResponseWriter, r *http.Request, _ string) {
	f, err := filters.FromJSON(r.URL.Query().Get("filters"))
	if err != nil || f.Len() > len(f.Get("label")) {
		e.unexpected(r, "filters")
	}
	if r.URL.Query().Get("all") != "1" {
		e.unexpected(r, "only running containers are asked for")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	out := []container.Summary{}
	for _, b := range e.containers {
		if e.ignore || labelled(f, b.Labels) {
			out = append(out, container.Summary{ID: b.ID, Names: []string{"/" + b.Name}, Image: b.Image, ImageID: b.ImageID,
				Labels: b.Labels, State: b.State, Mounts: b.points()})
		}
	}
	reply(w, http.StatusOK, out)
}

// with calls fn with a container, or answers 404.
func (e *Engine) with(w http.ResponseWriter, id string, fn func(*box)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b := e.find(id); b != nil {
		fn(b)
		return
	}
	refuse(w, http.StatusNotFound, "No such container: "+id)
}

func (e *Engine) inspect(w http.ResponseWriter, _ *http.Request, id string) {
	e.with(w, id, func(b *box) { reply(w, http.StatusOK, b.inspect()) })
}

func (e *Engine) stop(w http.ResponseWriter, _ *http.Request, id string) {
	e.with(w, id, func(b *box) {
		if !b.up() {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		e.halt(b, 0)
		w.WriteHeader(http.StatusNoContent)
	})
}

func (e *Engine) pause(w http.ResponseWriter, _ *http.Request, id string) {
	e.with(w, id, func(b *box) {
		if b.State != container.StateRunning {
			refuse(w, http.StatusConflict, "Container "+id+" is "+b.State)
			return
		}
		b.State = container.StatePaused
		w.WriteHeader(http.StatusNoContent)
	})
}

func (e *Engine) unpause(w http.ResponseWriter, _ *http.Request, id string) {
	e.with(w, id, func(b *box) {
		if b.State != container.StatePaused {
			refuse(w, http.StatusInternalServerError, "Container "+id+" is not paused")
			return
		}
		b.State = container.StateRunning
		w.WriteHeader(http.StatusNoContent)
	})
}

func (e *Engine) start(w http.ResponseWriter, _ *http.Request, id string) {
	e.with(w, id, func(b *box) {
		if b.up() {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		b.State, b.started, b.ExitCode, b.exited = container.StateRunning, time.Now(), 0, make(chan struct{})
		if len(b.argv) > 0 {
			e.boot(b)
		}
		if e.balks != nil {
			if code := e.balks(b.Container); code != 0 {
				e.halt(b, code)
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (e *Engine) wait(w http.ResponseWriter, r *http.Request, id string) {
	e.mu.Lock()
	b := e.find(id)
	if b == nil {
		e.mu.Unlock()
		refuse(w, http.StatusNotFound, "No such container: "+id)
		return
	}
	exited := b.exited
	e.mu.Unlock()
	select {
	case <-exited:
	case <-r.Context().Done():
		return
	case <-e.closing.Done():
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	reply(w, http.StatusOK, container.WaitResponse{StatusCode: int64(b.ExitCode)})
}

func (e *Engine) remove(w http.ResponseWriter, r *http.Request, id string) {
	if r.URL.Query().Get("force") != "1" {
		e.unexpected(r, "not forced")
	}
	e.with(w, id, func(b *box) {
		e.halt(b, 137)
		delete(e.containers, b.ID)
		w.WriteHeader(http.StatusNoContent)
	})
}

func (e *Engine) create(w http.ResponseWriter, r *http.Request, _ string) {
	var req struct {
		container.Config
		HostConfig container.HostConfig
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		e.unexpected(r, err.Error())
	}
	e.mu.Lock()
	before := e.before
	e.before = nil
	e.mu.Unlock()
	if before != nil {
		before()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.images[req.Image]; !ok {
		refuse(w, http.StatusNotFound, "No such image: "+req.Image)
		return
	}
	if refusal := refuseResources(&req.HostConfig.Resources); refusal != "" {
		refuse(w, http.StatusBadRequest, refusal)
		return
	}
	name := r.URL.Query().Get("name")
	if b := e.find(name); name != "" && b != nil {
		refuse(w, http.StatusConflict, "Conflict. The container name is already in use")
		return
	}
	c := Container{
		Name: name, Image: req.Image, Labels: req.Labels, Env: req.Env, User: req.User, State: container.StateCreated,
		NetworkMode: string(req.HostConfig.NetworkMode), RestartPolicy: string(req.HostConfig.RestartPolicy.Name), AutoRemove: req.HostConfig.AutoRemove,
	}
	for _, m := range req.HostConfig.Mounts {
		if _, err := os.Stat(m.Source); m.Type == "bind" && err != nil {
			refuse(w, http.StatusBadRequest, `invalid mount config for type "bind": bind source path does not exist: `+m.Source)
			return
		}
		mm := Mount{Target: m.Target, ReadOnly: m.ReadOnly}
		if m.Type == "volume" && m.Source == "" {
			c.Mounts = append(c.Mounts, mm) // of no name, and gone with the container
			continue
		}
		if m.Type == "volume" {
			mm.Volume = m.Source
			if _, ok := e.volumes[m.Source]; !ok { // as the real one does
				e.volumes[m.Source] = Volume{Name: m.Source, Driver: "local", Labels: m.VolumeOptions.Labels}
			}
		} else {
			mm.Bind = m.Source
		}
		c.Mounts = append(c.Mounts, mm)
	}
	b := e.add(c)
	b.host, b.argv = req.HostConfig, append([]string(req.Entrypoint), req.Cmd...)
	reply(w, http.StatusCreated, container.CreateResponse{ID: b.ID, Warnings: []string{}})
}

// processors is how many the fake's host has.
const processors = 64

// refuseResources is what the real Engine says of bounds that it does not take.
func refuseResources(r *container.Resources) string {
	switch {
	case r.NanoCPUs < 0 || r.NanoCPUs > processors*1e9 || r.NanoCPUs > 0 && r.NanoCPUs < 1e7:
		return fmt.Sprintf("range of CPUs is from 0.01 to %d.00, as there are only %d CPUs available", processors, processors)
	case r.BlkioWeight != 0 && (r.BlkioWeight < 10 || r.BlkioWeight > 1000):
		return "Range of blkio weight is from 10 to 1000"
	case r.CPUShares < 0:
		return fmt.Sprintf("Invalid value %d: CPUShares must not be negative", r.CPUShares)
	}
	return ""
}

func (e *Engine) volumeList(w http.ResponseWriter, r *http.Request, _ string) {
	f, err := filters.FromJSON(r.URL.Query().Get("filters"))
	if err != nil {
		e.unexpected(r, err.Error())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	out := volume.ListResponse{Volumes: []*volume.Volume{}}
	for _, v := range e.volumes {
		if e.ignore || labelled(f, v.Labels) {
			vv := v.inspect()
			out.Volumes = append(out.Volumes, &vv)
		}
	}
	reply(w, http.StatusOK, out)
}

func (e *Engine) volumeCreate(w http.ResponseWriter, r *http.Request, _ string) {
	var req volume.CreateOptions
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		e.unexpected(r, err.Error())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	v, ok := e.volumes[req.Name]
	if !ok {
		v = Volume{Name: req.Name, Driver: req.Driver, Labels: req.Labels, Options: req.DriverOpts}
		if v.Driver == "" {
			v.Driver = "local"
		}
		e.volumes[req.Name] = v
	}
	reply(w, http.StatusCreated, v.inspect())
}

func (e *Engine) volumeInspect(w http.ResponseWriter, _ *http.Request, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v, ok := e.volumes[name]; ok {
		reply(w, http.StatusOK, v.inspect())
		return
	}
	refuse(w, http.StatusNotFound, "get "+name+": no such volume")
}

func (e *Engine) volumeRemove(w http.ResponseWriter, _ *http.Request, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.volumes, name)
	w.WriteHeader(http.StatusNoContent)
}

func (e *Engine) imageInspect(w http.ResponseWriter, _ *http.Request, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	labels, ok := e.images[name]
	if !ok {
		refuse(w, http.StatusNotFound, "No such image: "+name)
		return
	}
	reply(w, http.StatusOK, map[string]any{"Id": name, "Config": map[string]any{"Labels": labels}})
}
