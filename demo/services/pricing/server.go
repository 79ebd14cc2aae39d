package pricing

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
)

// workers is how many questions are answered side by side.
const workers = 8

// Run serves until the process ends.
func Run(ctx context.Context, e *service.Env) error {
	subject, err := trip.Subject(e.Cell)
	if err != nil {
		return err
	}
	srv := server{e.Name, e.Cell}
	messages, err := waybillnats.New(e.Auth, e.NATS, waybillnats.Required())
	if err != nil {
		return err
	}
	handle := messages.MicroHandler(func(ctx context.Context, r micro.Request) {
		ctx, span := tracing.Receive(ctx, tracing.Quote, nats.Header(r.Headers()))
		defer span.End()
		done := e.Watch.Begin(ctx, "NATS")
		err := srv.serve(ctx, r.Data())
		done()
		switch refusal, refused := errors.AsType[*Error](err); {
		case err == nil:
			r.Respond(nil)
		case refused:
			r.Error(refusal.Code, refusal.Text, nil)
		case err != errLate:
			r.Error("500", "no quote", nil)
		}
	})
	svc, err := micro.AddService(e.NATS, micro.Config{Name: "pricing", Version: "1.0.0"})
	if err != nil {
		return err
	}
	// NATS gives a subscription one message at a time. Members of one queue group share the work.
	for i := range workers {
		if err := svc.AddEndpoint(fmt.Sprint("quote-", i), handle, micro.WithEndpointSubject(subject)); err != nil {
			return err
		}
	}
	return e.ServeNATS(ctx)
}

// server prices in one cell.
type server struct{ replica, cell string }

// errLate says that nobody waits for the answer any more. To work it out nevertheless would make
// those late who wait.
var errLate = errors.New("pricing: too late")

func (s server) serve(ctx context.Context, data []byte) error {
	var q question
	if err := json.Unmarshal(data, &q); err != nil {
		return &Error{BadAsk, "not a question"}
	}
	if time.Now().After(q.Until) {
		return errLate
	}
	return s.Quote(ctx, q.Ask)
}

// rates are what 100 hundredths of the inner unit are worth.
var rates = map[string]int{"EUR": 100, "USD": 109, "GBP": 85}

// Quote sets the total, and the currency if one is asked for.
func (s server) Quote(ctx context.Context, ask Ask) error {
	if cell, err := trip.Cell.Lookup(ctx); err != nil || cell != s.cell {
		return &Error{Misrouted, "this is cell " + s.cell}
	}
	if err := service.Work(ctx); err != nil {
		return err
	}
	flight, _ := trip.Flight.Get(ctx)
	hotel, _ := trip.Hotel.Get(ctx)
	currency, _ := trip.Currency.Get(ctx)
	total, err := Total(s.cell, cmp.Or(ask.Flight, flight), cmp.Or(ask.Hotel, hotel), cmp.Or(ask.Currency, currency))
	if err != nil {
		return err
	}
	changes := []waybill.Change{trip.Total.To(total), trip.Stamp(s.replica)}
	if ask.Currency != "" {
		changes = append(changes, trip.Currency.To(ask.Currency))
	}
	return waybill.Update(ctx, changes...)
}

// Total is what a flight and a hotel cost in a cell, in hundredths of the currency. An empty flight
// or hotel is not booked yet.
func Total(cell, flight, hotel, currency string) (int, error) {
	rate, ok := rates[cmp.Or(currency, "EUR")]
	if !ok {
		return 0, &Error{BadAsk, "currency is EUR, USD or GBP"}
	}
	return (price(cell, flight) + price(cell, hotel)) * rate / 100, nil
}

// price is between 100.00 and 499.99; the same thing costs the same, in one cell.
func price(cell, item string) int {
	if item == "" {
		return 0
	}
	return 100_00 + int(crc32.ChecksumIEEE([]byte(cell+item))%400_00)
}
