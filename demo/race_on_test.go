//go:build race

package main

// race says that the race detector is on, which takes several times the memory.
const race = true
