package waybillhttp_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// jar returns a Jar whose requests to the origins are answered by base.
func jar(t testing.TB, base http.RoundTripper, origins ...string) *waybillhttp.Jar {
	t.Helper()
	j, err := waybillhttp.NewJar(base, origins...)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// carried returns the tokens of a request, and whether it has the header at all.
func carried(r *http.Request) (tokens []string, ok bool) {
	for _, line := range r.Header[headerKey] {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.TrimSpace(token); token != "" {
				tokens = append(tokens, token)
			}
		}
	}
	return tokens, r.Header[headerKey] != nil
}

// reply is the response to r with these updates.
func reply(r *http.Request, updates ...string) *http.Response {
	resp := &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody, Request: r}
	if updates != nil {
		resp.Header[returnKey] = updates
	}
	return resp
}

// A pending request is held up until the test answers it.
type pending struct {
	tokens []string
	answer chan []string
}

// holding returns a base whose requests are answered by the test.
func holding() (http.RoundTripper, chan pending) {
	sent := make(chan pending, 100)
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		p := pending{answer: make(chan []string)}
		p.tokens, _ = carried(r)
		sent <- p
		select {
		case updates := <-p.answer:
			return reply(r, updates...), nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}), sent
}

// The token of an answer replaces those that its request carried, whatever was answered since.
func TestJarReplacesWhatTheRequestCarried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, sent := holding()
		j := jar(t, base, "https://shop.example")
		send := func(want ...string) pending {
			t.Helper()
			go func() {
				resp, err := j.RoundTrip(request(t, t.Context(), "GET", "https://shop.example/"))
				check(t, err)
				if resp.Header[returnKey] != nil {
					t.Errorf("the caller sees the update")
				}
			}()
			p := <-sent
			if !slices.Equal(p.tokens, want) {
				t.Errorf("the request carries %q, want %q", p.tokens, want)
			}
			return p
		}
		answer := func(p pending, updates []string, want ...string) {
			t.Helper()
			p.answer <- updates
			synctest.Wait()
			if got := j.Tokens(); !slices.Equal(got, want) {
				t.Errorf("the jar holds %q after %q, want %q", got, updates, want)
			}
		}
		first, second := send(), send()
		answer(second, []string{"b"}, "b")
		third := send("b")
		answer(first, []string{"a"}, "b", "a") // the request carried nothing, so that it replaces nothing
		fourth := send("b", "a")
		answer(third, []string{"c"}, "a", "c")
		fifth := send("a", "c")
		answer(fourth, nil, "a", "c")          // absent: nothing changes
		answer(fifth, []string{"a"}, "a")      // one that the request carried
		sixth, seventh := send("a"), send("a") //
		answer(sixth, []string{""})            // empty: forget what was sent
		answer(seventh, []string{"d, e"}, "d", "e")
		answer(send("d", "e"), []string{"not a token", "\u00e9", "a;b"}, "d", "e")
		answer(send("d", "e"), []string{"", "f"}, "f")
		answer(send("f"), []string{""})
		answer(send(), []string{""})
	})
}

// A request without an answer changes nothing.
func TestJarAfterErrors(t *testing.T) {
	lost := errors.New("connection lost")
	j := jar(t, roundTrip(func(*http.Request) (*http.Response, error) { return nil, lost }), "https://shop.example")
	j.Restore([]string{"a"})
	for range 20 { // more than are in flight at once
		if _, err := j.RoundTrip(request(t, t.Context(), "GET", "https://shop.example/")); err != lost {
			t.Fatalf("got %v, want the error of the base", err)
		}
	}
	if got := j.Tokens(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the jar holds %q, want what it held", got)
	}
	panicking := jar(t, roundTrip(func(*http.Request) (*http.Response, error) { panic("base") }), "https://shop.example")
	for range 20 {
		func() {
			defer func() { recover() }()
			panicking.RoundTrip(request(t, t.Context(), "GET", "https://shop.example/"))
		}()
	}
}

// sums is an edge without keys, whose claim is a set of numbers: a token is the set itself, and
// tokens are merged by uniting them. All replicas are alike.
type sums struct {
	mu   sync.Mutex
	most int // tokens in one request
	seen []string
}

func (s *sums) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tokens, ok := carried(r)
	s.mu.Lock()
	s.most = max(s.most, len(tokens))
	s.seen = append(s.seen, r.Method+" "+r.URL.RequestURI())
	s.mu.Unlock()
	if !ok || r.Header[hopKey] != nil {
		http.Error(w, "no client of an edge", http.StatusBadRequest)
		return
	}
	all := map[string]bool{}
	for _, t := range tokens {
		for n := range setOf(t) {
			all[n] = true
		}
	}
	add, redirect := r.FormValue("add"), r.FormValue("to")
	if add != "" {
		all[add] = true
	}
	if add != "" || len(tokens) > 1 {
		update := tokenOf(all)
		w.Header().Set(returnKey, update)
		if redirect != "" {
			u, _ := url.Parse(redirect)
			q := u.Query()
			q.Set("waybill", update)
			u.RawQuery = q.Encode()
			redirect = u.String()
		}
	}
	if redirect != "" {
		http.Redirect(w, r, redirect, http.StatusSeeOther)
		return
	}
	fmt.Fprint(w, len(all))
}

func tokenOf(set map[string]bool) string {
	b, _ := json.Marshal(slices.Sorted(maps.Keys(set)))
	return base64.RawURLEncoding.EncodeToString(b)
}

func setOf(token string) map[string]bool {
	b, _ := base64.RawURLEncoding.DecodeString(token)
	var names []string
	json.Unmarshal(b, &names)
	set := map[string]bool{}
	for _, n := range names {
		set[n] = true
	}
	return set
}

// Whatever the order of the answers, a change that was answered is in the tokens of the Jar, and the
// number of tokens has a bound.
func TestJarLosesNoChange(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			roll := func(n int) int { mu.Lock(); defer mu.Unlock(); return random.IntN(n) }
			edge := &sums{}
			answered := map[string]bool{}
			flying, mostFlying := 0, 0
			j := jar(t, roundTrip(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				flying++
				mostFlying = max(mostFlying, flying)
				mu.Unlock()
				defer func() { mu.Lock(); flying--; mu.Unlock() }()
				time.Sleep(time.Duration(roll(1000)))
				w := httptest.NewRecorder()
				edge.ServeHTTP(w, r)
				time.Sleep(time.Duration(roll(1000)))
				switch resp := w.Result(); roll(8) {
				case 0:
					return nil, errors.New("answer lost")
				case 1: // a proxy's answer
					delete(resp.Header, returnKey)
					return resp, nil
				default:
					mu.Lock()
					answered[r.FormValue("add")] = true
					mu.Unlock()
					return resp, nil
				}
			}), "https://shop.example")
			var all sync.WaitGroup
			for i := range 100 {
				time.Sleep(time.Duration(roll(200)))
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(roll(10000)))
					defer cancel()
					j.RoundTrip(request(t, ctx, "GET", fmt.Sprintf("https://shop.example/?add=%d", i)))
				})
			}
			all.Wait()
			held := map[string]bool{}
			for _, token := range j.Tokens() {
				for n := range setOf(token) {
					held[n] = true
				}
			}
			for n := range answered {
				if !held[n] {
					t.Errorf("seed %d: the change %s was answered and is lost", seed, n)
				}
			}
			if edge.most > 8 || mostFlying > 8 || mostFlying < 2 {
				t.Errorf("seed %d: up to %d tokens in a request and %d requests in flight, want at most 8", seed, edge.most, mostFlying)
			}
		})
	}
}

// replicas starts two servers and returns a base that sends requests to them in turn.
func replicas(t testing.TB, http2 bool, a, b http.Handler) (base http.RoundTripper, origin string) {
	one, two := start(t, a, http2), start(t, b, http2)
	bases := []http.RoundTripper{anywhere(t, one, nil), anywhere(t, two, nil)}
	for _, b := range bases {
		b.(*http.Transport).ForceAttemptHTTP2 = http2
	}
	var mu sync.Mutex
	next := 0
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		next++
		b := bases[next%2]
		mu.Unlock()
		return b.RoundTrip(r)
	}), "https://shop.example"
}

func TestJarParallelChanges(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			edge := &sums{}
			base, origin := replicas(t, p.major == 2, edge, edge)
			c := &http.Client{Transport: jar(t, base, origin)}
			var all sync.WaitGroup
			for i := range 150 {
				all.Go(func() {
					resp, err := c.Post(fmt.Sprintf("%s/?add=%d", origin, i), "", nil)
					if err != nil {
						t.Error(err)
						return
					}
					resp.Body.Close()
					if resp.StatusCode != 200 || resp.ProtoMajor != p.major {
						t.Errorf("got %s over %s", resp.Status, resp.Proto)
					}
				})
			}
			all.Wait()
			if a := get(t, t.Context(), c, origin); a.body != "150" || edge.most > 8 {
				t.Errorf("%s of 150 changes are there, up to %d tokens in one request", a.body, edge.most)
			}
		})
	}
}

// Nine requests: the ninth waits for an answer, not for the end of a body, and not longer than its
// context allows.
func TestJarQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, sent := holding()
		j := jar(t, base, "https://shop.example")
		var all sync.WaitGroup
		send := func(ctx context.Context, want error) *closing {
			body := &closing{Reader: strings.NewReader("body")}
			r := request(t, ctx, "POST", "https://shop.example/")
			r.Body = body
			all.Go(func() {
				if _, err := j.RoundTrip(r); err != want {
					t.Errorf("got %v, want %v", err, want)
				}
			})
			synctest.Wait()
			return body
		}
		for range 8 {
			send(t.Context(), nil)
		}
		gaveUp := errors.New("gave up")
		ctx, cancel := context.WithCancelCause(t.Context())
		late, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		cancelled, expired := send(ctx, gaveUp), send(late, context.DeadlineExceeded)
		send(t.Context(), nil)
		cancel(gaveUp)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !cancelled.closed || !expired.closed {
			t.Error("the body of a request that was not sent is open")
		}
		if len(sent) != 8 {
			t.Fatalf("%d requests were sent, want 8", len(sent))
		}
		(<-sent).answer <- []string{"a"}
		synctest.Wait()
		if len(sent) != 8 {
			t.Fatalf("%d requests are in flight after one was answered, want the waiting one, too", len(sent))
		}
		for range 8 {
			(<-sent).answer <- nil
		}
		all.Wait()

		// The queue does not concern other servers.
		for range 8 {
			send(t.Context(), nil)
		}
		other := request(t, t.Context(), "GET", "https://other.example/")
		all.Go(func() { j.RoundTrip(other) })
		synctest.Wait()
		if len(sent) != 9 {
			t.Errorf("%d requests were sent, want 8 and the one to another server", len(sent))
		}
		for range 9 {
			(<-sent).answer <- nil
		}
		all.Wait()
	})
}

// A turn that comes while its request is cancelled goes to the next.
func TestJarQueueRace(t *testing.T) {
	j := jar(t, roundTrip(func(r *http.Request) (*http.Response, error) { return reply(r), nil }), "https://shop.example")
	var all sync.WaitGroup
	for i := range 2000 {
		ctx, cancel := context.WithCancel(t.Context())
		all.Go(func() { j.RoundTrip(request(t, ctx, "GET", "https://shop.example/")) })
		all.Go(cancel)
		if i%100 == 0 {
			all.Go(func() { j.Restore([]string{"a", "b"}) })
		}
	}
	all.Wait()
	for range 20 {
		if _, err := j.RoundTrip(request(t, t.Context(), "GET", "https://shop.example/")); err != nil {
			t.Fatal(err)
		}
	}
}

// The bodies of streams do not count as requests in flight.
func TestJarStreams(t *testing.T) {
	for _, p := range protocols {
		s := p.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(returnKey, "token")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
		ctx, cancel := context.WithCancel(t.Context())
		c := &http.Client{Transport: jar(t, base(t, s), s.URL)}
		for range 20 {
			resp, err := c.Do(request(t, ctx, "GET", s.URL))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
		}
		cancel()
	}
}

// With long tokens fewer requests are in flight, and with many of them one, so that all tokens fit
// into a request.
func TestJarBoundsTheBytes(t *testing.T) {
	long := func(prefix string, n int) string { return prefix + strings.Repeat("x", n-len(prefix)) }
	many := func(n, length int) (tokens []string) {
		for i := range n {
			tokens = append(tokens, long(fmt.Sprintf("t%d.", i), length))
		}
		return tokens
	}
	for name, tt := range map[string]struct {
		held   []string
		flying int
	}{
		"usual":                        {many(1, 450), 8},
		"eight":                        {many(8, 450), 8},
		"the issue limit":              {many(1, 3584), 8},
		"the accept limit":             {many(1, 7168), 3},
		"eight at the issue limit":     {many(8, 3584), 1},
		"thirty":                       {many(30, 450), 2},
		"thirty-two":                   {many(32, 450), 1},
		"more than allowed":            {many(40, 450), 1},
		"longer together than allowed": {many(20, 3584), 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base, sent := holding()
				j := jar(t, base, "https://shop.example")
				j.Restore(tt.held)
				var all sync.WaitGroup
				for range 20 {
					all.Go(func() { j.RoundTrip(request(t, t.Context(), "GET", "https://shop.example/")) })
				}
				synctest.Wait()
				if len(sent) != tt.flying {
					t.Errorf("%d requests are in flight, want %d", len(sent), tt.flying)
				}
				for i := range 20 {
					p := <-sent
					if n := len(strings.Join(p.tokens, "")); n > 32<<10 || len(p.tokens) > 32 || len(p.tokens) == 0 {
						t.Errorf("a request carries %d tokens of %d bytes", len(p.tokens), n)
					}
					if i == 0 && !slices.Equal(p.tokens, tt.held[len(tt.held)-len(p.tokens):]) {
						t.Errorf("the first request does not carry the last tokens")
					}
					p.answer <- []string{long(fmt.Sprintf("n%d.", i), len(tt.held[0]))}
					synctest.Wait()
				}
				all.Wait()
			})
		})
	}
}

// Tokens are packed into lines that proxies accept.
func TestJarLines(t *testing.T) {
	var lines []string
	j := jar(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		lines = r.Header[headerKey]
		return reply(r), nil
	}), "https://shop.example")
	for _, tt := range []struct {
		tokens []int // lengths
		want   []int // lengths
	}{
		{nil, []int{0}},
		{[]int{1200}, []int{1200}},
		{[]int{1200, 1200, 1200}, []int{3604}},
		{[]int{1200, 1200, 1200, 1200, 3000, 5000, 10}, []int{3604, 1200, 3000, 5000, 10}},
		{[]int{2047, 2047}, []int{4096}},
		{[]int{2047, 2048}, []int{2047, 2048}},
	} {
		var tokens []string
		for i, n := range tt.tokens {
			tokens = append(tokens, strings.Repeat(string(rune('a'+i)), n))
		}
		j.Restore(tokens)
		if _, err := j.RoundTrip(request(t, t.Context(), "GET", "https://shop.example/")); err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, l := range lines {
			got = append(got, len(l))
		}
		if !slices.Equal(got, tt.want) || strings.Join(lines, ", ") != strings.Join(tokens, ", ") {
			t.Errorf("tokens of %v bytes are in lines of %v bytes, want %v", tt.tokens, got, tt.want)
		}
	}
}

// Restored tokens are not mixed with the journey before.
func TestJarRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, sent := holding()
		j := jar(t, base, "https://shop.example")
		go j.RoundTrip(request(t, t.Context(), "GET", "https://shop.example/"))
		before := <-sent
		j.Restore([]string{"a", "", "b", "a", "not a token", "c,d", "e\r\nf"})
		before.answer <- []string{"x"}
		synctest.Wait()
		got := j.Tokens()
		if !slices.Equal(got, []string{"b", "a"}) {
			t.Errorf("the jar holds %q, want the restored tokens", got)
		}
		got[0] = "changed"
		if j.Tokens()[0] != "b" {
			t.Error("Tokens returns the Jar's own slice")
		}
		j.Restore(nil)
		if got := j.Tokens(); len(got) != 0 {
			t.Errorf("the jar holds %q after it was emptied", got)
		}
	})
}

func TestZeroJar(t *testing.T) {
	var j waybillhttp.Jar
	r := request(t, t.Context(), "POST", "https://shop.example/")
	body := &closing{Reader: strings.NewReader("body")}
	r.Body = body
	if _, err := j.RoundTrip(r); err == nil || !body.closed {
		t.Errorf("RoundTrip: %v, body closed: %v; want an error and a closed body", err, body.closed)
	}
	j.Restore([]string{"a"})
	j.CloseIdleConnections()
	if got := j.Tokens(); got != nil || j.String() != "waybillhttp.Jar()" {
		t.Errorf("the zero Jar holds %q, and is printed as %s", got, &j)
	}
}

// Nothing that prints a Jar, a request or a response shows a token.
func TestJarShowsNoToken(t *testing.T) {
	const held, updated = "held.secret", "updated.secret"
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tokens, _ := carried(r); !slices.Equal(tokens, []string{held}) {
			t.Errorf("the request carries %q", tokens)
		}
		w.Header().Set(returnKey, updated)
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Location", "/?waybill="+updated)
		w.WriteHeader(http.StatusSeeOther)
	}))
	j := jar(t, base(t, s), s.URL)
	j.Restore([]string{held})
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	show := func(v any) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		log.Info("shown", "value", v)
	}
	show(j)
	show(*j)
	show(struct{ j *waybillhttp.Jar }{j})
	show(struct{ j waybillhttp.Jar }{*j})
	show(&http.Client{Transport: j})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteHeaderField: func(key string, values []string) { fmt.Fprintln(&out, key, values) },
		Got1xxResponse:   func(code int, h textproto.MIMEHeader) error { fmt.Fprintln(&out, code, h); return nil },
	})
	r := request(t, ctx, "GET", s.URL)
	resp, err := j.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Request != r || len(r.Header) != 0 {
		t.Error("the response shows another request, or the caller's was changed")
	}
	show(resp)
	show(resp.Header)
	show(resp.Request.Header)
	if strings.Contains(out.String(), "secret") || !strings.Contains(out.String(), "[redacted]") {
		t.Errorf("a token is shown:\n%s", &out)
	}
	if got := j.Tokens(); !slices.Equal(got, []string{updated}) {
		t.Errorf("the jar holds %q", got)
	}
	if want := "waybillhttp.Jar(" + s.URL + ": 1 tokens)"; fmt.Sprint(j) != want {
		t.Errorf("printed as %v, want %s", j, want)
	}
	_, err = waybillhttp.NewJar(nil, "https://me:secret@shop.example")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("NewJar with a password: %v", err)
	}
}
