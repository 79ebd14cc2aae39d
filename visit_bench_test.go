package waybill_test

import (
	"testing"

	"github.com/waybill-go/waybill"
)

func BenchmarkVisit(b *testing.B) {
	auth := authority(b)
	token := issue(b, auth, Cell.To("eu")).Token()
	ctx, hop := auth.ReceiveClient(b.Context(), waybill.Client{Tokens: []string{token}})
	change(b, ctx, Cell.To("us"))
	token = hop.Commit(waybill.Succeeded)[0]
	b.Run("hop", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, hop := auth.Receive(b.Context(), []string{token}, nil)
			hop.Commit(waybill.Succeeded)
		}
	})
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, hop := auth.ReceiveClient(b.Context(), waybill.Client{Tokens: []string{token}})
			hop.Commit(waybill.Succeeded)
		}
	})
	b.Run("one changed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx, hop := auth.ReceiveClient(b.Context(), waybill.Client{Tokens: []string{token}})
			change(b, ctx, Cell.To("as"))
			hop.Commit(waybill.Succeeded)
		}
	})
	b.Run("hop changed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx, hop := auth.Receive(b.Context(), []string{token}, nil)
			change(b, ctx, Cell.To("as"))
			hop.Commit(waybill.Succeeded)
		}
	})
	for _, n := range []int{2, 8, 192} {
		tokens := make([]string, n)
		for i := range tokens {
			ctx, hop := auth.ReceiveClient(b.Context(), waybill.Client{Tokens: []string{token}})
			change(b, ctx, Seats.To(i+1))
			tokens[i] = hop.Commit(waybill.Succeeded)[0]
		}
		b.Run("set", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, hop := auth.ReceiveClient(b.Context(), waybill.Client{Tokens: tokens})
				hop.Commit(waybill.Succeeded)
			}
		})
	}
}
