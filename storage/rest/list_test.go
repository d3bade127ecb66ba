package rest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/rest"
	"github.com/ripplebak/ripplebak/storage/rest/resttest"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestF32_HundredThousandFiles(t *testing.T) {
	srv := resttest.New(t)
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	for i := range n {
		sum := sha256.Sum256(fmt.Append(nil, i))
		srv.Put("data/"+hex.EncodeToString(sum[:]), make([]byte, i%3))
	}
	for name, listed := range map[string]func([]string) []string{
		"in order": nil,
		"repeated": func(names []string) []string { return append(names, names...) },
		"reordered": func(names []string) []string {
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			return names
		},
		"foreign": func(names []string) []string {
			return append([]string{"", "..", "readme.txt", "../config", names[0][:63], names[0] + ".rest-server-temp1", strings.ToUpper(names[1])}, names...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv.Listed = listed
			srv.Requests()
			names := storagetest.Names(t, openAt(t, srv.URL(), noEnv, rest.Options{}), storage.PackFile)
			if len(names) != n || len(slices.Compact(names)) != n {
				t.Errorf("%d names, want %d, each once", len(names), n)
			}
			if got := srv.Requests(); len(got) != 1 {
				t.Errorf("%d requests, want 1", len(got))
			}
		})
	}
}

// A listing that is cut is never taken for a short one.
func TestListingIsWholeOrAnError(t *testing.T) {
	name := strings.Repeat("ab", 32)
	one := `{"name":"` + name + `","size":5}`
	for what, c := range map[string]struct {
		body string
		want error // nil: it is fine
		n    int
	}{
		"empty":          {"[]", nil, 0},
		"null":           {"null\n", nil, 0},
		"one":            {"[" + one + "]\n", nil, 1},
		"cut in the end": {"[" + one, storage.ErrShort, 1},
		"cut after a ,":  {"[" + one + ",", storage.ErrShort, 1},
		"cut in an item": {"[" + one[:20], storage.ErrShort, 0},
		"nothing":        {"", storage.ErrShort, 0},
		"two":            {"[" + one + "][]", storage.ErrRefused, 1},
		"no size":        {`[{"name":"` + name + `"}]`, storage.ErrRefused, 0},
		"negative":       {`[{"name":"` + name + `","size":-1}]`, storage.ErrRefused, 0},
		"an object":      {`{"name":"x"}`, storage.ErrRefused, 0},
		"numbers":        {`[1,2]`, storage.ErrRefused, 0},
	} {
		t.Run(what, func(t *testing.T) {
			srv := resttest.New(t)
			srv.Before = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", "application/vnd.x.restic.rest.v2")
				_, _ = io.WriteString(w, c.body)
				return true
			}
			n := 0
			err := openAt(t, srv.URL(), noEnv, rest.Options{}).Reader().List(t.Context(), storage.PackFile, func(i storage.Info) error {
				n++
				if i.Size != 5 {
					t.Errorf("size %d", i.Size)
				}
				return nil
			})
			if !errors.Is(err, c.want) || c.want == nil && err != nil || n != c.n {
				t.Errorf("%d names, %v; want %d and %v", n, err, c.n, c.want)
			}
			if storage.Retryable(err) != (c.want == storage.ErrShort) {
				t.Errorf("%v: a cut listing may be whole the next time, another cannot", err)
			}
		})
	}
}

// A folder that is missing in a repository that is there is an empty one.
func TestFolderThatIsMissing(t *testing.T) {
	srv := resttest.New(t)
	s := provision(t, openAt(t, srv.URL(), noEnv, rest.Options{}))
	srv.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/locks/") {
			status(404)(w, r)
			return true
		}
		return false
	}
	err := s.Reader().List(t.Context(), storage.LockFile, func(storage.Info) error { return nil })
	if !errors.Is(err, storage.ErrNoBucket) {
		t.Errorf("without a config: %v, want ErrNoBucket", err)
	}
	storagetest.Put(t, s, storage.ConfigFile, []byte("config"))
	if names := storagetest.Names(t, s, storage.LockFile); len(names) != 0 {
		t.Errorf("lists %v", names)
	}
}
