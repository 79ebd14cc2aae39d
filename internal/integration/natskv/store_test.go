package natskvtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/natskv"
	"github.com/waybill-go/waybill/waybilltest"
)

const bucket = "keys"

// newStore returns the store of a domain in the bucket of the tests.
func newStore(t testing.TB, nc *nats.Conn, domain string) *natskv.Store {
	t.Helper()
	s, err := natskv.New(nc, bucket, domain)
	check(t, err)
	return s
}

func TestConformance(t *testing.T) {
	nc := connect(t, startServer(t).ClientURL())
	check(t, natskv.Create(t.Context(), nc, bucket))
	waybilltest.Store(t, func() keyring.Store { return newStore(t, nc, rand.Text()) })
}

// In a cluster a lost compare-and-swap has another code, and replicas answer.
func TestConformanceOfCluster(t *testing.T) {
	nc := connect(t, startCluster(t, 3))
	eventually(t, "a bucket with three replicas", func() bool {
		return natskv.Create(t.Context(), nc, bucket, natskv.Replicas(3)) == nil
	})
	waybilltest.Store(t, func() keyring.Store { return newStore(t, nc, rand.Text()) })
}

// startCluster runs servers that know each other, and returns the address of one, which need not lead anything.
func startCluster(t testing.TB, size int) string {
	t.Helper()
	var routes []*url.URL
	for range size {
		u, err := url.Parse("nats://" + freeAddress(t))
		check(t, err)
		routes = append(routes, u)
	}
	var servers []*server.Server
	for i, own := range routes {
		servers = append(servers, startServer(t, func(o *server.Options) {
			o.ServerName, o.Routes = fmt.Sprint("n", i), routes
			o.Cluster = server.ClusterOpts{Name: "keys", Host: own.Hostname()}
			_, err := fmt.Sscan(own.Port(), &o.Cluster.Port)
			check(t, err)
		}))
	}
	eventually(t, "a leader of the cluster", func() bool {
		for _, s := range servers {
			if s.JetStreamIsLeader() {
				return true
			}
		}
		return false
	})
	return servers[0].ClientURL()
}

func TestKey(t *testing.T) {
	cases := []struct{ domain, want string }{
		{"shop", "ring.shop"},
		{"Shop_9-a", "ring.Shop_9-a"},
		{"shop.example", "ring.shop=2Eexample"},
		{".", "ring.=2E"},
		{"..", "ring.=2E=2E"},
		{"https://shop.example:8443/", "ring.https=3A=2F=2Fshop=2Eexample=3A8443=2F"},
	}
	nc := connect(t, startServer(t).ClientURL())
	check(t, natskv.Create(t.Context(), nc, bucket))
	js, err := jetstream.New(nc)
	check(t, err)
	kv, err := js.KeyValue(t.Context(), bucket)
	check(t, err)
	for _, c := range cases {
		if got := natskv.Key(c.domain); got != c.want {
			t.Errorf("the key of %q is %q, want %q", c.domain, got, c.want)
		}
		// Other tools find it there.
		rev, err := newStore(t, nc, c.domain).CompareAndSwap(t.Context(), 0, []byte(c.domain))
		check(t, err)
		entry, err := kv.Get(t.Context(), c.want)
		check(t, err)
		if string(entry.Value()) != c.domain || entry.Revision() != rev {
			t.Errorf("key %q holds %q of revision %d, want %q of %d", c.want, entry.Value(), entry.Revision(), c.domain, rev)
		}
	}
}

func TestNames(t *testing.T) {
	nc := connect(t, startServer(t).ClientURL())
	for _, c := range []struct{ bucket, domain, want string }{
		{"", "shop", "bucket"}, {"a.b", "shop", "bucket"}, {"a b", "shop", "bucket"}, {"a>", "shop", "bucket"}, {"*", "shop", "bucket"},
		{"keys", "", "domain"}, {"keys", "a b", "domain"}, {"keys", "*", "domain"}, {"keys", ">", "domain"}, {"keys", "a=2E", "domain"},
	} {
		if _, err := natskv.New(nc, c.bucket, c.domain); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New of bucket %q and domain %q: error %v, want one about the %s", c.bucket, c.domain, err, c.want)
		}
		if c.want != "bucket" {
			continue
		}
		if err := natskv.Create(t.Context(), nc, c.bucket); err == nil {
			t.Errorf("Create of bucket %q: no error, want one", c.bucket)
		}
	}
}

func TestCreate(t *testing.T) {
	nc := connect(t, startServer(t).ClientURL())
	js, err := jetstream.New(nc)
	check(t, err)
	check(t, natskv.Create(t.Context(), nc, bucket))
	store := newStore(t, nc, "shop")
	_, err = store.CompareAndSwap(t.Context(), 0, []byte("one"))
	check(t, err)
	check(t, natskv.Create(t.Context(), nc, bucket)) // once more, which changes nothing
	if blob, err := store.Load(t.Context()); err != nil || string(blob.Data) != "one" {
		t.Errorf("after a second Create: %q, %v, want %q", blob.Data, err, "one")
	}
	stream, err := js.Stream(t.Context(), "KV_"+bucket)
	check(t, err)
	c := stream.CachedInfo().Config
	if c.Storage != jetstream.FileStorage || c.MaxAge != 0 || c.MaxMsgsPerSubject != 8 ||
		c.RePublish == nil || !c.RePublish.HeadersOnly {
		t.Errorf("the bucket is %+v, want it in files, without end of life, with 8 versions, republishing headers", c)
	}
	_, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "other", TTL: time.Hour})
	check(t, err)
	if err := natskv.Create(t.Context(), nc, "other"); !errors.Is(err, jetstream.ErrBucketExists) {
		t.Errorf("Create over a bucket of other settings: error %v, want %v", err, jetstream.ErrBucketExists)
	}
}

// Only a definite answer about the ring looks like an empty ring.
func TestNotFound(t *testing.T) {
	b := startBroker(t)
	nc := connect(t, b.url())
	js, err := jetstream.New(nc)
	check(t, err)
	store := newStore(t, nc, "shop")
	noRing := func(when string, want bool, is error) {
		t.Helper()
		_, err := store.Load(t.Context())
		if err == nil || errors.Is(err, keyring.ErrNotFound) != want || is != nil && !errors.Is(err, is) {
			t.Errorf("%s: error %v, want ErrNotFound: %v, and %v", when, err, want, is)
		}
	}
	noRing("without a bucket", false, jetstream.ErrBucketNotFound)
	if _, err := store.CompareAndSwap(t.Context(), 0, []byte("one")); err == nil || errors.Is(err, keyring.ErrConflict) {
		t.Errorf("CompareAndSwap without a bucket: error %v, want one that is no conflict", err)
	}
	// A stream that takes the subject is not the bucket.
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"$KV." + bucket + ".>"}})
	check(t, err)
	if rev, err := store.CompareAndSwap(t.Context(), 0, []byte("one")); err == nil || errors.Is(err, keyring.ErrConflict) {
		t.Errorf("CompareAndSwap into another stream: revision %d, error %v, want one that is no conflict", rev, err)
	}
	check(t, js.DeleteStream(t.Context(), "OTHER"))
	check(t, natskv.Create(t.Context(), nc, bucket))
	noRing("an empty bucket", true, nil)
	first, err := store.CompareAndSwap(t.Context(), 0, []byte("one"))
	check(t, err)
	kv, err := js.KeyValue(t.Context(), bucket)
	check(t, err)
	type removal = func(context.Context, string, ...jetstream.KVDeleteOpt) error
	for _, name := range []string{"deleted", "deleted in a bucket of other tools", "purged in a bucket of other tools"} {
		remove := removal(kv.Delete)
		if name == "deleted in a bucket of other tools" { // which lets itself be purged
			check(t, js.DeleteKeyValue(t.Context(), bucket))
			kv, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: bucket, History: 8})
			check(t, err)
			remove = kv.Delete
			first, err = store.CompareAndSwap(t.Context(), 0, []byte("one"))
			check(t, err)
		}
		if strings.HasPrefix(name, "purged") {
			remove = kv.Purge
		}
		check(t, remove(t.Context(), natskv.Key("shop")))
		noRing(name, true, nil)
		if rev, err := store.CompareAndSwap(t.Context(), first, []byte("stale")); !errors.Is(err, keyring.ErrConflict) {
			t.Errorf("%s, CompareAndSwap of an old revision: %d, %v, want %v", name, rev, err, keyring.ErrConflict)
		}
		first, err = store.CompareAndSwap(t.Context(), 0, []byte("back"))
		check(t, err)
		if blob, err := store.Load(t.Context()); err != nil || string(blob.Data) != "back" || blob.Revision != first {
			t.Errorf("%s and put back: %q of %d, %v, want %q of %d", name, blob.Data, blob.Revision, err, "back", first)
		}
	}
	b.kill()
	eventually(t, "the client's notice", func() bool { return !nc.IsConnected() })
	noRing("without a server", false, nil)
}

// TestNobodyEmptiesTheBucket: whoever may write one ring cannot remove the others, nor can an operator by mistake, and the
// key-value API works as before but for purges.
func TestNobodyEmptiesTheBucket(t *testing.T) {
	nc := connect(t, startServer(t).ClientURL())
	check(t, natskv.Create(t.Context(), nc, bucket))
	js, err := jetstream.New(nc)
	check(t, err)
	kv, err := js.KeyValue(t.Context(), bucket)
	check(t, err)
	stream, err := js.Stream(t.Context(), "KV_"+bucket)
	check(t, err)
	revs := map[string]uint64{}
	for _, domain := range []string{"shop", "bank"} {
		revs[domain], err = newStore(t, nc, domain).CompareAndSwap(t.Context(), 0, []byte(domain))
		check(t, err)
	}
	rollup := func(how string) error {
		m := nats.NewMsg("$KV." + bucket + "." + natskv.Key("shop"))
		m.Header.Set("Nats-Rollup", how)
		m.Data = []byte("forged")
		_, err := js.PublishMsg(t.Context(), m)
		return err
	}
	for name, empty := range map[string]func() error{
		"a roll-up of all":      func() error { return rollup("all") },
		"a roll-up of one ring": func() error { return rollup("sub") },
		"a purge":               func() error { return stream.Purge(t.Context()) },
		"a purge of one ring": func() error {
			return stream.Purge(t.Context(), jetstream.WithPurgeSubject("$KV."+bucket+"."+natskv.Key("bank")))
		},
		"a purge of a key":         func() error { return kv.Purge(t.Context(), natskv.Key("bank")) },
		"the removal of a message": func() error { return stream.DeleteMsg(t.Context(), revs["bank"]) },
	} {
		if err := empty(); err == nil {
			t.Errorf("%s: got no error", name)
		}
		for domain, rev := range revs {
			if blob, err := newStore(t, nc, domain).Load(t.Context()); err != nil || string(blob.Data) != domain || blob.Revision != rev {
				t.Errorf("%s: the ring of %s is %q of revision %d, %v, want it as it was", name, domain, blob.Data, blob.Revision, err)
			}
		}
	}
	watcher, err := kv.Watch(t.Context(), natskv.Key("shop"), jetstream.UpdatesOnly())
	check(t, err)
	defer watcher.Stop()
	rev, err := kv.Update(t.Context(), natskv.Key("shop"), []byte("next"), revs["shop"])
	check(t, err)
	if entry := <-watcher.Updates(); entry == nil || entry.Revision() != rev {
		t.Errorf("the watcher saw %v, want revision %d", entry, rev)
	}
	if _, err := kv.Update(t.Context(), natskv.Key("shop"), []byte("stale"), revs["shop"]); err == nil {
		t.Error("an update of an old revision: got no error")
	}
	if _, err := kv.Create(t.Context(), natskv.Key("bank"), []byte("again")); !errors.Is(err, jetstream.ErrKeyExists) {
		t.Errorf("a second create: got %v, want ErrKeyExists", err)
	}
	if history, err := kv.History(t.Context(), natskv.Key("shop")); err != nil || len(history) != 2 {
		t.Errorf("got a history of %d, %v, want 2", len(history), err)
	}
}

// The bucket's own clock is told, and not the time of the ring.
func TestServerTime(t *testing.T) {
	nc := connect(t, startServer(t).ClientURL())
	check(t, natskv.Create(t.Context(), nc, bucket))
	store := newStore(t, nc, "shop")
	_, err := store.CompareAndSwap(t.Context(), 0, []byte("one"))
	check(t, err)
	for range 3 {
		before := time.Now()
		blob, err := store.Load(t.Context())
		after := time.Now()
		check(t, err)
		// One machine has one clock.
		if blob.At.Before(before) || blob.At.After(after) {
			t.Errorf("Load between %v and %v: At %v, want it between them", before, after, blob.At)
		}
	}
}

func TestTooLarge(t *testing.T) {
	nc := connect(t, startServer(t, func(o *server.Options) { o.MaxPayload = 4096 }).ClientURL())
	check(t, natskv.Create(t.Context(), nc, bucket))
	store := newStore(t, nc, "shop")
	rev, err := store.CompareAndSwap(t.Context(), 0, make([]byte, 3072))
	check(t, err)
	_, err = store.CompareAndSwap(t.Context(), rev, make([]byte, 3073))
	if err == nil || !strings.Contains(err.Error(), "3073 bytes, the limit is 3072, 75 % of the server's max_payload") {
		t.Errorf("a ring of 3073 bytes at a max_payload of 4096: error %v, want one that names both limits", err)
	}
}

// A server does not answer what it does not permit. The error says so all the same.
func TestPermissions(t *testing.T) {
	key := natskv.Key("shop")
	allow := func(subjects ...string) *server.SubjectPermission { return &server.SubjectPermission{Allow: subjects} }
	reading := []string{"$JS.API.STREAM.INFO.KV_" + bucket, "$JS.API.STREAM.MSG.GET.KV_" + bucket}
	subscribe := allow("_INBOX.>", "waybill.nudge."+bucket+".>")
	s := startServer(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "operator", Password: "x"},
			{Username: "member", Password: "x", Permissions: &server.Permissions{
				Publish: allow(append(reading, "$KV."+bucket+"."+key)...), Subscribe: subscribe}},
			{Username: "follower", Password: "x", Permissions: &server.Permissions{Publish: allow(reading...), Subscribe: subscribe}},
			{Username: "stranger", Password: "x", Permissions: &server.Permissions{Publish: allow("other"), Subscribe: subscribe}},
		}
	})
	silent := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // the refusals are meant
	login := func(user string) *nats.Conn { return connect(t, s.ClientURL(), nats.UserInfo(user, "x"), silent) }
	as := func(user string) *natskv.Store { return newStore(t, login(user), "shop") }
	check(t, natskv.Create(t.Context(), login("operator"), bucket))
	// The documented permissions of a member and of a follower are enough.
	member, follower := as("member"), as("follower")
	nudges := listening(t, t.Context(), follower)
	first, err := member.CompareAndSwap(t.Context(), 0, []byte("one"))
	check(t, err)
	_, err = member.CompareAndSwap(t.Context(), first, []byte("two"))
	check(t, err)
	receive(t, nudges, "the follower's nudge")
	if blob, err := follower.Load(t.Context()); err != nil || string(blob.Data) != "two" {
		t.Errorf("the follower has %q, %v, want %q", blob.Data, err, "two")
	}
	for _, c := range []struct {
		name string
		call func(context.Context) error
	}{
		{"follower writes", func(ctx context.Context) error {
			_, err := follower.CompareAndSwap(ctx, first, []byte("own"))
			return err
		}},
		{"stranger reads", func(ctx context.Context) error { _, err := as("stranger").Load(ctx); return err }},
		{"follower creates a bucket", func(ctx context.Context) error {
			return natskv.Create(ctx, login("follower"), "mine")
		}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		err := c.call(ctx)
		cancel()
		if err == nil || errors.Is(err, keyring.ErrNotFound) || errors.Is(err, keyring.ErrConflict) ||
			!strings.Contains(strings.ToLower(err.Error()), "permissions violation for publish") {
			t.Errorf("%s: error %v, want one about permissions, neither conflict nor not-found", c.name, err)
		}
	}
}
