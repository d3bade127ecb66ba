package manifest

import (
	"errors"
	"strings"
	"testing"
	"testing/quick"
)

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	m := &Manifest{Project: "shop", Items: []Item{
		{Kind: Dump, Service: "db", Name: "shop", State: Good, DumpInfo: &DumpInfo{Engine: "pg_dump"}},
		{Kind: Volume, Name: "data", State: Partial, VolumeInfo: &VolumeInfo{DockerName: "shop_data", DeviceID: 7}},
	}}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.Project != "shop" || got.Format != Format {
		t.Errorf("got project %q format %d", got.Project, got.Format)
	}
	item, ok := got.Find("volume data")
	if !ok || item.VolumeInfo.DeviceID != 7 {
		t.Errorf("volume data: found %v, %+v", ok, item)
	}
	if got.Complete() {
		t.Error("a manifest with a partial item counts as complete")
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := map[string]string{
		"nothing":       ``,
		"no format":     `{"project":"a"}`,
		"unknown kind":  `{"format":1,"items":[{"kind":"moon","name":"x","state":"good"}]}`,
		"unknown state": `{"format":1,"items":[{"kind":"volume","name":"x","state":"fine"}]}`,
		"twice":         `{"format":1,"items":[{"kind":"volume","name":"x","state":"good"},{"kind":"volume","name":"x","state":"good"}]}`,
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			if m, err := Decode([]byte(in)); err == nil {
				t.Errorf("accepted as %+v", m)
			}
		})
	}
	if _, err := Decode([]byte(`{"format":99}`)); !errors.Is(err, ErrFormat) {
		t.Errorf("newer format: got %v, want ErrFormat", err)
	}
}

func TestEscapeYieldsOneNameAndIsInjective(t *testing.T) {
	seen := map[string]string{}
	check := func(s string) bool {
		e := Escape(s)
		if Unescape(e) != s {
			return false
		}
		if strings.ContainsAny(e, "/\x00\n") || e == "." || e == ".." {
			return false
		}
		if prev, ok := seen[e]; ok && prev != s {
			return false
		}
		seen[e] = s
		return true
	}
	for _, s := range []string{"shop", "a/b", "..", ".", "%2E", "a\nb", "ü", "a%2Fb"} {
		if !check(s) {
			t.Errorf("Escape(%q) = %q", s, Escape(s))
		}
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"format":1,"items":[{"kind":"dump","service":"db","name":"x","state":"good"}]}`))
	f.Add([]byte(`{"format":1,"items":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		if _, err := m.Encode(); err != nil {
			t.Errorf("what was decoded cannot be encoded: %v", err)
		}
	})
}
