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

// nginxHeal is the page that frees a browser whose cookies are too large for nginx, as docs/edge.md
// shows it.
const nginxHeal = `
	error_page 494 = @heal;
	location @heal {
		add_header Clear-Site-Data '"cookies"' always;
		default_type text/html;
		return 431 "<p>Your session was too large and has been reset. <a href=/>Continue</a></p>";
	}
`

// nginxPass passes every request to the replicas.
const nginxPass = `
	location / { proxy_pass http://shop; }
`

// nginxPlaces are the lines of the distribution's configuration that name places of the system.
var nginxPlaces = regexp.MustCompile(`(?m)^\s*(user|pid|error_log|access_log|include /etc/nginx/(conf\.d|sites-enabled))\b.*$`)

// startNginx starts nginx with the configuration file of the distribution, in front of the replicas. The
// lines of outer belong to its http block, and the lines of inner to its server block. It offers HTTP/2.
func startNginx(t *testing.T, c certificate, replicas []string, outer, inner string) (addr string) {
	t.Helper()
	return startNginxWith(t, c, replicas, "ssl http2", outer, inner)
}

// startNginxWith is startNginx with parameters of listen.
func startNginxWith(t *testing.T, c certificate, replicas []string, listen, outer, inner string) (addr string) {
	t.Helper()
	exe := program(t, "nginx")
	stock, err := os.ReadFile("/etc/nginx/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	text := nginxPlaces.ReplaceAllString(string(stock), "")
	at := strings.Index(text, "http {")
	if at < 0 {
		t.Fatalf("/etc/nginx/nginx.conf has no http block:\n%s", stock)
	}
	at += len("http {")
	head := "daemon off;\npid nginx.pid;\nerror_log stderr;\n"
	if os.Getuid() == 0 {
		head += "user root;\n" // the workers write into the test's directory
	}
	return spawn(t, func(addr string) *exec.Cmd {
		var site strings.Builder
		fmt.Fprintf(&site, "\naccess_log off;\nupstream shop {\n")
		for _, r := range replicas {
			fmt.Fprintf(&site, "\tserver %s;\n", r)
		}
		fmt.Fprintf(&site, "}\n%s\nserver {\n\tlisten %s %s;\n\tserver_name _;\n", outer, addr, listen)
		fmt.Fprintf(&site, "\tssl_certificate %s;\n\tssl_certificate_key %[1]s;\n%s}\n", c.file, inner)
		if err := os.WriteFile(conf, []byte(head+text[:at]+site.String()+text[at:]), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.Command(exe, "-p", dir, "-c", conf, "-e", "stderr")
	})
}
