package page

// Fleet is who is there, and what moves between them.
type Fleet struct {
	Replicas []Replica `json:"replicas"` // of all lanes that are on, in a stable order
	Moves    []Move    `json:"moves"`    // sampled, those since the snapshot before; at most 30
	Paused   bool      `json:"paused"`   // the broker delays every message
}

// Replica is one process.
type Replica struct {
	Name  string   `json:"name"` // "cart-2"
	Role  string   `json:"role"` // "lb", "gateway", "cart", "pricing", "payment", "fulfil"; the baselines have their own
	Lane  Lane     `json:"lane"`
	PID   int      `json:"pid"` // the last one, if it is down; 0 if it is in a container
	State State    `json:"state"`
	Rate  float64  `json:"rate"` // requests and messages handled in the last second
	Keys  []string `json:"keys"` // kids that it can open; empty if it has no ring
}

// State is how a replica is.
type State string

// The states.
const (
	Up       State = "up"
	Starting State = "starting"
	Down     State = "down"
)

// Ends of a move that are no replicas.
const (
	World = ""     // the travellers
	NATS  = "nats" // the broker
)

// Move is one request or message on its way.
type Move struct {
	ID      uint64 `json:"id"` // grows
	From    string `json:"from"`
	To      string `json:"to"`
	Via     string `json:"via"`     // "HTTP", "gRPC", "NATS", "JetStream"
	Visitor bool   `json:"visitor"` // it belongs to the visitor's own journey
	Failed  bool   `json:"failed"`  // it was cut off, and made again
}
