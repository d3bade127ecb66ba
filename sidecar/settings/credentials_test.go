package settings

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCredentialsAreNamesOnly(t *testing.T) {
	s, err := Load([]string{
		"RIPPLEBAK_PASSWORD_FILE=/run/secrets/pw", "AWS_ACCESS_KEY_ID=planted1", "AWS_SECRET_ACCESS_KEY=planted2", "AWS_SESSION_TOKEN=",
		"RIPPLEBAK_NEW_PASSWORD=planted3", "RIPPLEBAK_PROJECT=shop", "RIPPLEBAK_COPY_TO=/copy", "RIPPLEBAK_COPY_PASSWORD=planted4", "HOME=/root", "AWS_PROFILE=backup",
	}, func(string) ([]byte, error) { return []byte("planted5"), nil })
	if err != nil {
		t.Fatal(err)
	}
	want := []Credential{{Name: "AWS_ACCESS_KEY_ID"}, {Name: "AWS_PROFILE"}, {Name: "AWS_SECRET_ACCESS_KEY"}, {"RIPPLEBAK_PASSWORD", "/run/secrets/pw"}}
	if got := s.Credentials(); !slices.Equal(got, want) || strings.Contains(fmt.Sprint(got), "planted") {
		t.Errorf("got %q, want %q", got, want)
	}
}
