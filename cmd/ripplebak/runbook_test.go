package main

import (
	"strings"
	"testing"
)

func TestRunbookIsPrinted(t *testing.T) {
	r := run(t, fixed(), "runbook")
	if r.code != 0 || !strings.HasPrefix(r.out, "# Recovery of shop\n\n") || strings.Contains(r.out, "\x1b") || strings.Contains(r.out, testSecret) {
		t.Errorf("code %d, output %q, error %q", r.code, r.out, r.stderr)
	}
}
