package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// risk is the finding of a check, and the command that fixes it.
type risk struct {
	Check string `json:"check"`
	Risk  string `json:"risk"`
	Fix   string `json:"fix"`
}

// skipped is a check that could not be made.
type skipped struct {
	Check string `json:"check"`
	Why   string `json:"why"`
}

// checkup contains the findings so far.
type checkup struct {
	Domain  string    `json:"domain"`
	Store   string    `json:"store"`
	Risks   []risk    `json:"risks"`
	Skipped []skipped `json:"skipped"`
	Passed  []string  `json:"passed"`

	check string // the current check
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

func (c *checkup) risk(fix, format string, args ...any) {
	c.Risks = append(c.Risks, risk{c.check, oneLine(fmt.Sprintf(format, args...)), fix})
}

func (c *checkup) skip(format string, args ...any) {
	c.Skipped = append(c.Skipped, skipped{c.check, oneLine(fmt.Sprintf(format, args...))})
}

// print prints the findings, and returns a failure if there are risks.
func (c *checkup) print(cmd *cobra.Command, out output) error {
	show := func() error { return write(cmd, c.text()) }
	if out == jsonOutput {
		show = func() error { return writeJSON(cmd, c) }
	}
	if err := show(); err != nil || len(c.Risks) == 0 {
		return err
	}
	return &failure{code: exitRisk, err: fmt.Errorf("%d risks found, each with a fix", len(c.Risks))}
}

func (c *checkup) text() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range c.Risks {
		fmt.Fprintf(w, "RISK\t%s\t%s\n\tfix:\t%s\n", r.Check, r.Risk, r.Fix)
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

// checkName is a check in the help, and what is true if it passes.
type checkName struct{ name, ok string }

var checks = []checkName{
	{"files", "only you and your group can read the secret files, and nobody else can replace a file"},
	{"sealed", "the ring is sealed, to the members of the newest roster"},
	{"roster", "it expires in more than 30 days"},
	{"roles", "a member may revoke, more than one may propose, and none of these is given with --edge"},
	{"keys", "each protection has an active key and a next one in time, and old keys serve idle clients"},
	{"size", "the ring is at most 512 kB and three quarters of the server's max_payload"},
	{"clock", "this machine's clock agrees with the store's"},
	{"nodes", "all nodes that answer are ready and have this generation"},
	{"bucket", "it has replicas and history, stores files without a maximum age, and sends nudges"},
	{"sync", "the server writes the bucket to its disk before it acknowledges"},
	{"rights", "these credentials allow what a member needs, and no more"},
	{"streams", "no message waits for longer than its key opens tokens"},
}

func checkList() string {
	var b strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&b, "  %-8s %s\n", c.name, c.ok)
	}
	return b.String()
}
