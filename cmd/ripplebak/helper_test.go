package main

import (
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/volume"
)

func TestHelperReadsItsOwnVariablesAndNoSettings(t *testing.T) {
	p, _, _ := newProgram(fixed())
	p.environ = []string{"RIPPLEBAK_HELPER_SOCKET=/run/ripplebak/s", "RIPPLEBAK_HELPER_TOKEN=tok=en", "RIPPLEBAK_HELPER_CONNECTIONS=3"}
	opt, err := p.helperOptions()
	if want := (volume.HelperOptions{Socket: "/run/ripplebak/s", Token: "tok=en", Connections: 3}); err != nil || opt != want {
		t.Errorf("got %+v, %v", opt, err)
	}
	p.environ = p.environ[:2]
	if opt, err := p.helperOptions(); err != nil || opt.Connections != 1 {
		t.Errorf("got %+v, %v", opt, err)
	}
	for _, bad := range []string{"0", "-1", "65", "x", "1e3"} {
		p.environ = append(p.environ[:2:2], "RIPPLEBAK_HELPER_CONNECTIONS="+bad)
		if _, err := p.helperOptions(); err == nil {
			t.Errorf("%q connections are accepted", bad)
		}
	}
}

func TestHelperByHandIsRefused(t *testing.T) {
	f := fixed()
	r := run(t, f, "helper")
	if r.code != exitFailed || !strings.Contains(r.stderr, "for the containers that a sidecar starts") || f.app != nil {
		t.Errorf("code %d, error %q", r.code, r.stderr)
	}
}

func TestHelperThatCannotCallSaysSo(t *testing.T) {
	p, _, stderr := newProgram(fixed())
	p.environ = []string{"RIPPLEBAK_HELPER_SOCKET=" + t.TempDir() + "/none", "RIPPLEBAK_HELPER_TOKEN=secret-token"}
	code := p.main(t.Context(), []string{"helper"})
	if code != exitFailed || !strings.Contains(stderr.String(), "connect to the sidecar") || strings.Contains(stderr.String(), "secret-token") {
		t.Errorf("code %d, error %q", code, stderr)
	}
}
