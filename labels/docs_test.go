package labels

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDocumentedMessages checks that the messages in the documentation are the
// ones that users get, and that none of them is made up.
func TestDocumentedMessages(t *testing.T) {
	text, err := os.ReadFile("../docs/labels.md")
	if err != nil {
		t.Fatal(err)
	}
	got := documentedCases()
	var told []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "service ") || strings.HasPrefix(line, "volume ") {
			told = append(told, line)
			if !slices.Contains(got, line) {
				t.Errorf("documented, but not what a user gets:\n%s", line)
			}
		}
	}
	for _, line := range got {
		if !slices.Contains(told, line) {
			t.Errorf("not documented:\n%s", line)
		}
	}
	for _, k := range serviceKeys() {
		if !strings.Contains(string(text), "`"+Prefix+k.name+"`") {
			t.Errorf("%s is not documented", k.name)
		}
	}
}

// documentedCases produces the messages of the documentation's mistakes.
func documentedCases() []string {
	mounts := []Mount{
		{Kind: KindVolume, Volume: "uploads", Target: "/uploads"},
		{Kind: KindBind, Source: "/srv/conf", Target: "/etc/app"},
	}
	var out []string
	for _, c := range []struct {
		service string
		labels  []string
	}{
		{"app", []string{"schedule", "@daily"}},
		{"db", []string{"dump", "postgres"}},
		{"db", []string{"dump", "pg_dump", "dump.databases", "-Fc"}},
		{"db", []string{"dump", "pg_dump", "dump.databases", "host=evil dbname=x"}},
		{"db", []string{"dump", "pg_dump", "dump.user", "root:secret"}},
		{"db", []string{"dump.databases", "shop"}},
		{"app", []string{"volumes", "shop_uploads"}},
		{"app", []string{"volumes", "/etc/app"}},
		{"app", []string{"binds", "/srv/conf"}},
		{"app", []string{"exclude", "cache/"}},
		{"app", []string{"exclude", "*.{jpg"}},
		{"app", []string{"exclude", "/**"}},
		{"app", []string{"keep", "daily=0"}},
		{"app", []string{"keep", "days=7"}},
		{"app", []string{"password", "x"}},
		{"app", []string{"privileged", "true"}},
		{"app", []string{"helper", "x"}},
		{"app", []string{"exlude", "x"}},
		{"app", []string{"Dump", "x"}},
		{"app", []string{"during", "Stop"}},
		{"app", []string{"enable", "yes"}},
		{"app", []string{"group", "a\nb"}},
	} {
		src := Source{Service: c.service, Mounts: mounts, Labels: map[string]string{}}
		for i := 0; i+1 < len(c.labels); i += 2 {
			src.Labels[Prefix+c.labels[i]] = c.labels[i+1]
		}
		_, problems := Parse(src)
		for _, p := range problems {
			out = append(out, p.Error())
		}
	}
	_, problems := ParseVolume("uploads", map[string]string{"ripplebak.during": "stop"})
	for _, p := range problems {
		out = append(out, p.Error())
	}
	baked := map[string]string{"ripplebak.pre": "x"}
	spec, _ := Parse(Source{Service: "app", Labels: baked, ImageLabels: baked})
	for _, n := range spec.Notices {
		out = append(out, n.String())
	}
	return out
}
