package waybill

import (
	"slices"
	"strings"

	"github.com/waybill-go/waybill/internal/jose"
)

const (
	// maxOpened bounds the tokens of one request that are opened: the last ones.
	maxOpened = 1024

	// maxRubbish is how many values are opened before values without the shape of a token are dropped.
	maxRubbish = 32
)

// open opens each token once.
func (v *visit) open(c Client) (genuine, others []held, err error) {
	for _, raw := range v.distinct(c) {
		h := v.auth.openHeld(raw)
		switch {
		case h.wb != nil:
			genuine = append(genuine, h)
		case ClassOf(h.err) == Unavailable:
			return nil, nil, h.err
		default:
			v.drop(h.err)
			others = append(others, h)
		}
	}
	return genuine, others, nil
}

// distinct returns the tokens to open, each once. It drops most values that cannot be tokens: the client must
// forget them in any case.
func (v *visit) distinct(c Client) []string {
	tokens := c.Tokens
	if len(tokens) < 2 {
		if len(tokens) == 1 && tokens[0] == "" {
			return nil
		}
		return tokens
	}
	seen := make(map[string]struct{}, min(len(tokens), maxOpened))
	var out []string
	for _, raw := range slices.Backward(tokens) {
		if raw == "" {
			continue
		}
		if len(out) >= maxRubbish && !shaped(raw) {
			v.drop(ErrMalformed)
			continue
		}
		if _, again := seen[raw]; again {
			continue
		}
		if len(out) == maxOpened {
			v.drop(errOverflow)
			continue
		}
		seen[raw] = struct{}{}
		out = append(out, raw)
	}
	slices.Reverse(out)
	if c.MaxTokens > 0 && len(out) > c.MaxTokens {
		out = v.thin(out, c.MaxTokens)
	}
	return out
}

// shaped reports whether raw has as many parts as a token.
func shaped(raw string) bool {
	dots := strings.Count(raw, ".")
	return dots == 2 || dots == 4
}

// thin leaves out the public tokens beyond the limit before their signatures are verified, because one costs
// 54 µs. It prefers a greater claimed rank, then later tokens.
func (v *visit) thin(tokens []string, limit int) []string {
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
	if len(public) <= limit {
		return tokens
	}
	slices.SortFunc(public, func(a, b claimed) int {
		if a.rank != b.rank {
			return int(max(-1, min(1, b.rank-a.rank)))
		}
		return b.at - a.at
	})
	left := slices.Clone(tokens)
	for _, p := range public[limit:] {
		left[p.at] = ""
		v.drop(errOverflow)
	}
	return slices.DeleteFunc(left, func(raw string) bool { return raw == "" })
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

// bound keeps as many genuine tokens as an edge accepts. It prefers a greater rank, then later tokens.
// Cookies come oldest first.
func (v *visit) bound(genuine []held, c Client) []held {
	if !exceeds(genuine, c) {
		return genuine
	}
	place := make(map[string]int, len(c.Tokens))
	for i, raw := range c.Tokens {
		place[raw] = i
	}
	order := slices.Clone(genuine)
	slices.SortFunc(order, func(a, b held) int {
		if d := b.wb.rank() - a.wb.rank(); d != 0 {
			return int(max(-1, min(1, d)))
		}
		return place[b.raw] - place[a.raw]
	})
	for len(order) > 1 && exceeds(order, c) {
		v.drop(errOverflow)
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
