package sticky

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/trip"
)

// redisServer is a real one, as docker-compose.yml runs it, on a port of its own.
type redisServer struct {
	t    *testing.T
	dir  string
	port string
	cmd  *exec.Cmd
}

func newRedisServer(t *testing.T) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("SKIPPED LOUDLY: the store lane is tested with a real Redis; install redis-server")
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	return &redisServer{t: t, dir: t.TempDir(), port: port}
}

func (s *redisServer) url() string { return "redis://127.0.0.1:" + s.port }

// start starts it with what it had written before it was killed.
func (s *redisServer) start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", s.port, "--dir", s.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.kill)
	store := s.store()
	for late := time.Now().Add(10 * time.Second); store.client.Ping(s.t.Context()).Err() != nil; {
		if time.Now().After(late) {
			s.t.Fatal("redis-server does not answer after 10 s")
		}
	}
}

// kill ends it without a chance to write anything more.
func (s *redisServer) kill() {
	if s.cmd.ProcessState == nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	}
}

func (s *redisServer) store() *redisStore {
	s.t.Helper()
	store, err := newRedis(s.url())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { store.client.Close() })
	return store
}

var abroad = trip.State{"to": json.RawMessage(`"AMS"`), "total": json.RawMessage(`12345`)}

func isAbroad(s trip.State) bool {
	return maps.EqualFunc(s, abroad, func(a, b json.RawMessage) bool { return string(a) == string(b) })
}

func TestRedis(t *testing.T) {
	srv := newRedisServer(t)
	srv.start()
	one, other, ctx := srv.store(), srv.store(), t.Context()
	for _, id := range []string{"a", ""} {
		if s, err := one.Load(ctx, id); !errors.Is(err, errUnknown) || s != nil {
			t.Errorf("%q before: got %v, %v, want ErrUnknown", id, s, err)
		}
	}
	if err := errors.Join(one.Save(ctx, "a", trip.State{}), one.Save(ctx, "a", abroad), one.Save(ctx, "b", abroad)); err != nil {
		t.Fatal(err)
	}
	if s, err := other.Load(ctx, "a"); err != nil || !isAbroad(s) {
		t.Errorf("another server: got %s, %v, want the last that was saved", s, err)
	}
	held := one.client.Keys(ctx, "*").Val()
	if len(held) != 2 {
		t.Errorf("the store holds %q, want two sessions", held)
	}
	for _, key := range held {
		if left := one.client.TTL(ctx, key).Val(); left <= keys.Life-10*time.Second || left > keys.Life {
			t.Errorf("%s lives for %v, want %v", key, left, keys.Life)
		}
	}
	if s, err := one.Load(ctx, "b"); err != nil || !isAbroad(s) {
		t.Errorf("beside it: got %s, %v", s, err)
	}
}

// TestRedisKilled kills the store while it has a session. It comes back with it, and whoever asked meanwhile was told soon
// that it was away.
func TestRedisKilled(t *testing.T) {
	srv := newRedisServer(t)
	store, ctx := srv.store(), t.Context()
	if err := store.Save(ctx, "a", abroad); err == nil {
		t.Error("saved before there was a store")
	}
	srv.start()
	if err := store.Save(ctx, "a", abroad); err != nil {
		t.Fatal(err)
	}
	srv.kill()
	for what, do := range map[string]func() error{
		"load": func() error { _, err := store.Load(ctx, "a"); return err },
		"save": func() error { return store.Save(ctx, "b", abroad) },
	} {
		began := time.Now()
		err := do()
		if took := time.Since(began); err == nil || errors.Is(err, errUnknown) || took > wait+time.Second {
			t.Errorf("%s while it is away: %v after %v, want an error within %v", what, err, took, wait)
		}
	}
	srv.start()
	if s, err := store.Load(ctx, "a"); err != nil || !isAbroad(s) {
		t.Errorf("after it came back: got %s, %v, want what was saved before", s, err)
	}
}

// TestRedisHangs asks a store that takes connections and says nothing.
func TestRedisHangs(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	store, err := newRedis("redis://" + lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer store.client.Close()
	began := time.Now()
	_, err = store.Load(context.Background(), "a")
	if took := time.Since(began); err == nil || errors.Is(err, errUnknown) || took > wait+time.Second {
		t.Errorf("got %v after %v, want an error after %v", err, took, wait)
	}
}

func TestRedisURL(t *testing.T) {
	if _, err := newRedis("redis:6379"); err == nil {
		t.Error("redis:6379 is taken for a URL, and means this machine")
	}
}
