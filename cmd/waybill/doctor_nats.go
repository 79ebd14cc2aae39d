package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/keyring/natskv"
)

// nodes checks the reports of the nodes.
func (f *doctorFlags) nodes(ctx context.Context, c *checkup, s *sealedRing, v *sealedView) {
	nodes, err := s.nodes(ctx)
	switch {
	case err != nil:
		c.skip("%s", message(err))
	case len(nodes) == 0:
		c.skip("no node answered: nodes answer if they call natskv.Store.Answer")
	}
	for _, n := range nodes {
		who := strings.TrimSuffix(n.Name+" on "+n.Host, " on ")
		look := "see the log of " + who + ", and " + f.where("waybill keys status")
		switch {
		case n.Problem != "":
			c.risk(look, "%s is not ready: %s", who, n.Problem)
		case v != nil && !n.has(v):
			c.risk(look, "%s has generation %d of epoch %d, the store has generation %d of epoch %d", who, n.Generation, n.Epoch,
				v.set.Generation(), v.set.Epoch())
		}
		if n.offset.Abs() > f.policy.MaxSkew {
			c.risk(fixClock, "the clocks of %s and the store differ by %s, %v is allowed: this node adds no keys", who, n.ClockOffset,
				f.policy.MaxSkew)
		}
	}
}

// bucketOf checks the settings of the bucket.
func (f *doctorFlags) bucketOf(ctx context.Context, c *checkup, s *sealedRing) {
	js, err := jetstream.New(s.conn)
	if err != nil {
		c.skip("%s", err)
		return
	}
	name := "KV_" + f.bucket
	stream, err := js.Stream(ctx, name)
	if err != nil {
		c.skip("the bucket's settings cannot be read: %s", message(err))
		return
	}
	edit := "nats stream edit " + name + " "
	config := stream.CachedInfo().Config
	if config.Replicas < 3 {
		c.risk(edit+"--replicas 3", "%d server stores the bucket: while it is down nothing rotates, and if its disk fails the ring is lost "+
			"until a node puts it back", max(1, config.Replicas))
	}
	switch shut := edit + "--no-allow-rollup --deny-purge"; {
	case config.AllowRollup:
		c.risk(shut, "the bucket allows roll-ups: one message with the header Nats-Rollup removes the rings of all domains")
	case !config.DenyPurge:
		c.risk(shut, "the bucket allows purges: one request removes the rings of all domains")
	}
	if config.MaxMsgsPerSubject == 1 {
		c.risk(edit+"--max-msgs-per-subject 8", "the bucket has no history: the previous ring cannot be seen")
	}
	if config.MaxAge != 0 {
		c.risk(edit+"--max-age 0s", "the bucket deletes what is older than %v, including the ring", config.MaxAge)
	}
	if config.Storage != jetstream.FileStorage {
		c.risk(f.where("waybill keys init")+" --roster "+f.rosterFile()+" with another --bucket",
			"the bucket is in memory: the ring is lost when the servers restart")
	}
	if r := config.RePublish; r == nil || r.Destination != strings.TrimSuffix(natskv.NudgeSubject(f.bucket, "x"), natskv.Key("x"))+">" {
		c.risk(edit+fmt.Sprintf("--republish-source '$KV.%s.>' --republish-destination 'waybill.nudge.%s.>' --republish-headers",
			f.bucket, f.bucket), "the bucket sends no nudges: a change arrives with the next poll instead of within milliseconds")
	} else if !r.HeadersOnly {
		c.risk(edit+fmt.Sprintf("--republish-source '%s' --republish-destination '%s' --republish-headers", r.Source, r.Destination),
			"the bucket sends the whole ring to all who subscribe to nudges")
	}
	if least := int64(stream.CachedInfo().Config.MaxMsgSize); least > 0 && least < s.conn.MaxPayload()/4*3 {
		c.risk(edit+"--max-msg-size=-1", "the bucket rejects rings over %d bytes", least)
	}
}

// sync asks the server's monitoring port how often it writes to its disk.
func (f *doctorFlags) sync(ctx context.Context, c *checkup) {
	if f.monitor == "" {
		c.skip("the server's sync_interval is not visible from here: pass its monitoring port with --monitor")
		return
	}
	var jsz struct {
		Config *struct {
			Interval time.Duration `json:"sync_interval"`
			Always   bool          `json:"sync_always"`
		} `json:"config"`
	}
	if err := getJSON(ctx, strings.TrimSuffix(f.monitor, "/")+"/jsz", &jsz); err != nil {
		c.skip("--monitor: %s", err)
		return
	}
	if jsz.Config == nil {
		c.skip("--monitor: the server has no JetStream")
		return
	}
	if !jsz.Config.Always {
		c.risk("set sync_interval: always under jetstream in the server's configuration, and restart it",
			"the server writes to its disk every %v: after a power failure it may lack a ring that it acknowledged, until a node puts it back",
			jsz.Config.Interval)
	}
}

func getJSON(ctx context.Context, address string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, answer.Status)
	}
	return json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(v)
}

// waiting checks for streams whose messages outlive their keys.
func (f *doctorFlags) waiting(ctx context.Context, c *checkup, s *sealedRing) {
	js, err := jetstream.New(s.conn)
	if err != nil {
		c.skip("%s", err)
		return
	}
	names := f.streams
	if len(names) == 0 {
		if names = visibleStreams(ctx, c, js); len(names) == 0 {
			return
		}
	}
	for _, name := range names {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			c.skip("stream %s cannot be read: %s", name, message(err))
			continue
		}
		const keep = `, or keep their keys: keyring.NeededSince(natskv.OldestMessage(nc, "%s")) in a service`
		switch age := stream.CachedInfo().Config.MaxAge; {
		case age == 0:
			c.risk(fmt.Sprintf("nats stream edit %s --max-age %v"+keep, name, f.policy.Horizon, name),
				"messages in %s may wait for ever, but a key opens tokens only for %v after its successor took over", name, f.policy.Horizon)
		case age > f.policy.Horizon:
			c.risk(fmt.Sprintf("set keyring.Policy.Horizon to %v in all services"+keep, age, name),
				"messages in %s may wait for %v, but a key opens tokens only for %v after its successor took over", name, age, f.policy.Horizon)
		}
	}
}

// visibleStreams returns the streams that are not buckets.
func visibleStreams(ctx context.Context, c *checkup, js jetstream.JetStream) (names []string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	list := js.StreamNames(ctx)
	for name := range list.Name() {
		if !strings.HasPrefix(name, "KV_") && !strings.HasPrefix(name, "OBJ_") {
			names = append(names, name)
		}
	}
	if list.Err() != nil {
		c.skip("the streams are not visible: pass those whose messages carry waybills with --stream")
		return nil
	}
	return names
}
