package storagetest

import (
	"testing"

	"github.com/ripplebak/ripplebak/storage"
)

// Contract is what every storage has to fulfil. open returns the store of an
// empty place, not provisioned, which nobody else uses.
func Contract(t *testing.T, open func(t *testing.T) storage.Store) {
	provisioned := func(t *testing.T) storage.Store {
		t.Helper()
		s := open(t)
		if err := s.Writer().Provision(t.Context()); err != nil {
			t.Fatalf("provision: %v", err)
		}
		return s
	}
	for _, c := range []struct {
		name string
		test func(*testing.T, storage.Store)
	}{
		{"Provision", testProvision},
		{"RoundTrip", testRoundTrip},
		{"Ranges", testRanges},
		{"Absent", testAbsent},
		{"F31_InvalidNames", testInvalid},
		{"SaveAgain", testSaveAgain},
		{"F24_BadSources", testSources},
		{"WrongKinds", testKinds},
		{"Create", testCreate},
		{"CreateRace", testCreateRace},
		{"CreateKey", testCreateKey},
		{"Locks", testLocks},
		{"Remove", testRemove},
		{"List", testList},
		{"ListStops", testListStops},
		{"Cancelled", testCancelled},
		{"Parallel", testParallel},
		{"F40_Sides", testSides},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, provisioned(t)) })
	}
}
