package waybill

// Follows reports whether a client that holds one token can have got the other one, next, in answer
// to it: both are genuine, and they are of one journey, or the request that next was issued for
// carried the held token. An edge asks this about a token that a redirect handed over.
func (a *Authority) Follows(next, held string) bool {
	after, before := a.openHeld(next), a.openHeld(held)
	if after.wb == nil || before.wb == nil {
		return false
	}
	if after.wb.ID() == before.wb.ID() {
		return true
	}
	name := before.named().name
	for included := range after.wb.includes() {
		if string(included) == name {
			return true
		}
	}
	return false
}
