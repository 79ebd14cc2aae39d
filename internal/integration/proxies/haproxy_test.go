package integrationproxies

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// haproxyHeal frees a browser whose cookies fill half of a buffer of 128 KiB, as docs/edge.md shows it.
// HAProxy cannot answer a request that is larger than its buffer with a page.
const haproxyHeal = `
    http-request return status 431 content-type text/html string "<p>Your session was too large and has been reset. <a href=/>Continue</a></p>" hdr Clear-Site-Data '"cookies"' if { req.hdrs,length gt 64000 }
`

// haproxyPlaces are the lines of the distribution's configuration that name places of the system.
var haproxyPlaces = regexp.MustCompile(`(?m)^\s*(log\s+/|chroot|stats|user|group|daemon).*$`)

// startHAProxy starts HAProxy with the configuration file of the distribution, in front of the replicas.
// The lines of global belong to its global section, and the lines of frontend to its frontend.
func startHAProxy(t *testing.T, c certificate, replicas []string, global, frontend string) (addr string) {
	t.Helper()
	exe := program(t, "haproxy")
	stock, err := os.ReadFile("/etc/haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "haproxy.cfg")
	text := haproxyPlaces.ReplaceAllString(string(stock), "")
	return spawn(t, func(addr string) *exec.Cmd {
		var site strings.Builder
		fmt.Fprintf(&site, "\nglobal\n%s\nfrontend clients\n", global)
		fmt.Fprintf(&site, "    bind %s ssl crt %s alpn h2,http/1.1\n", addr, c.file)
		fmt.Fprintf(&site, "%s    default_backend shop\nbackend shop\n    balance roundrobin\n", frontend)
		for i, r := range replicas {
			fmt.Fprintf(&site, "    server shop-%d %s\n", i, r)
		}
		if err := os.WriteFile(conf, []byte(text+site.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.Command(exe, "-db", "-f", conf)
	})
}
