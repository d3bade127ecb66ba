package s3

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestF31_Addresses(t *testing.T) {
	for in, want := range map[string]string{
		"https://minio.example:9000/bucket/pre/fix": "https://minio.example:9000/bucket/pre/fix",
		"http://host/bucket":                        "http://host/bucket",
		"https://host/bucket/":                      "https://host/bucket",
		"https://host//bucket//a///b//":             "https://host/bucket/a/b",
		"host/bucket/prefix":                        "https://host/bucket/prefix",
		"s3.amazonaws.com/bucket":                   "https://s3.amazonaws.com/bucket",
		"s3.eu-central-1.amazonaws.com/my.bucket/x": "https://s3.eu-central-1.amazonaws.com/my.bucket/x",
		"://host.example/bucket":                    "https://host.example/bucket",
		"http://[::1]:9000/bucket":                  "http://[::1]:9000/bucket",
		"http://127.0.0.1:9000/bucket/a%20b":        "http://127.0.0.1:9000/bucket/a b",
		"host/bucket/a%20b":                         "https://host/bucket/a%20b",
		"host/bucket/Zürich 東京":                     "https://host/bucket/Zürich 東京",
		"http://my_minio:9000/bucket":               "http://my_minio:9000/bucket",
	} {
		a, err := ParseAddress(in)
		if err != nil || a.String() != want {
			t.Errorf("%q: %q, %v; want %q", in, a, err, want)
		}
	}
	for in, says := range map[string]string{
		"":                                         "no host",
		"host":                                     "no bucket",
		"https://host":                             "no bucket",
		"https://host///":                          "no bucket",
		"https:///bucket":                          "no host",
		"ftp://host/bucket":                        "http or https",
		"://bucket/prefix":                         "s3.amazonaws.com/bucket/prefix",
		"https://host/bucket/../other":             `".."`,
		"https://host/bucket/%2e%2e/other":         `".."`,
		"host/bucket/a/./b":                        `"."`,
		"host/../bucket":                           `".."`,
		"host/b":                                   "bucket",
		"host/buck et":                             "bucket",
		"https://key:hunter2secret@host/bucket":    "AWS_SECRET_ACCESS_KEY",
		"key:hunter2secret@host/bucket":            "AWS_SECRET_ACCESS_KEY",
		"https://host/bucket?versions":             "?",
		"https://host/bucket#x":                    "#",
		"https://host:99999/bucket":                "port",
		"https://host:0/bucket":                    "port",
		"https://ho st/bucket":                     "URL",
		"https://hunter2secret:pa%zz@h/b":          "URL",
		"ho\u0456st.example/bucket":                "bad host",
		"host/bucket/a\\b":                         "U+005C",
		"host/bucket/a\x00b":                       "U+0000",
		"host/bucket/a\nb":                         "U+000A",
		"host/bucket/a\u200bb":                     "U+200B",
		"host/bucket/a\u202eb":                     "U+202E",
		"host/bucket/a\u00a0b":                     "U+00A0",
		"host/bucket/Zu\u0308rich":                 "NFC",
		"host/bucket/\xff\xfe":                     "UTF-8",
		"host/bucket/ a":                           "space",
		"host/bucket/" + strings.Repeat("a/", 500): "longer",
	} {
		a, err := ParseAddress(in)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, %v; want an error that says %q", in, a, err, says)
			continue
		}
		if strings.Contains(err.Error(), "hunter2secret") || strings.ContainsAny(err.Error(), "\n\x00") || !utf8.ValidString(err.Error()) {
			t.Errorf("%q: unfit error %q", in, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"https://host:1/bucket/a/b", "host/bucket", "://h.x/bucket", "http://[::1]/bucket/%2e", "host/bucket/../x", "host/bucket/\u202e", "http://a:b@c/ddd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := ParseAddress(in)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		for s := range strings.SplitSeq(a.Bucket+"/"+a.Prefix, "/") {
			if s == "." || s == ".." || s == "" && a.Prefix != "" {
				t.Errorf("%q leads to %q", in, a)
			}
		}
		if a.Host == "" || strings.ContainsAny(a.Host, "/@?#") || strings.ContainsAny(a.Prefix, "\x00\n\\") || len(a.Prefix) > maxPrefix {
			t.Errorf("%q leads to %#v", in, a)
		}
	})
}
