package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

const shortStall = 300 * time.Millisecond

// trickle sends a byte now and then until the client goes.
func trickle(w http.ResponseWriter, r *http.Request, size int) {
	w.Header().Set("Content-Length", fmt.Sprint(size))
	w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
	w.WriteHeader(200)
	for range size {
		if _, err := w.Write([]byte{'x'}); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(shortStall / 10):
		}
	}
}

func TestF25_OneByteASecond(t *testing.T) {
	f := newFake(t)
	var hits atomic.Int64
	// A server that does not read a body does not see the client go either.
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		hits.Add(1)
		switch r.Method {
		case "GET":
			trickle(w, r, 1<<20)
		case "PUT": // reads a little of the body, then no more
			_, _ = io.ReadFull(r.Body, make([]byte, 100))
			<-over
		default: // takes the request and is silent
			<-over
		}
		return true
	}
	s := f.open(Options{StallTimeout: shortStall})
	data := storagetest.Content(1, 64<<20)
	h := storagetest.HandleFor(storage.PackFile, data)
	for name, do := range map[string]func() error{
		"save": func() error { return s.Writer().Save(t.Context(), h, storage.NewPayload(data)) },
		"stat": func() error { _, err := s.Reader().Stat(t.Context(), h); return err },
		"load": func() error {
			rc, err := s.Reader().Load(t.Context(), h, 0, 0)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, rc)
			return errors.Join(err, rc.Close())
		},
		"list": func() error {
			return s.Reader().List(t.Context(), storage.PackFile, func(storage.Info) error { return nil })
		},
		"remove": func() error { return s.Remover().Remove(t.Context(), h) },
	} {
		hits.Store(0)
		start := time.Now()
		err := do()
		if !errors.Is(err, storage.ErrStalled) {
			t.Errorf("%s: %v, want ErrStalled", name, err)
		}
		if took := time.Since(start); took < shortStall/2 || took > 20*shortStall {
			t.Errorf("%s: gave up after %s, the stall time is %s", name, took, shortStall)
		}
		if hits.Load() != 1 {
			t.Errorf("%s: %d requests, want 1", name, hits.Load())
		}
		if !storage.Retryable(err) {
			t.Errorf("%s: a stall must be tried again", name)
		}
	}
}

// A transfer that moves is not ended, however long it takes as a whole; nor is
// one whose reader takes its time.
func TestSlowIsNotStalled(t *testing.T) {
	f := newFake(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 16<<10) // 256 KiB
	h := storagetest.HandleFor(storage.PackFile, data)
	f.objects["pre/"+h.Path()] = data
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != "GET" {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		for part := data; len(part) > 0; part = part[32<<10:] {
			_, _ = w.Write(part[:32<<10])
			w.(http.Flusher).Flush()
			time.Sleep(shortStall / 3) // the slowness is the case, not a wait for something
		}
		return true
	}
	s := f.open(Options{StallTimeout: shortStall})
	start := time.Now()
	if got := storagetest.Get(t, s, h); !bytes.Equal(got, data) {
		t.Error("other content")
	}
	if time.Since(start) < 2*shortStall {
		t.Error("the server was not slow enough to show anything")
	}
	f.before = nil
	rc, err := s.Reader().Load(t.Context(), h, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for range 2 {
		time.Sleep(shortStall * 3 / 2) // likewise
		if _, err := io.CopyN(&got, rc, 1000); err != nil {
			t.Fatalf("a slow reader was taken for a stalled server: %v", err)
		}
	}
	if _, err := io.Copy(&got, rc); err != nil || got.String() != string(data) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	if err := rc.Close(); err != nil {
		t.Error(err)
	}
}
