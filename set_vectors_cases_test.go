package waybill_test

import "encoding/json"

// setVectors returns the vectors by name, without what an edge makes of them. The claims cell and
// lang have no rule, theme is not declared to the edge, high is merged by Max, tags by Union, and
// user is fixed.
func setVectors() map[string]*setVector {
	all := map[string]*setVector{}
	add := func(name, comment string, tokens ...setToken) *setVector {
		all[name] = &setVector{Comment: comment, At: vectorNow, Tokens: tokens}
		return all[name]
	}
	const late = vectorNow - 800 // issued so long ago that less than half of the life is left

	// The state that most sets start from: three changes, of which the second wrote cell, and the
	// third lang.
	state := `"cell":"a","lang":"en","high":3,"tags":[1,2]`
	base := setBuilder{rev: 3, has: []string{"AAAAAAAA"}, was: `{}`, upd: `{"cell":2,"lang":3}`, claims: state}.token()
	step := func(rev int64, was, upd, claims string) setToken {
		return setBuilder{rev: rev, has: []string{base.Name}, was: was, upd: upd, claims: claims}.token()
	}
	cellB := step(4, `{}`, `{"cell":4,"lang":3}`, `"cell":"b","lang":"en","high":3,"tags":[1,2]`)
	cellC := step(4, `{}`, `{"cell":4,"lang":3}`, `"cell":"c","lang":"en","high":3,"tags":[1,2]`)
	noCell := step(4, `{}`, `{"cell":4,"lang":3}`, `"lang":"en","high":3,"tags":[1,2]`)
	high5 := step(4, `{"high":[3]}`, `{"cell":2,"lang":3}`, `"cell":"a","lang":"en","high":5,"tags":[1,2]`)
	high7 := step(4, `{"high":[3]}`, `{"cell":2,"lang":3}`, `"cell":"a","lang":"en","high":7,"tags":[1,2]`)
	noHigh := step(4, `{"high":[3]}`, `{"cell":2,"lang":3}`, `"cell":"a","lang":"en","tags":[1,2]`)
	tag3 := step(4, `{"tags":[[1,2]]}`, `{"cell":2,"lang":3}`, `"cell":"a","lang":"en","high":3,"tags":[1,2,3]`)
	tag1 := step(4, `{"tags":[[1,2]]}`, `{"cell":2,"lang":3}`, `"cell":"a","lang":"en","high":3,"tags":[1]`)
	theme := step(4, `{}`, `{"cell":2,"lang":3,"theme":4}`, `"cell":"a","lang":"en","high":3,"tags":[1,2],"theme":"dark"`)
	// Its request carried base and cellB, and wrote lang.
	langB := setBuilder{rev: 5, has: []string{base.Name, cellB.Name}, was: `{}`, upd: `{"cell":4,"lang":5}`,
		claims: `"cell":"b","lang":"fr","high":3,"tags":[1,2]`}.token()
	later := setBuilder{rev: 5, has: []string{cellB.Name}, was: `{}`, upd: `{"cell":5,"lang":3}`,
		claims: `"cell":"0","lang":"en","high":3,"tags":[1,2]`}.token()
	renewed := setBuilder{rev: 4, has: []string{cellB.Name}, upd: `{"cell":4,"lang":3}`,
		claims: `"cell":"b","lang":"en","high":3,"tags":[1,2]`}.token()

	add("one", "one token with enough life: an answer brings a token only if a claim changed", base)
	add("one_twice", "the same token twice is one token", base, base)
	add("one_renewed", "less than half of the life is left: the edge renews; the name is made of the names in has",
		setBuilder{rev: 3, iat: late, has: []string{"AAAAAAAA"}, was: `{}`, upd: `{"cell":2,"lang":3}`, claims: state}.token())
	add("one_first", "a first token has no has; its own step is 1", setBuilder{rev: 1, was: `{"tags":[]}`, upd: `{"cell":1}`, claims: `"cell":"a","tags":[1]`}.token())
	add("one_no_rev", "a token of another issuer has no rev: it counts as 1", setBuilder{rev: -1, claims: `"cell":"a"`}.token())
	add("one_resumed", "expired for less than Idle", setBuilder{rev: 3, iat: vectorNow - 7000, claims: state}.token())
	add("one_expired", "expired for more than Idle: the journey is over", setBuilder{rev: 3, iat: vectorNow - 9000, claims: state}.token())
	add("one_past_end", "the journey has ended, though less than Idle has passed",
		setBuilder{rev: 3, iat: vectorNow - 1200, began: vectorNow - 5000, end: vectorNow - 300, claims: state}.token())
	add("one_end_near", "exp is never after end", setBuilder{rev: 3, iat: vectorNow - 1200, began: vectorNow - 5000, end: vectorNow + 60, claims: state}.token())
	add("one_ahead", "iat is ahead of the clock by more than the leeway: the token is used, and renewed by this clock",
		setBuilder{rev: 3, iat: vectorNow + 60, began: vectorNow - 10, claims: state}.token())
	add("one_began_ahead", "a clock that is ahead began the journey: the begin in sid is corrected",
		setBuilder{rev: 3, iat: vectorNow + 60, began: vectorNow + 60, claims: state}.token())

	add("steps", "changes of several claims by parallel requests are all kept", cellB, high5, tag3, theme)
	add("included", "the name of base is in the has of the other token: it is left out", base, cellB)
	add("included_chain", "only the newest token counts; all names are in the has of the answer", base, cellB, langB)
	add("renewal", "a renewal is no step, though upd has an entry equal to rev: cell keeps its value", renewed, high5)
	add("renewal_alone", "a renewal and the token that it renewed", renewed, cellB)
	add("main", "the token that started from more changes is main, whatever its rev", langB, high5)
	add("last_tie", "two requests wrote cell after the same changes: the greater raw value stays", cellC, cellB)
	add("last_delete", "an absent claim is the least value", cellB, noCell)
	add("last_later", "the greater rev of the write wins, whatever the value", later, cellC)
	add("max", "Max", high5, high7)
	add("union", "Union: 3 is added, 2 is removed", tag3, tag1)
	add("rule_delete", "a set beats a concurrent delete of a claim with a rule", noHigh, high5)
	add("rule_delete_alone", "a delete of a claim with a rule that nobody else changed", noHigh, cellB)
	add("rubbish", "a malformed token among good ones is forgotten; its name is in has", cellB, high5, rubbishToken("a.b.c"))
	add("rubbish_alone", "no token is good: the client forgets them", rubbishToken("a.b.c"), rubbishToken(stray(base.Token)))
	add("revoked", "a token under a revoked key is forgotten", cellB,
		setToken{Name: nameOfToken(revokedToken), Payload: json.RawMessage(vectorPayload), Token: revokedToken})
	add("overflow", "more tokens than the edge accepts: the last ones count", cellB, high5, tag3).MaxTokens = 2
	add("recent", "upd forgets writes that are more than 32 changes ago",
		setBuilder{rev: 40, has: []string{"AAAAAAAA"}, was: `{}`, upd: `{"cell":40,"lang":9}`, claims: state}.token(),
		setBuilder{rev: 41, has: []string{"BBBBBBBB"}, was: `{"high":[3]}`, upd: `{"cell":38,"lang":9}`, claims: `"cell":"z","lang":"en","high":9,"tags":[1,2]`}.token())

	first := func(journey byte, began int64, claims string) setToken {
		return setBuilder{journey: journey, began: began, iat: began, rev: 1, was: `{"tags":[]}`, claims: claims}.token()
	}
	add("first_visits", "parallel first visits are one journey: the older sid and the earlier end stay",
		first(1, vectorNow-60, `"tags":[1]`), first(2, vectorNow, `"tags":[2]`))
	add("first_visits_apart", "begun more than 60 s apart: the younger journey stays",
		first(1, vectorNow-61, `"tags":[1]`), first(2, vectorNow, `"tags":[2]`))
	add("first_visits_users", "fixed claims that differ: the younger journey stays",
		first(1, vectorNow-9, `"user":"ada","tags":[1]`), first(2, vectorNow, `"user":"bob","tags":[2]`))
	add("first_visits_user", "the same fixed claims: one journey",
		first(1, vectorNow-9, `"user":"ada","tags":[1]`), first(2, vectorNow, `"user":"ada","tags":[2]`))
	add("sid_users", "one sid with two values of a fixed claim: the greater value stays",
		first(1, vectorNow-9, `"user":"bob","tags":[1]`), first(1, vectorNow-9, `"user":"ada","tags":[2]`))
	subject := func(journey byte, sub string) setToken {
		return setBuilder{journey: journey, rev: 1, sub: sub, was: `{"tags":[]}`, claims: `"tags":[` + string('0'+rune(journey)) + `]`}.token()
	}
	add("subjects", "two subjects: the journey of the greater sid stays", subject(1, "sue"), subject(2, "tom"))
	add("subject", "one subject, and none: one journey", subject(1, "sue"), subject(2, ""))

	journey := func(id byte, sup, began int64, claims string) setToken {
		b := setBuilder{journey: id, sup: sup, began: began, iat: began, has: []string{base.Name}, was: `{}`, claims: claims}
		if claims != "" {
			b.rev, b.was = 1, `{"tags":[]}`
		}
		return b.token()
	}
	add("rank", "the greatest sup counts, whatever the rev", base, journey(1, 4, vectorNow, `"tags":[9]`))
	add("rank_end", "End beats Begin of the same n: the client is logged out", journey(1, 5, vectorNow-5, ""), journey(2, 4, vectorNow, `"tags":[9]`))
	add("rank_next", "a login after End has a greater n", journey(1, 5, vectorNow, ""), journey(2, 7, vectorNow-9, `"tags":[9]`))
	add("logins", "of two logins the younger stays", journey(1, 4, vectorNow-9, `"tags":[1]`), journey(2, 4, vectorNow-8, `"tags":[2]`))
	add("login_corrected", "the begin of one login was corrected by two edges: the random part of sid is the same",
		journey(1, 4, vectorNow-9, `"tags":[1]`), journey(1, 4, vectorNow-8, `"tags":[2]`))
	add("end", "End left an empty journey", journey(1, 5, vectorNow, ""))
	add("end_renewed", "the empty journey is renewed", journey(1, 5, vectorNow-800, ""))
	add("ends", "two Ends and a start in one of them: one journey, the older sid stays",
		journey(1, 5, vectorNow-9, ""), journey(2, 5, vectorNow-8, `"tags":[2]`))
	add("end_started", "parallel starts in the journey of End", journey(1, 5, vectorNow-9, `"tags":[1]`), journey(1, 5, vectorNow-9, `"tags":[2]`))
	add("rank_expired", "a journey of a greater rank is over: its rank counts, and nothing comes back",
		base, journey(1, 5, vectorNow-9000, ""))
	add("idle", "idle time is judged of the journey: a token that expired long ago counts with a good one",
		setBuilder{rev: 4, iat: vectorNow - 9000, began: vectorNow - 9000, has: []string{base.Name}, was: `{"high":[3]}`, claims: `"high":5`}.token(),
		setBuilder{rev: 4, iat: vectorNow - 100, began: vectorNow - 9000, has: []string{base.Name}, was: `{"tags":[]}`, claims: `"high":3,"tags":[7]`}.token())
	foreign := setBuilder{journey: 9, began: vectorNow, iat: vectorNow, rev: 1, was: `{"tags":[]}`, claims: `"tags":[9]`, sealed: true}
	add("protection", "a sealed token of the same rank at an edge that accepts signed ones is forgotten", cellB, foreign.token())
	foreign.sup = 3
	add("protection_rank", "a sealed token of a greater rank: its rank counts", cellB, foreign.token())
	add("has_of_another", "has counts inside of the chosen journey only", cellB,
		setBuilder{journey: 7, began: vectorNow - 5000, iat: vectorNow - 100, rev: 1, has: []string{cellB.Name}, was: `{}`, claims: `"tags":[9]`}.token())
	return all
}

func rubbishToken(token string) setToken { return setToken{Name: nameOfToken(token), Token: token} }

var revokedToken = mac(keyRevoked, head("HS256", keyRevoked.kid()), vectorPayload)
