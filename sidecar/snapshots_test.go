package sidecar

import "testing"

func TestF13_SuddenChangeOfSizeIsAWarning(t *testing.T) {
	const mib = 1 << 20
	p := &parents{sizes: map[string]int64{"dump db/shop": 100 * mib, "volume empty": 0, "volume tiny": 10}}
	tests := []struct {
		key   string
		bytes int64
		warns bool
	}{
		{"dump db/shop", 100 * mib, false},
		{"dump db/shop", 2 * mib, false},
		{"dump db/shop", mib, true},
		{"dump db/shop", 0, true},
		{"dump db/shop", 9_999 * mib, false},
		{"dump db/shop", 10_000 * mib, true},
		{"volume empty", mib, true},
		{"volume tiny", 1000, false},
		{"volume tiny", 0, false},
		{"volume new", 100 * mib, false},
	}
	for _, tt := range tests {
		if text, warns := p.jump(tt.key, tt.bytes); warns != tt.warns {
			t.Errorf("%s with %d bytes: warns %v (%s), want %v", tt.key, tt.bytes, warns, text, tt.warns)
		}
	}
	if _, warns := (*parents)(nil).jump("x", mib); warns {
		t.Error("a first run warns")
	}
}
