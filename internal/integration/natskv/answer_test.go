package natskvtest

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// A node that answers says how its ring stands, to who may ask, and no more than that.
func TestAnswer(t *testing.T) {
	allow := func(subjects ...string) *server.SubjectPermission { return &server.SubjectPermission{Allow: subjects} }
	s := startServer(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "operator", Password: "x"},
			{Username: "member", Password: "x", Permissions: &server.Permissions{
				Publish:   allow("$JS.API.STREAM.INFO.KV_"+bucket, "$JS.API.STREAM.MSG.GET.KV_"+bucket, "$KV."+bucket+"."+natskv.Key("shop")),
				Subscribe: allow("_INBOX.>", "waybill.nudge."+bucket+".>", "waybill.status."+bucket+".>"),
				Response:  &server.ResponsePermission{MaxMsgs: 1, Expires: time.Minute}}},
		}
	})
	silent := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // the refusals are meant
	login := func(user string) *nats.Conn { return connect(t, s.ClientURL(), nats.UserInfo(user, "x"), silent) }
	operator, member := login("operator"), login("member")
	check(t, natskv.Create(t.Context(), operator, bucket))
	asker := newStore(t, operator, "shop")
	if got, err := asker.Ask(t.Context()); len(got) != 0 || err != nil {
		t.Errorf("nobody answers: got %v, %v, want nothing", got, err)
	}
	first, err := keyring.DefaultPolicy().Genesis("shop", time.Now())
	check(t, err)
	check(t, keyring.Create(t.Context(), asker, keyring.InsecurePlaintext(), first))
	store := newStore(t, member, "shop")
	ring, err := keyring.Maintain(t.Context(), store, keyring.InsecurePlaintext(), keyring.Domain("shop"),
		keyring.Logger(slog.New(slog.DiscardHandler)))
	check(t, err)
	defer ring.Close()
	stop, err := store.Answer("orders", ring)
	check(t, err)
	other := login("member")
	_, err = newStore(t, other, "shop").Answer("bills", keyring.NewRing(nil))
	check(t, err)
	check(t, errors.Join(member.Flush(), other.Flush()))

	// What is no answer is of nobody.
	_, err = operator.Subscribe(natskv.StatusSubject(bucket, "shop"), func(m *nats.Msg) {
		check(t, m.Respond([]byte("hello")))
		check(t, m.Respond([]byte(`{"name":"x","host":"`+strings.Repeat("x", 5000)+`"}`)))
	})
	check(t, err)
	check(t, operator.Flush())
	got, err := asker.Ask(t.Context())
	check(t, err)
	if len(got) != 2 || got[0].Name != "bills" || got[0].Generation != 0 || !strings.Contains(got[0].Problem, "not loaded") ||
		got[1].Name != "orders" || got[1].Generation != 1 || got[1].Keys != 3 || got[1].Problem != "" || got[1].Host == "" {
		t.Errorf("got %+v, want bills without keys and orders with generation 1", got)
	}
	if bank, err := newStore(t, operator, "bank").Ask(t.Context()); len(bank) != 0 || err != nil {
		t.Errorf("another domain: got %v, %v, want nothing", bank, err)
	}
	if refused, err := newStore(t, member, "shop").Ask(t.Context()); len(refused) != 0 || err != nil {
		t.Errorf("a member asks: got %v, %v, want nothing", refused, err)
	}

	raw, err := operator.Request(natskv.StatusSubject(bucket, "shop"), nil, patience)
	check(t, err)
	if kid := first.Keys()[0].ID(); strings.Contains(string(raw.Data), kid) {
		t.Errorf("an answer names key %s: %s", kid, raw.Data)
	}
	check(t, stop())
	check(t, member.Flush())
	if got, err := asker.Ask(t.Context()); len(got) != 1 || err != nil {
		t.Errorf("after stop: got %v, %v, want bills alone", got, err)
	}
}

// The oldest of several streams counts; an empty one does not, and one that cannot be read is an error.
func TestOldestMessage(t *testing.T) {
	nc := connect(t, startServer(t).ClientURL())
	js, err := jetstream.New(nc)
	check(t, err)
	for _, name := range []string{"A", "B", "EMPTY"} {
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{name}})
		check(t, err)
	}
	began := time.Now()
	for _, name := range []string{"B", "A", "B"} {
		_, err := js.Publish(t.Context(), name, nil)
		check(t, err)
		time.Sleep(10 * time.Millisecond)
	}
	oldest := func(names ...string) (time.Time, error) {
		of, err := natskv.OldestMessage(nc, names...)
		check(t, err)
		return of(t.Context())
	}
	a, err := oldest("A")
	check(t, err)
	both, err := oldest("A", "EMPTY", "B")
	check(t, err)
	if !both.Before(a) || both.Before(began.Add(-time.Second)) {
		t.Errorf("the oldest of both is of %v, that of A of %v: want B's first", both, a)
	}
	if at, err := oldest("EMPTY"); !at.IsZero() || err != nil {
		t.Errorf("an empty stream: got %v, %v, want no time", at, err)
	}
	if at, err := oldest("A", "MISSING"); err == nil || !strings.Contains(err.Error(), "MISSING") {
		t.Errorf("a missing stream: got %v, %v, want an error that names it", at, err)
	}
}
