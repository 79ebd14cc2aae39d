package waybilljetstream

import (
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// running is the ConsumeContext of a runner.
type running struct {
	jetstream.ConsumeContext
	runner *runner
}

func newRunning(r *runner, run jetstream.ConsumeContext) running {
	closed := run.Closed()
	go func() {
		select {
		case <-r.ctx.Done():
			run.Stop()
			<-closed
		case <-closed:
		}
		r.leave()
		r.tasks.close()
	}()
	return running{ConsumeContext: run, runner: r}
}

// Stop also leaves held messages to the server.
func (r running) Stop() {
	r.runner.leave()
	r.ConsumeContext.Stop()
}

// Closed returns a channel that is closed when consuming has ended and all handlers have returned.
func (r running) Closed() <-chan struct{} { return r.runner.tasks.over }

// tasks counts the messages that are held or handled.
type tasks struct {
	mu     sync.Mutex
	n      int
	closed bool
	over   chan struct{} // closed when there will be no more tasks
}

// begin counts a task, unless tasks are closed.
func (t *tasks) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.n++
	return true
}

func (t *tasks) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n--
	t.finish()
}

// close lets no more tasks begin.
func (t *tasks) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.finish()
}

func (t *tasks) finish() {
	if t.closed && t.n == 0 {
		close(t.over)
	}
}
