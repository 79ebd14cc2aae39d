package page

// Snapshot is everything that the page shows. All lists may be empty. A point in time is in seconds
// since the demo started, as Uptime is.
type Snapshot struct {
	Uptime  float64   `json:"uptime"`
	Fleet   Fleet     `json:"fleet"`
	Verdict []Card    `json:"verdict"` // waybill, sticky, store: in this order, also those that are off
	Journey Journey   `json:"journey"` // of the browser with cookies; all its tabs are on it
	Scripts []Journey `json:"scripts"` // of tabs whose script holds the waybill; the latest last, at most 4
	Charts  Charts    `json:"charts"`
	Keys    []Key     `json:"keys"` // the newest first; at most 12
	Log     []Event   `json:"log"`  // the newest last; at most 50
	Show    *Show     `json:"show,omitempty"`
}

// Show is the 60-second show, while it runs and afterwards. Nil if there was none yet.
type Show struct {
	Running bool    `json:"running"`
	Elapsed float64 `json:"elapsed"` // seconds
	Length  float64 `json:"length"`  // seconds
	Scene   string  `json:"scene"`   // what happens now, in plain words
	OK      bool    `json:"ok"`      // once it is over: nothing is wrong
	Verdict []Line  `json:"verdict"` // once it is over
}

// Line is one thing that was checked.
type Line struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	OK    bool   `json:"ok"`

	Detail []string `json:"detail,omitempty"`
}

// Lane is a way to keep sessions.
type Lane string

// The lanes, side by side on the same load.
const (
	Waybill Lane = "waybill"
	Sticky  Lane = "sticky" // in the memory of one server
	Store   Lane = "store"  // in one central store
)

// Card is the verdict on a lane, from the ledger of its travellers.
type Card struct {
	Lane        Lane    `json:"lane"`
	On          bool    `json:"on"`
	Live        int     `json:"live"`        // journeys under way
	Finished    int     `json:"finished"`    // journeys
	Lost        int     `json:"lost"`        // journeys whose later answer lacked what an earlier one had acknowledged
	Failed      int     `json:"failed"`      // requests that the traveller gave up
	Retried     int     `json:"retried"`     // requests
	Unavailable float64 `json:"unavailable"` // seconds in which no step was acknowledged though one was asked for
}

// Event is a line of the log.
type Event struct {
	ID   int     `json:"id"` // grows; names the event for ever
	At   float64 `json:"at"`
	Text string  `json:"text"` // one plain English sentence
	Kind Kind    `json:"kind"`
}

// Kind is what an event or a mark is about.
type Kind string

// The kinds.
const (
	Killed    Kind = "kill"
	Restarted Kind = "restart"
	Rotated   Kind = "keys"
	Broker    Kind = "broker"
	Attack    Kind = "attack" // tampering, replays, tokens sent abroad
	Loss      Kind = "loss"   // a session is gone
	Note      Kind = "note"   // everything else
)

// Charts are the last minutes.
type Charts struct {
	Points []Point `json:"points"` // the oldest first, one a second, at most 180
	Marks  []Mark  `json:"marks"`  // in the time that the points span
}

// Point is one second.
type Point struct {
	At         float64 `json:"at"`
	Rate       float64 `json:"rate"`       // requests a second by the waybill lane's travellers
	P50        float64 `json:"p50"`        // of their requests, in milliseconds
	P99        float64 `json:"p99"`        // milliseconds
	Lost       int     `json:"lost"`       // waybill, since the start
	StickyLost int     `json:"stickyLost"` // since the start
}

// Mark is an event on the time axis.
type Mark struct {
	At    float64 `json:"at"`
	Kind  Kind    `json:"kind"`
	Label string  `json:"label"` // a few words: "cart-2 killed"
}

// Key is one key of the ring, as its operator sees it.
type Key struct {
	KID    string   `json:"kid"`
	State  KeyState `json:"state"`
	In     float64  `json:"in"`     // seconds until it changes: a pending key issues, an active one retires, a retired one goes
	Of     float64  `json:"of"`     // seconds that this state lasts in all; 0 if unknown
	Opened int      `json:"opened"` // tokens that hops opened under it
	By     string   `json:"by"`     // the service that proposed it; empty for the first one
}

// KeyState is where a key is in its life.
type KeyState string

// The states.
const (
	Pending KeyState = "pending" // opens already, does not issue yet
	Active  KeyState = "active"  // issues
	Retired KeyState = "retired" // opens only
	Revoked KeyState = "revoked" // nothing
)
