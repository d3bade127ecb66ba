package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestContractObjectLock(t *testing.T) {
	g := storagetest.StartVersioningGateway(t, t.TempDir(), t.TempDir())
	var n atomic.Int64
	for _, mode := range []LockMode{Governance, Compliance} {
		t.Run(string(mode), func(t *testing.T) {
			storagetest.Contract(t, func(t *testing.T) storage.Store {
				return openAt(t, fmt.Sprintf("http://%s/locked-%d/app", g.Host, n.Add(1)), g.Env, Options{Lock: &ObjectLock{Mode: mode, Days: 1}})
			})
		})
	}
}

// TestF29_ObjectLockForReal: everything but locks is locked as it is written,
// and no version of it can be removed by these credentials.
func TestF29_ObjectLockForReal(t *testing.T) {
	g := storagetest.StartVersioningGateway(t, t.TempDir(), t.TempDir())
	s := openAt(t, fmt.Sprintf("http://%s/bucket/app", g.Host), g.Env, Options{Lock: &ObjectLock{Mode: Compliance, Days: 10}})
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, k := range storage.Kinds() {
		h := storagetest.Put(t, s, k, []byte("locked "+k.String()))
		until, err := s.Retainer().Retained(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		if k == storage.LockFile {
			if !until.IsZero() {
				t.Errorf("a lock of ours is kept until %s", until)
			}
			if err := s.Locker().RemoveLock(t.Context(), h.Name); err != nil {
				t.Error(err)
			}
			continue
		}
		if left := time.Until(until); left < 9*24*time.Hour || left > 11*24*time.Hour {
			t.Errorf("%s: locked for %s, want 10 days", k, left)
		}
		versions := versionsOf(t, g, h)
		if len(versions) != 1 {
			t.Fatalf("%s: %d versions", k, len(versions))
		}
		if err := removeVersion(t, g, h, versions[0]); err == nil {
			t.Errorf("%s: a locked version was removed", k)
		}
		if k == storage.ConfigFile {
			continue
		}
		// What we remove goes out of sight; the version behind it stays.
		if err := s.Remover().Remove(t.Context(), h); err != nil {
			t.Errorf("remove %s: %v", h, err)
		}
		if _, err := s.Reader().Stat(t.Context(), h); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("%s after its removal: %v", k, err)
		}
		if !slices.Contains(versionsOf(t, g, h), versions[0]) {
			t.Errorf("%s: the locked version is gone", k)
		}
	}
}

func TestLocksAreExtendedAndNeverShortened(t *testing.T) {
	g := storagetest.StartVersioningGateway(t, t.TempDir(), t.TempDir())
	now := time.Now().Add(-5 * 24 * time.Hour)
	s, _ := quick(openAt(t, fmt.Sprintf("http://%s/bucket", g.Host), g.Env, Options{Lock: &ObjectLock{Mode: Governance, Days: 10, Now: func() time.Time { return now }}}), 3)
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := storagetest.Put(t, s, storage.PackFile, []byte("a pack"))
	r := s.Retainer()
	for _, c := range []struct{ least, ask, want int }{{3, 3, 5}, {4, 12, 5}, {8, 3, 5}, {6, 12, 12}, {13, 8, 12}} {
		day := func(n int) time.Time { return time.Now().Add(time.Duration(n) * 24 * time.Hour) }
		before, err := r.Retained(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		done, err := r.Extend(t.Context(), h, day(c.least), day(c.ask))
		if err != nil || done != (before.Sub(day(c.want)).Abs() > time.Hour) {
			t.Fatalf("%+v: %t, %v", c, done, err)
		}
		until, err := r.Retained(t.Context(), h)
		if err != nil || until.Sub(day(c.want)).Abs() > time.Hour {
			t.Errorf("asked for %d days: locked until %s, %v; want %d days", c.ask, until, err, c.want)
		}
	}
	if r.Days() != 10 {
		t.Errorf("%d days", r.Days())
	}
	_, err := r.Retained(t.Context(), storagetest.HandleFor(storage.PackFile, []byte("nobody's")))
	if !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	if _, err := r.Extend(t.Context(), storage.Handle{Kind: storage.PackFile, Name: "../x"}, now, now); !errors.Is(err, storage.ErrInvalid) {
		t.Errorf("an invalid name: %v", err)
	}
	if openAt(t, fmt.Sprintf("http://%s/bucket", g.Host), g.Env, Options{}).Retainer() != nil {
		t.Error("without the setting there is nothing to extend")
	}
}

// A server that locks without versions refuses the removal itself.
func TestRemovalRefusedByALock(t *testing.T) {
	g := storagetest.StartGateway(t, t.TempDir())
	s, waits := quick(openAt(t, fmt.Sprintf("http://%s/bucket", g.Host), g.Env, Options{Lock: &ObjectLock{Mode: Governance, Days: 10}}), 5)
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := storagetest.Put(t, s, storage.PackFile, []byte("a pack"))
	storagetest.Put(t, s, storage.PackFile, []byte("a pack")) // again is no error
	wantOneLine(t, s.Remover().Remove(t.Context(), h), storage.ErrRetained, "until ")
	if got := storagetest.Get(t, s, h); string(got) != "a pack" || waits.Load() != 0 {
		t.Errorf("%q, %d waits", got, waits.Load())
	}
}

func TestRefusalOfALockByItsText(t *testing.T) {
	f := newFake(t)
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "DELETE" {
			refuse(w, 403, "AccessDenied", "Access Denied because object protected by object lock.", "")
		}
		return r.Method == "DELETE"
	}
	s, waits := quick(f.open(Options{}), 5)
	h := storagetest.Put(t, s, storage.PackFile, []byte("x"))
	wantOneLine(t, s.Remover().Remove(t.Context(), h), storage.ErrRetained)
	if waits.Load() != 0 {
		t.Error("a lock was tried again")
	}
}

func TestF28_BucketWithoutObjectLock(t *testing.T) {
	g := storagetest.StartGateway(t, t.TempDir())
	spec := fmt.Sprintf("http://%s/bucket", g.Host)
	if err := openAt(t, spec, g.Env, Options{}).Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, spec, g.Env, Options{Lock: &ObjectLock{Mode: Governance, Days: 10, Setting: "RIPPLEBAK_S3_LOCK"}})
	wantOneLine(t, s.Probe(t.Context()), storage.ErrRefused, "bucket bucket", "Object Lock", "RIPPLEBAK_S3_LOCK")

	// Credentials that may not ask are told so once, and go on.
	f := newFake(t)
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("object-lock") {
			refuse(w, 403, "AccessDenied", "Access Denied", "")
		}
		return r.URL.Query().Has("object-lock")
	}
	var said []string
	s = f.open(Options{Lock: &ObjectLock{Mode: Governance, Days: 10}, Log: func(msg string) { said = append(said, msg) }})
	for range 2 {
		if err := s.Probe(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if len(said) != 1 || !strings.Contains(said[0], "GetBucketObjectLockConfiguration") {
		t.Errorf("said %q", said)
	}
}

func client(t *testing.T, g *storagetest.Gateway) *backend {
	t.Helper()
	addr, err := ParseAddress("http://" + g.Host + "/bucket/app")
	if err != nil {
		t.Fatal(err)
	}
	b, err := open(addr, g.Env, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func versionsOf(t *testing.T, g *storagetest.Gateway, h storage.Handle) []string {
	t.Helper()
	b := client(t, g)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out []string
	for o := range b.client.ListObjectsIter(ctx, b.addr.Bucket, minio.ListObjectsOptions{Prefix: b.key(h.Path()), Recursive: true, WithVersions: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if !o.IsDeleteMarker {
			out = append(out, o.VersionID)
		}
	}
	return out
}

func removeVersion(t *testing.T, g *storagetest.Gateway, h storage.Handle, version string) error {
	t.Helper()
	b := client(t, g)
	return b.client.RemoveObject(t.Context(), b.addr.Bucket, b.key(h.Path()), minio.RemoveObjectOptions{VersionID: version})
}
