// Package subject matches NATS subjects against patterns.
package subject

import (
	"fmt"
	"slices"
	"strings"
)

// Filter approves subjects. The zero Filter approves all.
type Filter struct {
	restricted bool
	patterns   []string
}

// Add narrows the filter to subjects that match one of the patterns, which add to the patterns of
// earlier calls.
func (f *Filter) Add(patterns []string) error {
	for _, p := range patterns {
		if !Valid(p) {
			return fmt.Errorf("%q is not a subject pattern; write dot-separated tokens, with \"*\" for one token "+
				"and \">\" for all that follow", p)
		}
	}
	f.restricted = true
	f.patterns = append(f.patterns, patterns...)
	return nil
}

// Restricted reports whether Add has narrowed the filter.
func (f *Filter) Restricted() bool { return f.restricted }

// Approves reports whether the subject passes the filter.
func (f *Filter) Approves(subject string) bool {
	return !f.restricted || slices.ContainsFunc(f.patterns, func(p string) bool { return matches(p, subject) })
}

// Valid reports whether pattern is a subject, with or without wildcards.
func Valid(pattern string) bool {
	for rest, more := pattern, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		if token == "" || strings.ContainsAny(token, " \t\r\n") || token == ">" && more {
			return false
		}
	}
	return true
}

// Literal reports whether a message can be published to the subject: it is valid, and has no
// wildcard.
func Literal(subject string) bool {
	return Valid(subject) && !slices.ContainsFunc(strings.Split(subject, "."), func(token string) bool {
		return token == "*" || token == ">"
	})
}

// matches reports whether a valid pattern matches the subject. No pattern matches a subject with an
// empty token.
func matches(pattern, subject string) bool {
	pmore, smore := true, true
	for pmore && smore {
		var p, s string
		p, pattern, pmore = strings.Cut(pattern, ".")
		s, subject, smore = strings.Cut(subject, ".")
		switch {
		case s == "":
			return false
		case p == ">":
			return !smore || Valid(subject)
		case p != "*" && p != s:
			return false
		}
	}
	return !pmore && !smore
}

// Inbox reports whether a subject looks like one that a client made to receive replies: it begins
// with "_INBOX", as by default, or with "_R_", which servers put in place of inboxes of other
// accounts, or its last token or the one before is a NUID. Clients of all languages add a NUID to
// the prefixes that their users choose. No inbox begins with "$".
func Inbox(subject string) bool {
	if strings.HasPrefix(subject, "$") {
		return false
	}
	if strings.HasPrefix(subject, "_INBOX") || strings.HasPrefix(subject, "_R_.") {
		return true
	}
	rest, last, ok := cutLast(subject)
	if !ok {
		return false
	}
	if nuid(last) {
		return true
	}
	_, last, ok = cutLast(rest)
	return ok && nuid(last)
}

// cutLast cuts the last token off.
func cutLast(subject string) (rest, last string, ok bool) {
	i := strings.LastIndexByte(subject, '.')
	if i < 0 {
		return "", subject, false
	}
	return subject[:i], subject[i+1:], true
}

// nuid reports whether a token has the form of a NUID: 22 letters and digits.
func nuid(token string) bool {
	return len(token) == 22 && !strings.ContainsFunc(token, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
