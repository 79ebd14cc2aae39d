// Package fulfil makes tickets of orders: a durable consumer of JetStream. An order whose worker
// dies goes to another one.
package fulfil

// Ticket is what the traveller gets. All but the number was in the waybill.
type Ticket struct {
	Number   string
	Flight   string
	Hotel    string
	Total    int
	Currency string
	Receipt  string
}
