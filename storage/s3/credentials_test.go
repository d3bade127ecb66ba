package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/ripplebak/ripplebak/storage"
)

// vars is an environment.
type vars map[string]string

func (v vars) get(name string) string { return v[name] }

func retrieve(t *testing.T, env vars) (credentials.Value, error) {
	t.Helper()
	shared := newSharedConfig(env.get)
	region, err := shared.region()
	if err != nil {
		return credentials.Value{}, err
	}
	c, err := newCredentials(env.get, shared, region, http.DefaultTransport)
	if err != nil {
		return credentials.Value{}, err
	}
	return c.GetWithContext(&credentials.CredContext{Client: http.DefaultClient, Context: t.Context()})
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCredentialChain(t *testing.T) {
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("WebIdentityToken") != "the token" || r.FormValue("RoleArn") != "arn:role" {
			http.Error(w, "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>bad token</Message></Error></ErrorResponse>", 400)
			return
		}
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>web</AccessKeyId><SecretAccessKey>sw</SecretAccessKey><SessionToken>tw</SessionToken><Expiration>%s</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer sts.Close()
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "agent token" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId":"agent","SecretAccessKey":"sa","Token":"ta","Expiration":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer agent.Close()
	imds := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/latest/api/token":
			fmt.Fprint(w, "imds token")
		case "/latest/meta-data/iam/security-credentials/":
			fmt.Fprint(w, "role")
		case "/latest/meta-data/iam/security-credentials/role":
			fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":"ec2","SecretAccessKey":"se","Token":"te","Expiration":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		default:
			http.NotFound(w, r)
		}
	}))
	defer imds.Close()

	creds := write(t, "credentials", "# comment\n[default]\naws_access_key_id = file\naws_secret_access_key=sf\n\n[work]\naws_access_key_id = work\naws_secret_access_key = sk=with=signs\naws_session_token = tk\n[half]\naws_access_key_id = half\n")
	config := write(t, "config", "[default]\nregion = eu-west-1\n[profile inconfig]\naws_access_key_id = cfg\naws_secret_access_key = sc\nregion = eu-west-2\n[profile role]\nrole_arn = arn:x\nsource_profile = default\n[profile empty]\nregion = x\n")
	token := write(t, "token", "the token")
	agentToken := write(t, "agent", "agent token\n")
	for name, c := range map[string]struct {
		env  vars
		want string // access key, secret, token
		says string // or what the error says
	}{
		"environment":          {vars{"AWS_ACCESS_KEY_ID": "env", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "work", "AWS_SHARED_CREDENTIALS_FILE": creds}, "env s ", ""},
		"environment, session": {vars{"AWS_ACCESS_KEY_ID": "env", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}, "env s t", ""},
		"half 1":               {vars{"AWS_ACCESS_KEY_ID": "env"}, "", "AWS_SECRET_ACCESS_KEY is not"},
		"half 2":               {vars{"AWS_SECRET_ACCESS_KEY": "s"}, "", "AWS_ACCESS_KEY_ID is not"},
		"default profile":      {vars{"AWS_SHARED_CREDENTIALS_FILE": creds}, "file sf ", ""},
		"named profile":        {vars{"AWS_SHARED_CREDENTIALS_FILE": creds, "AWS_PROFILE": "work"}, "work sk=with=signs tk", ""},
		"profile in config":    {vars{"AWS_SHARED_CREDENTIALS_FILE": creds, "AWS_CONFIG_FILE": config, "AWS_PROFILE": "inconfig"}, "cfg sc ", ""},
		"profile unknown":      {vars{"AWS_SHARED_CREDENTIALS_FILE": creds, "AWS_CONFIG_FILE": config, "AWS_PROFILE": "nope"}, "", "profile nope"},
		"profile half":         {vars{"AWS_SHARED_CREDENTIALS_FILE": creds, "AWS_PROFILE": "half"}, "", "partial"},
		"profile with role":    {vars{"AWS_CONFIG_FILE": config, "AWS_PROFILE": "role"}, "", "not supported"},
		"profile empty":        {vars{"AWS_CONFIG_FILE": config, "AWS_PROFILE": "empty"}, "", "no aws_access_key_id"},
		"profile before web":   {vars{"AWS_SHARED_CREDENTIALS_FILE": creds, "AWS_PROFILE": "work", "AWS_WEB_IDENTITY_TOKEN_FILE": token}, "work sk=with=signs tk", ""},
		"web identity":         {vars{"AWS_SHARED_CREDENTIALS_FILE": creds, "AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:role", "AWS_ENDPOINT_URL_STS": sts.URL}, "web sw tw", ""},
		"web, no role":         {vars{"AWS_WEB_IDENTITY_TOKEN_FILE": token}, "", "AWS_ROLE_ARN"},
		"web, wrong role":      {vars{"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:other", "AWS_ENDPOINT_URL_STS": sts.URL}, "", "web identity"},
		"web, no file":         {vars{"AWS_WEB_IDENTITY_TOKEN_FILE": token + "x", "AWS_ROLE_ARN": "arn:role", "AWS_ENDPOINT_URL_STS": sts.URL}, "", "no such file"},
		"container":            {vars{"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": agentToken}, "agent sa ta", ""},
		"container, variable":  {vars{"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "agent token"}, "agent sa ta", ""},
		"container, refused":   {vars{"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.URL}, "", "403"},
		"container, elsewhere": {vars{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example/"}, "", "without TLS"},
		"instance":             {vars{"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.URL}, "ec2 se te", ""},
		"nothing":              {vars{"AWS_EC2_METADATA_DISABLED": "true"}, "", "set AWS_ACCESS_KEY_ID"},
		"nobody there":         {vars{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, "", "set AWS_ACCESS_KEY_ID"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := retrieve(t, c.env)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("got %v, %v; want an error that says %q", v.AccessKeyID, err, c.says)
				}
				return
			}
			if got := v.AccessKeyID + " " + v.SecretAccessKey + " " + v.SessionToken; err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestRegion(t *testing.T) {
	config := write(t, "config", "[default]\nregion=eu-west-1\n[profile work]\nregion = eu-west-2\n")
	for _, c := range []struct {
		env  vars
		want string
	}{
		{vars{}, ""},
		{vars{"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b", "AWS_CONFIG_FILE": config}, "a"},
		{vars{"AWS_DEFAULT_REGION": "b", "AWS_CONFIG_FILE": config}, "b"},
		{vars{"AWS_CONFIG_FILE": config}, "eu-west-1"},
		{vars{"AWS_CONFIG_FILE": config, "AWS_PROFILE": "work"}, "eu-west-2"},
		{vars{"AWS_CONFIG_FILE": config, "AWS_PROFILE": "other"}, ""},
		{vars{"HOME": filepath.Dir(filepath.Dir(config))}, ""},
	} {
		if got, err := newSharedConfig(c.env.get).region(); err != nil || got != c.want {
			t.Errorf("%v: %q, %v; want %q", c.env, got, err, c.want)
		}
	}
}

// Credentials that cannot be had fail a request in one line, and never send it
// without a name.
func TestNoCredentialsNoRequest(t *testing.T) {
	f := newFake(t)
	env := vars{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}
	s := openAt(t, f.server.URL+"/bucket", env.get, Options{})
	s, waits := quick(s, 5)
	wantOneLine(t, s.Probe(context.Background()), storage.ErrNoCredentials, "AWS_ACCESS_KEY_ID")
	if len(f.seen()) != 0 || waits.Load() != 0 {
		t.Error("a request was sent, or tried again")
	}
	if _, err := Open(Address{Host: "h", Bucket: "bucket"}, vars{"AWS_ACCESS_KEY_ID": "x"}.get, Options{}); !errors.Is(err, storage.ErrNoCredentials) {
		t.Errorf("half of the credentials: %v", err)
	}
}

func TestStyles(t *testing.T) {
	f := newFake(t)
	env := vars{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
	var host, path string
	f.before = func(_ http.ResponseWriter, r *http.Request) bool { host, path = r.Host, r.URL.Path; return false }
	spec := strings.Replace(f.server.URL, "127.0.0.1", "localhost", 1) + "/bucket/pre"
	for style, want := range map[Style]string{StyleAuto: "localhost /bucket/", StylePath: "localhost /bucket/", StyleVirtual: "bucket.localhost /"} {
		addr, err := ParseAddress(spec)
		if err != nil {
			t.Fatal(err)
		}
		b, err := open(addr, env.get, Options{Style: style})
		if err != nil {
			t.Fatal(err)
		}
		// Every name is this machine.
		b.base.DialContext = dialTo(f.server.Listener.Addr().String())
		if err := b.Probe(t.Context()); err != nil {
			t.Errorf("%q: %v", style, err)
		}
		name, _, _ := strings.Cut(host, ":")
		if got := name + " " + path; got != want {
			t.Errorf("%q asks %q, want %q", style, got, want)
		}
	}
	if _, err := Open(Address{Host: "h", Bucket: "bucket"}, env.get, Options{Style: "round"}); err == nil {
		t.Error("style round was taken")
	}
}

// A role that worked once is asked again when its agent fails for a moment.
func TestRenewalIsTriedAgain(t *testing.T) {
	calls := 0
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		if calls == 2 {
			http.Error(w, "busy", 500)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":%q}`, time.Now().Add(-time.Second).UTC().Format(time.RFC3339))
	}))
	defer agent.Close()
	f := newFake(t)
	s, waits := quick(openAt(t, f.server.URL+"/bucket", vars{"AWS_REGION": "r", "AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.URL}.get, Options{}), 5)
	for range 2 {
		if err := s.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 3 || waits.Load() != 1 {
		t.Errorf("%d calls and %d waits, want 3 and 1", calls, waits.Load())
	}
}
