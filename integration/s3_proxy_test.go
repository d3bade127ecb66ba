package integration

import (
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// s3Proxy stands between the sidecar and the S3 server, and injects faults
// into the requests that they are meant for.
type s3Proxy struct {
	t       *testing.T
	host    string // 127.0.0.1:PORT
	forward http.Handler
	server  *http.Server

	mu     sync.Mutex
	faults []*s3Fault
}

// s3Fault is one fault. A fault that never hit anything fails its test.
type s3Fault struct {
	name string
	// method and part choose requests: part is in the path.
	method, part string
	// times is how often it hits; 0: always.
	times int
	act   func(w http.ResponseWriter, r *http.Request, forward http.Handler)
	hits  int
}

// newS3Proxy starts a proxy on loopback, until the test ends.
func newS3Proxy(t *testing.T, g *storagetest.Gateway) *s3Proxy {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	p := &s3Proxy{t: t, forward: &httputil.ReverseProxy{
		// The host stays as the client wrote it, because it is signed.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", g.Host, r.In.Host
		},
		Transport:    transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
	p.listen("127.0.0.1:0")
	t.Cleanup(func() {
		p.close()
		transport.CloseIdleConnections()
	})
	return p
}

func (p *s3Proxy) listen(address string) {
	p.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.host = l.Addr().String()
	server := &http.Server{Handler: p}
	p.server = server
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.t.Errorf("the proxy ended: %v", err)
		}
	}()
}

// close ends the server, and every connection to it.
func (p *s3Proxy) close() { _ = p.server.Close() }

// inject arms faults until the returned function, which fails the test for
// those that hit nothing.
func (p *s3Proxy) inject(t *testing.T, faults ...*s3Fault) (done func()) {
	t.Helper()
	p.mu.Lock()
	p.faults = faults
	p.mu.Unlock()
	return func() {
		t.Helper()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, f := range p.faults {
			if f.hits == 0 {
				t.Errorf("the fault %q was never hit", f.name)
			}
		}
		p.faults = nil
	}
}

func (p *s3Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := p.choose(r); f != nil {
		f.act(w, r, p.forward)
		return
	}
	p.forward.ServeHTTP(w, r)
}

func (p *s3Proxy) choose(r *http.Request) *s3Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		matches := (f.method == "" || strings.Contains(f.method, r.Method)) && strings.Contains(r.URL.Path, f.part)
		if matches && (f.times == 0 || f.hits < f.times) {
			f.hits++
			return f
		}
	}
	return nil
}

// reset breaks the connection off.
func reset(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// What a server can do wrong.

// resetsMidway reads some of a request and breaks off.
func resetsMidway(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.CopyN(io.Discard, r.Body, 64<<10)
	reset(w)
}

// says answers with an error of S3.
func says(status int, code, message string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>`+code+`</Code><Message>`+message+`</Message></Error>`)
	}
}

// stalls takes the request and says nothing, until the client gives up.
func stalls(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// losesResponse carries the request out, and breaks off instead of answering.
func losesResponse(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	forward.ServeHTTP(&discarded{header: http.Header{}}, r)
	reset(w)
}

// dripsDown answers with a byte a second, until the client gives up.
func dripsDown(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	w.Header().Set("Content-Length", "155")
	w.WriteHeader(http.StatusOK)
	everySecond(r, func() bool {
		_, err := w.Write([]byte{0})
		w.(http.Flusher).Flush()
		return err == nil
	})
}

// dripsUp reads a byte a second of the request, until the client gives up.
func dripsUp(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	one := make([]byte, 1)
	everySecond(r, func() bool {
		_, err := io.ReadFull(r.Body, one)
		return err == nil
	})
}

func everySecond(r *http.Request, do func() bool) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			if !do() {
				return
			}
		}
	}
}

// keepsLess stores the object and then loses its second half, and says so no
// more than a server does whose ETag is that of what it has.
func keepsLess(g *storagetest.Gateway) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		forward.ServeHTTP(&discarded{header: http.Header{}}, r)
		file := filepath.Join(g.Dir, filepath.FromSlash(r.URL.Path))
		content, err := os.ReadFile(file)
		if err == nil {
			content = content[:len(content)/2]
			err = os.Truncate(file, int64(len(content)))
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", md5.Sum(content))))
		w.WriteHeader(http.StatusOK)
	}
}

// discarded is a response that nobody gets.
type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(int)             {}
