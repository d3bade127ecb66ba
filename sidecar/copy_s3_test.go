package sidecar

import (
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// TestCopyHasCredentialsOfItsOwn: the repository on one server, the copy on
// another with other keys, and none of the two sees those of the other.
func TestCopyHasCredentialsOfItsOwn(t *testing.T) {
	g := storagetest.StartGateway(t, t.TempDir())
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	vars := []string{
		"RIPPLEBAK_COPY_TO=s3:http://" + g.Host + "/bucket/copy", "RIPPLEBAK_COPY_PASSWORD=planted password",
		"AWS_ACCESS_KEY_ID=wrong", "AWS_SECRET_ACCESS_KEY=of the repository", "AWS_REGION=mars-1",
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"} {
		vars = append(vars, "RIPPLEBAK_COPY_"+name+"="+g.Env(name))
	}
	s.configure(vars...)
	if report := s.backedUp(); report.Copies[0].Error != "" || len(report.Copies[0].Snapshots) != 1 {
		t.Fatalf("%+v", report.Copies)
	}
	s.wantWhole("copy")

	s.configure(vars[:5]...)
	s.change("other")
	report := s.backedUp()
	if c := report.Copies[0]; c.Error == "" || c.BehindSince.IsZero() {
		t.Errorf("with the repository's keys: %+v", c)
	}
	for _, secret := range []string{"planted password", "of the repository", g.SecretKey} {
		if strings.Contains(s.log.String()+strings.Join(report.Warnings, ""), secret) {
			t.Errorf("%q is in the log or the report", secret)
		}
	}
}
