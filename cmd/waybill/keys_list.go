package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
)

func newKeysList() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "list FILE",
		Short: "Show the keys of a ring, their states and what happens next",
		Long: `Show the keys of a ring, their times, their states and what happens next. It
never shows key material. FILE may be "-" for standard input.

  pending  opens tokens, issues later
  active   issues and opens tokens
  retired  opens tokens; a newer key issues
  gone     expired, opens nothing
  revoked  removed from the ring, opens nothing`,
		Example: `  waybill keys list ring.jwks
  waybill keys list ring.jwks -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := readSet(cmd, args[0])
			if err != nil {
				return err
			}
			rows := listed(set, time.Now(), "waybill keys new FILE --add")
			if out == jsonOutput {
				return writeJSON(cmd, struct {
					Domain     string      `json:"domain"`
					Generation uint64      `json:"generation"`
					Keys       []listedKey `json:"keys"`
				}{set.Domain(), set.Generation(), rows})
			}
			return write(cmd, table(rows))
		},
	}
	out.register(cmd)
	return cmd
}

// listedKey is what the list shows of a key. Times are empty where a key has none.
type listedKey struct {
	Kid        string `json:"kid"`
	Protection string `json:"protection,omitempty"`
	State      string `json:"state"`
	CanIssue   bool   `json:"can_issue"`
	Created    string `json:"created,omitempty"`
	ActiveFrom string `json:"active_from,omitempty"`
	Expires    string `json:"expires,omitempty"`
	RevokedAt  string `json:"revoked_at,omitempty"`
	Next       string `json:"next"`
}

// listed derives the state of every key at now. Renew is the command that makes the next key.
func listed(set *keyring.Set, now time.Time, renew string) []listedKey {
	var rows []listedKey
	for _, k := range set.Keys() {
		t := k.Times()
		row := listedKey{Kid: k.ID(), Protection: k.Protection().String(), CanIssue: k.CanIssue(),
			Created: stamp(t.Created), ActiveFrom: stamp(t.NotBefore), Expires: stamp(t.Expires)}
		row.State, row.Next = outlook(set, k, now, renew)
		rows = append(rows, row)
	}
	revoked := set.Revocations()
	for _, kid := range slices.Sorted(maps.Keys(revoked)) {
		r := revoked[kid]
		row := listedKey{Kid: kid, State: "revoked", RevokedAt: stamp(r.At), Next: "opens nothing"}
		if r.Reason != "" {
			row.Next += ": " + r.Reason
		}
		rows = append(rows, row)
	}
	return rows
}

// outlook returns the state of a key and what happens to it next.
func outlook(set *keyring.Set, k *keyring.Key, now time.Time, renew string) (state, next string) {
	t := k.Times()
	ends := "expires " + distance(t.Expires, now)
	switch {
	case k.Gone(now):
		return "gone", "opens nothing since it expired " + distance(t.Expires, now)
	case t.NotBefore.After(now):
		if !k.CanIssue() {
			return "pending", "only opens"
		}
		return "pending", "issues " + distance(t.NotBefore, now)
	case k != newest(set, k.Protection(), now):
		return "retired", "opens until it expires " + distance(t.Expires, now)
	case !k.CanIssue():
		return "active", "only opens: it has no private half; " + ends
	}
	if s := successor(set, k, now); s != nil {
		return "active", "key " + s.ID() + " takes over " + distance(s.Times().NotBefore, now)
	}
	return "active", ends + "; before that: " + renew
}

// newest returns the key whose turn it is. Where none can issue, as in a ring of public halves, it
// is the one that issues elsewhere.
func newest(set *keyring.Set, p keyring.Protection, now time.Time) *keyring.Key {
	if k := set.Active(p, now, now); k != nil {
		return k
	}
	for _, k := range set.Keys() {
		if k.Protection() == p && !k.Times().NotBefore.After(now) && !k.Gone(now) {
			return k
		}
	}
	return nil
}

// successor returns the pending key that takes over from k first.
func successor(set *keyring.Set, k *keyring.Key, now time.Time) *keyring.Key {
	var next *keyring.Key
	for _, s := range set.Keys() { // newest first
		if s.Protection() == k.Protection() && s.CanIssue() && s.Times().NotBefore.After(now) {
			next = s
		}
	}
	if next != nil && next.Times().NotBefore.After(k.Times().Expires) {
		return nil // it comes too late to take over
	}
	return next
}

func table(rows []listedKey) []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KID\tPROTECTION\tSTATE\tCREATED\tACTIVE FROM\tEXPIRES\tNEXT")
	dash := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Kid, dash(r.Protection), r.State,
			dash(r.Created), dash(r.ActiveFrom), dash(r.Expires), escaped([]byte(r.Next)))
	}
	w.Flush()
	return b.Bytes()
}
