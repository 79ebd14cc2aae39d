package lb

import (
	"context"
	"slices"
	"testing"
)

func TestLook(t *testing.T) {
	for _, c := range []struct {
		name  string
		names []string
		want  []string
	}{
		{"addresses lead to themselves", []string{"127.0.0.1:2", "127.0.0.1:1"}, []string{"127.0.0.1:1", "127.0.0.1:2"}},
		{"IPv6", []string{"[::1]:1"}, []string{"[::1]:1"}},
		{"a name beside one that nobody has", []string{"127.0.0.1:1", "not..aname:1"}, []string{"127.0.0.1:1"}},
		{"no port", []string{"127.0.0.1"}, nil},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if got := follow(ctx, c.names).now(); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		cancel()
	}
}

// TestLookInVain checks that the known addresses outlive their name server.
func TestLookInVain(t *testing.T) {
	b := &backends{names: []string{"127.0.0.1:1"}}
	b.look(t.Context())
	b.names = []string{"not..aname:1"}
	b.look(t.Context())
	if got := b.now(); !slices.Equal(got, []string{"127.0.0.1:1"}) {
		t.Errorf("got %q, want the address of before", got)
	}
}
