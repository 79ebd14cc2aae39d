package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// risk is what a check has found, and the command that mends it.
type risk struct {
	Check string `json:"check"`
	Risk  string `json:"risk"`
	Mend  string `json:"mend"`
}

// skipped is a check that could not be made.
type skipped struct {
	Check string `json:"check"`
	Why   string `json:"why"`
}

// checkup is what the doctor has seen so far.
type checkup struct {
	Domain  string    `json:"domain"`
	Store   string    `json:"store"`
	Risks   []risk    `json:"risks"`
	Skipped []skipped `json:"skipped"`
	Passed  []string  `json:"passed"`

	check string // the present one
}

func newCheckup(domain, store string) *checkup {
	return &checkup{Domain: domain, Store: store, Risks: []risk{}, Skipped: []skipped{}, Passed: []string{}}
}

// run makes one check. It has passed if it finds no risk and skips nothing.
func (c *checkup) run(check string, look func()) {
	before := len(c.Risks) + len(c.Skipped)
	c.check = check
	look()
	if len(c.Risks)+len(c.Skipped) == before {
		c.Passed = append(c.Passed, check)
	}
}

func (c *checkup) risk(mend, format string, args ...any) {
	c.Risks = append(c.Risks, risk{c.check, oneLine(fmt.Sprintf(format, args...)), mend})
}

func (c *checkup) skip(format string, args ...any) {
	c.Skipped = append(c.Skipped, skipped{c.check, oneLine(fmt.Sprintf(format, args...))})
}

// print says what was found, and returns the failure that there are risks.
func (c *checkup) print(cmd *cobra.Command, out output) error {
	show := func() error { return write(cmd, c.text()) }
	if out == jsonOutput {
		show = func() error { return writeJSON(cmd, c) }
	}
	if err := show(); err != nil || len(c.Risks) == 0 {
		return err
	}
	return &failure{code: exitRisk, err: fmt.Errorf("%d risks found, each with what mends it", len(c.Risks))}
}

func (c *checkup) text() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range c.Risks {
		fmt.Fprintf(w, "RISK\t%s\t%s\n\tmend:\t%s\n", r.Check, r.Risk, r.Mend)
	}
	for _, s := range c.Skipped {
		fmt.Fprintf(w, "skipped\t%s\t%s\n", s.Check, s.Why)
	}
	for _, name := range c.Passed {
		fmt.Fprintf(w, "ok\t%s\t%s\n", name, checks[slices.IndexFunc(checks, func(k checkName) bool { return k.name == name })].ok)
	}
	w.Flush()
	return b.Bytes()
}

// checkName is a check as the help lists it, and what is true if it passes.
type checkName struct{ name, ok string }

var checks = []checkName{
	{"files", "nobody but you and your group reads the secret files, and nobody else can replace any"},
	{"sealed", "the ring is sealed, to the members of the newest roster"},
	{"roster", "it lasts for more than 30 days"},
	{"roles", "somebody may revoke, more than one may propose, and none of them faces the world"},
	{"keys", "each algorithm has an active key, the next one is there in time, and there is room for more"},
	{"size", "the ring is at most 512 kB and three quarters of what the server takes"},
	{"clock", "this machine's agrees with the store's"},
	{"nodes", "all that answer are ready and hold this generation"},
	{"bucket", "it has replicas and history, is kept in files and without end, and nudges"},
	{"sync", "the server writes the bucket to the disk before it acknowledges"},
	{"rights", "these credentials allow a member what it must, and no more"},
	{"streams", "no message waits for longer than its key opens"},
}

func checkList() string {
	var b strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&b, "  %-8s %s\n", c.name, c.ok)
	}
	return b.String()
}
