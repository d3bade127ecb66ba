package sidecar

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestPlanNamesDatabasesThatAreCopiedAsFiles: a database of SQLite that is read
// while somebody may write to it is named, with what to do, and nothing else is.
func TestPlanNamesDatabasesThatAreCopiedAsFiles(t *testing.T) {
	for name, c := range map[string]struct {
		labels map[string]string
		said   bool
	}{
		"live":     {map[string]string{"enable": "true"}, true},
		"stopped":  {map[string]string{"during": "stop"}, false},
		"dumped":   {map[string]string{"dump": "sqlite"}, false},
		"excluded": {map[string]string{"exclude": "*.db"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.service("app", c.labels, "data")
			head := append([]byte("SQLite format 3\x00"), bytes.Repeat([]byte{0}, 4080)...)
			for i := range 5 {
				if err := os.WriteFile(s.path("volumes", "shop_data", fmt.Sprintf("%d.db", i)), head, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p, err := s.app.Plan(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			said := strings.Join(p.Warnings, "\n")
			const want = `volume data holds databases of SQLite, which are read while they are written to: "0.db" "1.db" "2.db" and 2 more: ` +
				"put ripplebak.dump: sqlite, or ripplebak.during: stop, on service app"
			if got := strings.Contains(said, want); got != c.said || strings.Contains(said, "SQLite") != c.said {
				t.Errorf("warnings: %s", said)
			}
			s.wantQuiet()
		})
	}
}
