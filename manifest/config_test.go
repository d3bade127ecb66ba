package manifest

import (
	"strings"
	"testing"
)

func TestConfigPath(t *testing.T) {
	long := "/" + strings.Repeat("long/", 100) + "compose.yaml"
	for source, want := range map[string]string{
		"/srv/shop/compose.yaml":  "compose.yaml",
		"/srv/shop/conf/a%b.env":  "conf/a%25b.env",
		"/srv/shop2/compose.yaml": "%2Fsrv%2Fshop2%2Fcompose.yaml",
		"/srv/shop":               "%2Fsrv%2Fshop",
		"/etc/shared.env":         "%2Fetc%2Fshared.env",
	} {
		if got := ConfigPath("/srv/shop", source); got != want {
			t.Errorf("%s: %s", source, got)
		}
	}
	if got := ConfigPath("/", "/compose.yaml"); got != "compose.yaml" {
		t.Errorf("at the root: %s", got)
	}
	got := ConfigPath("/srv/shop", long)
	if len(got) > maxConfigName || strings.Contains(got, "/") || !strings.HasSuffix(got, "compose.yaml") || got == ConfigPath("/srv/shop", "/x"+long) {
		t.Errorf("a long one: %s", got)
	}
}

func TestRunbookNamesTheProjectsOwnFiles(t *testing.T) {
	m := &Manifest{Project: "shop", Items: []Item{{Kind: Config, State: Good, ConfigInfo: &ConfigInfo{WorkingDir: "/srv/shop", Files: []ConfigFile{
		{Path: "compose.yaml", Source: "/srv/shop/compose.yaml", Role: "compose"}, {Path: "%2Fetc%2Fx.env", Source: "/etc/x.env", Role: "env_file"},
	}}}}}
	out := string(m.Runbook(""))
	for _, want := range []string{"`config/compose.yaml`, compose, from `/srv/shop/compose.yaml`", "from `/etc/x.env`", "export latest config > config.tar", "as the item `config`"} {
		if !strings.Contains(out, want) {
			t.Errorf("the runbook does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "keep them in version control") {
		t.Error("the runbook says that the files are not saved")
	}
}
