package location_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/location"
	"github.com/ripplebak/ripplebak/storage/rest/resttest"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"/backups/":                          "/backups",
		"backups":                            "backups",
		"./a/../b":                           "b",
		"local:/srv/x":                       "/srv/x",
		"/with:colon/x":                      "/with:colon/x",
		"s3:https://host/bucket/prefix/":     "s3:https://host/bucket/prefix",
		"s3:http://host:9000/bucket":         "s3:http://host:9000/bucket",
		"s3:host.example/bucket/x":           "s3:https://host.example/bucket/x",
		"s3:s3.amazonaws.com/bucket":         "s3:https://s3.amazonaws.com/bucket",
		"rest:https://host":                  "rest:https://host/",
		"rest:http://u:pw@host:8000/a%20b/c": "rest:http://host:8000/a%20b/c/",
	} {
		l, err := location.Parse(in)
		if err != nil || l.String() != want || l.Local() == (strings.HasPrefix(want, "s3:") || strings.HasPrefix(want, "rest:")) {
			t.Errorf("%q: %q, %v; want %q", in, l, err, want)
		}
		if again, err := location.Parse(l.String()); err != nil || again.String() != want {
			t.Errorf("%q does not parse again: %v", l, err)
		}
	}
	for in, says := range map[string]string{
		"":                              "RIPPLEBAK_REPOSITORY",
		"  ":                            "RIPPLEBAK_REPOSITORY",
		"local:":                        "empty",
		"a\x00b":                        "zero byte",
		"rest:host/":                    "http or https",
		"rest:":                         "http or https",
		"rest:https:///x":               "no host",
		"rest:https://h/a/../b":         `".."`,
		"rest:https://h/?x=hunter2":     "must not have a ?",
		"rest:https://u:hunter2/@h/":    "%2F",
		"sftp:user@host:/x":             "not supported",
		"https://host/bucket":           "s3:https://",
		"s3:":                           "no host",
		"s3:https://host/bucket/../x":   `".."`,
		"s3:https://k:hunter2@host/bkt": "AWS_SECRET_ACCESS_KEY",
	} {
		_, err := location.Parse(in)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v; want an error that says %q", in, err, says)
		}
	}
}

func TestOpenLocal(t *testing.T) {
	l, err := location.Parse(filepath.Join(t.TempDir(), "repo"))
	if err != nil {
		t.Fatal(err)
	}
	storagetest.Put(t, opened(t, l, func(string) string { return "" }), storage.KeyFile, []byte("x"))
}

func TestOpenAppendOnly(t *testing.T) {
	for _, spec := range []string{t.TempDir(), "rest:" + resttest.New(t).URL(), "s3:http://127.0.0.1:1/bucket"} {
		l, err := location.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		env := func(string) string { return "x" }
		if l.S3 == nil {
			env = func(string) string { return "" }
		}
		s, err := location.Open(t.Context(), l, func(name string) string {
			if strings.HasSuffix(name, "KEY_ID") || strings.HasSuffix(name, "ACCESS_KEY") {
				return env(name)
			}
			return ""
		}, location.Options{AppendOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := s.(storage.Store); ok {
			t.Errorf("%s: something can be removed", spec)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenS3(t *testing.T) {
	g := storagetest.StartGateway(t, t.TempDir())
	l, err := location.Parse("s3:http://" + g.Host + "/bucket/app")
	if err != nil {
		t.Fatal(err)
	}
	s := opened(t, l, g.Env)
	h := storagetest.Put(t, s, storage.KeyFile, []byte("x"))
	if got := storagetest.Get(t, s, h); string(got) != "x" || s.Reader().Location() != l.String() {
		t.Errorf("%q from %s", got, s.Reader().Location())
	}
}

func TestOpenRest(t *testing.T) {
	srv := resttest.New(t)
	srv.User, srv.Password = "joe", "pass/word"
	withUser := strings.Replace(srv.URL(), "http://", "http://joe:pass%2Fword@", 1)
	none := func(string) string { return "" }
	env := func(name string) string {
		return map[string]string{"RESTIC_REST_USERNAME": "joe", "RESTIC_REST_PASSWORD": "pass/word"}[name]
	}
	for spec, env := range map[string]func(string) string{"rest:" + withUser: none, "rest:" + srv.URL(): env} {
		l, err := location.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		s := opened(t, l, env)
		h := storagetest.Put(t, s, storage.KeyFile, []byte("x"))
		if got := storagetest.Get(t, s, h); string(got) != "x" || s.Reader().Location() != "rest:"+srv.URL() {
			t.Errorf("%q from %s", got, s.Reader().Location())
		}
	}
}

func opened(t *testing.T, l location.Location, env func(string) string) storage.Store {
	t.Helper()
	opened, err := location.Open(t.Context(), l, env, location.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, ok := opened.(storage.Store)
	if !ok {
		t.Fatalf("%T is no Store", opened)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
