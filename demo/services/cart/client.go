package cart

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Client calls the service. Its additions are in the waybill of ctx afterwards.
type Client struct{ Conn *grpc.ClientConn }

// Flights tells each flight to a destination as it is found. gRPC does not repeat a stream that has
// begun to answer, so this does.
func (c Client) Flights(ctx context.Context, to string, found func(string) error) error {
	for attempt := 1; ; attempt++ {
		err := c.flights(ctx, to, found)
		if status.Code(err) != codes.Unavailable || attempt == 5 {
			return err
		}
	}
}

func (c Client) flights(ctx context.Context, to string, found func(string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Conn.NewStream(ctx, &desc.Streams[0], "/"+name+"/Flights")
	if err != nil {
		return err
	}
	if err := errors.Join(stream.SendMsg(query{to}), stream.CloseSend()); err != nil {
		return err
	}
	for {
		var o offer
		switch err := stream.RecvMsg(&o); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := found(o.Flight); err != nil {
			return err
		}
	}
}

// Add puts a flight or a hotel into the cart.
func (c Client) Add(ctx context.Context, item Item) error {
	return c.Conn.Invoke(ctx, "/"+name+"/Add", item, &struct{}{})
}
