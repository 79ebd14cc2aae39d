package main

import (
	"regexp"
	"strings"
)

// A compact token: an encoded JSON object, then at least two dots.
var token = regexp.MustCompile(`ey[A-Za-z0-9_-]{8,}=*\.[A-Za-z0-9_-]*=*\.`)

// The secret lines of the files of identities and roots.
var ownSecret = regexp.MustCompile(`AGE-SECRET-KEY-|waybill-(root|sign)-key:`)

// checkArgs rejects credentials among the arguments before any message could contain them.
func checkArgs(args []string) error {
	for _, arg := range args {
		if token.MatchString(arg) {
			return usage("a token is a credential and arguments are visible to every user of this machine: " +
				"pass it on standard input or in a file, as in: waybill open --ring FILE < token")
		}
		if ownSecret.MatchString(arg) {
			return usage("an identity or a root is secret and arguments are visible to every user of this machine: " +
				"pass its file")
		}
		if strings.Contains(arg, `"keys"`) && (strings.Contains(arg, `"k"`) || strings.Contains(arg, `"d"`)) {
			return usage("keys are secret and arguments are visible to every user of this machine: " +
				"pass the ring as a file, on standard input (--ring -) or as a descriptor (--ring-fd N)")
		}
	}
	return nil
}
