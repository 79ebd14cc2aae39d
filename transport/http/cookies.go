package waybillhttp

import (
	"fmt"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxCookie is the size of a cookie's name and value that browsers accept, with some room: the
	// limit is 4,096 bytes, and some count the attributes.
	maxCookie = 4000

	// maxCookies is how many cookies of a request are read. Browsers keep less than 200 for a host,
	// and net/http reads 3,000. The header is dropped behind them.
	maxCookies = 1000

	// nameLen is the length of a token's name.
	nameLen = 8
)

// cookies configures how clients keep tokens: one cookie for each token, named after it.
type cookies struct {
	name     string
	domain   string // "": of this host only
	insecure bool   // also over plain http

	prefix     string // of the names
	attributes string // of a cookie that is set
	expiry     string // what follows the name of a cookie that is removed
}

// cookie is one of our cookies as it came. The name need not be its token's.
type cookie struct{ name, value string }

// check completes the cookies, after the options were applied.
func (c *cookies) check(acceptLimit int) error {
	c.prefix = c.name + "-"
	switch {
	case c.insecure:
	case c.domain != "":
		c.prefix = "__Secure-" + c.prefix
	default:
		c.prefix = "__Host-" + c.prefix
	}
	if most := maxCookie - len(c.prefix) - nameLen; acceptLimit > most {
		return fmt.Errorf("waybillhttp: Cookies: browsers accept %d bytes of name and value, and a token may have %d; "+
			"pass waybill.AcceptLimit(%d) or less to waybill.New", maxCookie, acceptLimit, min(most, 3584))
	}
	scope := "; Path=/"
	if c.domain != "" {
		scope += "; Domain=" + c.domain
	}
	if !c.insecure {
		scope += "; Secure"
	}
	c.attributes = scope + "; HttpOnly; SameSite=Lax; Max-Age="
	c.expiry = "=" + scope + "; Max-Age=0"
	return nil
}

// read returns our cookies in the order in which they came, and the lines of the Cookie header
// without them. It returns false if nothing was taken out. A cookie is ours by the prefix of its
// name, whether or not net/http would accept it.
func (c *cookies) read(lines []string) (ours []cookie, rest []string, ok bool) {
	left := maxCookies
	for _, line := range lines {
		if !strings.Contains(line, c.prefix) {
			rest = append(rest, line)
			continue
		}
		var others []string
		for part := range strings.SplitSeq(line, ";") {
			if left--; left < 0 {
				break
			}
			part = strings.Trim(part, " \t")
			if !strings.HasPrefix(part, c.prefix) {
				if part != "" {
					others = append(others, part)
				}
				continue
			}
			name, value, _ := strings.Cut(part, "=")
			ours = append(ours, cookie{strings.TrimRight(name, " \t"), strings.TrimLeft(value, " \t")})
		}
		if others != nil {
			rest = append(rest, strings.Join(others, "; "))
		}
	}
	return ours, rest, ours != nil || left < 0
}

// set returns the line that sets the cookie of a token, or "" if browsers would reject the cookie.
func (c *cookies) set(name, token string, now, end time.Time) string {
	if len(c.prefix)+len(name)+len(token) > maxCookie {
		return ""
	}
	return c.prefix + name + "=" + token + c.attributes + strconv.FormatInt(end.Unix()-now.Unix(), 10)
}

// expire returns the lines that remove cookies, in the order in which they came, except the one
// that is set. Together they have at most room bytes.
//
// A cookie that was not removed is sent again. So leaving out lines does no harm, while a header
// that a proxy rejects would lock the client out. If only some lines fit, the answers to parallel
// requests remove different cookies; otherwise the set would grow.
func (c *cookies) expire(came []cookie, set string, room int) (lines []string) {
	known := make(map[string]bool, min(len(came), maxOpened))
	least := fieldSize("Set-Cookie", c.prefix+c.expiry)
	begin := 0
	if len(came) > 0 && len(came)*(least+nameLen) > room {
		begin = int(crc32.ChecksumIEEE([]byte(set)) % uint32(len(came)))
	}
	for i := range came {
		old := came[(begin+i)%len(came)]
		if room < least || len(lines) == maxOpened {
			break
		}
		size := least - len(c.prefix) + len(old.name)
		if size > room || old.name == set || known[old.name] {
			continue
		}
		known[old.name] = true
		room -= size
		lines = append(lines, old.name+c.expiry)
	}
	return lines
}

// replace makes ours the only lines that set cookies with our prefix: a proxy may have copied
// others from the response of another edge.
func (c *cookies) replace(h http.Header, ours []string) {
	was := h["Set-Cookie"]
	if was == nil && ours == nil {
		return
	}
	var lines []string
	for _, line := range was {
		if !strings.HasPrefix(strings.TrimLeft(line, " \t"), c.prefix) {
			lines = append(lines, line)
		}
	}
	if lines = append(lines, ours...); lines != nil {
		h["Set-Cookie"] = lines
	} else {
		delete(h, "Set-Cookie")
	}
}

// isCookieName reports whether name can be the middle part of the names.
func isCookieName(name string) bool {
	ok := len(name) > 0 && len(name) <= 32
	for _, c := range []byte(name) {
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_')
	}
	return ok
}

// hasDot reports whether a domain has at least two labels.
func hasDot(domain string) bool { return strings.Contains(domain, ".") }
