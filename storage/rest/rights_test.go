package rest_test

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/rest"
	"github.com/ripplebak/ripplebak/storage/rest/resttest"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// wantOneLine checks an error that a person reads: its kind, what it has to
// say, one line, and nothing secret in it.
func wantOneLine(t *testing.T, err, kind error, says ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
	if strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
		t.Errorf("not one line: %q", err)
	}
	if strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("carries the secret: %q", err)
	}
	if errors.Is(err, storage.ErrNotExist) && !errors.Is(err, storage.ErrNoBucket) {
		t.Errorf("%q counts as absence", err)
	}
}

// withUser is the address of a server with a user and a password in it.
func withUser(url string) string { return strings.Replace(url, "://", "://joe:s3cr3t-value@", 1) }

func TestF28_ProbeNamesTheFault(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		kind   error
		says   []string
	}{
		"repository missing": {status(404), storage.ErrNoBucket, []string{"no repository"}},
		"401":                {status(401), storage.ErrDenied, []string{"RESTIC_REST_PASSWORD"}},
		"403":                {status(403), storage.ErrDenied, []string{"this user"}},
		"405":                {status(405), storage.ErrRefused, nil},
		"redirected": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://joe:s3cr3t-value@other.example/x", http.StatusMovedPermanently)
		}, storage.ErrRefused, []string{"https://other.example"}},
		"a web page": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<!DOCTYPE html><html>welcome</html>")
		}, storage.ErrRefused, []string{"REST protocol"}},
		"another API": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"status":"ok"}`)
		}, storage.ErrRefused, []string{"REST protocol"}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := resttest.New(t)
			srv.Before = func(w http.ResponseWriter, r *http.Request) bool { c.answer(w, r); return true }
			s, waits := quick(openAt(t, withUser(srv.URL()), noEnv, rest.Options{}), 5)
			wantOneLine(t, s.Probe(t.Context()), c.kind, append(c.says, srv.URL())...)
			if waits.Load() != 0 {
				t.Error("what cannot get better was tried again")
			}
			if c.kind != storage.ErrDenied {
				return
			}
			// What refuses is not absence, whatever is asked.
			config := storage.Handle{Kind: storage.ConfigFile}
			_, err := s.Reader().Stat(t.Context(), config)
			wantOneLine(t, err, storage.ErrDenied)
			_, err = s.Reader().Load(t.Context(), config, 0, 0)
			wantOneLine(t, err, storage.ErrDenied)
			wantOneLine(t, s.Reader().List(t.Context(), storage.KeyFile, func(storage.Info) error { return nil }), storage.ErrDenied)
			wantOneLine(t, s.Writer().Create(t.Context(), config, storage.NewPayload(nil)), storage.ErrDenied)
		})
	}
}

func TestF28_WrongPassword(t *testing.T) {
	srv := resttest.New(t)
	srv.User, srv.Password = "joe", "another"
	s := openAt(t, withUser(srv.URL()), noEnv, rest.Options{})
	wantOneLine(t, s.Probe(t.Context()), storage.ErrDenied, "401")
	wantOneLine(t, s.Writer().Provision(t.Context()), storage.ErrDenied)
	if strings.Contains(s.Reader().Location(), "s3cr3t") || strings.Contains(s.Reader().Location(), "joe") {
		t.Errorf("location %s", s.Reader().Location())
	}
	srv.Password = "s3cr3t-value"
	provision(t, s)
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestF28_NobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	s := openAt(t, withUser("http://"+host+"/"), noEnv, rest.Options{})
	wantOneLine(t, s.Probe(t.Context()), storage.ErrUnreachable, host, "refused")
	s = openAt(t, withUser("https://does-not-exist.invalid/"), noEnv, rest.Options{})
	wantOneLine(t, s.Probe(t.Context()), storage.ErrUnreachable, "does-not-exist.invalid", "does not resolve")
}

func TestF28_Certificates(t *testing.T) {
	srv := resttest.New(t)
	secure := httptest.NewUnstartedServer(srv)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are the case
	secure.StartTLS()
	t.Cleanup(secure.Close)
	s := openAt(t, secure.URL+"/repo", noEnv, rest.Options{})
	wantOneLine(t, s.Probe(t.Context()), storage.ErrUntrusted, "RESTIC_CACERT")

	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	withCA := func(name string) string { return map[string]string{"RESTIC_CACERT": ca}[name] }
	s = provision(t, openAt(t, secure.URL+"/repo", withCA, rest.Options{}))
	storagetest.Put(t, s, storage.PackFile, storagetest.Content(1, 1<<20))

	s = openAt(t, strings.Replace(srv.URL(), "http:", "https:", 1), noEnv, rest.Options{})
	wantOneLine(t, s.Probe(t.Context()), storage.ErrRefused, "rest:http://")
}

// A server without conditional writes: the config is looked for before, and
// read back after.
func TestF30_NoConditionalWrite(t *testing.T) {
	srv := resttest.New(t)
	srv.Replaces = true
	s := provision(t, openAt(t, srv.URL(), noEnv, rest.Options{}))
	config := storagetest.Put(t, s, storage.ConfigFile, []byte("first"))
	if err := s.Writer().Create(t.Context(), config, storage.NewPayload([]byte("second"))); !errors.Is(err, storage.ErrExist) {
		t.Errorf("second: %v, want ErrExist", err)
	}
	if got := storagetest.Get(t, s, config); string(got) != "first" {
		t.Errorf("the config became %q", got)
	}
	// Somebody else's lands between our POST and our reading back.
	other := resttest.New(t)
	other.Replaces = true
	other.Kept = func([]byte) []byte { return []byte("other") }
	s = provision(t, openAt(t, other.URL(), noEnv, rest.Options{}))
	if err := s.Writer().Create(t.Context(), config, storage.NewPayload([]byte("first"))); !errors.Is(err, storage.ErrExist) {
		t.Errorf("lost race: %v, want ErrExist", err)
	}
}

func TestF34_ReadOnlyUser(t *testing.T) {
	srv := resttest.New(t)
	s := provision(t, openAt(t, srv.URL(), noEnv, rest.Options{}))
	data := storagetest.Content(1, 10_000)
	h := storagetest.Put(t, s, storage.PackFile, data)
	srv.ReadOnly = true
	s, waits := quick(s, 5)
	if err := s.Probe(t.Context()); err != nil {
		t.Errorf("probe: %v", err)
	}
	if got := storagetest.Get(t, s, h); string(got) != string(data) {
		t.Error("other content")
	}
	if names := storagetest.Names(t, s, storage.PackFile); len(names) != 1 {
		t.Errorf("lists %v", names)
	}
	lock := storagetest.HandleFor(storage.LockFile, []byte("lock"))
	wantOneLine(t, s.Locker().SaveLock(t.Context(), lock.Name, storage.NewPayload([]byte("lock"))), storage.ErrDenied)
	snapshot := storagetest.HandleFor(storage.SnapshotFile, data)
	wantOneLine(t, s.Writer().Save(t.Context(), snapshot, storage.NewPayload(data)), storage.ErrDenied)
	wantOneLine(t, s.Remover().Remove(t.Context(), h), storage.ErrDenied)
	if waits.Load() != 0 {
		t.Error("a refusal was tried again")
	}
}

// An append-only server: everything can be added, only locks go.
func TestAppendOnlyServers(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) string{
		"Fake": func(t *testing.T) string {
			srv := resttest.New(t)
			srv.AppendOnly = true
			return srv.URL()
		},
		"Rclone": func(t *testing.T) string {
			return resttest.StartRclone(t, t.TempDir(), "--append-only").URL + "app/"
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, waits := quick(provision(t, openAt(t, start(t), noEnv, rest.Options{})), 5)
			for _, k := range storage.Kinds() {
				h := storagetest.Put(t, s, k, []byte("kept "+k.String()))
				if k == storage.ConfigFile {
					continue
				}
				storagetest.Put(t, s, k, []byte("kept "+k.String())) // again is no error
				if k == storage.LockFile {
					if err := s.Locker().RemoveLock(t.Context(), h.Name); err != nil {
						t.Errorf("a lock must go: %v", err)
					}
					continue
				}
				wantOneLine(t, s.Remover().Remove(t.Context(), h), storage.ErrDenied, "append-only")
				if got := storagetest.Get(t, s, h); string(got) != "kept "+k.String() {
					t.Errorf("%s: %q", k, got)
				}
			}
			if names := storagetest.Names(t, s, storage.LockFile); len(names) != 0 || waits.Load() != 0 {
				t.Errorf("locks %v, %d waits", names, waits.Load())
			}
		})
	}
}
