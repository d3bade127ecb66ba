// Package resttest has a REST server for tests: as strict as the protocol's
// documentation, with places to make it behave badly.
package resttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a server of one repository, below /repo/. Its fields are set before
// the first request.
type Server struct {
	t      testing.TB
	server *httptest.Server

	// Version is the newest version of the protocol that it speaks: 2 if 0.
	Version int
	// AppendOnly lets nothing be removed but locks.
	AppendOnly bool
	// Replaces lets a file be stored again under a name that is taken, as
	// "rclone serve restic" does. Else that is refused, as rest-server does.
	Replaces bool
	// Unverified leaves out the comparison of names and contents, which
	// rest-server makes unless it is told otherwise.
	Unverified bool
	// ReadOnly refuses whatever changes something.
	ReadOnly bool
	// User and Password are asked for, where a user is set.
	User, Password string
	// NoRange ignores ranges.
	NoRange bool

	// Before, where set, may answer a request itself and return true.
	Before func(w http.ResponseWriter, r *http.Request) bool
	// Kept, where set, changes what is stored.
	Kept func([]byte) []byte
	// Listed, where set, changes the names of a listing.
	Listed func(names []string) []string

	mu       sync.Mutex
	created  bool
	files    map[string][]byte // by TYPE/NAME, and "config"
	requests []string          // METHOD TYPE/NAME
}

// New starts a server until the test ends.
func New(t testing.TB) *Server {
	s := &Server{t: t, files: map[string][]byte{}}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

// URL is the repository's address, without "rest:".
func (s *Server) URL() string { return s.server.URL + "/repo/" }

// HTTP is the server itself, for what a test does to connections.
func (s *Server) HTTP() *httptest.Server { return s.server }

// Requests returns those since the last call, as METHOD TYPE/NAME.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.requests
	s.requests = nil
	return out
}

// File returns a file's content by TYPE/NAME, false where there is none.
func (s *Server) File(place string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.files[place]
	return data, ok
}

// Put sets a file's content without any check.
func (s *Server) Put(place string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created = true
	s.files[place] = data
}

// Drop cuts the connection of a request without an answer.
func Drop(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_ = c.Close() // the other side notices
}

var place = regexp.MustCompile(`^/repo/(|config|(data|keys|locks|snapshots|index)/([0-9a-f]{64})?)$`)

func refuse(w http.ResponseWriter, status int) { http.Error(w, http.StatusText(status), status) }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := place.FindStringSubmatch(r.URL.Path)
	what := strings.TrimPrefix(r.URL.Path, "/repo/")
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+what)
	s.mu.Unlock()
	if s.Before != nil && s.Before(w, r) {
		return
	}
	if user, password, _ := r.BasicAuth(); s.User != "" && (user != s.User || password != s.Password) {
		refuse(w, http.StatusUnauthorized)
		return
	}
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead
	switch {
	case m == nil:
		refuse(w, http.StatusNotFound)
	case changes && s.ReadOnly:
		refuse(w, http.StatusForbidden)
	case what == "":
		s.root(w, r)
	case m[2] != "" && m[3] == "":
		s.list(w, r, m[2])
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		s.get(w, r, what)
	case r.Method == http.MethodPost:
		s.post(w, r, what)
	case r.Method == http.MethodDelete:
		s.remove(w, what)
	default:
		refuse(w, http.StatusMethodNotAllowed)
	}
}

func (s *Server) root(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Query().Get("create") != "true" {
		refuse(w, http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created = true
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, what string) {
	data, ok := s.File(what)
	if !ok {
		refuse(w, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if s.NoRange {
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		_, _ = w.Write(data) // a client that goes is no fault
		return
	}
	http.ServeContent(w, r, "", time.Unix(1136214245, 0), bytes.NewReader(data))
}

func (s *Server) post(w http.ResponseWriter, r *http.Request, what string) {
	s.mu.Lock()
	_, taken := s.files[what]
	created := s.created
	s.mu.Unlock()
	if taken && !s.Replaces || !created {
		refuse(w, http.StatusForbidden)
		return
	}
	data, err := io.ReadAll(r.Body)
	sum := sha256.Sum256(data)
	if err != nil || !s.Unverified && what != "config" && !strings.HasSuffix(what, "/"+hex.EncodeToString(sum[:])) {
		refuse(w, http.StatusBadRequest)
		return
	}
	if s.Kept != nil {
		data = s.Kept(bytes.Clone(data))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.files[what]; taken && !s.Replaces {
		refuse(w, http.StatusForbidden)
		return
	}
	s.files[what] = data
}

func (s *Server) remove(w http.ResponseWriter, what string) {
	if s.AppendOnly && !strings.HasPrefix(what, "locks/") {
		refuse(w, http.StatusForbidden)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.files[what]; !ok {
		refuse(w, http.StatusNotFound)
		return
	}
	delete(s.files, what)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, kind string) {
	if r.Method != http.MethodGet {
		refuse(w, http.StatusMethodNotAllowed)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.created {
		refuse(w, http.StatusNotFound)
		return
	}
	var names []string
	for _, what := range slices.Sorted(maps.Keys(s.files)) {
		if name, ok := strings.CutPrefix(what, kind+"/"); ok {
			names = append(names, name)
		}
	}
	if s.Listed != nil {
		names = s.Listed(names)
	}
	version, answer := "1", any(names)
	if s.Version != 1 && r.Header.Get("Accept") == "application/vnd.x.restic.rest.v2" {
		type item struct {
			Name string `json:"name"`
			Size int64  `json:"size"`
		}
		var items []item // nil is written as null, which is what rest-server does
		for _, name := range names {
			items = append(items, item{name, int64(len(s.files[kind+"/"+name]))})
		}
		version, answer = "2", items
	}
	w.Header().Set("Content-Type", "application/vnd.x.restic.rest.v"+version)
	_ = json.NewEncoder(w).Encode(answer) // a client that goes is no fault
}
