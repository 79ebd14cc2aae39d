//go:build race

package main

import "testing"

// race says that the race detector is on, which takes several times the memory.
const race = true

// notUnderRace skips a run that a fleet of sixteen processes under the race detector cannot keep up with on two cores.
func notUnderRace(t *testing.T) {
	t.Helper()
	t.Skip("SKIPPED LOUDLY under the race detector: TestHeadless and TestControls run the same fleet under it")
}
