// Package carriers runs what all carriers have to keep to over each transport of this module, with real connections.
package carriers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

var errFailed = errors.New("the call failed")

// lower returns headers under their names in lower case, as the suite has them.
func lower[M ~map[string][]string](h M) waybilltest.Headers {
	out := waybilltest.Headers{}
	for name, values := range h {
		name = strings.ToLower(name)
		out[name] = append(out[name], values...)
	}
	return out
}

// spelled returns headers under the names that HTTP and NATS write.
func spelled(h waybilltest.Headers) map[string][]string {
	names := map[string]string{waybill.Header: "Waybill", waybill.HeaderReturn: "Waybill-Update"}
	out := map[string][]string{}
	for name, values := range h {
		if len(values) == 0 {
			continue
		}
		if s := names[name]; s != "" {
			name = s
		}
		out[name] = append([]string(nil), values...)
	}
	return out
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ended waits for the server side to be done with a message.
func ended(done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-time.After(patience):
		return errors.New("the message is not done with")
	}
}

// waiting bounds a call.
func waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}
