package waybill_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

var Cell = waybill.NewClaim[string]("cell")
var Seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)

func ring(t testing.TB) *keyring.Ring {
	now := time.Now()
	var keys []*keyring.Key
	for _, alg := range []keyring.Algorithm{keyring.HS256, keyring.Dir, keyring.EdDSA} {
		k, err := keyring.Generate(alg, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(100 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	set, err := keyring.NewSet("shop", keys...)
	if err != nil {
		t.Fatal(err)
	}
	set, err = keyring.ParseSet(set.SecretJWKS())
	if err != nil {
		t.Fatal(err)
	}
	return keyring.NewRing(set)
}

func TestSmoke(t *testing.T) {
	r := ring(t)
	for _, opt := range [][]waybill.Option{nil, {waybill.Sealed()}, {waybill.PublicKey()}} {
		a, err := waybill.New("shop", r, append(opt, waybill.Claims(Cell, Seats))...)
		if err != nil {
			t.Fatal(err)
		}
		up, err := a.Issue(Cell.To("eu-3"), Seats.To(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Log(up.Token(), up)
		ctx, _ := a.Start(context.Background(), Cell.To("eu-3"), Seats.To(1))
		call, err := waybill.Send(ctx)
		if err != nil {
			t.Fatal(err)
		}
		sctx, hop := a.Receive(context.Background(), []string{call.Token()})
		if hop.Err() != nil {
			t.Fatal(hop.Err())
		}
		if err := waybill.Update(sctx, Seats.To(5)); err != nil {
			t.Fatal(err)
		}
		out, err := call.Return(hop.Commit(false))
		t.Log(out, err)
		if s, _ := Seats.Get(ctx); s != 5 {
			t.Fatal(s)
		}
		if err := waybill.Update(sctx, Seats.To(5)); !errors.Is(err, waybill.ErrCommitted) {
			t.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	r := ring(b)
	for name, opt := range map[string]waybill.Option{"signed": waybill.Claims(), "sealed": waybill.Sealed(), "public": waybill.PublicKey()} {
		a, _ := waybill.New("shop", r, opt, waybill.Claims(Cell))
		wb, err := a.Issue(Cell.To(strings.Repeat("x", 100)))
		if err != nil {
			b.Fatal(err)
		}
		tok := wb.Token()
		b.Run(name+"/open", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Open(tok); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/issue", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				wb, _ := a.Issue(Cell.To("eu-3"))
				wb.Token()
			}
		})
	}
}
