package s3

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
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
	if strings.Contains(err.Error(), "s3cr3t-value") {
		t.Errorf("carries the secret: %q", err)
	}
	if errors.Is(err, storage.ErrNotExist) && !errors.Is(err, storage.ErrNoBucket) {
		t.Errorf("%q counts as absence", err)
	}
}

func TestF28_ProbeNamesTheFault(t *testing.T) {
	answer := func(status int, code, message, region string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { refuse(w, status, code, message, region) }
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		kind   error
		says   []string
	}{
		"bucket missing": {answer(404, "NoSuchBucket", "The specified bucket does not exist", ""), storage.ErrNoBucket, []string{"bucket bucket"}},
		"wrong region":   {answer(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-central-1'", "eu-central-1"), storage.ErrRegion, []string{"eu-central-1", "not in us-east-1", "AWS_REGION"}},
		"redirected":     {answer(301, "PermanentRedirect", "use the endpoint", "eu-west-3"), storage.ErrRegion, []string{"AWS_REGION=eu-west-3"}},
		"403":            {answer(403, "AccessDenied", "Access Denied", ""), storage.ErrDenied, []string{"Access Denied"}},
		"403 of a proxy": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>\nno\n</html>", http.StatusForbidden)
		}, storage.ErrDenied, nil},
		"401":           {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who are you", http.StatusUnauthorized) }, storage.ErrDenied, nil},
		"unknown key":   {answer(403, "InvalidAccessKeyId", "The key you provided does not exist in our records", ""), storage.ErrDenied, []string{"AWS_ACCESS_KEY_ID"}},
		"wrong secret":  {answer(403, "SignatureDoesNotMatch", "The request signature does not match", ""), storage.ErrDenied, []string{"AWS_SECRET_ACCESS_KEY"}},
		"expired token": {answer(400, "ExpiredToken", "The provided token has expired", ""), storage.ErrExpired, []string{"AWS_SESSION_TOKEN"}},
		"clock ahead": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-20*time.Minute).UTC().Format(http.TimeFormat))
			refuse(w, 403, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large", "")
		}, storage.ErrClockSkew, []string{"ahead", "NTP"}},
		"clock behind": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(20*time.Minute).UTC().Format(http.TimeFormat))
			refuse(w, 403, "RequestTimeTooSkewed", "too large", "")
		}, storage.ErrClockSkew, []string{"m", "behind"}},
		"clock, no date": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Date"] = nil
			refuse(w, 403, "RequestTimeTooSkewed", "too large", "")
		}, storage.ErrClockSkew, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.before = func(w http.ResponseWriter, r *http.Request) bool { c.answer(w, r); return true }
			s, waits := quick(f.open(Options{}), 5)
			wantOneLine(t, s.Probe(t.Context()), c.kind, append(c.says, f.server.URL+"/bucket/pre")...)
			if waits.Load() != 0 || len(f.seen()) != 1 {
				t.Errorf("what cannot get better was tried again")
			}
			// What refuses is not absence, whatever is asked. (The answer to
			// a HEAD has no body, and a 404 is all that it can say.)
			config := storage.Handle{Kind: storage.ConfigFile}
			_, err := s.Reader().Load(t.Context(), config, 0, 0)
			wantOneLine(t, err, c.kind)
			if c.kind == storage.ErrDenied {
				_, err = s.Reader().Stat(t.Context(), config)
				wantOneLine(t, err, storage.ErrDenied)
				wantOneLine(t, s.Writer().Create(t.Context(), config, storage.NewPayload(nil)), storage.ErrDenied)
			}
		})
	}
}

func TestF28_NobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	env := (&fake{}).env
	s := openAt(t, "http://"+host+"/bucket", env, Options{})
	wantOneLine(t, s.Probe(t.Context()), storage.ErrUnreachable, host, "refused")
	s = openAt(t, "https://does-not-exist.invalid/bucket", env, Options{})
	wantOneLine(t, s.Probe(t.Context()), storage.ErrUnreachable, "does-not-exist.invalid", "does not resolve")
}

func TestF28_Certificates(t *testing.T) {
	f := newFake(t)
	secure := newTLS(t, f)
	spec := secure.URL + "/bucket/pre"
	s := openAt(t, spec, f.env, Options{})
	wantOneLine(t, s.Probe(t.Context()), storage.ErrUntrusted, "AWS_CA_BUNDLE")

	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	withCA := func(name string) string {
		if name == "AWS_CA_BUNDLE" {
			return ca
		}
		return f.env(name)
	}
	s = openAt(t, spec, withCA, Options{})
	if err := s.Probe(t.Context()); err != nil {
		t.Errorf("with AWS_CA_BUNDLE: %v", err)
	}
	storagetest.Put(t, s, storage.PackFile, storagetest.Content(1, 1<<20))

	_, port, err := net.SplitHostPort(secure.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s = openAt(t, "https://localhost:"+port+"/bucket", withCA, Options{})
	wantOneLine(t, s.Probe(t.Context()), storage.ErrUntrusted, "localhost")

	s = openAt(t, strings.Replace(f.server.URL, "http:", "https:", 1)+"/bucket", f.env, Options{})
	wantOneLine(t, s.Probe(t.Context()), storage.ErrRefused, "s3:http://")

	if err := os.WriteFile(ca, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr, err := ParseAddress(spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = Open(addr, withCA, Options{}); err == nil || !strings.Contains(err.Error(), "AWS_CA_BUNDLE") {
		t.Errorf("bundle without a certificate: %v", err)
	}
}

func TestF28_AgainstVersity(t *testing.T) {
	g := storagetest.StartGateway(t, t.TempDir())
	set := func(name, value string) func(string) string {
		return func(n string) string {
			if n == name {
				return value
			}
			return g.Env(n)
		}
	}
	spec := fmt.Sprintf("http://%s/bucket", g.Host)
	wantOneLine(t, openAt(t, spec, g.Env, Options{}).Probe(t.Context()), storage.ErrNoBucket, "bucket bucket")
	if err := openAt(t, spec, g.Env, Options{}).Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantOneLine(t, openAt(t, spec, set("AWS_REGION", "mars-north-1"), Options{}).Probe(t.Context()), storage.ErrRegion, "AWS_REGION")
	nobody := openAt(t, spec, set("AWS_ACCESS_KEY_ID", "nobody"), Options{})
	wantOneLine(t, nobody.Probe(t.Context()), storage.ErrDenied, "AWS_ACCESS_KEY_ID")
	_, err := nobody.Reader().Stat(t.Context(), storage.Handle{Kind: storage.ConfigFile})
	wantOneLine(t, err, storage.ErrDenied)
	wantOneLine(t, openAt(t, spec, set("AWS_SECRET_ACCESS_KEY", "s3cr3t-value"), Options{}).Probe(t.Context()), storage.ErrDenied, "AWS_SECRET_ACCESS_KEY")
}

func TestRegionIsLookedUp(t *testing.T) {
	g := storagetest.StartGateway(t, t.TempDir(), "--region", "mars-north-1")
	env := func(name string) string {
		if name == "AWS_REGION" {
			return ""
		}
		return g.Env(name)
	}
	s := openAt(t, fmt.Sprintf("http://%s/bucket", g.Host), env, Options{Region: "mars-north-1"})
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, fmt.Sprintf("http://%s/bucket", g.Host), env, Options{})
	if err := s.Probe(t.Context()); err != nil {
		t.Errorf("without a region: %v", err)
	}
	storagetest.Put(t, s, storage.KeyFile, []byte("a key"))
}

func TestProvisionDenied(t *testing.T) {
	f := newFake(t)
	f.noBucket = true
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != "PUT" {
			return false
		}
		refuse(w, 403, "AccessDenied", "Access Denied", "")
		return true
	}
	err := f.open(Options{}).Writer().Provision(t.Context())
	wantOneLine(t, err, storage.ErrNoBucket, "create the bucket first")
	if !errors.Is(err, storage.ErrDenied) {
		t.Errorf("%v is not ErrDenied", err)
	}
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "PUT" {
			refuse(w, 409, "BucketAlreadyExists", "taken", "")
		}
		return r.Method == "PUT"
	}
	wantOneLine(t, f.open(Options{}).Writer().Provision(t.Context()), storage.ErrDenied, "choose another")
}
