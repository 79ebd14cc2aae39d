package waybill

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// Protection is how a token is protected. The zero Protection is not valid.
type Protection = keyring.Protection

// The protections of a token.
const (
	Signed = keyring.Signed // readable by anyone, verified and changed by the members of the ring
	Sealed = keyring.Sealed // readable, verified and changed by the members of the ring only
	Public = keyring.Public // readable by anyone, verified with public keys, changed with the private key
)

// The defaults and limits of an Authority.
const (
	DefaultLife       = 15 * time.Minute // from issue to expiry
	DefaultMaxLife    = time.Hour        // longest accepted lifetime of a token
	DefaultJourney    = 12 * time.Hour   // from start to the absolute end
	DefaultMaxJourney = 24 * time.Hour   // longest accepted time from start to the absolute end
	DefaultLeeway     = 10 * time.Second // allowed difference between clocks
	MaxLeeway         = 60 * time.Second

	DefaultIssueLimit  = 2048 // largest issued token, in bytes
	DefaultAcceptLimit = 3584 // largest opened token, in bytes: fits nginx's 4 KiB for all response headers
	MaxAcceptLimit     = 7168 // bytes: grpc-go's coming limit for all headers is 8 KiB
)

// Option configures an [Authority].
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	issues      Protection
	opens       []Protection
	claims      []Declaration
	traced      []string
	life        time.Duration
	maxLife     time.Duration
	journey     time.Duration
	maxJourney  time.Duration
	leeway      time.Duration
	issueLimit  int
	acceptLimit int
	now         func() time.Time
}

// Claims declares the application's claims. Only declared claims can be changed here, and their
// rules decide how concurrent changes merge. Undeclared claims are kept and forwarded byte for
// byte.
func Claims(claims ...Declaration) Option {
	return option(func(c *config) { c.claims = append(c.claims, claims...) })
}

// Traced allows claims in traces. For each received waybill, the named claims are recorded on the
// current span as string attributes "waybill.claim.NAME"; values that are not strings are recorded
// as JSON. By default no claims are recorded, because more people can read traces than tokens.
func Traced(claims ...Declaration) Option {
	return option(func(c *config) {
		for _, d := range claims {
			c.traced = append(c.traced, d.Name())
		}
	})
}

// Protect sets how issued waybills are protected. The default is [Signed]. The ring needs a key of
// that protection. If it has only the public halves of [Public] keys, the Authority opens and
// forwards public waybills but cannot change them.
func Protect(p Protection) Option { return option(func(c *config) { c.issues = p }) }

// AlsoOpen accepts tokens of these protections, in addition to the protection that is issued. A
// journey always keeps its protection.
func AlsoOpen(p ...Protection) Option {
	return option(func(c *config) { c.opens = append(c.opens, p...) })
}

// Life sets the lifetime of issued tokens, in whole seconds. The default is [DefaultLife].
func Life(d time.Duration) Option { return option(func(c *config) { c.life = d }) }

// MaxLife sets the longest lifetime of an accepted token. The default is [DefaultMaxLife], or
// [Life] if that is longer.
func MaxLife(d time.Duration) Option { return option(func(c *config) { c.maxLife = d }) }

// Journey sets the absolute end of a journey, counted from its start. The default is
// [DefaultJourney].
func Journey(d time.Duration) Option { return option(func(c *config) { c.journey = d }) }

// MaxJourney sets the longest accepted journey, from the begin in its "sid" to its absolute end. The
// default is [DefaultMaxJourney], or [Journey] if that is longer. Services that open tokens of an edge
// with a longer Journey need it.
func MaxJourney(d time.Duration) Option { return option(func(c *config) { c.maxJourney = d }) }

// Leeway sets how far the clocks of two nodes may differ, at most [MaxLeeway]. The default is
// [DefaultLeeway]. It should be at least twice the error of a single clock.
func Leeway(d time.Duration) Option { return option(func(c *config) { c.leeway = d }) }

// IssueLimit sets the size of the largest issued token, in bytes. The default is
// [DefaultIssueLimit], or the [AcceptLimit] if that is smaller, so that no node issues a token that
// it would not open.
func IssueLimit(bytes int) Option { return option(func(c *config) { c.issueLimit = bytes }) }

// AcceptLimit sets the size of the largest opened token, in bytes, at most [MaxAcceptLimit]. The
// default is [DefaultAcceptLimit].
func AcceptLimit(bytes int) Option { return option(func(c *config) { c.acceptLimit = bytes }) }

// Clock sets the clock. The default is [time.Now]. It is for tests.
func Clock(now func() time.Time) Option { return option(func(c *config) { c.now = now }) }

// unset is the size before an option sets it.
const unset = math.MinInt

func defaults() config {
	return config{
		issues: Signed,
		life:   DefaultLife, journey: DefaultJourney, leeway: DefaultLeeway,
		issueLimit: unset, acceptLimit: DefaultAcceptLimit,
		now: time.Now,
	}
}

// apply applies options and checks the result.
func (c *config) apply(opts []Option) error {
	for _, o := range opts {
		o.apply(c)
	}
	if c.issueLimit == unset {
		c.issueLimit = min(DefaultIssueLimit, c.acceptLimit)
	}
	if c.maxLife == 0 {
		c.maxLife = max(DefaultMaxLife, c.life)
	}
	if c.maxJourney == 0 {
		c.maxJourney = max(DefaultMaxJourney, c.journey)
	}
	c.opens = append(c.opens, c.issues)
	for _, p := range c.opens {
		if p < Signed || p > Public {
			return fmt.Errorf("waybill: unknown protection %d: use Signed, Sealed or Public", p)
		}
	}
	for _, d := range []struct {
		name     string
		is       time.Duration
		min, max time.Duration
	}{
		{"Life", c.life, time.Second, 10 * 365 * 24 * time.Hour},
		{"MaxLife", c.maxLife, c.life, 10 * 365 * 24 * time.Hour},
		{"Journey", c.journey, c.life, 10 * 365 * 24 * time.Hour},
		{"MaxJourney", c.maxJourney, c.journey, 10 * 365 * 24 * time.Hour},
		{"Leeway", c.leeway, 0, MaxLeeway},
	} {
		if d.is < d.min || d.is > d.max || d.is%time.Second != 0 {
			return fmt.Errorf("waybill: %s(%v): use whole seconds between %v and %v", d.name, d.is, d.min, d.max)
		}
	}
	if c.acceptLimit < 256 || c.acceptLimit > MaxAcceptLimit {
		return fmt.Errorf("waybill: AcceptLimit(%d): use 256 to %d bytes", c.acceptLimit, MaxAcceptLimit)
	}
	if c.issueLimit < 256 || c.issueLimit > c.acceptLimit {
		return fmt.Errorf("waybill: IssueLimit(%d): use 256 to %d bytes, the AcceptLimit; to issue larger tokens raise both",
			c.issueLimit, c.acceptLimit)
	}
	return nil
}

func (c *config) declared() (map[string]*declaration, error) {
	for _, name := range c.traced {
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("%w, and cannot be Traced", err)
		}
	}
	byName := make(map[string]*declaration, len(c.claims))
	for _, d := range c.claims {
		def := d.declare()
		if err := checkName(def.name); err != nil {
			return nil, err
		}
		if byName[def.name] != nil {
			return nil, fmt.Errorf("waybill: claim %q is declared twice", def.name)
		}
		byName[def.name] = def
	}
	return byName, nil
}

// reserved are the claim names that an application cannot use: those of RFC 7519, section 4.1, RFC
// 7800, and this token profile.
var reserved = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "sid", "end", "bas",
	"rev", "has", "was", "upd", "sup"}

// reservedPrefix begins the names of claims that later versions of this module define.
const reservedPrefix = "wb_"

func checkName(name string) error {
	if slices.Contains(reserved, name) || strings.HasPrefix(name, reservedPrefix) {
		return fmt.Errorf("waybill: claim name %q is reserved", name)
	}
	ok := len(name) > 0 && len(name) <= 128
	for _, c := range []byte(name) {
		ok = ok && c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	if !ok {
		return fmt.Errorf("waybill: claim name %q is not 1 to 128 printable ASCII characters without space, \", \\, <, > and &", name)
	}
	return nil
}
