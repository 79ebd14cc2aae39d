package page

import "github.com/waybill-go/waybill/demo/internal/watch"

// Journey is the visitor's own booking. Only the waybill keeps it; the demo plays the browser,
// which keeps the last waybill that it was given.
type Journey struct {
	ID      string            `json:"id"`    // empty before the first step
	Token   string            `json:"token"` // as the browser holds it: signed, and so readable
	Claims  map[string]string `json:"claims"`
	Left    float64           `json:"left"`  // seconds until the token expires
	Life    float64           `json:"life"`  // seconds that a fresh one has
	Steps   []Step            `json:"steps"` // done, the oldest first; at most 12
	Offers  []Offer           `json:"offers"`
	Busy    bool              `json:"busy"`    // a step is under way
	Tickets int               `json:"tickets"` // issued for this journey, counted in the stream
	Paid    int               `json:"paid"`    // times that the visitor paid
	Tamper  *Result           `json:"tamper,omitempty"`
	Replay  *Result           `json:"replay,omitempty"`
	Abroad  *Result           `json:"abroad,omitempty"`
}

// Offer is a step that the visitor can take now. The first one is the next; others repeat
// something.
type Offer struct {
	Step  string   `json:"step"`  // of gateway's
	Label string   `json:"label"` // of the button: "Search", "Pay again"
	Asks  []Choice `json:"asks"`
}

// Choice is a parameter of a step.
type Choice struct {
	Name    string   `json:"name"`  // "to"
	Label   string   `json:"label"` // "Where to"
	Options []string `json:"options"`
}

// Step is a step that was asked for.
type Step struct {
	Number  int         `json:"number"` // in this journey, from 1
	Name    string      `json:"name"`
	OK      bool        `json:"ok"`
	Text    string      `json:"text"`  // the outcome, in plain words; the reason, if it failed
	Trace   string      `json:"trace"` // id; see [Controls].Trace
	Millis  float64     `json:"millis"`
	Retries int         `json:"retries"` // at any hop
	Hops    []watch.Hop `json:"hops"`    // in the order in which they began
}

// Result is the outcome of an attack on the token.
type Result struct {
	AsPromised bool   `json:"asPromised"` // it came out as the documentation says
	Verdict    string `json:"verdict"`    // a few words: "Refused", "One ticket", "Stayed at home"
	Text       string `json:"text"`       // what was tried, what the fleet said, and why: plain words
}

// Span is a bar of a trace's waterfall.
type Span struct {
	ID      string            `json:"id"`
	Parent  string            `json:"parent"` // empty for the root
	Service string            `json:"service"`
	Name    string            `json:"name"`
	Start   float64           `json:"start"` // milliseconds after the root began
	Millis  float64           `json:"millis"`
	Failed  bool              `json:"failed"`
	Attrs   map[string]string `json:"attrs,omitempty"` // worth showing: "waybill.kid", …
}
