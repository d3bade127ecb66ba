package plan

import (
	"slices"
	"testing"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/retention"
)

func TestPoliciesGoWithTheirItems(t *testing.T) {
	policy, err := retention.Parse("daily=7 last=3")
	if err != nil {
		t.Fatal(err)
	}
	specs := map[string]labels.Spec{"a": {Service: "a", Keep: policy}, "b": {Service: "b"}}
	volume := func(name string, owners ...string) Item {
		it := newVolume(compose.Volume{Key: name}, "test")
		it.Volume.Owners = owners
		return *it
	}
	p := &Plan{Items: []Item{
		{Key: "dump a/x", Kind: manifest.Dump, Service: "a"}, {Key: "dump b/x", Kind: manifest.Dump, Service: "b"},
		volume("one", "a"), volume("both", "b", "a"), volume("other", "b"), volume("nobody's"),
	}}
	p.applyPolicies(Input{Specs: specs})
	for key, want := range map[string][]string{
		"dump a/x": {"last=3 daily=7"}, "dump b/x": nil, "volume one": {"last=3 daily=7"},
		"volume both": {"default", "last=3 daily=7"}, "volume other": nil, "volume nobody's": nil,
	} {
		if it, _ := p.Item(key); !slices.Equal(it.Keep, want) {
			t.Errorf("%s: %q, want %q", key, it.Keep, want)
		}
	}
}
