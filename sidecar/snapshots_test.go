package sidecar

import (
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

func TestF13_SuddenChangeOfSizeIsAWarning(t *testing.T) {
	const mib = 1 << 20
	set, err := settings.Load([]string{"RIPPLEBAK_STATE_DIR=" + t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &App{Settings: set}
	at := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	before := []manifest.Mark{{Time: at, Bytes: 100 * mib, Files: 10}, {Time: at.AddDate(0, 0, -1), Bytes: 100 * mib, Files: 10}}
	for _, tt := range []struct {
		bytes int64
		warns bool
	}{{100 * mib, false}, {50 * mib, false}, {49 * mib, true}, {0, true}, {9_999 * mib, false}, {10_000 * mib, true}} {
		if text, warns := a.suddenly(before, manifest.Item{Bytes: tt.bytes, Files: 10}); warns != tt.warns {
			t.Errorf("with %d bytes: warns %v (%s), want %v", tt.bytes, warns, text, tt.warns)
		}
	}
	if _, warns := a.suddenly((*parents)(nil).marksOf("x"), manifest.Item{Bytes: mib}); warns {
		t.Error("a first run warns")
	}
	// What somebody has looked at is compared with from then on.
	small := append([]manifest.Mark{{Time: at.AddDate(0, 0, 1), Bytes: mib, Files: 10}}, before...)
	if _, warns := a.suddenly(small, manifest.Item{Bytes: mib, Files: 10}); !warns {
		t.Error("the second run after a change is believed")
	}
	if err := state.At(set.StateDir).UpdateHistory(func(h *state.History) { h.Reviewed = at.AddDate(0, 0, 1) }); err != nil {
		t.Fatal(err)
	}
	if text, warns := a.suddenly(small, manifest.Item{Bytes: mib, Files: 10}); warns {
		t.Errorf("a change that was looked at is held against the next run: %s", text)
	}
}
