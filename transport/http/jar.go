package waybillhttp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Jar is the transport of a client of an edge: it holds the tokens of one journey, and sends them
// with each request to its origins. It needs no keys. It is safe for concurrent use. [NewJar] makes
// one; RoundTrip of the zero Jar returns an error.
//
// A Jar follows the one rule for clients: it sends every token that it holds, and the token of an
// answer replaces the tokens that its request carried. An empty update makes the Jar forget these,
// and an answer without an update changes nothing. So no change is lost, in whatever order the
// answers arrive.
//
// At most 8 requests to the origins are in flight at once; further ones wait for their turn, or
// until their context is done. A request is in flight until the header of its answer has arrived,
// so a long body delays no other request. This bounds the tokens that one request carries: there
// are at most 8, and fewer requests are in flight if the tokens are so long that they could exceed
// 32 KiB.
//
// A Jar is one client. Do not share it between users, and do not give two Jars the same tokens at
// the same time: each would miss the changes of the other.
type Jar struct {
	base    http.RoundTripper
	origins map[string]*hosts // by scheme
	names   []string          // the origins, as NewJar got them
	held    *held
}

var _ http.RoundTripper = (*Jar)(nil)

// NewJar returns an empty Jar that sends requests through base. If base is nil, it is
// [http.DefaultTransport].
//
// An origin is written scheme://host or scheme://host:port, as in "https://shop.example", and
// belongs to the edge of the journey. Anyone on the way to an http origin can read the tokens, so
// use one for development only. Other origins get no token, nor does the same host with another
// scheme or port.
func NewJar(base http.RoundTripper, origins ...string) (*Jar, error) {
	if len(origins) == 0 {
		return nil, errors.New("waybillhttp: NewJar needs the origin of the edge, such as https://shop.example")
	}
	if base == nil {
		base = http.DefaultTransport
	}
	j := &Jar{base: base, origins: map[string]*hosts{}, names: slices.Clone(origins), held: &held{now: &snapshot{}}}
	for i, o := range origins {
		if err := j.allow(o); err != nil {
			// The origin may contain a password.
			return nil, fmt.Errorf("waybillhttp: NewJar: origin %d: %w; an origin is scheme://host or scheme://host:port, "+
				"without a path, such as https://shop.example", i+1, err)
		}
	}
	return j, nil
}

// allow adds an origin.
func (j *Jar) allow(origin string) error {
	scheme, pattern, ok := strings.Cut(origin, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case !ok:
		return errors.New("there is no scheme")
	case defaultPorts[scheme] == "":
		return errors.New("the scheme is neither https nor http")
	case strings.ContainsAny(pattern, "/?#\\"):
		return errors.New("there is a path, a query or a fragment after the host")
	case strings.Contains(pattern, "@"):
		return errors.New("there is a user name in front of the host")
	case strings.Contains(pattern, "*"):
		return errors.New("an origin has no wildcard")
	case strings.Count(pattern, ":") > 1 && pattern[0] != '[':
		return errors.New("an IPv6 address is written in brackets")
	}
	entry, err := parsePattern(pattern)
	if err != nil {
		return err
	}
	if entry.port == "" {
		entry.port = defaultPorts[scheme]
	}
	if j.origins[scheme] == nil {
		j.origins[scheme] = &hosts{map[hostPort]bool{}}
	}
	j.origins[scheme].allowed[entry] = true
	return nil
}

// RoundTrip sends one request. A client that follows redirects calls RoundTrip for each of them. A
// request to one of the origins carries all tokens, or an empty header Waybill if there are none.
// Other requests carry no token. A header Waybill that was set by hand or copied is removed.
//
// The caller's request is not changed, and the response shows neither the update nor, in the
// Location of a redirect, the copy that the edge puts there for clients that follow redirects
// unseen.
func (j *Jar) RoundTrip(r *http.Request) (*http.Response, error) {
	if j.held == nil {
		closeBody(r)
		return nil, errors.New("waybillhttp: Jar was not made by NewJar")
	}
	if !j.mayGet(r) {
		resp, err := j.send(r, outgoing(r, nil))
		j.receive(r, resp, nil)
		return resp, err
	}
	if err := j.held.enter(r.Context()); err != nil {
		closeBody(r)
		return nil, err
	}
	defer j.held.leave()
	sent := j.held.snapshot()
	resp, err := j.send(r, carrying(r, sent.tokens))
	if err != nil {
		return resp, err
	}
	update, ok := updateOf(resp)
	if ok {
		j.held.replace(sent, update)
	}
	j.receive(r, resp, update)
	return resp, nil
}

// mayGet reports whether r goes to one of the origins, by every name of its destination.
func (j *Jar) mayGet(r *http.Request) bool {
	return r.URL != nil && j.isOrigin(r.URL) && approvesNames(r, j.isOrigin)
}

func (j *Jar) isOrigin(u *url.URL) bool {
	h := j.origins[u.Scheme]
	return h != nil && h.approves(u)
}

// send sends out in place of r.
func (j *Jar) send(r, out *http.Request) (*http.Response, error) {
	resp, err := j.base.RoundTrip(out)
	if resp != nil && out != r {
		resp.Request = r
	}
	return resp, err
}

// receive removes the tokens from the response: the update from its header, and the hand-over from
// the Location of a redirect. No redirect to an origin needs the parameter, as the Jar has read the
// header; a token from elsewhere could put the client on another journey.
func (j *Jar) receive(r *http.Request, resp *http.Response, update []string) {
	if resp == nil {
		return
	}
	delete(resp.Header, returnKey)
	location := resp.Header["Location"]
	if !redirects(resp.StatusCode) || len(location) != 1 || r.URL == nil {
		return
	}
	target, err := r.URL.Parse(location[0])
	if err != nil {
		return // the client reports it
	}
	own := j.isOrigin(target)
	without := cutQuery(location[0], func(value string) bool {
		return own && plausible(value, maxHeldBytes) || slices.Contains(update, value)
	})
	if without == location[0] {
		return
	}
	if without == "" || without[0] == '#' {
		without = "?" + without // without it, the request's own query would count
	}
	resp.Header["Location"] = []string{without}
}

// Tokens returns the tokens that the Jar holds. Each of them is a credential: store them where only
// the user can read them. Pass them to [Jar.Restore] to continue the journey in another run of the
// program. Wait until all requests have been answered, or their changes are missing.
func (j *Jar) Tokens() []string {
	if j.held == nil {
		return nil
	}
	return slices.Clone(j.held.snapshot().tokens)
}

// Restore replaces the tokens that the Jar holds. Without tokens the Jar forgets its journey. The
// updates of requests in flight are ignored, because they belong to the former tokens.
//
// Strings that cannot be tokens are left out. An edge accepts at most 32 tokens of together 32 KiB;
// of more than that, the last ones are kept.
func (j *Jar) Restore(tokens []string) {
	if j.held != nil {
		j.held.restore(tokens)
	}
}

// CloseIdleConnections closes the idle connections of the base, for
// [http.Client.CloseIdleConnections].
func (j *Jar) CloseIdleConnections() {
	if j.base != nil {
		closeIdle(j.base)
	}
}

// String describes the Jar without its tokens.
func (j *Jar) String() string {
	if j == nil || j.held == nil {
		return "waybillhttp.Jar()"
	}
	return fmt.Sprintf("waybillhttp.Jar(%s: %d tokens)", strings.Join(j.names, " "), len(j.held.snapshot().tokens))
}

// Format prints what String returns, for every verb.
func (j *Jar) Format(f fmt.State, _ rune) { fmt.Fprint(f, j.String()) }

// LogValue describes the Jar in a structured log, without its tokens.
func (j *Jar) LogValue() slog.Value { return slog.StringValue(j.String()) }

// lineBytes is how long a line of tokens may be. Proxies limit the length of a line, nginx to 8 KiB
// with its default settings, and accept several lines.
const lineBytes = 4 << 10

// carrying returns the request to send, with the tokens in place of headers of ours that the
// application set or copied. The caller's request is not changed.
func carrying(r *http.Request, tokens []string) *http.Request {
	out := r.WithContext(redactTrace(r.Context()))
	out.Header = r.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	for key := range out.Header {
		if ours(key) {
			delete(out.Header, key)
		}
	}
	lines := []string{""}
	for _, t := range tokens {
		switch last := &lines[len(lines)-1]; {
		case *last == "":
			*last = t
		case len(*last)+len(", ")+len(t) <= lineBytes:
			*last += ", " + t
		default:
			lines = append(lines, t)
		}
	}
	out.Header[headerKey] = lines
	return out
}

// updateOf returns the update of an answer, and whether it has one. It is empty if the tokens of
// the request are to be forgotten. Values that cannot be tokens are ignored.
func updateOf(resp *http.Response) (update []string, ok bool) {
	for _, t := range tokens(resp.Header[returnKey]) {
		switch {
		case isToken(t):
			update, ok = append(update, t), true
		case t == "":
			ok = true
		}
	}
	return update, ok
}

// isToken reports whether s can be sent as a token (token68 of RFC 9110, section 11.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		ok := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~+/=", c) >= 0
		if !ok {
			return false
		}
	}
	return s != ""
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}
