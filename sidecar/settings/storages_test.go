package settings

import (
	"slices"
	"testing"
)

func TestRates(t *testing.T) {
	s, err := Load([]string{"RIPPLEBAK_UPLOAD_LIMIT=500K", "RIPPLEBAK_DOWNLOAD_LIMIT=20971520"}, files(nil))
	if err != nil || s.UploadLimit != 500<<10 || s.DownloadLimit != 20<<20 {
		t.Errorf("%v, %d, %d", err, s.UploadLimit, s.DownloadLimit)
	}
	for _, bad := range []string{"0", "-1", "fast", "1K", "10MB/s"} {
		if _, err := Load([]string{"RIPPLEBAK_UPLOAD_LIMIT=" + bad}, files(nil)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestObjectLockSettings(t *testing.T) {
	s, err := Load([]string{"RIPPLEBAK_S3_LOCK=compliance", "RIPPLEBAK_S3_LOCK_DAYS=90", "RIPPLEBAK_APPEND_ONLY=true"}, files(nil))
	if err != nil || s.S3Lock != "compliance" || s.S3LockDays != 90 || !s.AppendOnly {
		t.Errorf("%v, %q, %d, %t", err, s.S3Lock, s.S3LockDays, s.AppendOnly)
	}
	if s, err := Load(nil, files(nil)); err != nil || s.S3Lock != "" || s.S3LockDays != 30 || s.AppendOnly {
		t.Errorf("defaults: %v, %q, %d, %t", err, s.S3Lock, s.S3LockDays, s.AppendOnly)
	}
	for _, bad := range []string{"S3_LOCK=true", "S3_LOCK_DAYS=0", "S3_LOCK_DAYS=36500", "S3_LOCK_DAYS=30d", "APPEND_ONLY=1"} {
		if _, err := Load([]string{"RIPPLEBAK_" + bad}, files(nil)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestPasswordsInAddressesAreSecrets(t *testing.T) {
	for repository, want := range map[string][]string{
		"rest:https://joe:hunter2@host/":     {"hunter2"},
		"rest:http://joe:hun%2Fter@host:1/x": {"hun%2Fter", "hun/ter"},
		"rest:http://joe:hun@ter@host/":      {"hun@ter"},
		"rest:http://:hunter2@host/":         {"hunter2"},
		"rest:https://joe:hunter2@host/p@t/": {"hunter2@host/p", "hunter2"},
		"rest:https://joe@host/":             nil,
		"rest:https://host/a@b:c/":           nil,
		"s3:https://host/bucket":             nil,
		"/srv/a:b@c":                         nil,
		"":                                   nil,
	} {
		s, err := Load([]string{"RIPPLEBAK_REPOSITORY=" + repository}, files(nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Secrets(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", repository, got, want)
		}
	}
	s, err := Load([]string{"RESTIC_REST_USERNAME=joe", "RESTIC_REST_PASSWORD_FILE=/pw"}, files(map[string]string{"/pw": "hunter2\n"}))
	if err != nil || s.Env("RESTIC_REST_PASSWORD") != "hunter2" || !slices.Equal(s.Secrets(), []string{"hunter2"}) {
		t.Errorf("%v: %q, %q", err, s.Env("RESTIC_REST_PASSWORD"), s.Secrets())
	}
}
