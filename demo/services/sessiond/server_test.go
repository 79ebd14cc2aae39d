package sessiond

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/tidwall/redcon"
)

// serve serves the sessions in a file, and returns a client and what ends both.
func serve(t *testing.T, path string) (client *redis.Client, end func()) {
	t.Helper()
	s, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := redcon.NewServer("", s.serve, nil, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(lis)
	}()
	client = redis.NewClient(&redis.Options{Addr: lis.Addr().String()})
	return client, func() {
		client.Close()
		lis.Close()
		<-done
		s.db.Close()
	}
}

// TestStore writes with one server and reads with the next one, which has the same file.
func TestStore(t *testing.T) {
	path, ctx := filepath.Join(t.TempDir(), "sessions"), t.Context()
	one, end := serve(t, path)
	if err := one.Get(ctx, "a").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("before: got %v, want none", err)
	}
	for _, c := range [][2]string{{"a", "first"}, {"a", "second"}, {"b", "other"}} {
		if err := one.Set(ctx, c[0], c[1], 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	end()
	next, end := serve(t, path)
	defer end()
	if got, err := next.Get(ctx, "a").Result(); err != nil || got != "second" {
		t.Errorf("afterwards: got %q, %v, want what was written last", got, err)
	}
	if err := next.Ping(ctx).Err(); err == nil {
		t.Error("a command that is not served is answered without an error")
	}
}
