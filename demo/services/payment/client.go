package payment

import (
	"context"

	"google.golang.org/grpc"
)

// Client is a Payment over gRPC.
type Client struct{ Conn *grpc.ClientConn }

var _ Payment = Client{}

// Quote implements [Payment].
func (c Client) Quote(ctx context.Context, card string) error {
	return c.Conn.Invoke(ctx, "/"+name+"/Quote", quote{card}, &struct{}{})
}

// Pay implements [Payment].
func (c Client) Pay(ctx context.Context) error {
	return c.Conn.Invoke(ctx, "/"+name+"/Pay", struct{}{}, &struct{}{})
}
