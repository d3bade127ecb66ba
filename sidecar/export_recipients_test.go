package sidecar

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

func TestRecipientsAreReadOrRefused(t *testing.T) {
	native, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.WriteFile(filepath.Join(dir, pluginBinary+"here"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	here, gone := plugin.EncodeRecipient("here", []byte("key")), plugin.EncodeRecipient("gone", []byte("key"))
	good := native.Recipient().String()
	for _, c := range []struct{ text, want string }{
		{good, ""},
		{hybrid.Recipient().String(), ""},
		{here, ""},
		{gone, "put age-plugin-gone into PATH"},
		{native.String(), "this is an identity"},
		{good[:len(good)-1], "mistyped"},
		{here[:len(here)-1], "mistyped"},
		{"ssh-ed25519 AAAA", "not one of age"},
		{"", "not one of age"},
	} {
		_, err := parseRecipient(c.text, func(string) {})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: %v, want %q", c.text, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), native.String()) {
			t.Error("the error shows a secret key")
		}
	}
	list, err := readRecipients(strings.NewReader("# ours\n\n"+good+"\n  "+here+"  \n"), func(string) {})
	if err != nil || len(list) != 2 {
		t.Errorf("%d recipients, %v", len(list), err)
	}
	for text, want := range map[string]string{"# none\n": "names no recipient", good + "\nx\n": "line 2", strings.Repeat("x", maxRecipientLine+1): "too long"} {
		if _, err := readRecipients(strings.NewReader(text), func(string) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}
