package waybilljetstream

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// worker handles one message at a time, and tells the server while it does so. Its timer is made
// once, so that a fast handler costs nothing.
type worker struct {
	beat  time.Duration
	mu    sync.Mutex
	msg   jetstream.Msg // nil: none
	timer *time.Timer
}

func newWorker(beat time.Duration) *worker {
	w := &worker{beat: beat}
	w.timer = time.AfterFunc(beat, w.pulse)
	w.timer.Stop()
	return w
}

func (w *worker) begin(msg jetstream.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.msg = msg
	w.timer.Reset(w.beat)
}

// end ends the signs of progress: none follows the answer to the message.
func (w *worker) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.msg = nil
	w.timer.Stop()
}

// pulse tells the server that the message is in progress, unless the handler has settled it.
func (w *worker) pulse() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.msg != nil && !over(w.msg.InProgress()) {
		w.timer.Reset(w.beat)
	}
}
