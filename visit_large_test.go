package waybill_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
)

// A client whose tokens together fit into none costs little more than one whose tokens do: the rules
// of claims are not called again for each token that is left out.
func TestMergeThatDoesNotFit(t *testing.T) {
	calls := 0
	notes := waybill.NewClaim[[]string]("notes").Merge(func(_, mine, theirs []string) []string {
		calls++
		return slices.Concat(mine, theirs)
	})
	auth := authority(t, waybill.Claims(notes))
	token := issue(t, auth, notes.To([]string{"first"})).Token()
	var tokens []string
	for i := range 128 {
		ctx, hop := auth.ReceiveClient(t.Context(), waybill.Client{Tokens: []string{token}})
		change(t, ctx, notes.To([]string{fmt.Sprint(i, strings.Repeat("x", 200))}))
		tokens = append(tokens, hop.Commit(waybill.Succeeded)...)
	}
	ctx, hop := auth.ReceiveClient(t.Context(), waybill.Client{Tokens: tokens})
	got, _ := notes.Get(ctx)
	if left := len(hop.Forgotten()); len(got) < 3 || left != len(tokens)-len(got) {
		t.Errorf("%d of %d tokens were merged and %d left out, want some, and the others left out", len(got), len(tokens), left)
	}
	if calls > 3*len(tokens) {
		t.Errorf("the rule was called %d times for %d tokens", calls, len(tokens))
	}
}
