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

// nodes looks at what the nodes say of themselves.
func (f *doctorFlags) nodes(ctx context.Context, c *checkup, s *sealedRing, v *sealedView) {
	nodes, err := s.nodes(ctx)
	switch {
	case err != nil:
		c.skip("%s", message(err))
	case len(nodes) == 0:
		c.skip("no node says how it stands: those do that call Answer of package natskv")
	}
	for _, n := range nodes {
		who := strings.TrimSuffix(n.Name+" on "+n.Host, " on ")
		look := "see the log of " + who + ", and " + f.where("waybill keys status")
		switch {
		case n.Problem != "":
			c.risk(look, "%s is not ready: %s", who, n.Problem)
		case v != nil && !n.has(v):
			c.risk(look, "%s holds generation %d of epoch %d, and the store %d of %d", who, n.Generation, n.Epoch,
				v.set.Generation(), v.set.Epoch())
		}
		if n.offset.Abs() > f.policy.MaxSkew {
			c.risk(mendClock, "the clock of %s and the store's differ by %s, and %v are allowed: it adds no key", who, n.ClockOffset,
				f.policy.MaxSkew)
		}
	}
}

// bucketOf looks at the settings of the bucket.
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
		c.risk(edit+"--replicas 3", "%d server holds the bucket: while it is away nobody rotates, and with its disk the ring is lost "+
			"there until a node puts it back", max(1, config.Replicas))
	}
	if config.MaxMsgsPerSubject == 1 {
		c.risk(edit+"--max-msgs-per-subject 8", "the bucket has no history: nobody can look back at the ring before")
	}
	if config.MaxAge != 0 {
		c.risk(edit+"--max-age 0s", "the bucket forgets what is older than %v, the ring too", config.MaxAge)
	}
	if config.Storage != jetstream.FileStorage {
		c.risk(f.where("waybill keys init")+" --roster "+f.rosterFile()+" with another --bucket",
			"the bucket is in memory: the ring is gone when the servers start anew")
	}
	if r := config.RePublish; r == nil || r.Destination != strings.TrimSuffix(natskv.NudgeSubject(f.bucket, "x"), natskv.Key("x"))+">" {
		c.risk(edit+fmt.Sprintf("--republish-source '$KV.%s.>' --republish-destination 'waybill.nudge.%s.>' --republish-headers",
			f.bucket, f.bucket), "the bucket nudges nobody: a change takes a poll to arrive, and not milliseconds")
	} else if !r.HeadersOnly {
		c.risk(edit+fmt.Sprintf("--republish-source '%s' --republish-destination '%s' --republish-headers", r.Source, r.Destination),
			"the bucket sends the whole ring to who listens for nudges")
	}
	if least := int64(stream.CachedInfo().Config.MaxMsgSize); least > 0 && least < s.conn.MaxPayload()/4*3 {
		c.risk(edit+"--max-msg-size=-1", "the bucket takes no ring over %d bytes", least)
	}
}

// sync asks the server's monitoring port how often it writes to its disk.
func (f *doctorFlags) sync(ctx context.Context, c *checkup) {
	if f.monitor == "" {
		c.skip("the server's sync_interval cannot be seen from here: name its monitoring port with --monitor")
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
		c.risk("set sync_interval: always under jetstream in the server's configuration, and start it anew",
			"the server writes to its disk every %v: after a power failure it may lack what it acknowledged, until a node puts it back",
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

// waiting looks for streams whose messages outlive their keys.
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
				"messages in %s may wait for ever, and a key opens for %v after the next one took over", name, f.policy.Horizon)
		case age > f.policy.Horizon:
			c.risk(fmt.Sprintf("set keyring.Policy.Horizon to %v in all services"+keep, age, name),
				"messages in %s may wait for %v, and a key opens for %v after the next one took over", name, age, f.policy.Horizon)
		}
	}
}

// visibleStreams are those that hold messages, and not buckets.
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
		c.skip("which streams there are cannot be seen: name those whose messages carry waybills with --stream")
		return nil
	}
	return names
}
