package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

// fake is as much of an S3 server as the storage needs, for one bucket, with
// places to make it behave badly.
type fake struct {
	t      *testing.T
	server *httptest.Server

	// before, where set, may answer a request itself and return true.
	before func(w http.ResponseWriter, r *http.Request) bool
	// kept, where set, changes what a PUT stores; etag what it answers.
	kept func([]byte) []byte
	etag func(stored []byte) string

	checksums  bool // answer with the checksum header, as modern servers do
	needsMD5   bool // PUTs without Content-MD5 are refused, as old servers with Object Lock do
	needsSum   bool // PUTs without any checksum are refused
	refusesSum bool // the checksum header is refused
	noCond     bool // If-None-Match is answered by 501
	deafCond   bool // If-None-Match is ignored
	noRange    bool // ranges are ignored
	noBucket   bool
	// pages, where set, replaces the pages of a listing.
	pages func(keys []string) [][]string

	mu       sync.Mutex
	objects  map[string][]byte
	requests []string   // METHOD KEY
	current  [][]string // pages of the listing that was begun last
	puts     int        // that stored something
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, objects: map[string][]byte{}, checksums: true}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *fake) env(name string) string {
	return map[string]string{"AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "s3cr3t-value", "AWS_REGION": "us-east-1"}[name]
}

func (f *fake) open(opt Options) storage.Store {
	return openAt(f.t, f.server.URL+"/bucket/pre", f.env, opt)
}

// seen returns the requests so far and forgets them.
func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.requests
	f.requests = nil
	return out
}

func (f *fake) object(path string) ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, ok := f.objects["pre/"+path]
	return data, ok
}

func refuse(w http.ResponseWriter, status int, code, message, region string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message><Region>%s</Region></Error>", code, message, region)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, _ := strings.CutPrefix(r.URL.Path, "/bucket")
	key = strings.TrimPrefix(key, "/")
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+key)
	f.mu.Unlock()
	if f.before != nil && f.before(w, r) {
		return
	}
	switch {
	case r.Header.Get("Authorization") == "":
		refuse(w, 403, "AccessDenied", "not signed", "")
	case f.noBucket && !(r.Method == "PUT" && key == ""):
		refuse(w, 404, "NoSuchBucket", "The bucket does not exist", "")
	case key == "" && r.Method == "PUT":
		f.noBucket = false
	case key == "" && r.Method == "GET":
		f.list(w, r.URL.Query())
	case r.Method == "PUT":
		f.put(w, r, key)
	case r.Method == "GET" || r.Method == "HEAD":
		f.get(w, r, key)
	case r.Method == "DELETE":
		f.mu.Lock()
		delete(f.objects, key)
		f.mu.Unlock()
		w.WriteHeader(204)
	default:
		refuse(w, 405, "MethodNotAllowed", r.Method, "")
	}
}

func (f *fake) put(w http.ResponseWriter, r *http.Request, key string) {
	data, err := io.ReadAll(r.Body)
	if err != nil || int64(len(data)) != r.ContentLength {
		refuse(w, 400, "IncompleteBody", "fewer bytes than announced", "")
		return
	}
	sha, md := sha256.Sum256(data), md5.Sum(data)
	sum, md5sum := r.Header.Get("X-Amz-Checksum-Sha256"), r.Header.Get("Content-Md5")
	cond := r.Header.Get("If-None-Match") == "*"
	f.mu.Lock()
	defer f.mu.Unlock()
	_, exists := f.objects[key]
	switch {
	case r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sha[:]):
		refuse(w, 400, "XAmzContentSHA256Mismatch", "the content is not what its hash says", "")
	case f.refusesSum && sum != "":
		refuse(w, 400, "InvalidArgument", "Unsupported header 'x-amz-checksum-sha256'", "")
	case f.needsMD5 && md5sum == "":
		refuse(w, 400, "InvalidRequest", "Content-MD5 HTTP header is required for Put Object requests with Object Lock parameters", "")
	case f.needsSum && md5sum == "" && sum == "":
		refuse(w, 400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters", "")
	case sum != "" && sum != base64.StdEncoding.EncodeToString(sha[:]), md5sum != "" && md5sum != base64.StdEncoding.EncodeToString(md[:]):
		refuse(w, 400, "BadDigest", "the checksum does not match", "")
	case f.noCond && cond:
		refuse(w, 501, "NotImplemented", "A header you provided implies functionality that is not implemented", "")
	case cond && exists && !f.deafCond:
		refuse(w, 412, "PreconditionFailed", "it exists", "")
	default:
		stored := data
		if f.kept != nil {
			stored = f.kept(bytes.Clone(data))
		}
		f.objects[key] = stored
		f.puts++
		etag := fmt.Sprintf("%x", md5.Sum(stored))
		if f.etag != nil {
			etag = f.etag(stored)
		}
		w.Header().Set("ETag", `"`+etag+`"`)
		if f.checksums && sum != "" {
			w.Header().Set("X-Amz-Checksum-Sha256", sum)
		}
	}
}

func (f *fake) get(w http.ResponseWriter, r *http.Request, key string) {
	f.mu.Lock()
	data, ok := f.objects[key]
	f.mu.Unlock()
	if !ok {
		refuse(w, 404, "NoSuchKey", "The specified key does not exist", "")
		return
	}
	w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
	w.Header().Set("ETag", `"x"`)
	if f.noRange {
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		_, _ = w.Write(data)
		return
	}
	http.ServeContent(w, r, "", time.Unix(1136214245, 0), bytes.NewReader(data))
}

func (f *fake) list(w http.ResponseWriter, q url.Values) {
	if q.Has("location") {
		fmt.Fprint(w, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">us-east-1</LocationConstraint>`)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !q.Has("continuation-token") {
		f.startListing(q.Get("prefix"))
	}
	pages, n := f.current, 0
	if token := q.Get("continuation-token"); token != "" {
		n, _ = strconv.Atoi(token)
	}
	fmt.Fprint(w, `<ListBucketResult><EncodingType>url</EncodingType>`)
	if n < len(pages) {
		for _, k := range pages[n] {
			fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size><LastModified>%s</LastModified></Contents>", url.QueryEscape(k), len(f.objects[k]), time.Now().UTC().Format(time.RFC3339))
		}
	}
	more := n+1 < len(pages)
	fmt.Fprintf(w, "<IsTruncated>%t</IsTruncated>", more)
	if more {
		fmt.Fprintf(w, "<NextContinuationToken>%d</NextContinuationToken>", n+1)
	}
	fmt.Fprint(w, "</ListBucketResult>")
}

func (f *fake) startListing(prefix string) {
	var keys []string
	for k := range f.objects {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	f.current = slices.Collect(slices.Chunk(keys, 1000))
	if f.pages != nil {
		f.current = f.pages(keys)
	}
}

// drop cuts the connection without an answer.
func drop(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	c.Close()
}

// newTLS serves f by TLS too, with a certificate that nobody knows.
func newTLS(t *testing.T, f *fake) *httptest.Server {
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are the case
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// dialTo ignores where a connection shall lead.
func dialTo(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
}
