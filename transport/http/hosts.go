package waybillhttp

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// hosts is a list of approved destinations. The empty list approves none.
type hosts struct{ allowed map[hostPort]bool }

// hostPort is one approved destination. A host that begins with a dot matches any one label in
// front of it. An empty port matches every port.
type hostPort struct{ host, port string }

// allow adds a pattern.
func (h *hosts) allow(pattern string) error {
	entry, err := parsePattern(pattern)
	if err != nil {
		return err
	}
	if h.allowed == nil {
		h.allowed = map[hostPort]bool{}
	}
	h.allowed[entry] = true
	return nil
}

// approves reports whether u goes to an approved host.
func (h *hosts) approves(u *url.URL) bool {
	if len(h.allowed) == 0 {
		return false
	}
	host, ok := normalHost(u.Hostname())
	if !ok {
		return false
	}
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	if h.allowed[hostPort{host, ""}] || h.allowed[hostPort{host, port}] {
		return true
	}
	label, _, ok := strings.Cut(host, ".")
	if !ok || !validLabel(label) {
		return false
	}
	parent := host[len(label):]
	return h.allowed[hostPort{parent, ""}] || h.allowed[hostPort{parent, port}]
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

func parsePattern(pattern string) (hostPort, error) {
	host, port := pattern, ""
	if _, err := netip.ParseAddr(pattern); err != nil { // the colons of a bare IPv6 address start no port
		if i := strings.LastIndexByte(pattern, ':'); i >= 0 && !strings.HasSuffix(pattern, "]") {
			host, port = pattern[:i], pattern[i+1:]
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
				return hostPort{}, fmt.Errorf("port %q is not a number from 1 to 65535", port)
			}
		}
		if inner, ok := strings.CutPrefix(host, "["); ok {
			inner, ok = strings.CutSuffix(inner, "]")
			if !ok || !strings.Contains(inner, ":") {
				return hostPort{}, errors.New("brackets are for an IPv6 address")
			}
			host = inner
		}
	}
	name, wildcard := strings.CutPrefix(host, "*.")
	name, ok := normalHost(name)
	_, err := netip.ParseAddr(name)
	switch {
	case !ok:
		return hostPort{}, errors.New("the host name is missing or invalid")
	case err == nil && wildcard:
		return hostPort{}, errors.New("an IP address has no labels, so *. cannot match any")
	case err == nil:
		return hostPort{name, port}, nil
	case !validName(name):
		return hostPort{}, errors.New("not a host name")
	case wildcard:
		return hostPort{"." + name, port}, nil
	}
	return hostPort{name, port}, nil
}

// normalHost returns the form in which hosts are compared, and in which net/http looks them up:
// lower case, ASCII, without the final dot. An IP address gets its canonical spelling.
func normalHost(host string) (string, bool) {
	ascii := true
	for i := range len(host) {
		ascii = ascii && host[i] < 0x80
	}
	if ascii {
		host = strings.ToLower(host)
	} else {
		var err error
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return "", false
		}
	}
	if host = strings.TrimSuffix(host, "."); host == "" || host[0] == '.' {
		return "", false
	}
	if last := host[len(host)-1]; '0' <= last && last <= '9' || strings.Contains(host, ":") {
		if ip, err := netip.ParseAddr(host); err == nil {
			return ip.String(), true
		}
	}
	return host, true
}

// validName reports whether host consists of labels that a resolver accepts as a name. If the last
// label is a number, host is an IP address in an unusual spelling.
func validName(host string) bool {
	rest, label := host, ""
	for more := true; more; {
		label, rest, more = strings.Cut(rest, ".")
		if !validLabel(label) {
			return false
		}
	}
	numeric := strings.Trim(label, "0123456789") == "" || strings.HasPrefix(label, "0x")
	return !numeric && len(host) <= 253
}

func validLabel(label string) bool {
	ok := len(label) > 0 && len(label) <= 63 && label[0] != '-'
	for _, c := range []byte(label) {
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_')
	}
	return ok
}
