package waybillhttp

import (
	"context"
	"slices"
	"sync"
)

// Limits of what a Jar sends: an edge accepts no more. With 8 requests in flight a Jar never holds
// more than 8 tokens: one of the last request that was answered, by the order of sending, and one
// for each other request that was in flight when that request was sent. All others were replaced by
// its answer.
const (
	maxFlying    = 8
	maxHeld      = 32
	maxHeldBytes = 32 << 10
)

// held is the tokens of a Jar, and the queue of its requests.
type held struct {
	mu      sync.Mutex
	now     *snapshot
	flying  int             // the requests without an answer
	waiting []chan struct{} // the requests in the queue; closed when one may be sent
}

// snapshot is the tokens that a Jar holds at one time, and that one request carries. It is never
// changed. Package fmt does not follow the pointers to it.
type snapshot struct {
	tokens []string
	age    int // how often the tokens were restored
}

// enter waits until a request may be sent. If it returns nil, the caller must call leave.
func (h *held) enter(ctx context.Context) error {
	h.mu.Lock()
	if len(h.waiting) == 0 && h.room() {
		h.flying++
		h.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	h.waiting = append(h.waiting, turn)
	h.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.waiting, turn); i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
	} else { // its turn came at the same time
		h.flying--
		h.admit()
	}
	return context.Cause(ctx)
}

// leave ends a request that was answered or failed.
func (h *held) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flying--
	h.admit()
}

// admit lets the requests at the head of the queue go for which there is room. The caller holds mu.
func (h *held) admit() {
	for len(h.waiting) > 0 && h.room() {
		h.flying++
		close(h.waiting[0])
		h.waiting = h.waiting[1:]
	}
}

// room reports whether one more request may be sent: all tokens must fit into one request even if
// each request in flight adds one as long as the longest. A request that is alone may always be
// sent; its answer leaves one token. The caller holds mu.
func (h *held) room() bool {
	if h.flying == 0 {
		return true
	}
	bytes, longest := 0, 0
	for _, t := range h.now.tokens {
		bytes, longest = bytes+len(t), max(longest, len(t))
	}
	answers := h.flying + 1
	return answers <= maxFlying && len(h.now.tokens)+answers <= maxHeld && bytes+answers*longest <= maxHeldBytes
}

// snapshot returns the tokens to send.
func (h *held) snapshot() *snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// replace replaces the tokens that a request carried with the tokens of its answer. It does nothing
// if the tokens were restored since.
func (h *held) replace(sent *snapshot, update []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sent.age != h.now.age {
		return
	}
	var next []string
	for _, t := range h.now.tokens {
		if !slices.Contains(sent.tokens, t) {
			next = append(next, t)
		}
	}
	h.now = &snapshot{bounded(append(next, update...)), h.now.age}
}

// restore replaces all tokens.
func (h *held) restore(tokens []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = &snapshot{bounded(tokens), h.now.age + 1}
	h.admit()
}

// bounded returns the last of the tokens that fit into one request, without duplicates.
func bounded(tokens []string) []string {
	var kept []string
	bytes := 0
	for _, t := range slices.Backward(tokens) {
		if !isToken(t) || slices.Contains(kept, t) {
			continue
		}
		if bytes += len(t); len(kept) == maxHeld || bytes > maxHeldBytes {
			break
		}
		kept = append(kept, t)
	}
	slices.Reverse(kept)
	return kept
}
