package page

import "github.com/waybill-go/waybill/demo/internal/watch"

// Journey is a booking of a visitor. Only the waybill keeps it, which the visitor's browser holds.
type Journey struct {
	ID      string            `json:"id"`    // empty before the first step
	Token   string            `json:"token"` // signed, and so readable; without its signature if it is in a cookie
	Claims  map[string]string `json:"claims"`
	Left    float64           `json:"left"`    // seconds until the token expires
	Life    float64           `json:"life"`    // seconds that a fresh one has
	Steps   []Step            `json:"steps"`   // done, the oldest first; at most 12
	Flights []string          `json:"flights"` // what the last search found
	Tickets int               `json:"tickets"` // issued for this journey, counted in the stream
	Paid    int               `json:"paid"`    // times that the visitor paid
	Tamper  *Result           `json:"tamper,omitempty"`
	Replay  *Result           `json:"replay,omitempty"`
	Abroad  *Result           `json:"abroad,omitempty"`
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
