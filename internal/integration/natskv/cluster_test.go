package natskvtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/keyring/natskv"
)

// startBrokers runs servers that know each other, each in a process of its own.
func startBrokers(t testing.TB, size int) (members []*broker, url string) {
	t.Helper()
	var routes, urls []string
	for range size {
		routes = append(routes, freeAddress(t))
	}
	dir := t.TempDir()
	var started sync.WaitGroup
	for i := range size {
		b := &broker{t: t, dir: filepath.Join(dir, fmt.Sprint(i)), address: freeAddress(t), cluster: []string{
			asBroker + "_NAME=" + fmt.Sprint(i), asBroker + "_ROUTES=" + strings.Join(routes, " ")}}
		members, urls = append(members, b), append(urls, b.url())
		t.Cleanup(b.kill)
		started.Go(b.start)
	}
	started.Wait()
	return members, strings.Join(urls, ",")
}

// TestBrokenCluster: a bucket with three replicas, of which a random one is killed again and again, the leader or not. No
// token fails. The pace is that of TestBrokenBroker, 86,400 times the ordinary one; the servers elect at their own.
func TestBrokenCluster(t *testing.T) {
	members, url := startBrokers(t, 3)
	operator := connect(t, url)
	eventually(t, "a bucket with three replicas", func() bool {
		return natskv.Create(t.Context(), operator, bucket, natskv.Replicas(3)) == nil
	})
	f := newFleet(t, t.Context(), url, plain)
	f.live(t, func(ctx context.Context) {
		for ctx.Err() == nil {
			b := members[rand.N(len(members))]
			b.kill()
			f.kills.Add(1)
			pause(ctx, time.Second+rand.N(time.Second))
			b.start()
			whole(t, ctx, url)
			pause(ctx, time.Second+rand.N(time.Second))
		}
	})
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// whole waits until all replicas have what the leader has, so that the next kill takes one and not two, or until ctx ends.
func whole(t testing.TB, ctx context.Context, url string) {
	t.Helper()
	nc := connect(t, url)
	defer nc.Close()
	js, err := jetstream.New(nc)
	check(t, err)
	for ctx.Err() == nil {
		brief, cancel := context.WithTimeout(ctx, time.Second)
		stream, err := js.Stream(brief, "KV_"+bucket)
		cancel()
		if err == nil && current(stream.CachedInfo().Cluster) {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func current(c *jetstream.ClusterInfo) bool {
	if c == nil || c.Leader == "" || len(c.Replicas) < 2 {
		return false
	}
	for _, r := range c.Replicas {
		if !r.Current || r.Offline {
			return false
		}
	}
	return true
}
