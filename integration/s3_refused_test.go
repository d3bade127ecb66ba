package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each fault of an S3 server that can be seen from outside is one line, before
// any service is touched.
func TestF28_StorageIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	g := gateway(t)
	proxy := newS3Proxy(t, g)
	p := newFilesProject(t, "stop")
	tlsHost, ca := tlsFront(t, proxy)
	closed := closedPort(t)
	for _, c := range []struct {
		name string
		env  []string
		// fault is what the proxy does.
		fault *s3Fault
		says  []string
	}{
		{name: "bucket missing, and not ours to make", fault: &s3Fault{method: "PUT", act: says(403, "AccessDenied", "Access Denied")},
			says: []string{"bucket", "create the bucket first"}},
		{name: "unknown key", env: []string{"AWS_ACCESS_KEY_ID=AKIANOBODY"}, says: []string{"AWS_ACCESS_KEY_ID"}},
		{name: "wrong secret", env: []string{"AWS_SECRET_ACCESS_KEY=not-the-secret"}, says: []string{"AWS_SECRET_ACCESS_KEY"}},
		{name: "half a pair of keys", env: []string{"AWS_SECRET_ACCESS_KEY="}, says: []string{"AWS_SECRET_ACCESS_KEY is not"}},
		{name: "wrong region", env: []string{"AWS_REGION=eu-nowhere-9"}, says: []string{"region", "AWS_REGION"}},
		{name: "clock", fault: &s3Fault{act: skewed}, says: []string{"clock", "NTP"}},
		{name: "expired token", fault: &s3Fault{act: says(400, "ExpiredToken", "The provided token has expired.")}, says: []string{"expired", "AWS_SESSION_TOKEN"}},
		{name: "nobody listens", env: []string{"RIPPLEBAK_REPOSITORY=" + s3Location(closed, "x")}, says: []string{closed, "refused"}},
		{name: "no such host", env: []string{"RIPPLEBAK_REPOSITORY=s3:https://nowhere.invalid/backups/x"}, says: []string{"nowhere.invalid", "does not resolve"}},
		{name: "http instead of https", env: []string{"RIPPLEBAK_REPOSITORY=s3:https://" + proxy.host + "/" + bucket}, says: []string{"plain HTTP", "s3:http://"}},
		{name: "unknown authority", env: []string{"RIPPLEBAK_REPOSITORY=s3:https://" + tlsHost + "/" + bucket}, says: []string{"AWS_CA_BUNDLE"}},
		{name: "no bundle there", env: []string{"RIPPLEBAK_REPOSITORY=s3:https://" + tlsHost + "/" + bucket, "AWS_CA_BUNDLE=/nowhere.pem"}, says: []string{"AWS_CA_BUNDLE", "/nowhere.pem"}},
		{name: "keys in the address", env: []string{"RIPPLEBAK_REPOSITORY=s3:http://key:hunter2-secret@" + proxy.host + "/" + bucket}, says: []string{"RIPPLEBAK_REPOSITORY", "AWS_SECRET_ACCESS_KEY"}},
		{name: "another kind of storage", env: []string{"RIPPLEBAK_REPOSITORY=sftp:user@host:/x"}, says: []string{"sftp", "not supported"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.useS3(g, proxy.host, "refused")
			done := func() {}
			if c.fault != nil {
				c.fault.name = c.name
				done = proxy.inject(t, c.fault)
			}
			events := p.watch("app")
			r := p.runEnv(c.env, "backup")
			done()
			assertOneError(t, r, c.says...)
			if got := events(); slices.ContainsFunc(got, func(e string) bool { return !strings.HasPrefix(e, "health") }) {
				t.Errorf("the service was touched: %v", got)
			}
			if got := objects(t, g, "refused", ""); len(got) != 0 {
				t.Errorf("objects were made: %v", got)
			}
		})
	}
	t.Run("with the authority's certificate", func(t *testing.T) {
		p.useS3(g, tlsHost, "tls")
		p.write("ca.pem", ca)
		p.write("compose.override.yaml", onHostNetwork+"    environment:\n      AWS_CA_BUNDLE: /ca.pem\n    volumes:\n      - ./ca.pem:/ca.pem:ro\n")
		p.env["RIPPLEBAK_REPOSITORY"] = "s3:https://" + tlsHost + "/" + bucket + "/tls"
		p.backup()
		if got := len(objects(t, g, "tls", "snapshots")); got != 1 {
			t.Errorf("%d snapshots, want 1", got)
		}
	})
}

// assertOneError wants exit code 1 and one line of error that says each part.
func assertOneError(t *testing.T, r result, parts ...string) {
	t.Helper()
	var failed []string
	for line := range strings.Lines(r.stderr) {
		if strings.Contains(line, `"message":"failed"`) {
			failed = append(failed, line)
		}
	}
	if r.code != 1 || r.stdout != "" || len(failed) != 1 {
		t.Fatalf("want exit code 1 and one error: %s", r)
	}
	if strings.Contains(failed[0], `\n`) {
		t.Errorf("the error has several lines: %s", failed[0])
	}
	for _, part := range parts {
		if !strings.Contains(failed[0], part) {
			t.Errorf("the error does not say %q: %s", part, failed[0])
		}
	}
	if strings.Contains(r.stderr, "hunter2") {
		t.Errorf("a secret is in the error: %s", r.stderr)
	}
}

// skewed answers as a server whose clock is 20 minutes ahead.
func skewed(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	w.Header().Set("Date", time.Now().Add(20*time.Minute).UTC().Format(http.TimeFormat))
	says(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")(w, r, forward)
}

// closedPort is an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// tlsFront is the proxy behind TLS with a certificate of a private authority,
// which is returned as PEM.
func tlsFront(t *testing.T, p *s3Proxy) (host, authority string) {
	t.Helper()
	caKey, caCert := certificate(t, nil, nil)
	key, cert := certificate(t, caCert, caKey)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: p}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return l.Addr().String(), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caCert.Raw}))
}

// certificate makes one: an authority, or a server's that the parent signs.
func certificate(t *testing.T, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "ripplebak tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		IsCA: parent == nil, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if parent == nil {
		parent, signer = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

// An address whose bucket cannot be made is found out by the bare binary too,
// without Docker.
func TestF28_BareBinaryOnS3(t *testing.T) {
	t.Parallel()
	g := gateway(t)
	env := []string{
		"RIPPLEBAK_REPOSITORY=" + s3Location(g.Host, "bare"), "RIPPLEBAK_PASSWORD=" + password, "DOCKER_HOST=unix:///nowhere.sock",
		"AWS_ACCESS_KEY_ID=" + g.AccessKey, "AWS_SECRET_ACCESS_KEY=" + g.SecretKey, "AWS_REGION=" + g.Region,
		"RIPPLEBAK_STATE_DIR=" + filepath.Join(t.TempDir(), "state"),
	}
	bare := func(args ...string) result {
		return command(t, "", env, "", append([]string{os.Getenv("INTEGRATION_BINARY")}, args...)...)
	}
	if r := bare("snapshots"); r.code != 10 {
		t.Errorf("snapshots of a bucket that does not exist: want exit code 10: %s", r)
	}
	if r := bare("init"); r.code != 0 {
		t.Fatalf("init: %s", r)
	}
	if r := bare("init"); r.code != 1 {
		t.Errorf("init of a repository that exists: want exit code 1: %s", r)
	}
	for _, args := range [][]string{{"snapshots"}, {"check"}} {
		if r := bare(args...); r.code != 0 {
			t.Errorf("%v: %s", args, r)
		}
	}
	if got := resticS3(t, g, "bare", "snapshots"); strings.TrimSpace(got) != "" {
		t.Errorf("restic lists %q", got)
	}
}
