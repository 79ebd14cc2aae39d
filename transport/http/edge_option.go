package waybillhttp

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/waybill-go/waybill"
)

// StartWith sets the function that returns the first claims of a new journey. It is also called
// when a journey is over: [waybill.Previous] then returns the journey's waybill, and start can
// carry over its claims. Parallel first requests of a client call it once each: it must be cheap
// and without side effects.
//
// Without StartWith a journey begins when a handler sets its first claim. Until then the client
// gets no token.
//
// If start returns an error, the request is refused with status 503, or, for an error of package
// waybill, with the status of that refusal. To allow no new journey for a request, return
// [waybill.ErrNoWaybill], which answers 401. The cause is logged and never sent to the client.
func StartWith(start func(*http.Request) ([]waybill.Change, error)) EdgeOption {
	return edgeOption(func(e *Edge) error {
		if start == nil {
			return errors.New("waybillhttp: StartWith needs a function that returns the first claims; " +
				"leave the option out to begin journeys with their first claim")
		}
		e.start = start
		return nil
	})
}

// BeginsOn sets the function that chooses the requests that may begin a journey. By default these
// are all requests but prefetches and a browser's requests for a script, a style sheet, an image, a
// font or another part of a page. Other requests use the client's journey if it has one. A CORS
// preflight never begins a journey, and passes the edge untouched.
//
// Crawlers do not say what they fetch. Leave [StartWith] out, so that they get no token.
func BeginsOn(begins func(*http.Request) bool) EdgeOption {
	return edgeOption(func(e *Edge) error {
		if begins == nil {
			return errors.New("waybillhttp: BeginsOn needs a function that chooses requests")
		}
		e.beginsOn = begins
		return nil
	})
}

// Idle sets how long after the expiry of its tokens a journey can be resumed, within its absolute
// end. The default is 2 hours, and 0 with [Pages]. Idle counts at the edge only: the services
// behind it get a renewed token. The ring must keep keys for three lives and Idle after they have
// issued their last token; otherwise the tokens have an unknown key, and the journey begins anew.
func Idle(d time.Duration) EdgeOption {
	return edgeOption(func(e *Edge) error {
		if d < 0 {
			return fmt.Errorf("waybillhttp: Idle(%v): use zero or more", d)
		}
		e.idle = d
		return nil
	})
}

// Cookies keeps the journeys of clients in cookies that scripts cannot read. All tabs of a browser
// are on one journey, and EventSource, WebSocket, images and downloads send it.
//
// Each token is one cookie, __Host-wb- and the token's name. A client with a script may use the
// header instead: a request that has the header Waybill, even an empty one, and no waybill cookie
// is answered by header.
//
// Requests of other origins with an unsafe method, and their WebSocket handshakes, are refused with
// status 403; see [CrossOrigin]. The Authority's [waybill.AcceptLimit] must be small enough for a
// cookie, which has at most 4,000 bytes of name and value.
func Cookies(opts ...CookieOption) EdgeOption {
	return edgeOption(func(e *Edge) error {
		if e.cookies != nil {
			return errors.New("waybillhttp: Cookies is given twice: pass all cookie options to one")
		}
		e.cookies = &cookies{name: "wb"}
		for _, o := range opts {
			if err := o.applyCookies(e.cookies); err != nil {
				return err
			}
		}
		return nil
	})
}

// CookieOption configures [Cookies].
type CookieOption interface{ applyCookies(*cookies) error }

type cookieOption func(*cookies) error

func (o cookieOption) applyCookies(c *cookies) error { return o(c) }

// CookieName sets the middle part of the cookies' names, which is "wb" by default. Two edges on one
// host need two names, because cookies ignore ports and the edges forget each other's tokens
// otherwise.
func CookieName(name string) CookieOption {
	return cookieOption(func(c *cookies) error {
		if !isCookieName(name) {
			return fmt.Errorf("waybillhttp: CookieName(%q): use 1 to 32 letters, digits and _; "+
				"a \"-\" separates the name from the token's", name)
		}
		c.name = name
		return nil
	})
}

// CookieDomain sends the cookies to this domain and its sub-domains, such as example.com for
// shop.example.com and account.example.com. Any of these hosts can then plant tokens: the prefix of
// the names is __Secure-, which does not prevent that as __Host- does.
func CookieDomain(domain string) CookieOption {
	return cookieOption(func(c *cookies) error {
		host, err := parsePattern(domain)
		if err != nil || host.port != "" || host.host != domain || !validName(domain) || !hasDot(domain) {
			return fmt.Errorf("waybillhttp: CookieDomain(%q): use a domain in lower case with at least one dot inside, "+
				"such as example.com", domain)
		}
		c.domain = domain
		return nil
	})
}

// InsecureCookies allows cookies over plain http, without a prefix that protects their names.
// Without it a browser drops the cookies there, and each request begins a new journey; many
// browsers make an exception for localhost. Use it for development only: anyone on the way can read
// and plant tokens.
func InsecureCookies() CookieOption {
	return cookieOption(func(c *cookies) error {
		c.insecure = true
		return nil
	})
}

// CrossOrigin replaces the check that [Cookies] turns on. Use it to trust origins, or to let other
// sites post to some paths, such as a payment provider that sends the browser back with a form. A
// deny handler of c is not used; see [Unusable].
func CrossOrigin(c *http.CrossOriginProtection) EdgeOption {
	return edgeOption(func(e *Edge) error {
		if c == nil {
			return errors.New("waybillhttp: CrossOrigin needs a protection: pass http.NewCrossOriginProtection()")
		}
		e.crossing = c
		return nil
	})
}

// Pages keeps the journeys of clients in links, forms and redirects, as the parameter or form field
// "waybill". It is for clients without cookies and scripts. [Field] and [Link] write the token into
// a page; the edge adds it to redirects to the same origin. A page is a branch of its journey: two
// tabs do not see each other's changes.
//
// The token is in the URL. A link that is passed on passes the journey on, and the address bar, the
// browser's history and access logs contain it. The edge removes the parameter from the request
// that inner layers see, also from the Referer, so install it outside of access logs and
// instrumentation. It sets Referrer-Policy: same-origin and Cache-Control: no-store. Form fields
// are read from bodies of the type application/x-www-form-urlencoded up to 64 KiB; other forms need
// a [Link] as their action.
//
// A request that has the header Waybill, even an empty one, is answered by header.
func Pages() EdgeOption {
	return edgeOption(func(e *Edge) error {
		e.pages = true
		return nil
	})
}

// Unusable sets the function that writes the page of a refused request, in place of the problem
// details document. The reason is the one that the document would have, such as "expired", "absent"
// or "cross_origin". The function may set another status than the refusal's. The header already has
// Retry-After, and the lines that make the client forget tokens, if any.
//
// Do not redirect to the page that was refused: the client would request it for ever. Calls of gRPC
// are answered with a gRPC status.
func Unusable(page func(w http.ResponseWriter, r *http.Request, reason string)) EdgeOption {
	return edgeOption(func(e *Edge) error {
		if page == nil {
			return errors.New("waybillhttp: Unusable needs a function that writes a page; " +
				"leave the option out for problem details documents")
		}
		e.unusable = page
		return nil
	})
}
