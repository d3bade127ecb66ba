package settings

import (
	"slices"
	"strings"
	"testing"
)

func TestCopiesAreRead(t *testing.T) {
	s, err := Load([]string{
		"RIPPLEBAK_REPOSITORY=/backups", "RIPPLEBAK_PASSWORD=secret one", "AWS_ACCESS_KEY_ID=main-id", "AWS_SECRET_ACCESS_KEY=main-key", "AWS_REGION=eu-1",
		"RIPPLEBAK_COPY_TO=/mnt/disk", "RIPPLEBAK_COPY_KEEP=daily=7", "RESTIC_REST_PASSWORD=main-rest", "RIPPLEBAK_COPY2_RESTIC_REST_PASSWORD=copy-rest",
		"RIPPLEBAK_COPY3_TO=rest:https://joe:in-address@host/", "RIPPLEBAK_COPY2_TO=s3:https://host/bucket", "RIPPLEBAK_COPY2_PASSWORD_FILE=/pw", "RIPPLEBAK_COPY2_S3_STYLE=path",
		"RIPPLEBAK_S3_LOCK=governance", "RIPPLEBAK_S3_LOCK_DAYS=60", "RIPPLEBAK_COPY2_S3_LOCK=compliance", "RIPPLEBAK_COPY2_S3_LOCK_DAYS=90",
		"RIPPLEBAK_COPY2_AWS_ACCESS_KEY_ID=copy-id", "RIPPLEBAK_COPY2_AWS_SECRET_ACCESS_KEY_FILE=/key",
		"RIPPLEBAK_COPY2_AWS_SHARED_CREDENTIALS_FILE=/credentials", "HOME=/root",
	}, files(map[string]string{"/pw": "secret two\n", "/key": "copy-key\n"}))
	if err != nil {
		t.Fatal(err)
	}
	one, ok := s.Copy("copy")
	if !ok || one.Repository != "/mnt/disk" || one.Password != "secret one" || one.Variable("TO") != "RIPPLEBAK_COPY_TO" || one.Keep.String() != "daily=7" || one.S3Lock != "" || one.S3LockDays != 30 {
		t.Errorf("%+v", one)
	}
	two, ok := s.Copy("copy2")
	if !ok || two.Repository != "s3:https://host/bucket" || two.Password != "secret two" || two.S3Style != "path" || two.S3Lock != "compliance" || two.S3LockDays != 90 {
		t.Errorf("%+v", two)
	}
	if _, ok := s.Copy("copy4"); ok || len(s.Copies) != 3 {
		t.Errorf("%+v", s.Copies)
	}
	for _, c := range []struct {
		copy       Copy
		name, want string
	}{
		{one, "AWS_ACCESS_KEY_ID", "main-id"}, {one, "AWS_REGION", "eu-1"},
		{two, "AWS_ACCESS_KEY_ID", "copy-id"}, {two, "AWS_SECRET_ACCESS_KEY", "copy-key"},
		{two, "AWS_REGION", ""}, {one, "RESTIC_REST_PASSWORD", ""}, {two, "RESTIC_REST_PASSWORD", "copy-rest"}, {two, "HOME", "/root"}, {two, "AWS_SHARED_CREDENTIALS_FILE", "/credentials"},
	} {
		if got := s.CopyEnv(c.copy)(c.name); got != c.want {
			t.Errorf("%s of %s is %q, want %q", c.name, c.copy.Name, got, c.want)
		}
	}
	for _, secret := range []string{"secret one", "secret two", "main-key", "copy-id", "copy-key", "copy-rest", "in-address"} {
		if !slices.Contains(s.Secrets(), secret) {
			t.Errorf("%q is not known as a secret", secret)
		}
	}
}

func TestCopiesWithFaults(t *testing.T) {
	_, err := Load([]string{
		"RIPPLEBAK_COPY3_PASSWORD=hunter2", "RIPPLEBAK_COPY_TOO=/x", "RIPPLEBAK_COPY10_TO=/x",
		"RIPPLEBAK_COPY_S3_STYLE=hunter2", "RIPPLEBAK_COPY_KEEP=hunter2", "RIPPLEBAK_COPY_TO=/x", "RIPPLEBAK_COPY_TO_FILE=/y",
		"RIPPLEBAK_COPY_S3_LOCK=hunter2", "RIPPLEBAK_COPY_S3_LOCK_DAYS=36500",
	}, files(map[string]string{"/y": "z"}))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"RIPPLEBAK_COPY3_TO is not set", "RIPPLEBAK_COPY_TOO is unknown: did you mean RIPPLEBAK_COPY_TO?",
		"RIPPLEBAK_COPY10_TO is unknown", "RIPPLEBAK_COPY_S3_STYLE: must be one of", "RIPPLEBAK_COPY_KEEP: ", "RIPPLEBAK_COPY_S3_LOCK: must be one of governance", "RIPPLEBAK_COPY_S3_LOCK_DAYS: must be a number", "RIPPLEBAK_COPY_TO and RIPPLEBAK_COPY_TO_FILE are both set",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the errors do not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an error holds a value:\n%v", err)
	}
}
