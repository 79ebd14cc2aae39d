package waybilljetstream

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// defaultPending is the MaxAckPending from which the share of an unlimited consumer is computed.
const defaultPending = 1000

// share is the part of a consumer's MaxAckPending that held messages may use: a half, and half of
// that per key.
type share struct {
	most int // what the share is unless the consumer is stalled

	mu    sync.Mutex
	limit int
	total int
	byKid map[string]int
}

func newShare(maxAckPending int) *share {
	if maxAckPending <= 0 {
		maxAckPending = defaultPending
	}
	most := max(maxAckPending/2, 1)
	return &share{most: most, limit: most, byKid: make(map[string]int)}
}

func (s *share) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// fits reports whether counts are within the limit. The caller holds mu.
func (s *share) fits(total, ofKid int) bool { return total <= s.limit && ofKid <= max(s.limit/2, 1) }

// stallCheck is how often to look whether a consumer is stalled while messages are held.
const stallCheck = time.Second

// watch halves the limit while the consumer is stalled: several processes that hold half of
// MaxAckPending each would otherwise leave no room for other messages. It ends with ctx.
func (s *share) watch(ctx context.Context, cons jetstream.Consumer) {
	tick := time.NewTicker(stallCheck)
	defer tick.Stop()
	var last uint64 // the last delivery, if the consumer was full
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.held() == 0 {
			s.restore()
			last = 0
			continue
		}
		asking, cancel := context.WithTimeout(ctx, stallCheck)
		info, err := cons.Info(asking)
		cancel()
		if err != nil || info.NumAckPending < info.Config.MaxAckPending || info.NumPending == 0 {
			last = 0
			continue
		}
		if last == info.Delivered.Consumer {
			s.halve()
		}
		last = info.Delivered.Consumer
	}
}

func (s *share) restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = s.most
}

// halve halves the limit, at last to nothing. A consumer with strict order, whose MaxAckPending is
// 1, still waits for the message that it holds.
func (s *share) halve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most > 1 {
		s.limit /= 2
	}
}

// seat is a held message's part of a share.
type seat struct {
	share *share
	kid   string
	taken bool
}

// keep takes the seat, if it is not taken yet, and reports whether the message has it. It loses the
// seat when the share has become too small.
func (s *seat) keep() bool {
	s.share.mu.Lock()
	defer s.share.mu.Unlock()
	total, ofKid := s.share.total, s.share.byKid[s.kid]
	if !s.taken {
		total, ofKid = total+1, ofKid+1
	}
	if !s.share.fits(total, ofKid) {
		s.leave()
		return false
	}
	if !s.taken {
		s.share.total, s.share.byKid[s.kid] = total, ofKid
		s.taken = true
	}
	return true
}

func (s *seat) free() {
	s.share.mu.Lock()
	defer s.share.mu.Unlock()
	s.leave()
}

// leave gives the seat back. The caller holds mu.
func (s *seat) leave() {
	if !s.taken {
		return
	}
	s.taken = false
	s.share.total--
	if s.share.byKid[s.kid]--; s.share.byKid[s.kid] == 0 {
		delete(s.share.byKid, s.kid)
	}
}
