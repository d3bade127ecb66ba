package labels

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestF45_LabelsOfTheImage(t *testing.T) {
	src := shop("enable", "true", "dump", "pg_dump", "during", "stop")
	src.ImageLabels = map[string]string{"ripplebak.dump": "pg_dump", "ripplebak.during": "pause", "ripplebak.pre": "rm -rf /", "ripplebak.nonsense": "x"}
	src.Labels["ripplebak.pre"], src.Labels["ripplebak.nonsense"] = "rm -rf /", "x"
	spec, problems := Parse(src)
	if len(problems) != 0 || !spec.Enabled || spec.Dump != nil || spec.Pre != "" || spec.During != Stop {
		t.Errorf("%+v %v", spec, problems)
	}
	var noticed []string
	for _, n := range spec.Notices {
		noticed = append(noticed, n.Label)
		if strings.Contains(n.String(), "rm -rf") || !strings.HasPrefix(n.String(), "service db: label ripplebak.") {
			t.Errorf("notice %s", n)
		}
	}
	if strings.Join(noticed, " ") != "ripplebak.dump ripplebak.nonsense ripplebak.pre" {
		t.Errorf("notices %q", noticed)
	}

	only := Source{Service: "x", Labels: src.ImageLabels, ImageLabels: src.ImageLabels}
	if spec, problems := Parse(only); spec.Enabled || spec.Labelled || len(problems) != 0 || len(spec.Notices) != 4 {
		t.Errorf("only the image's: %+v %v", spec, problems)
	}
	only.TrustImage = true
	spec, problems = Parse(only)
	if !spec.Enabled || spec.Dump == nil || spec.During != Pause || len(problems) != 1 || len(spec.Notices) != 0 {
		t.Errorf("trusted: %+v %v", spec, problems)
	}
}

func TestF46_HostileValues(t *testing.T) {
	const secret = "hunter2"
	for _, c := range []struct{ label, value, want string }{
		{"dump.databases", "--file=/x", "begins with a dash"},
		{"dump.databases", "-F", `"-F" begins with a dash, so it would be taken for an option`},
		{"dump.databases", "host=evil dbname=x password=" + secret, "is a connection string; only the name of a database can be given"},
		{"dump.databases", "postgres://u:" + secret + "@evil/x", "is a connection string"},
		{"dump.databases", "../../etc/passwd", `"../../etc/passwd" is a path; only the name of a database can be given; did you mean "passwd"?`},
		{"dump.databases", `..\x`, "is a path"},
		{"dump.databases", "x; rm -rf /", "a shell or a pattern would act on"},
		{"dump.databases", "$(id)", "a shell or a pattern would act on"},
		{"dump.databases", "`id`", "a shell or a pattern would act on"},
		{"dump.databases", "a*", "a shell or a pattern would act on"},
		{"dump.databases", "a'b", "a shell or a pattern would act on"},
		{"dump.databases", "a\nb", "contains a line break"},
		{"dump.databases", "a\x00b", `contains the control character '\x00'`},
		{"dump.databases", "a\x1b[31m", `contains the control character '\x1b'`},
		{"dump.databases", "a\u2028b", "contains a line break"},
		{"dump.databases", "a\u0080b", "contains the control character"},
		{"dump.databases", "\xff\xfe", "is not valid UTF-8"},
		{"dump.databases", strings.Repeat("d", 256), "is longer than 255 bytes"},
		{"dump.databases", strings.Repeat("d", 1<<20), "is longer than 4096 bytes"},
		{"dump.databases", "a,,b", "has an empty item"},
		{"dump.databases", "all,shop", `"all" stands alone`},
		{"dump.databases", "ALL", `stands alone and in lower case`},
		{"dump.user", "-U", "begins with a dash"},
		{"dump.user", "host=evil", "is a connection string; only the name of a user can be given"},
		{"dump.user", "root:" + secret, "looks like a user with a password"},
		{"dump.user", "a|b", "a shell or a pattern would act on"},
		{"dump", "$(id)", "is not one of pg_dump"},
		{"dump", "postgres://u:" + secret + "@h/x", "is not one of pg_dump"},
		{"volumes", "../../etc", "is not mounted by the service"},
		{"volumes", "/", "is not mounted by the service"},
		{"volumes", "/uploads/..", "is not mounted by the service"},
		{"volumes", "$(id)", "is not mounted by the service"},
		{"group", "../x", "is not a group name"},
		{"group", "-x", "is not a group name"},
		{"exclude", "a\nb", "contains a line break"},
		{"exclude", strings.Repeat("x", 1<<20), "is longer than 4096 bytes"},
		{"exclude", "/../../etc/**", "has a path element"},
		{"exclude", strings.Repeat("{a", 300), "is not a pattern"},
		{"exclude", strings.Repeat("{a,", 700), "lists more than 256 items"},
		{"pre", strings.Repeat("x", 64<<10+1), "is longer than 65536 bytes"},
		{"pre", "echo " + secret + "\x00", "contains the control character"},
		{"pre", "echo " + secret + "\r\n", "contains a line break"},
		{"post", "\xff" + secret, "is not valid UTF-8"},
		{"dump.command", secret + "\x07", "contains the control character"},
		{"schedule", strings.Repeat("*", 257), "is longer than 256 bytes"},
		{"schedule", "\n", "contains a line break"},
		{"keep", "last=-2", `"-2" is not a count from 1 to 10000`},
		{"keep", "last=$(id)", "is not a count"},
	} {
		labels := []string{c.label, c.value}
		if strings.HasPrefix(c.label, "dump.") && c.label != "dump.command" {
			labels = append(labels, "dump", "pg_dump")
		}
		_, problems := Parse(shop(labels...))
		if len(problems) == 0 {
			t.Errorf("%s=%.40q: taken", c.label, c.value)
			continue
		}
		got := problems[0].Error()
		if !strings.Contains(got, "label ripplebak."+c.label+": ") || !strings.Contains(got, c.want) {
			t.Errorf("%s=%.40q:\n got %s\nwant %s", c.label, c.value, got, c.want)
		}
		if strings.Contains(got, secret) || len(got) > 1000 || strings.ContainsAny(got, "\n\x00\x1b") {
			t.Errorf("%s: %d bytes: %.300q", c.label, len(got), got)
		}
	}
}

func TestF47_GlobalSettings(t *testing.T) {
	for label, want := range map[string]string{
		"repository": "setting of the whole sidecar", "password": "setting of the whole sidecar", "password-file": "setting of the whole sidecar",
		"password_file": "setting of the whole sidecar", "Repository": "setting of the whole sidecar", "s3.endpoint": "setting of the whole sidecar",
		"aws.secret": "setting of the whole sidecar", "project": "setting of the whole sidecar", "host": "setting of the whole sidecar",
		"host-path": "setting of the whole sidecar", "log-level": "setting of the whole sidecar", "trust-image-labels": "setting of the whole sidecar",
		"image": "reach beyond", "privileged": "reach beyond", "cap-add": "reach beyond", "network": "reach beyond", "mount": "reach beyond",
		"container": "reach beyond", "service": "reach beyond", "docker.socket": "reach beyond", "security-opt": "reach beyond",
		"helper": "marks its own containers", "run": "marks its own containers",
	} {
		got := message(t, label, "s3:http://u:hunter2@evil/")
		if !strings.Contains(got, want) || !strings.Contains(got, "ripplebak."+label+":") || strings.Contains(got, "evil") || strings.Contains(got, "did you mean") {
			t.Errorf("%s: %s", label, got)
		}
	}
	for _, k := range serviceKeys() {
		if reason := refusal(k.name); reason != "" {
			t.Errorf("%s is a label and is refused: %s", k.name, reason)
		}
	}
}

func TestF48_CommandsAreNeverQuoted(t *testing.T) {
	for _, k := range serviceKeys() {
		_, problems := Parse(shop(k.name, "curl -u me:hunter2 http://x/\x00"))
		if len(problems) == 0 {
			t.Errorf("%s: taken", k.name)
		}
		for _, p := range problems {
			if strings.Contains(p.Error(), "hunter2") {
				t.Errorf("%s", p)
			}
		}
	}
}

func TestF36_Policies(t *testing.T) {
	for value, want := range map[string]string{
		"last":                        `"last" needs a value after an equals sign`,
		"last=":                       `"last" needs a value after an equals sign`,
		"last=0":                      `"0" is not a count from 1 to 10000`,
		"last=99999999999999999999":   "is not a count",
		"daily=7 daily=8":             `"daily" is given twice`,
		"Daily=7":                     `"Daily" is in the wrong case; did you mean "daily"?`,
		"days=7":                      `did you mean "daily"?`,
		"keep-weekly=7":               `did you mean "weekly"?`,
		"fortnightly=7":               "is not one of last, hourly, daily, weekly, monthly, quarterly, yearly, within, within-hourly",
		"last=3,daily=7":              "is not a count",
		"within=":                     `"within" needs a value`,
		"within=0d":                   "is not a span of time",
		"within=5":                    "is not a span of time",
		"within=d":                    "is not a span of time",
		"within=2d1y":                 "is not a span of time",
		"within=1d1d":                 "is not a span of time",
		"within=-1d":                  "is not a span of time",
		"within=99999d":               "is not a span of time",
		"within=9999999999999999999d": "is not a span of time",
		strings.Repeat("a=1 ", 14):    "has more rules than there are words",
	} {
		if got := message(t, "keep", value); !strings.Contains(got, want) {
			t.Errorf("%s: %s", value, got)
		}
	}
	spec, problems := Parse(shop("keep", "last=3  within=1y2m3d4h yearly=-1"))
	if got := spec.Keep.String(); len(problems) > 0 || got != "last=3 yearly=-1 within=1y2m3d4h" {
		t.Errorf("%q, %v", got, problems)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []struct{ key, value string }{
		{"ripplebak.dump", "pg_dump"}, {"ripplebak.dump.databases", "a,b\\,c,--file=/x"}, {"ripplebak.dump.user", "host=evil dbname=x"},
		{"ripplebak.volumes", "data,/uploads,../"}, {"ripplebak.exclude", "/a,{b\\,c},[!x],**/y"}, {"ripplebak.keep", "last=3 within=1y2m3d4h"},
		{"ripplebak.pre", "sh -c 'x'\n"}, {"ripplebak.Password", "s3cret"}, {"riplebak.dump", "x\x00"}, {"ripplebak", ""},
		{"ripplebak.\xff", "\xff"}, {"ripplebak." + strings.Repeat("x", 5000), strings.Repeat("y", 5000)}, {"ripplebak.binds", "/srv/conf"},
		{"ripplebak.group", "é"}, {"ripplebak.schedule", "@daily"}, {"ripplebak.enable", "TRUE"}, {"ripplebak.exclude", "\\"},
	} {
		f.Add(seed.key, seed.value)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		src := shop("dump", "pg_dump")
		src.Labels[key] = value
		spec, problems := Parse(src)
		_, volumeProblems := ParseVolume("v", map[string]string{key: value})
		for _, p := range append(problems, volumeProblems...) {
			checkMessage(t, p.Error())
		}
		if len(problems) == 0 {
			checkSpec(t, spec)
		}
	})
}

func checkMessage(t *testing.T, m string) {
	t.Helper()
	if len(m) > 2500 || !utf8.ValidString(m) || strings.IndexFunc(m, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		t.Fatalf("message of %d bytes: %q", len(m), m)
	}
}

// checkSpec checks what the rest of the program relies on.
func checkSpec(t *testing.T, s Spec) {
	t.Helper()
	if s.Dump != nil {
		for _, name := range append(s.Dump.Databases, s.Dump.User) {
			if strings.HasPrefix(name, "-") || strings.ContainsAny(name, "=\n\r\x00;|&$`'\"") || len(name) > maxName {
				t.Fatalf("name %q", name)
			}
		}
		if s.Dump.Engine != "pg_dump" || s.Dump.Command != "" || s.Dump.Paths != nil {
			t.Fatalf("dump %+v", s.Dump)
		}
	}
	for _, name := range s.Volumes.Names {
		if name != "data" && name != "uploads" && name != "/scratch" {
			t.Fatalf("volume %q", name)
		}
	}
	for _, pattern := range s.Exclude {
		if reason, _ := badPattern(pattern); reason != "" {
			t.Fatalf("pattern %q %s", pattern, reason)
		}
	}
	if len(s.Schedule) > maxSchedule || s.Schedule != strings.Join(strings.Fields(s.Schedule), " ") {
		t.Fatalf("schedule %q", s.Schedule)
	}
}
