package settings

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"
)

func files(m map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if s, ok := m[name]; ok {
			return []byte(s), nil
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("no such file or directory")}
	}
}

func TestLoadTakesValuesOver(t *testing.T) {
	s, err := Load([]string{
		"RIPPLEBAK_REPOSITORY=s3:http://host:9000/bucket/prefix",
		"RIPPLEBAK_PASSWORD_FILE=/run/secrets/pw",
		"AWS_SECRET_ACCESS_KEY_FILE=/run/secrets/aws",
		"AWS_WEB_IDENTITY_TOKEN_FILE=/token",
		"RIPPLEBAK_STALL_TIMEOUT=90s",
		"RIPPLEBAK_SPOOL_SIZE=512M",
		"RIPPLEBAK_CACHE_SIZE=64M",
		"RIPPLEBAK_CPUS=1.5",
		"RIPPLEBAK_SCHEDULE=",
		"RIPPLEBAK_KEEP=daily=7 last=3",
		"RIPPLEBAK_KEEP_MINIMUM=1",
		"RIPPLEBAK_SHRINK_LIMIT=30%",
		"RIPPLEBAK_IMAGE=whatever",
		"TZ=Europe/Berlin",
		"PATH=/bin",
	}, files(map[string]string{"/run/secrets/pw": "  secret\n", "/run/secrets/aws": "key\n"}))
	if err != nil {
		t.Fatal(err)
	}
	if s.Password != "secret" || s.Env("AWS_SECRET_ACCESS_KEY") != "key" {
		t.Error("a _FILE twin was not read and trimmed")
	}
	if s.Env("AWS_WEB_IDENTITY_TOKEN_FILE") != "/token" {
		t.Error("AWS_WEB_IDENTITY_TOKEN_FILE is no twin of ours and must stay")
	}
	if s.Stall != 90*time.Second || s.SpoolSize != 512<<20 || s.CacheSize != 64<<20 || s.CPUs != 1.5 || s.Schedule != "0 2 * * *" || s.Location.String() != "Europe/Berlin" {
		t.Errorf("got %+v", s)
	}
	if s.Keep.String() != "last=3 daily=7" || s.KeepMinimum != 1 || s.ShrinkLimit != 0.3 {
		t.Errorf("retention: %q, %d, %v", s.Keep, s.KeepMinimum, s.ShrinkLimit)
	}
	if got := len(s.Secrets()); got != 2 {
		t.Errorf("%d secrets, want 2", got)
	}
}

func TestLoadReportsEveryFaultAndNoValue(t *testing.T) {
	_, err := Load([]string{
		"RIPPLEBAK_REPOSITROY=hunter2",
		"RIPPLEBAK_PASSWORD=hunter2",
		"RIPPLEBAK_PASSWORD_FILE=/pw",
		"RIPPLEBAK_LOG_LEVEL=hunter2",
		"RIPPLEBAK_STALL_TIMEOUT=hunter2",
		"RIPPLEBAK_DEADLINE=0s",
		"RIPPLEBAK_CACHE_SIZE=63M",
		"RIPPLEBAK_CPUS=NaN",
		"RIPPLEBAK_KEEP=hunter2=3",
		"RIPPLEBAK_KEEP_MINIMUM=0",
		"RIPPLEBAK_SHRINK_LIMIT=hunter2",
		"RIPPLEBAK_TRUST_IMAGE_LABELS=True",
		"RIPPLEBAK_PROJECT=a,hunter2/",
		"RIPPLEBAK_S3_STYLE_FILE=/none",
		"RIPPLEBAK_HOST_FILE=/empty",
		"TZ=Mars/Olympus",
	}, files(map[string]string{"/pw": "x", "/empty": "\n"}))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"RIPPLEBAK_REPOSITROY is unknown: did you mean RIPPLEBAK_REPOSITORY?",
		"RIPPLEBAK_PASSWORD and RIPPLEBAK_PASSWORD_FILE are both set",
		"RIPPLEBAK_LOG_LEVEL: must be one of", "RIPPLEBAK_STALL_TIMEOUT: must be a duration",
		"RIPPLEBAK_KEEP: a part of it is not one of last,", "RIPPLEBAK_KEEP_MINIMUM: must be a number from 1", "RIPPLEBAK_SHRINK_LIMIT: must be a percentage",
		"RIPPLEBAK_DEADLINE: must be at least", "RIPPLEBAK_CACHE_SIZE: must be a size of at least 64M", "RIPPLEBAK_CPUS: must be a number of processors",
		"RIPPLEBAK_TRUST_IMAGE_LABELS: must be true or false", "RIPPLEBAK_PROJECT: has a name that no project can have",
		"RIPPLEBAK_S3_STYLE_FILE: open /none", "RIPPLEBAK_HOST_FILE: the file is empty", "TZ: no time zone",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the errors do not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an error holds a value:\n%v", err)
	}
}
