package cart

import (
	"context"
	"fmt"
	"regexp"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/rpc"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/trip"
)

var desc = grpc.ServiceDesc{
	ServiceName: name,
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		rpc.Unary(name, "Add", func(s server, ctx context.Context, item *Item) (*struct{}, error) {
			return &struct{}{}, s.Add(ctx, *item)
		}),
	},
	Streams: []grpc.StreamDesc{{StreamName: "Flights", ServerStreams: true, Handler: serveFlights}},
}

func serveFlights(srv any, stream grpc.ServerStream) error {
	var q query
	if err := stream.RecvMsg(&q); err != nil {
		return err
	}
	return srv.(server).Flights(stream.Context(), q.To, func(flight string) error {
		return stream.SendMsg(offer{flight})
	})
}

// Run serves until the process ends.
func Run(ctx context.Context, e *service.Env) error { return rpc.Serve(ctx, e, &desc, server{e.Name}) }

// server is the service itself. It knows its own name and nothing of any journey: what must be
// remembered is in the waybill.
type server struct{ replica string }

// airport keeps out of the waybill what would only fill it.
var airport = regexp.MustCompile(`^[A-Z]{3}$`)

// Flights tells each flight to a destination, and makes the destination the journey's.
func (s server) Flights(ctx context.Context, to string, found func(string) error) error {
	if !airport.MatchString(to) {
		return status.Error(codes.InvalidArgument, "to is three capital letters, such as AMS")
	}
	for _, flight := range Offers(to) {
		if err := service.Work(ctx); err != nil {
			return err
		}
		if err := found(flight); err != nil {
			return err
		}
	}
	return waybill.Update(ctx, trip.To.To(to), trip.Stamp(s.replica))
}

// Offers are the flights to a destination.
func Offers(to string) []string {
	var flights []string
	for i := range 3 {
		flights = append(flights, fmt.Sprintf("%s-%d", to, 101+100*i))
	}
	return flights
}

// picked is what a flight or hotel is called.
var picked = regexp.MustCompile(`^[A-Za-z0-9-]{1,24}$`)

// Add puts a flight or a hotel into the waybill, or takes its place.
func (s server) Add(ctx context.Context, item Item) error {
	if err := service.Work(ctx); err != nil {
		return err
	}
	changes := []waybill.Change{trip.Stamp(s.replica)}
	if item.Flight != "" {
		changes = append(changes, trip.Flight.To(item.Flight))
	}
	if item.Hotel != "" {
		changes = append(changes, trip.Hotel.To(item.Hotel))
	}
	if !picked.MatchString(item.Flight + item.Hotel) {
		return status.Error(codes.InvalidArgument, "a flight or hotel is 1 to 24 letters, digits and hyphens")
	}
	return waybill.Update(ctx, changes...)
}
