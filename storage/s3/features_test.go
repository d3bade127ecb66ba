package s3

import (
	"crypto/md5"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestF29_ObjectLockNeedsChecksums(t *testing.T) {
	for name, set := range map[string]func(*fake){
		"either":        func(f *fake) { f.needsSum = true },
		"MD5 only":      func(f *fake) { f.needsMD5 = true },
		"MD5, no other": func(f *fake) { f.needsMD5, f.refusesSum, f.checksums = true, true, false },
		"no answer":     func(f *fake) { f.needsSum, f.checksums = true, false },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			set(f)
			var said []string
			s := f.open(Options{Log: func(msg string) { said = append(said, msg) }})
			for i := range 4 {
				storagetest.Put(t, s, storage.PackFile, storagetest.Content(uint64(i), 1000))
			}
			storagetest.Put(t, s, storage.LockFile, []byte("lock"))
			storagetest.Put(t, s, storage.ConfigFile, []byte("config"))
			if f.refusesSum != (len(said) == 1) || len(said) > 1 {
				t.Errorf("said %q", said)
			}
			// At most one more request for each thing that is learned.
			puts := 0
			for _, r := range f.seen() {
				if strings.HasPrefix(r, "PUT") {
					puts++
				}
			}
			if puts > f.puts+2 {
				t.Errorf("%d PUTs for %d objects", puts, f.puts)
			}
		})
	}
}

func TestF30_NoConditionalPut(t *testing.T) {
	f := newFake(t)
	f.noCond = true
	var said []string
	s := f.open(Options{Log: func(msg string) { said = append(said, msg) }})
	config := storagetest.Put(t, s, storage.ConfigFile, []byte("first"))
	for range 3 {
		delete(f.objects, "pre/config")
		storagetest.Put(t, s, storage.ConfigFile, []byte("first"))
	}
	if len(said) != 1 || !strings.Contains(said[0], "conditional") {
		t.Errorf("said %q, want one line", said)
	}
	if err := s.Writer().Create(t.Context(), config, storage.NewPayload([]byte("second"))); !errors.Is(err, storage.ErrExist) {
		t.Errorf("second: %v, want ErrExist", err)
	}
	if got := storagetest.Get(t, s, config); string(got) != "first" {
		t.Errorf("the config became %q", got)
	}
	// Somebody else's config lands between our PUT and our reading back.
	delete(f.objects, "pre/config")
	f.kept = func([]byte) []byte { return []byte("other") }
	f.etag = func([]byte) string { return fmt.Sprintf("%x", md5.Sum([]byte("first"))) }
	f.checksums = false
	s, _ = quick(s, 3)
	err := s.Writer().Create(t.Context(), config, storage.NewPayload([]byte("first")))
	if !errors.Is(err, storage.ErrExist) {
		t.Errorf("lost race: %v, want ErrExist", err)
	}
}

// A server that takes the header and ignores it must not cost the config.
func TestF30_ConditionIgnored(t *testing.T) {
	f := newFake(t)
	f.deafCond = true
	s := f.open(Options{})
	config := storagetest.Put(t, s, storage.ConfigFile, []byte("first"))
	if err := s.Writer().Create(t.Context(), config, storage.NewPayload([]byte("second"))); !errors.Is(err, storage.ErrExist) {
		t.Errorf("second: %v, want ErrExist", err)
	}
	if got := storagetest.Get(t, s, config); string(got) != "first" {
		t.Errorf("the config became %q", got)
	}
}

func TestF33_QuotaReached(t *testing.T) {
	for _, code := range []string{"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"} {
		f := newFake(t)
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == "PUT" {
				refuse(w, 507, code, "no space", "")
			}
			return r.Method == "PUT"
		}
		s, waits := quick(f.open(Options{}), 5)
		data := storagetest.Content(1, 1000)
		h := storagetest.HandleFor(storage.PackFile, data)
		wantOneLine(t, s.Writer().Save(t.Context(), h, storage.NewPayload(data)), storage.ErrNoSpace)
		if waits.Load() != 0 {
			t.Error("a full server was tried again")
		}
		if names := storagetest.Names(t, s, storage.PackFile); len(names) != 0 {
			t.Errorf("visible: %v", names)
		}
	}
}

func TestF34_ReadOnlyKey(t *testing.T) {
	dir := t.TempDir()
	g := storagetest.StartGateway(t, dir)
	s := openAt(t, fmt.Sprintf("http://%s/bucket/app", g.Host), g.Env, Options{})
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	data := storagetest.Content(1, 10_000)
	h := storagetest.Put(t, s, storage.PackFile, data)
	storagetest.Put(t, s, storage.ConfigFile, []byte("config"))

	ro := storagetest.StartGateway(t, dir, "--readonly")
	s, waits := quick(openAt(t, fmt.Sprintf("http://%s/bucket/app", ro.Host), ro.Env, Options{}), 5)
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
	wantOneLine(t, s.Writer().Save(t.Context(), h, storage.NewPayload(data)), storage.ErrDenied)
	wantOneLine(t, s.Remover().Remove(t.Context(), h), storage.ErrDenied)
	if waits.Load() != 0 {
		t.Error("a refusal was tried again")
	}
}
