package main

import "testing"

func TestCPUsBoundTheProcess(t *testing.T) {
	for value, want := range map[string]int{"": 0, "0.5": 1, "2": 2, "2.5": 3} {
		p, _, stderr := newProgram(fixed())
		got := 0
		p.limitCPUs = func(n int) { got = n }
		p.environ = append(p.environ, "RIPPLEBAK_CPUS="+value)
		if code := p.main(t.Context(), []string{"backup"}); code != exitDone {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		if got != want {
			t.Errorf("RIPPLEBAK_CPUS=%s: %d processors, want %d", value, got, want)
		}
	}
}
