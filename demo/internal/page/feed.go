package page

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// feed hands the newest snapshot to all streams.
type feed struct {
	mu     sync.Mutex
	latest []byte
	next   chan struct{} // closed and replaced at each snapshot; nil before anybody waits for one
}

func (f *feed) publish(s Snapshot) {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err) // plain data; a NaN is the caller's mistake
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest = data
	if f.next != nil {
		close(f.next)
		f.next = nil
	}
}

// newest returns the newest snapshot, nil if there is none, and a channel that is closed when there
// is a newer one.
func (f *feed) newest() ([]byte, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = make(chan struct{})
	}
	return f.latest, f.next
}

// stall is how long a browser may take to read a snapshot before it is given up.
const stall = 10 * time.Second

// serveStream sends every snapshot as a server-sent event.
func (f *feed) serveStream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	conn := http.NewResponseController(w)
	if conn.Flush() != nil {
		return
	}
	for {
		data, next := f.newest()
		if data != nil {
			conn.SetWriteDeadline(time.Now().Add(stall))
			w.Write([]byte("data: "))
			w.Write(data)
			w.Write([]byte("\n\n"))
			if conn.Flush() != nil {
				return
			}
		}
		select {
		case <-next:
		case <-r.Context().Done():
			return
		}
	}
}

// serveLatest sends the newest snapshot once, for those who have no use for a stream.
func (f *feed) serveLatest(w http.ResponseWriter, _ *http.Request) {
	data, _ := f.newest()
	if data == nil {
		http.Error(w, "There is nothing to show yet.", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(data)
}
