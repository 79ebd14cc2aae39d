package waybill

import (
	"slices"

	"github.com/waybill-go/waybill/internal/jose"
)

// bound keeps as many tokens as an edge accepts: the ones of the greatest rank, then the last ones.
// Cookies come oldest first.
func (v *visit) bound(genuine []held, c Client) []held {
	if !exceeds(genuine, c) {
		return genuine
	}
	order := slices.Clone(genuine)
	slices.Reverse(order)
	slices.SortStableFunc(order, func(a, b held) int { return int(max(-1, min(1, b.wb.rank()-a.wb.rank()))) })
	for len(order) > 1 && exceeds(order, c) {
		v.drop(order[len(order)-1], errOverflow)
		order = order[:len(order)-1]
	}
	return order
}

func exceeds(tokens []held, c Client) bool {
	size := 0
	for _, h := range tokens {
		size += len(h.raw)
	}
	return c.MaxTokens > 0 && len(tokens) > c.MaxTokens || c.MaxBytes > 0 && size > c.MaxBytes
}

// thin leaves out the public tokens beyond the number that is verified, by the rank that they claim.
func (v *visit) thin(tokens []string) []string {
	type claimed struct {
		at   int
		rank int64
	}
	var public []claimed
	for i, raw := range tokens {
		if rank, ok := v.claimedRank(raw); ok {
			public = append(public, claimed{i, rank})
		}
	}
	if len(public) <= maxVerified {
		return tokens
	}
	slices.SortFunc(public, func(a, b claimed) int {
		if a.rank != b.rank {
			return int(max(-1, min(1, b.rank-a.rank)))
		}
		return b.at - a.at
	})
	out := slices.Clone(tokens)
	for _, p := range public[maxVerified:] {
		out[p.at] = ""
		v.forgotten = append(v.forgotten, errOverflow)
	}
	return out
}

// claimedRank returns the rank that a public token claims to have. Nothing is verified.
func (v *visit) claimedRank(raw string) (rank int64, public bool) {
	if len(raw) > v.auth.acceptLimit {
		return 0, false
	}
	alg, _, payload, err := jose.Unverified(raw)
	if err != nil || alg != jose.EdDSA {
		return 0, false
	}
	var c jose.Claims
	if err := jose.ParseClaims(&c, payload, v.auth.domain); err != nil {
		return 0, false
	}
	return c.Sup, true
}
