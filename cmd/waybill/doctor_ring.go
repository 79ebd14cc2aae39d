package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
)

const (
	rosterNotice = 30 * day
	sizeNotice   = 512_000

	// A node may propose up to ten minutes late, and another one then has to.
	rotationGrace = 15 * time.Minute
)

// sealed checks the ring in the store, and unseals it if possible.
func (f *doctorFlags) sealed(c *checkup, s *sealedRing, blob keyring.Blob) *sealedView {
	reseal := "waybill keys init NEW --from RING --roster " + f.rosterFile()
	switch {
	case !keyring.IsWrapped(blob.Data):
		c.risk(reseal, "%s contains a ring that is not sealed: anyone who reads it can issue tokens", s.name)
		return nil
	case bytes.HasPrefix(blob.Data, []byte(`{"kind"`)):
		c.risk(reseal, "%s contains a ring sealed with one shared key: its writer is unknown, and no member can be removed", s.name)
		return nil
	}
	v, err := unsealed(s.wrapper, s.domain, blob)
	switch {
	case errors.Is(err, agering.ErrExpired):
		c.risk(f.sign(), "no node accepts the ring any more: %s", message(err))
	case err != nil:
		c.risk(f.rewrap(), "the ring cannot be unsealed: %s", message(err))
	case v.stale:
		c.risk(f.rewrap(),
			"the ring is sealed to an older roster than %s", f.rosterFile())
	}
	return v
}

func (f *doctorFlags) roster(c *checkup, r *agering.Roster) {
	if left := time.Until(r.Expires); left < rosterNotice {
		c.risk(f.sign(), "roster %d expires %s: from then on no ring is accepted and no key is added", r.Seq,
			distance(r.Expires, time.Now()))
	}
}

// roles checks the roles of the members.
func (f *doctorFlags) roles(c *checkup, s *sealedRing, r *agering.Roster) {
	var propose, revoke []string
	for _, m := range r.Members {
		if m.MayPropose {
			propose = append(propose, m.Name)
		}
		if m.MayRevoke {
			revoke = append(revoke, m.Name)
		}
	}
	if len(revoke) == 0 {
		c.risk(f.sign(`--member "$(cat operator.member)"`), "no member may revoke a key")
	}
	if s.bucket != nil && len(propose) < 2 {
		c.risk(f.sign(`--member "$(cat NAME.member)"`), "only %s may propose: while it is down no key is added", propose[0])
	}
	for _, edge := range f.edges {
		if slices.Contains(propose, edge) || slices.Contains(revoke, edge) {
			c.risk(f.sign(`--member "$(cut -d' ' -f1 `+edge+`.member)"`),
				"%s is reachable from the internet and may propose or revoke: anyone who compromises it can add or revoke keys", edge)
		}
		if r.Member(edge) == nil {
			c.skip("--edge %s: the roster has no such member", edge)
		}
	}
	if len(f.edges) == 0 {
		c.skip("the members that are reachable from the internet are unknown: pass them with --edge")
	}
}

// keys checks the rotation of each protection.
func (f *doctorFlags) keys(c *checkup, set *keyring.Set) {
	now, p := time.Now(), f.policy
	for _, protection := range issuing(set) {
		due, newest := dueAt(set, protection, p), last(set, protection)
		switch {
		case set.Active(protection, now, now.Add(p.TokenLife)) == nil && newest.Times().NotBefore.After(now):
			c.risk(fixClock+", and: "+f.where("waybill keys rotate", f.store, "--now"),
				"no %s key is active: nodes issue with a pending key, which was made with a fast clock or too late", protection)
		case set.Active(protection, now, now.Add(p.TokenLife)) == nil:
			c.risk(f.where("waybill keys rotate", f.store, "--now"), "no %s key is active: no %[1]s token can be issued", protection)
		case now.After(due.Add(rotationGrace)):
			c.risk(f.where("waybill keys rotate", f.store), "the next %s key was due %s and is missing: nothing rotates",
				protection, distance(due, now))
		case newest.Times().Expires.Before(now.Add(p.Period)):
			c.risk(f.where("waybill keys rotate", f.store, "--now"), "the newest %s key, %s, expires %s", protection, newest.ID(),
				distance(newest.Times().Expires, now))
		}
		if k, opens := overlap(set, protection); k != nil && opens < 3*p.TokenLife+time.Duration(f.idle) {
			c.risk(fmt.Sprintf("add keys with a --horizon of at least %v, or use waybillhttp.Idle with a shorter time",
				duration(3*p.TokenLife)+f.idle),
				"the %s key %s expires %v after its successor took over, and edges resume journeys for %v: idle clients begin a new journey",
				protection, k.ID(), duration(opens), f.idle)
		}
		if n := count(set, protection); n > keyring.MaxKeys*3/4 {
			c.risk(f.rewrap(),
				"the ring has %d %s keys, the limit is %d: the next write removes expired keys; if that is not enough, use a longer --period",
				n, protection, keyring.MaxKeys)
		}
	}
	if len(issuing(set)) == 0 {
		c.risk("waybill keys rewrap with a roster of the next --epoch and --protection signed", "the ring has no key that can issue")
	}
}

// overlap returns the key of a protection that opens for the shortest time after its successor took over, and
// this time. The key is nil if no key has a successor.
func overlap(set *keyring.Set, protection keyring.Protection) (least *keyring.Key, opens time.Duration) {
	var next *keyring.Key
	for _, k := range set.Keys() { // newest first
		if k.Protection() != protection {
			continue
		}
		if next != nil {
			if d := k.Times().Expires.Sub(next.Times().NotBefore); least == nil || d < opens {
				least, opens = k, max(d, 0)
			}
		}
		next = k
	}
	return least, opens.Truncate(time.Second)
}

func count(set *keyring.Set, protection keyring.Protection) (n int) {
	for _, k := range set.Keys() {
		if k.Protection() == protection {
			n++
		}
	}
	return n
}

// size checks whether the next ring will fit.
func (f *doctorFlags) size(c *checkup, s *sealedRing, size int) {
	const fix = "make services members, not processes, and remove former members: waybill keys roster sign --remove NAME"
	if s.conn != nil {
		if limit := s.conn.MaxPayload() / 4 * 3; int64(size) > limit {
			c.risk("set max_payload in the server's configuration, and: nats-server --signal reload",
				"the ring has %d bytes, the limit is %d, three quarters of the server's max_payload", size, limit)
		}
	}
	if size > sizeNotice {
		c.risk(fix, "the ring has %d bytes; a node and a Kubernetes Secret accept at most 1 MiB", size)
	}
}

// clock compares this machine's clock with the store's.
func (f *doctorFlags) clock(c *checkup, at, before, after time.Time) {
	if at.IsZero() {
		c.skip("a file has no clock to compare with")
		return
	}
	early, late := before.Sub(at), at.Sub(after)
	if off := max(early, late); off > f.policy.MaxSkew {
		c.risk(fixClock, "the clocks of this machine and the store differ by %v, %v is allowed", off.Round(time.Millisecond),
			f.policy.MaxSkew)
	}
}

const fixClock = "timedatectl set-ntp true (or chronyc makestep) on the machine with the wrong clock"
