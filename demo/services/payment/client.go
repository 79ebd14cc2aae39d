package payment

import (
	"context"

	"google.golang.org/grpc"
)

// Client calls the service. Its decisions are in the waybill of ctx afterwards.
type Client struct{ Conn *grpc.ClientConn }

// Quote sets the fee of a card.
func (c Client) Quote(ctx context.Context, card string) error {
	return c.Conn.Invoke(ctx, "/"+name+"/Quote", quote{card}, &struct{}{})
}

// Pay takes the total, places the order and sets the receipt. It may be repeated.
func (c Client) Pay(ctx context.Context) error {
	return c.Conn.Invoke(ctx, "/"+name+"/Pay", struct{}{}, &struct{}{})
}
