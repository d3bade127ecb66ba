package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestF32_HundredThousandObjects(t *testing.T) {
	f := newFake(t)
	const n = 100_000
	for i := range n {
		sum := sha256.Sum256(fmt.Append(nil, i))
		h := storage.Handle{Kind: storage.PackFile, Name: hex.EncodeToString(sum[:])}
		f.objects["pre/"+h.Path()] = make([]byte, i%3)
	}
	good := storagetest.HandleFor(storage.PackFile, []byte("good")).Path()
	for _, foreign := range []string{
		"data/", "data/readme.txt", "data/zz/x", good[:len(good)-1], good + ".tmp", "data/" + good[len("data/xx/"):],
		"data/00/" + good[len("data/xx/"):], "data/" + good, "x" + good,
	} {
		f.objects["pre/"+foreign] = nil
	}
	for name, c := range map[string]struct {
		pages    func(keys []string) [][]string
		requests int
	}{
		"in order": {nil, 101},
		"repeated": {func(keys []string) [][]string {
			var out [][]string
			for page := range slices.Chunk(keys, 1000) {
				out = append(out, page, page)
			}
			return out
		}, 202},
		"reordered": {func(keys []string) [][]string {
			out := slices.Collect(slices.Chunk(keys, 1000))
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
			return out
		}, 101},
		"overlapping and empty": {func(keys []string) [][]string {
			out := [][]string{nil, nil}
			for i := 0; i < len(keys); i += 900 {
				out = append(out, keys[i:min(i+1000, len(keys))], nil)
			}
			return out
		}, 2 + 2*112},
	} {
		t.Run(name, func(t *testing.T) {
			f.pages = c.pages
			f.seen()
			names := storagetest.Names(t, f.open(Options{}), storage.PackFile)
			if len(names) != n || len(slices.Compact(names)) != n {
				t.Errorf("%d names, want %d, each once", len(names), n)
			}
			if got := len(f.seen()); got != c.requests {
				t.Errorf("%d requests, want %d", got, c.requests)
			}
		})
	}
}

func TestF32_ListingInCircles(t *testing.T) {
	f := newFake(t)
	h := storagetest.HandleFor(storage.PackFile, nil)
	for name, token := range map[string]func(n int) string{
		"same page":   func(int) string { return "1" },
		"two pages":   func(n int) string { return fmt.Sprint(n % 2) },
		"always news": func(n int) string { return fmt.Sprint(n) },
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			f.before = func(w http.ResponseWriter, r *http.Request) bool {
				n++
				fmt.Fprintf(w, `<ListBucketResult><Contents><Key>pre/%s</Key><Size>1</Size></Contents><IsTruncated>true</IsTruncated>`+
					`<NextContinuationToken>%s</NextContinuationToken></ListBucketResult>`, h.Path(), token(n))
				return true
			}
			s, waits := quick(f.open(Options{}), 3)
			calls := 0
			err := s.Reader().List(t.Context(), storage.PackFile, func(storage.Info) error { calls++; return nil })
			if !errors.Is(err, storage.ErrRefused) || waits.Load() != 0 {
				t.Errorf("got %v, want ErrRefused at once", err)
			}
			if calls != 1 || n > maxIdlePages+10 {
				t.Errorf("%d names and %d requests", calls, n)
			}
		})
	}
}

// A listing that breaks on a later page goes on without repeating names.
func TestF25_ListBreaksBetweenPages(t *testing.T) {
	f := newFake(t)
	for i := range 5000 {
		f.objects["pre/"+storagetest.HandleFor(storage.IndexFile, fmt.Append(nil, i)).Path()] = nil
	}
	requests := 0
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		requests++
		if requests%4 != 0 {
			return false
		}
		refuse(w, 503, "SlowDown", "slow down", "")
		return true
	}
	s, waits := quick(f.open(Options{}), 2)
	calls := 0
	err := s.Reader().List(t.Context(), storage.IndexFile, func(storage.Info) error { calls++; return nil })
	if waits.Load() == 0 {
		t.Error("the fault was not hit")
	}
	// Pages 1 to 3 come, the fourth never does: it gives up, and has repeated
	// nothing.
	if err == nil || calls != 3000 {
		t.Errorf("%d names, %v; want the 3000 that came, and an error", calls, err)
	}
}

func TestF31_NothingCrossesOver(t *testing.T) {
	g := storagetest.StartGateway(t, t.TempDir())
	at := func(prefix string) storage.Store {
		s := openAt(t, fmt.Sprintf("http://%s/bucket/%s", g.Host, prefix), g.Env, Options{})
		if err := s.Writer().Provision(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	stores := map[string]storage.Store{}
	for _, prefix := range []string{"", "app", "app2", "app/app", "ap", "Ünïcode €", "a%2e%2eb", "a+b c&d=e"} {
		stores[prefix] = at(url.PathEscape(prefix))
	}
	for prefix, s := range stores {
		storagetest.Put(t, s, storage.SnapshotFile, []byte(prefix))
		storagetest.Put(t, s, storage.LockFile, []byte(prefix))
	}
	for prefix, s := range stores {
		for _, k := range []storage.Kind{storage.SnapshotFile, storage.LockFile} {
			if names := storagetest.Names(t, s, k); !slices.Equal(names, []string{storagetest.HandleFor(k, []byte(prefix)).Name}) {
				t.Errorf("%q lists %s %v", prefix, k, names)
			}
		}
		for other := range stores {
			if other != prefix {
				if err := s.Remover().Remove(t.Context(), storagetest.HandleFor(storage.SnapshotFile, []byte(other))); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for prefix, s := range stores {
		if names := storagetest.Names(t, s, storage.SnapshotFile); len(names) != 1 {
			t.Errorf("%q lost its snapshot to another's remove", prefix)
		}
	}
	// Slashes at the end and doubled ones lead to the same place.
	if names := storagetest.Names(t, at("app//"), storage.SnapshotFile); len(names) != 1 {
		t.Errorf("app// lists %v", names)
	}
}
