package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/rpc"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/cart"
	"github.com/waybill-go/waybill/demo/services/payment"
	"github.com/waybill-go/waybill/demo/services/pricing"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
)

// patience is how long a step may take, with all calls that have to be repeated.
const patience = 4 * time.Second

// Run serves until the process ends.
func Run(ctx context.Context, e *service.Env) error {
	carts, err := rpc.Dial("cart", e.Peers["cart"], e.Auth)
	if err != nil {
		return err
	}
	payments, err := rpc.Dial("payment", e.Peers["payment"], e.Auth)
	if err != nil {
		return err
	}
	js, err := jetstream.New(e.NATS)
	if err != nil {
		return err
	}
	messages, err := waybillnats.New(e.Auth, e.NATS)
	if err != nil {
		return err
	}
	// No host is on the list of this transport, so it sends no waybill.
	outside, err := waybillhttp.NewTransport(e.Auth, nil, waybillhttp.AllowPlaintext(),
		waybillhttp.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	edge, err := waybillhttp.NewEdge(e.Auth, waybillhttp.StartWith(start),
		waybillhttp.Cookies(waybillhttp.InsecureCookies())) // plain http on one machine
	if err != nil {
		return err
	}
	s := &server{
		env: e, js: js,
		cart: cart.Client{Conn: carts}, payment: payment.Client{Conn: payments}, pricing: pricing.Client{NATS: messages},
		outside: &http.Client{Transport: outside},
	}
	return e.ServeHTTP(ctx, edge.Middleware(s.routes()))
}

// start returns the first claim of a journey: the cell that will price it. Only a search begins a
// journey. Other steps without a usable waybill are refused.
func start(r *http.Request) ([]waybill.Change, error) {
	if r.URL.Path != "/"+Search {
		_, why := waybill.Previous(r.Context())
		return nil, cmp.Or(why, waybill.ErrNoWaybill)
	}
	cell := r.URL.Query().Get("cell")
	if !slices.Contains(trip.Cells, cell) {
		cell = trip.Cells[0]
	}
	return []waybill.Change{trip.Cell.To(cell)}, nil
}

// server knows whom to ask. It knows nothing of any journey.
type server struct {
	env     *service.Env
	js      jetstream.JetStream
	cart    cart.Client
	payment payment.Client
	pricing pricing.Client
	outside *http.Client
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	for name, do := range map[string]step{
		Search: s.search, Flight: s.flight, Hotel: s.hotel, Currency: s.currency, Pay: s.pay, Ticket: s.ticket,
		Look:   func(context.Context, url.Values, *Answer) error { return nil },
		Abroad: s.abroad, Over: func(ctx context.Context, _ url.Values, _ *Answer) error { return waybill.End(ctx) },
	} {
		mux.Handle("POST /"+name, s.serve(name, do))
	}
	return mux
}

// serve runs a step in the scope of its request, and answers with what the waybill says then.
func (s *server) serve(name string, do step) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		done := s.env.Watch.Begin(ctx, "HTTP")

		answer := Answer{Gateway: s.env.Name}
		err := waybill.Update(ctx, trip.Step.To(name), trip.Stamp(s.env.Name))
		if err == nil {
			err = do(ctx, r.URL.Query(), &answer)
		}
		// A call may have succeeded while its update was refused. Then this step is incomplete.
		if err = errors.Join(err, waybill.Lost(ctx)); err != nil {
			answer.Error = err.Error()
		}
		if wb, err := waybill.FromContext(ctx); err == nil {
			answer.Journey, answer.State = wb.ID(), trip.StateOf(wb)
		}
		done()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(statusOf(err))
		json.NewEncoder(w).Encode(answer)
	})
}

// errPending says that there is no ticket yet.
var errPending = errors.New("the ticket is being made")

// statusOf translates what went wrong. What may be better next time is 503, so that the balancer
// asks another gateway.
func statusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if errors.Is(err, errPending) {
		return http.StatusAccepted
	}
	if refusal, ok := errors.AsType[*pricing.Error](err); ok {
		switch refusal.Code {
		case pricing.BadAsk:
			return http.StatusBadRequest
		case pricing.Misrouted:
			return http.StatusMisdirectedRequest
		}
	}
	switch status.Code(err) {
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.FailedPrecondition:
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}
