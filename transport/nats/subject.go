package waybillnats

import "strings"

// validPattern reports whether pattern is a subject, with wildcards or without.
func validPattern(pattern string) bool {
	for rest, more := pattern, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		if token == "" || strings.ContainsAny(token, " \t\r\n") || token == ">" && more {
			return false
		}
	}
	return true
}

// matches reports whether a valid pattern covers subject. A subject with an empty token is covered by none.
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
			return !smore || validPattern(subject)
		case p != "*" && p != s:
			return false
		}
	}
	return !pmore && !smore
}
