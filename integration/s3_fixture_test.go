package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// bucket is where the tests keep their repositories.
const bucket = "backups-of-tests"

// gateway is a real S3 server on loopback, until the test ends.
func gateway(t *testing.T) *storagetest.Gateway {
	t.Helper()
	return storagetest.RunGateway(t, os.Getenv("INTEGRATION_VERSITYGW"), t.TempDir())
}

// onHostNetwork is what a compose.override.yaml says so that the sidecar
// reaches servers on this machine's loopback.
const onHostNetwork = "services:\n  backup:\n    network_mode: host\n"

// useS3 points the project's repository at a server, HOST:PORT, with the
// gateway's keys. The sidecar reaches it over loopback.
func (p *project) useS3(g *storagetest.Gateway, host, prefix string) {
	p.t.Helper()
	p.write("compose.override.yaml", onHostNetwork)
	p.env["RIPPLEBAK_REPOSITORY"] = s3Location(host, prefix)
	p.env["AWS_ACCESS_KEY_ID"] = g.AccessKey
	p.env["AWS_SECRET_ACCESS_KEY"] = g.SecretKey
	p.env["AWS_REGION"] = g.Region
}

func s3Location(host, prefix string) string {
	return "s3:http://" + host + "/" + bucket + "/" + prefix
}

// resticS3 runs the real restic on a repository of the gateway.
func resticS3(t testing.TB, g *storagetest.Gateway, prefix string, args ...string) string {
	t.Helper()
	r := resticWith(t, g, prefix, password, args...)
	if r.code != 0 {
		t.Fatalf("restic %s: %s", strings.Join(args, " "), r)
	}
	return r.stdout
}

// resticWith is resticS3 with another password, and may fail.
func resticWith(t testing.TB, g *storagetest.Gateway, prefix, password string, args ...string) result {
	t.Helper()
	return command(t, "", []string{
		"RESTIC_PASSWORD=" + password, "RESTIC_REPOSITORY=" + s3Location(g.Host, prefix), "RESTIC_CACHE_DIR=" + t.TempDir(),
		"AWS_ACCESS_KEY_ID=" + g.AccessKey, "AWS_SECRET_ACCESS_KEY=" + g.SecretKey, "AWS_DEFAULT_REGION=" + g.Region,
	}, "", append([]string{"restic"}, args...)...)
}

// objects are the objects of a kind (data, snapshots, ...) as they lie in the
// gateway's directory, by key.
func objects(t testing.TB, g *storagetest.Gateway, prefix, kind string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	top := filepath.Join(g.Dir, bucket, prefix, kind)
	err := filepath.Walk(top, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			out[strings.TrimPrefix(path, top+"/")] = info.Size()
		}
		if os.IsNotExist(err) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// filesOnly is a project without a database: an app with a volume, which is
// stopped while its volume is read.
const filesOnly = `
services:
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes:
      - data:/data
    labels:
      ripplebak.during: %s
volumes:
  data:
`

func newFilesProject(t testing.TB, during string) *project {
	t.Helper()
	p := newProject(t, fmt.Sprintf(filesOnly, during))
	p.up("app")
	p.inVolume("data", "mkdir d; echo hello > d/a; head -c 3000000 /dev/urandom > d/big")
	return p
}

// watch notes what happens to the project's service from now on; the returned
// function says it: one word per event, such as "kill" or "stop".
func (p *project) watch(service string) func() []string {
	p.t.Helper()
	since := time.Now()
	unix := func(at time.Time) string { return fmt.Sprintf("%d.%09d", at.Unix(), at.Nanosecond()) }
	return func() []string {
		p.t.Helper()
		out := must(p.t, "docker", "events", "--since", unix(since), "--until", unix(time.Now()), "--filter", "type=container",
			"--filter", "label=com.docker.compose.project="+p.name, "--filter", "label=com.docker.compose.service="+service,
			"--format", "{{.Action}}")
		return strings.Fields(out)
	}
}
