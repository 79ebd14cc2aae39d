package cli_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// clinic is a server, a ring in a bucket of it, and the doctor.
type clinic struct {
	t      *testing.T
	dir    string
	root   string
	opts   *server.Options
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
}

// diagnosis is what the doctor prints.
type diagnosis struct {
	Risks   []struct{ Check, Risk, Fix string }
	Skipped []struct{ Check, Why string }
	Passed  []string
	code    int
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	c := &clinic{t: t, dir: t.TempDir()}
	c.root = c.run("keys", "root", "new", c.file("root"))
	c.run("keys", "roster", "sign", c.file("shop.roster"), "--root", c.file("root"), "--domain", "shop",
		"--member", c.run("keys", "identity", "new", c.file("me"), "--name", "operator", "--may-propose", "--may-revoke"),
		"--member", c.run("keys", "identity", "new", c.file("orders"), "--name", "orders", "--may-propose"))
	return c
}

func (c *clinic) file(name string) string { return filepath.Join(c.dir, name) }

func (c *clinic) run(args ...string) string {
	c.t.Helper()
	stdout, stderr, code := execute(c.t, "", nil, args...)
	if code != 0 {
		c.t.Fatalf("waybill %s: got exit code %d, want 0: %s", strings.Join(args[:2], " "), code, stderr)
	}
	return strings.TrimSpace(string(stdout))
}

// serve starts a server, on which who shows no credentials has these rights; nil are all.
func (c *clinic) serve(rights *server.Permissions, syncAlways bool) {
	c.t.Helper()
	opts := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, HTTPHost: "127.0.0.1", HTTPPort: server.RANDOM_PORT,
		JetStream: true, StoreDir: c.file("jetstream"), SyncAlways: syncAlways, NoLog: true, NoSigs: true,
		Users: []*server.User{{Username: "all", Password: "x"}, {Username: "anybody", Permissions: rights}}, NoAuthUser: "anybody"}
	s, err := server.NewServer(opts)
	c.check(err)
	s.Start()
	c.opts, c.server = opts, s
	c.t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		c.t.Fatal("the NATS server did not start")
	}
	c.conn, err = nats.Connect(s.ClientURL(), nats.UserInfo("all", "x"))
	c.check(err)
	c.t.Cleanup(c.conn.Close)
	c.js, err = jetstream.New(c.conn)
	c.check(err)
}

func (c *clinic) stop() {
	c.conn.Close()
	c.server.Shutdown()
	c.server.WaitForShutdown()
}

// over names the ring in NATS, and the operator.
func (c *clinic) over(args ...string) []string {
	return append(args, "--nats", c.server.ClientURL(), "--bucket", "waybill", "--domain", "shop", "--identity", c.file("me"),
		"--root-public", c.root)
}

func (c *clinic) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *clinic) wrapper(name string) *agering.Wrapper {
	c.t.Helper()
	id, err := agering.LoadIdentity(c.file(name))
	c.check(err)
	roots, err := agering.ParseRoots(c.root)
	c.check(err)
	w, err := agering.New("shop", id, roots)
	c.check(err)
	return w
}

// doctor runs it with somebody's identity.
func (c *clinic) doctor(who, bucket string, args ...string) diagnosis {
	c.t.Helper()
	stdout, stderr, code := execute(c.t, "", nil, append([]string{"keys", "doctor", "-o", "json", "--nats", c.server.ClientURL(),
		"--bucket", bucket, "--domain", "shop", "--identity", c.file(who), "--root-public", c.root}, args...)...)
	d := diagnosis{code: code}
	if err := json.Unmarshal(stdout, &d); err != nil || code != 0 && code != 7 {
		c.t.Fatalf("got exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	return d
}

// wants compares the risks of a check: parts of each one's text, and of what mends it.
func (d diagnosis) wants(t *testing.T, check string, want ...string) {
	t.Helper()
	var got []string
	for _, r := range d.Risks {
		if r.Check == check {
			got = append(got, r.Risk+" | "+r.Fix)
		}
	}
	ok := len(got) == len(want) && (len(want) > 0) != slices.Contains(d.Passed, check)
	for i := range min(len(got), len(want)) {
		for part := range strings.SplitSeq(want[i], "|") {
			ok = ok && strings.Contains(got[i], part)
		}
	}
	if !ok {
		t.Errorf("%s: got %q, passed %v, want %q", check, got, d.Passed, want)
	}
	if (d.code == 7) != (len(d.Risks) > 0) {
		t.Errorf("got exit code %d with %d risks", d.code, len(d.Risks))
	}
}

func (d diagnosis) skips(check, why string) bool {
	return slices.ContainsFunc(d.Skipped, func(s struct{ Check, Why string }) bool {
		return s.Check == check && strings.Contains(s.Why, why)
	})
}

// warns reports whether a check names a risk.
func (d diagnosis) warns(check, risk string) bool {
	return slices.ContainsFunc(d.Risks, func(r struct{ Check, Risk, Fix string }) bool {
		return r.Check == check && strings.Contains(r.Risk, risk)
	})
}

// TestDoctorOfBucket: a bucket that somebody made with other settings, and what the doctor's advice makes of it.
func TestDoctorOfBucket(t *testing.T) {
	c := newClinic(t)
	c.serve(nil, false)
	_, err := c.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "bad", TTL: time.Hour, Storage: jetstream.MemoryStorage,
		MaxValueSize: 100_000})
	c.check(err)
	store, err := natskv.New(c.conn, "bad", "shop")
	c.check(err)
	roster, err := os.ReadFile(c.file("shop.roster"))
	c.check(err)
	operator := c.wrapper("me")
	c.check(operator.Learn(roster))
	first, err := keyring.DefaultPolicy().Genesis("shop", time.Now())
	c.check(err)
	c.check(keyring.Create(t.Context(), store, operator, first.WithEpoch(1)))

	d := c.doctor("me", "bad")
	d.wants(t, "bucket", "1 server stores the bucket|nats stream edit KV_bad --replicas 3",
		"one message with the header Nats-Rollup removes|nats stream edit KV_bad --no-allow-rollup --deny-purge", "no history|--max-msgs-per-subject 8",
		"deletes what is older than 1h0m0s|--max-age 0s", "in memory", "sends no nudges|--republish-source '$KV.bad.>' "+
			"--republish-destination 'waybill.nudge.bad.>' --republish-headers", "rejects rings over 100000 bytes|--max-msg-size=-1")
	for _, check := range []string{"files", "sealed", "roster", "keys", "size", "clock", "streams"} {
		d.wants(t, check)
	}
	if !d.skips("sync", "--monitor") || !d.skips("nodes", "no node answered") || !d.skips("rights", "operator may revoke") {
		t.Errorf("skipped: got %+v, want sync, nodes and rights with the reason", d.Skipped)
	}
	// What the commands do.
	stream, err := c.js.Stream(t.Context(), "KV_bad")
	c.check(err)
	config := stream.CachedInfo().Config
	config.AllowRollup = false
	_, err = c.js.UpdateStream(t.Context(), config)
	c.check(err)
	if d := c.doctor("me", "bad"); !d.warns("bucket", "allows purges") {
		t.Errorf("got %+v, want a risk of purges", d.Risks)
	}
	config.DenyPurge = true
	config.MaxMsgsPerSubject, config.MaxAge, config.MaxMsgSize = 8, 0, -1
	config.RePublish = &jetstream.RePublish{Source: "$KV.bad.>", Destination: "waybill.nudge.bad.>", HeadersOnly: true}
	_, err = c.js.UpdateStream(t.Context(), config)
	c.check(err)
	c.doctor("me", "bad").wants(t, "bucket", "1 server stores the bucket", "in memory")

	// A ring that is no longer of a size that can be written.
	small := c.opts.Clone()
	small.MaxPayload = 1500
	c.check(c.server.ReloadOptions(small))
	c.doctor("me", "bad").wants(t, "size", "the limit is|max_payload")
}

// TestDoctorOfIdle: a key that expires soon after its successor took over.
func TestDoctorOfIdle(t *testing.T) {
	c := newClinic(t)
	c.serve(nil, false)
	c.check(natskv.Create(t.Context(), c.conn, "waybill"))
	store, err := natskv.New(c.conn, "waybill", "shop")
	c.check(err)
	operator := c.wrapper("me")
	roster, err := os.ReadFile(c.file("shop.roster"))
	c.check(err)
	c.check(operator.Learn(roster))
	now := time.Now()
	key := func(from, until time.Duration) *keyring.Key {
		k, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now.Add(from), NotBefore: now.Add(from), Expires: now.Add(until)})
		c.check(err)
		return k
	}
	set, err := keyring.NewSet("shop", key(-200*time.Hour, 5*time.Hour), key(-time.Hour, 11*24*time.Hour))
	c.check(err)
	c.check(keyring.Create(t.Context(), store, operator, set.WithEpoch(1)))
	for idle, want := range map[string][]string{
		"2h": nil, // three token lives of an hour, and 2 h, are less than 6 h
		"8h": {"6h after its successor took over|--horizon of at least 11h"},
	} {
		c.doctor("me", "waybill", "--idle", idle).wants(t, "keys", want...)
	}
}

// TestDoctorOfLargeRing: one over 512 kB is a risk, also where it could be read.
func TestDoctorOfLargeRing(t *testing.T) {
	c := newClinic(t)
	for size, want := range map[int][]string{500_000: nil, 600_000: {"at most 1 MiB|roster sign --remove"}} {
		c.check(os.WriteFile(c.file("ring"), []byte(`{"v":1,"ct":"`+strings.Repeat("A", size/4*4)+`"}`), 0o600))
		stdout, stderr, code := execute(t, "", nil, "keys", "doctor", "-o", "json", c.file("ring"), "--domain", "shop", "--identity",
			c.file("me"), "--root-public", c.root)
		d := diagnosis{code: code}
		if err := json.Unmarshal(stdout, &d); err != nil {
			t.Fatalf("got exit code %d, %v: %s", code, err, stderr)
		}
		d.wants(t, "size", want...)
	}
}

// TestDoctorOfRights: what a service's credentials allow beyond what it must.
func TestDoctorOfRights(t *testing.T) {
	c := newClinic(t)
	c.serve(nil, true)
	c.run(c.over("keys", "init", "--roster", c.file("shop.roster"))...)
	d := c.doctor("orders", "waybill", "--monitor", "http://"+c.server.MonitorAddr().String())
	d.wants(t, "rights", "rings of other domains|nsc edit user NAME --allow-pub '$KV.waybill.ring.shop,", "change the bucket's settings",
		"empty the bucket", "delete the bucket")
	d.wants(t, "sync")
	if d := c.doctor("orders", "waybill", "--monitor", "http://127.0.0.1:1"); !d.skips("sync", "--monitor: ") {
		t.Errorf("a monitoring port that is not there: got %+v", d.Skipped)
	}
	c.stop()
	const ring = "$KV.waybill.ring.shop"
	reading := []string{"$JS.API.STREAM.INFO.KV_waybill", "$JS.API.STREAM.MSG.GET.KV_waybill"}
	inbox := &server.SubjectPermission{Allow: []string{"_INBOX.>"}}
	member := &server.Permissions{Publish: &server.SubjectPermission{Allow: append([]string{ring}, reading...)}, Subscribe: inbox}
	c.serve(member, false)
	d = c.doctor("orders", "waybill", "--monitor", "http://"+c.server.MonitorAddr().String())
	if !d.skips("rights", "publish to $SYS.REQ.USER.INFO") || !d.skips("streams", "--stream") {
		t.Errorf("a member's rights: got %+v, want that they cannot be asked for", d.Skipped)
	}
	d.wants(t, "sync", "writes to its disk every 2m0s|sync_interval: always")
	member.Publish.Allow = append(member.Publish.Allow, "$SYS.REQ.USER.INFO")
	c.stop()
	c.serve(member, false)
	c.doctor("orders", "waybill").wants(t, "rights")
	member.Publish.Allow = append(member.Publish.Allow, "$KV.waybill.*.>", "$JS.API.>")
	member.Publish.Deny = []string{"$JS.API.STREAM.DELETE.>"}
	c.stop()
	c.serve(member, false)
	c.doctor("orders", "waybill").wants(t, "rights", "rings of other domains", "change the bucket's settings", "empty the bucket")
}

// TestDoctorOfNodesAndStreams: nodes that lag or whose clock is wrong, and streams in which messages outlive their keys.
func TestDoctorOfNodesAndStreams(t *testing.T) {
	c := newClinic(t)
	c.serve(nil, false)
	c.run(c.over("keys", "init", "--roster", c.file("shop.roster"))...)
	var rings []*keyring.Ring
	for name, skew := range map[string]time.Duration{"orders": 0, "late": -time.Hour} {
		store, err := natskv.New(c.conn, "waybill", "shop")
		c.check(err)
		ring, err := keyring.Maintain(t.Context(), store, c.wrapper("orders"), keyring.Domain("shop"),
			keyring.Clock(func() time.Time { return time.Now().Add(skew) }), keyring.Logger(slog.New(slog.NewTextHandler(io.Discard, nil))))
		c.check(err)
		defer ring.Close()
		rings = append(rings, ring)
		_, err = store.Answer(name, ring)
		c.check(err)
	}
	for name, age := range map[string]time.Duration{"FOREVER": 0, "LONG": 30 * 24 * time.Hour, "SHORT": time.Hour} {
		_, err := c.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{name}, MaxAge: age})
		c.check(err)
	}
	c.check(c.conn.Flush())
	d := c.doctor("me", "waybill")
	d.wants(t, "nodes", "late on ", "the clocks of late on |timedatectl set-ntp true")
	d.wants(t, "streams", "FOREVER may wait for ever|nats stream edit FOREVER --max-age 72h0m0s|natskv.OldestMessage",
		"LONG may wait for 720h0m0s|keyring.Policy.Horizon to 720h0m0s")
	d.wants(t, "bucket", "1 server stores the bucket")
	c.doctor("me", "waybill", "--stream", "SHORT").wants(t, "streams")
	c.doctor("me", "waybill", "--stream", "LONG", "--horizon", "30d").wants(t, "streams")
	if d := c.doctor("me", "waybill", "--stream", "NONE"); !d.skips("streams", "NONE cannot be read") {
		t.Errorf("a stream that is not there: got %+v", d.Skipped)
	}
	for _, ring := range rings { // from now on they lag
		c.check(ring.Close())
	}
	c.run(c.over("keys", "rotate", "--now")...)
	c.doctor("me", "waybill", "--stream", "SHORT").wants(t, "nodes", "late on ", "the clocks of late on", "orders on |has generation 1 of epoch 1, the store has generation 2 of epoch 1")
	stdout, stderr, code := execute(t, "", nil, c.over("keys", "doctor", "--monitor", "http://me:secret@127.0.0.1:1")...)
	if all := string(stdout) + string(stderr); code != 2 || strings.Contains(all, "me:secret") {
		t.Errorf("a password in --monitor: got exit code %d, %s", code, all)
	}
}
