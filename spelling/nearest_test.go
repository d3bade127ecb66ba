package spelling

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"RIPPLEBAK_REPOSITORY", "RIPPLEBAK_PASSWORD", "pg_dump", "stop", "pause", "live"}
	tests := map[string]string{
		"RIPPLEBAK_REPOSITROY": "RIPPLEBAK_REPOSITORY",
		"PG_DUMP":              "pg_dump",
		"stpo":                 "stop",
		"pausse":               "pause",
		"":                     "",
		"zzzz":                 "",
		"x":                    "",
	}
	for in, want := range tests {
		if got := Nearest(in, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzNearest(f *testing.F) {
	f.Add("stpo", "stop")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, s, word string) {
		if got := Nearest(s, []string{word}); got != "" && got != word {
			t.Errorf("Nearest(%q) = %q, which is no candidate", s, got)
		}
	})
}
