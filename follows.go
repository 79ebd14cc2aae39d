package waybill

// Follows reports whether a client that holds some tokens can have got another one, next, in answer
// to one of them: both are genuine, and they are of one journey, or the request that next was issued
// for carried the held token. An edge asks this about a token that a redirect handed over.
func (a *Authority) Follows(next string, held ...string) bool {
	after := a.openHeld(next)
	if after.wb == nil {
		return false
	}
	included := map[string]bool{}
	for name := range after.wb.includes() {
		included[string(name)] = true
	}
	for _, raw := range held {
		before := a.openHeld(raw)
		if before.wb != nil && (before.wb.ID() == after.wb.ID() || included[before.named().name]) {
			return true
		}
	}
	return false
}
