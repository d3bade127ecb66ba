package rest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/rest"
	"github.com/ripplebak/ripplebak/storage/rest/resttest"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// quick retries without waiting and counts the waits.
func quick(s storage.Store, tries int) (storage.Store, *atomic.Int64) {
	var waits atomic.Int64
	return storage.Retry(s, storage.RetryOptions{Tries: tries, Sleep: func(ctx context.Context, _ time.Duration) error {
		waits.Add(1)
		return ctx.Err()
	}}), &waits
}

func provision(t *testing.T, s storage.Store) storage.Store {
	t.Helper()
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestF24_SourceFailsInMidUpload(t *testing.T) {
	srv := resttest.New(t)
	s, waits := quick(provision(t, openAt(t, srv.URL(), noEnv, rest.Options{})), 5)
	srv.Requests()
	data := storagetest.Content(1, 3<<20)
	h := storagetest.HandleFor(storage.PackFile, data)
	for pass := 1; pass <= 2; pass++ { // when it is proven, and when it is sent
		for _, cause := range []error{io.ErrUnexpectedEOF, io.EOF, errors.New("disk on fire")} {
			p, opened := storage.NewPayload(data), 0
			p.Open = func() (io.ReadSeekCloser, error) {
				opened++
				return &cutSource{ReadSeeker: bytes.NewReader(data), pass: pass, err: cause}, nil
			}
			if err := s.Writer().Save(t.Context(), h, p); !errors.Is(err, storage.ErrSource) {
				t.Errorf("%v, pass %d: got %v, want ErrSource", cause, pass, err)
			}
			if _, ok := srv.File("data/" + h.Name); ok {
				t.Errorf("%v, pass %d: the server has a file", cause, pass)
			}
			if opened != 1 || waits.Load() != 0 {
				t.Errorf("%v, pass %d: opened %d times, %d waits; a broken source must not be tried again", cause, pass, opened, waits.Load())
			}
		}
		if got := srv.Requests(); pass == 1 && len(got) != 0 {
			t.Errorf("sent of a source that was known to be broken: %v", got)
		}
	}
}

// cutSource fails after 2 MiB of a pass over it.
type cutSource struct {
	io.ReadSeeker
	pass, read int
	err        error
}

func (s *cutSource) Read(p []byte) (int, error) {
	if s.pass == 1 && s.read >= 2<<20 {
		return 0, s.err
	}
	n, err := s.ReadSeeker.Read(p[:min(len(p), 64<<10)])
	s.read += n
	return n, err
}

func (s *cutSource) Seek(offset int64, whence int) (int64, error) {
	s.pass--
	s.read = 0
	return s.ReadSeeker.Seek(offset, whence)
}

func (s *cutSource) Close() error { return nil }

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>\nno\n</html>", code) }
}

// operations are each of one request that the server can fail.
func operations(h storage.Handle, data []byte) map[string]func(context.Context, storage.Store) error {
	return map[string]func(context.Context, storage.Store) error{
		"save": func(ctx context.Context, s storage.Store) error {
			return s.Writer().Save(ctx, h, storage.NewPayload(data))
		},
		"load": func(ctx context.Context, s storage.Store) error {
			rc, err := s.Reader().Load(ctx, h, 10, 1000)
			if err != nil {
				return err
			}
			got, err := io.ReadAll(rc)
			if err == nil && !bytes.Equal(got, data[10:1010]) {
				err = errors.New("other bytes")
			}
			return errors.Join(err, rc.Close())
		},
		"stat": func(ctx context.Context, s storage.Store) error {
			_, err := s.Reader().Stat(ctx, h)
			return err
		},
		"list": func(ctx context.Context, s storage.Store) error {
			return s.Reader().List(ctx, storage.PackFile, func(storage.Info) error { return nil })
		},
		"remove": func(ctx context.Context, s storage.Store) error { return s.Remover().Remove(ctx, h) },
	}
}

func TestF25_BoundedRetries(t *testing.T) {
	data := storagetest.Content(5, 100_000)
	h := storagetest.HandleFor(storage.PackFile, data)
	methods := map[string]string{"save": "POST", "load": "GET", "stat": "HEAD", "list": "GET", "remove": "DELETE"}
	for answer, fail := range map[string]func(http.ResponseWriter, *http.Request){
		"500": status(500), "502": status(502), "503": status(503), "429": status(429), "408": status(408),
		"reset": func(w http.ResponseWriter, _ *http.Request) { resttest.Drop(w) },
		"reset in answer": func(w http.ResponseWriter, _ *http.Request) {
			c, buf, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			fmt.Fprint(buf, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000\r\n\r\nbusy")
			_ = buf.Flush()
			c.Close()
		},
	} {
		for op, do := range operations(h, data) {
			if answer == "reset in answer" && op == "stat" {
				continue // the answer to a HEAD has no body
			}
			t.Run(answer+"/"+op, func(t *testing.T) {
				t.Parallel()
				srv := resttest.New(t)
				srv.Replaces = true
				srv.Put("data/"+h.Name, data)
				var bad, seen atomic.Int64
				srv.Before = func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method != methods[op] {
						return false // what a save looks at afterwards
					}
					seen.Add(1)
					if bad.Add(-1) < 0 {
						return false
					}
					_, _ = io.Copy(io.Discard, r.Body)
					fail(w, r)
					return true
				}
				s, waits := quick(openAt(t, srv.URL(), noEnv, rest.Options{}), 3)
				bad.Store(2)
				if err := do(t.Context(), s); err != nil {
					t.Errorf("two failures, then fine: %v", err)
				}
				// A save's reading back is one more GET, a load none.
				if seen.Load() != 3 || waits.Load() != 2 {
					t.Errorf("%d requests and %d waits, want 3 and 2", seen.Load(), waits.Load())
				}
				// net/http itself repeats a GET once where a kept connection
				// turns out to be dead; without one, the bound is exact.
				srv.HTTP().CloseClientConnections()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				seen.Store(0)
				bad.Store(1000)
				if err := do(t.Context(), s); err == nil || strings.Contains(err.Error(), "\n") {
					t.Errorf("failing for ever: got %q, want an error of one line", err)
				}
				if seen.Load() != 3 {
					t.Errorf("gave up after %d requests, want 3", seen.Load())
				}
			})
		}
	}
}

func TestF25_ResponseLostAfterStoring(t *testing.T) {
	for name, replaces := range map[string]bool{"rest-server": false, "rclone": true} {
		t.Run(name, func(t *testing.T) {
			srv := resttest.New(t)
			srv.Replaces = replaces
			var lose atomic.Bool
			srv.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != "POST" || !lose.CompareAndSwap(true, false) {
					return false
				}
				data, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				srv.Put(strings.TrimPrefix(r.URL.Path, "/repo/"), data)
				resttest.Drop(w)
				return true
			}
			s, _ := quick(provision(t, openAt(t, srv.URL(), noEnv, rest.Options{})), 3)
			for _, k := range []storage.Kind{storage.PackFile, storage.SnapshotFile, storage.LockFile, storage.ConfigFile} {
				lose.Store(true)
				data := storagetest.Content(uint64(k), 5000)
				h := storagetest.Put(t, s, k, data)
				if lose.Load() {
					t.Errorf("%s: the fault was not hit", k)
				}
				if got := storagetest.Get(t, s, h); !bytes.Equal(got, data) {
					t.Errorf("%s: other content", k)
				}
				if names := storagetest.Names(t, s, k); len(names) != 1 {
					t.Errorf("%s: %d files, want 1", k, len(names))
				}
			}
			// A response that is lost is no excuse where somebody else was first.
			srv.Put("config", []byte("somebody else's"))
			err := s.Writer().Create(t.Context(), storage.Handle{Kind: storage.ConfigFile}, storage.NewPayload([]byte("mine")))
			if !errors.Is(err, storage.ErrExist) {
				t.Errorf("create: %v, want ErrExist", err)
			}
		})
	}
}

const shortStall = 300 * time.Millisecond

func TestF25_OneByteASecond(t *testing.T) {
	srv := resttest.New(t)
	// A server that does not read a body does not see the client go either.
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	var hits atomic.Int64
	srv.Before = func(w http.ResponseWriter, r *http.Request) bool {
		hits.Add(1)
		switch r.Method {
		case "GET":
			w.Header().Set("Content-Length", "1000000")
			w.Header().Set("Content-Type", "application/vnd.x.restic.rest.v2")
			for first := "["; ; first = " " {
				if _, err := io.WriteString(w, first); err != nil {
					return true
				}
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return true
				case <-time.After(shortStall / 10):
				}
			}
		case "POST": // reads a little of the body, then no more
			_, _ = io.ReadFull(r.Body, make([]byte, 100))
		}
		<-over
		return true
	}
	data := storagetest.Content(1, 16<<20)
	h := storagetest.HandleFor(storage.PackFile, data)
	s := openAt(t, srv.URL(), noEnv, rest.Options{StallTimeout: shortStall})
	for name, do := range operations(h, data) {
		hits.Store(0)
		start := time.Now()
		err := do(t.Context(), s)
		if !errors.Is(err, storage.ErrStalled) || !storage.Retryable(err) {
			t.Errorf("%s: %v, want ErrStalled", name, err)
		}
		if took := time.Since(start); took < shortStall/2 || took > 20*shortStall {
			t.Errorf("%s: gave up after %s, the stall time is %s", name, took, shortStall)
		}
		if hits.Load() != 1 {
			t.Errorf("%s: %d requests, want 1", name, hits.Load())
		}
	}
}

func TestF27_ServerKeepsFewerOrOtherBytes(t *testing.T) {
	for name, kept := range map[string]func([]byte) []byte{
		"fewer": func(d []byte) []byte { return d[:len(d)-1] },
		"none":  func([]byte) []byte { return nil },
		"other": func(d []byte) []byte { d[7]++; return d },
	} {
		for _, k := range []storage.Kind{storage.PackFile, storage.SnapshotFile, storage.IndexFile, storage.KeyFile} {
			t.Run(name+"/"+k.String(), func(t *testing.T) {
				data := storagetest.Content(2, 50_000)
				h, p := storagetest.HandleFor(k, data), storage.NewPayload(data)
				srv := resttest.New(t)
				srv.Replaces, srv.Unverified, srv.Kept = true, true, kept
				s, waits := quick(provision(t, openAt(t, srv.URL(), noEnv, rest.Options{})), 3)
				if err := s.Writer().Save(t.Context(), h, p); !errors.Is(err, storage.ErrMismatch) || waits.Load() != 2 {
					t.Errorf("save: %v after %d waits, want ErrMismatch after 2", err, waits.Load())
				}
				srv.Kept = nil
				if err := s.Writer().Save(t.Context(), h, p); err != nil {
					t.Errorf("save after the server got well: %v", err)
				}
				if got := storagetest.Get(t, s, h); !bytes.Equal(got, data) {
					t.Error("the bad file was not replaced")
				}
			})
		}
	}
	t.Run("later packs", func(t *testing.T) {
		srv := resttest.New(t)
		srv.Unverified = true
		s := provision(t, openAt(t, srv.URL(), noEnv, rest.Options{}))
		failed := 0
		for i := range 40 {
			if i == 1 { // the first was read back
				srv.Kept = func(d []byte) []byte { d[0]++; return d }
			}
			data := storagetest.Content(uint64(i), 1000)
			err := s.Writer().Save(t.Context(), storagetest.HandleFor(storage.PackFile, data), storage.NewPayload(data))
			if errors.Is(err, storage.ErrMismatch) {
				failed++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		// The 33rd is read back and found; from then on each one is.
		if failed != 8 {
			t.Errorf("%d of 40 packs were found to be damaged, want the last 8", failed)
		}
		srv.Kept = func(d []byte) []byte { return d[1:] }
		data := storagetest.Content(99, 1000)
		if err := s.Writer().Save(t.Context(), storagetest.HandleFor(storage.PackFile, data), storage.NewPayload(data)); !errors.Is(err, storage.ErrMismatch) {
			t.Errorf("size: %v, want ErrMismatch", err)
		}
	})
	t.Run("damaged and not replaceable", func(t *testing.T) {
		data := storagetest.Content(2, 50_000)
		h := storagetest.HandleFor(storage.PackFile, data)
		srv := resttest.New(t)
		srv.Put("data/"+h.Name, data[:40_000])
		s, waits := quick(openAt(t, srv.URL(), noEnv, rest.Options{}), 3)
		wantOneLine(t, s.Writer().Save(t.Context(), h, storage.NewPayload(data)), storage.ErrDenied, "damaged", "remove it")
		_, err := s.Reader().Load(t.Context(), h, 30_000, 20_000)
		if !errors.Is(err, storage.ErrShort) || !errors.Is(err, storage.ErrTruncated) || waits.Load() != 0 {
			t.Errorf("load: %v after %d waits, want ErrShort at once", err, waits.Load())
		}
	})
}

func TestF27_AnswerBreaksOff(t *testing.T) {
	srv := resttest.New(t)
	data := storagetest.Content(4, 200_000)
	h := storagetest.HandleFor(storage.PackFile, data)
	srv.Put("data/"+h.Name, data)
	var cuts atomic.Int64
	srv.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != "GET" || cuts.Add(-1) < 0 {
			return false
		}
		var from int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil {
			t.Errorf("range %q", r.Header.Get("Range"))
		}
		c, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return true
		}
		fmt.Fprintf(buf, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-199999/200000\r\nContent-Length: %d\r\n\r\n", from, 200_000-from)
		_, _ = buf.Write(data[from : from+30_000])
		_ = buf.Flush()
		c.Close()
		return true
	}
	plain := openAt(t, srv.URL(), noEnv, rest.Options{})
	cuts.Store(1)
	rc, err := plain.Reader().Load(t.Context(), h, 1, 199_999)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(rc)
	if !errors.Is(err, storage.ErrShort) || len(got) != 30_000 {
		t.Errorf("%d bytes, %v; want 30000 and ErrShort", len(got), err)
	}
	rc.Close()

	cuts.Store(3)
	s, waits := quick(plain, 4)
	rc, err = s.Reader().Load(t.Context(), h, 1, 199_999)
	if err != nil {
		t.Fatal(err)
	}
	if got, err = io.ReadAll(rc); err != nil || !bytes.Equal(got, data[1:]) {
		t.Errorf("with retries: %d bytes, %v", len(got), err)
	}
	if waits.Load() != 3 {
		t.Errorf("%d waits, want 3", waits.Load())
	}
	if err := rc.Close(); err != nil {
		t.Error(err)
	}
}

func TestF33_NoSpace(t *testing.T) {
	for _, code := range []int{http.StatusInsufficientStorage, http.StatusRequestEntityTooLarge} {
		srv := resttest.New(t)
		s, waits := quick(provision(t, openAt(t, srv.URL(), noEnv, rest.Options{})), 5)
		srv.Before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == "POST" {
				status(code)(w, r)
			}
			return r.Method == "POST"
		}
		data := storagetest.Content(1, 1000)
		wantOneLine(t, s.Writer().Save(t.Context(), storagetest.HandleFor(storage.PackFile, data), storage.NewPayload(data)), storage.ErrNoSpace)
		if names := storagetest.Names(t, s, storage.PackFile); len(names) != 0 || waits.Load() != 0 {
			t.Errorf("visible: %v; %d waits", names, waits.Load())
		}
	}
}
