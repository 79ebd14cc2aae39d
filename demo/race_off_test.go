//go:build !race

package main

import "testing"

// race says that the race detector is on, which takes several times the memory.
const race = false

func notUnderRace(*testing.T) {}
