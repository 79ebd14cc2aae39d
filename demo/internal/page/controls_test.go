package page_test

import (
	"context"
	"fmt"
	"net/url"
	"sync"

	"github.com/waybill-go/waybill/demo/internal/page"
)

// recorder notes which controls were called, and answers as it is told.
type recorder struct {
	mu     sync.Mutex
	called []string
	err    error
}

var _ page.Controls = (*recorder)(nil)

func (r *recorder) note(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.called = append(r.called, fmt.Sprintf(format, args...))
	return r.err
}

func (r *recorder) Kill(_ context.Context, name string) error     { return r.note("kill %q", name) }
func (r *recorder) Restart(_ context.Context, name string) error  { return r.note("restart %q", name) }
func (r *recorder) RollingRestart(context.Context) error          { return r.note("rolling restart") }
func (r *recorder) RotateKeys(context.Context) error              { return r.note("rotate") }
func (r *recorder) RevokeKey(_ context.Context, kid string) error { return r.note("revoke %q", kid) }
func (r *recorder) PauseBroker(context.Context) error             { return r.note("pause") }
func (r *recorder) SetStore(_ context.Context, on bool) error     { return r.note("store %v", on) }
func (r *recorder) Show60(context.Context) error                  { return r.note("show") }
func (r *recorder) NewJourney(context.Context) error              { return r.note("new journey") }
func (r *recorder) Tamper(context.Context) error                  { return r.note("tamper") }
func (r *recorder) Replay(context.Context) error                  { return r.note("replay") }
func (r *recorder) SendAbroad(context.Context) error              { return r.note("abroad") }

func (r *recorder) Step(_ context.Context, step string, asked url.Values) error {
	return r.note("step %q %s", step, asked.Encode())
}

func (r *recorder) Report(context.Context) ([]byte, error) { return []byte("{}"), r.note("report") }

func (r *recorder) Trace(_ context.Context, id string) ([]page.Span, error) {
	return []page.Span{{ID: "a", Service: "lb-1"}}, r.note("trace %q", id)
}
