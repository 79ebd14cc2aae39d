package service

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		err  string // part of it; empty for none
	}{
		{"all is well", []string{"--listen=:9000", "--peer=cart=cart:9000"}, ""},
		{"no such flag", []string{"--password=x"}, "not defined"},
		{"a word too many", []string{"now"}, `"now"`},
		{"half a peer", []string{"--peer=gateway"}, "ROLE=ADDRESS"},
	} {
		spec, health, err := parse("gateway", c.args)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got %v, want an error with %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil || spec.Addr != ":9000" || health != HealthAddress || !strings.HasPrefix(spec.Name, "gateway-") ||
			spec.Broker != "nats://nats:4222" || spec.Peers["cart"][0] != "cart:9000" {
			t.Errorf("%s: got %+v, %s, %v", c.name, spec, health, err)
		}
	}
}

func TestPeers(t *testing.T) {
	spec, _, err := parse("lb", []string{"--peer=cart=dns:///cart:9000", "--peer=gateway=a:1", "--peer=gateway=b:1"})
	if p := spec.Peers; err != nil || len(p["gateway"]) != 2 || len(p["cart"]) != 1 || p["cart"][0] != "dns:///cart:9000" {
		t.Errorf("got %v, %v", p, err)
	}
	for _, text := range []string{"", "cart", "=a:1", "cart="} {
		if _, _, err := parse("lb", []string{"--peer=" + text}); err == nil {
			t.Errorf("%q is taken for a peer", text)
		}
	}
}

func TestName(t *testing.T) {
	for host, want := range map[string]string{"3f2ab9c1d0e4": "cart-3f2ab9c1", "box": "cart-box"} {
		if got := nameOf("cart", host); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
}

// TestHealth asks as the container's health check does.
func TestHealth(t *testing.T) {
	ctx, drain := context.WithCancel(t.Context())
	h := healthCheck{ctx: ctx}
	srv := httptest.NewServer(&h)
	defer srv.Close()
	addr := strings.TrimPrefix(srv.URL, "http://")
	want := func(want string) {
		t.Helper()
		err := Check(addr)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	want("starting")
	var broken error
	check := func() error { return broken }
	h.check.Store(&check)
	want("")
	broken = errors.New("not connected to the broker")
	want("not connected to the broker")
	broken = nil
	drain()
	want("ending")

	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lis.Close()
	if Check(lis.Addr().String()) == nil {
		t.Error("nobody answers, and that is healthy")
	}
}
