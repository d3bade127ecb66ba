package sidecar

import "testing"

func TestRedactor(t *testing.T) {
	r := NewRedactor([]string{"correct horse", "short"})
	r.Add("x")
	r.AddFound("hunter2-long", "hunter2", "postgres", `quo"te\d`, "a/b+c d=", "it's me", "-----BEGIN KEY-----\nMIIabcdef\n-----END KEY-----")
	r.AddFound("abcdefgh", "efghijkl")
	r.Public("postgres", "correct horse")
	for in, want := range map[string]string{
		"":                                  "",
		"nothing to see":                    "nothing to see",
		"correct horse":                     "***", // ours, even where it is a name
		"short and x stay, being short":     "short and x stay, being short",
		"hunter2-long":                      "***", // the longest, not hunter2 and a rest
		"hunter2hunter2":                    "***" + "***",
		"abcdefghijkl":                      "***", // both, though they overlap
		"dump db/postgres":                  "dump db/postgres",
		`failed: "quo\"te\\d"`:              `failed: "***"`,
		"GET /?x=a%2Fb%2Bc+d%3D":            "GET /?x=***",
		`sh -c 'it'\''s me'`:                `sh -c '***'`,
		"  MIIabcdef\n":                     "  ***\n",
		"http://u:p4ssw0rd@host/x":          "http://u:***@host/x",
		"http://host:9000/b/x@y":            "http://host:9000/b/x@y",
		"s3:http://127.0.0.1:9000/bucket":   "s3:http://127.0.0.1:9000/bucket",
		"PGPASSWORD=abc psql":               "PGPASSWORD=*** psql",
		`PGPASSWORD="$POSTGRES_PASSWORD" x`: `PGPASSWORD="$POSTGRES_PASSWORD" x`,
		"PGPASSWORD=$(cat /x) x":            "PGPASSWORD=$(cat /x) x",
		"tool --password 'ab c'":            "tool --password ***",
		"tool --password abc --x":           "tool --password *** --x",
		"tool --token=abc --x":              "tool --token=*** --x",
		"curl -u me:abc http://h":           "curl -u me:*** http://h",
		"Authorization: Bearer abc":         "Authorization: Bearer ***",
		"the wrong password for repository": "the wrong password for repository",
		"set RIPPLEBAK_PASSWORD, or RIPPLEBAK_PASSWORD_FILE": "set RIPPLEBAK_PASSWORD, or RIPPLEBAK_PASSWORD_FILE",
	} {
		if got := r.Redact(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	var none *Redactor
	if none.Redact("x") != "x" {
		t.Error("no redactor changes text")
	}
}

func TestNamesSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"POSTGRES_PASSWORD": true, "POSTGRES_PASSWORD_FILE": false, "DB_PASS": true, "db_pwd": true, "PWD": false, "APP_KEY": true,
		"AWS_ACCESS_KEY_ID": true, "POSTGRES_USER": false, "PATH": false, "GITHUB_TOKEN": true, "KEYBOARD": false,
	} {
		if got := namesSecret(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
