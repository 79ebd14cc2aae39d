package keys

import (
	"context"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// OperatorName is the operator's name on the roster.
const OperatorName = "operator"

// lifetime of the roster is longer than any demo runs.
const lifetime = 30 * 24 * time.Hour

// Operator is who made the ring.
type Operator struct {
	Policy keyring.Policy // how the keys follow each other

	nc      *nats.Conn
	domain  string
	store   *natskv.Store
	wrapper *agering.Wrapper
	members map[string]*Member
}

// Create makes an identity for each service, its file in dir, signs the roster of them, and creates the bucket and the
// first ring in it. Services says of each member whether it may propose keys.
func Create(
	ctx context.Context, nc *nats.Conn, dir, domain string, policy keyring.Policy, services map[string]bool,
) (*Operator, error) {
	own, err := agering.NewIdentity(OperatorName)
	if err != nil {
		return nil, err
	}
	var identities []*agering.Identity
	for name := range services {
		id, err := agering.NewIdentity(name)
		if err != nil {
			return nil, err
		}
		if err := id.Save(filepath.Join(dir, name+".identity")); err != nil {
			return nil, err
		}
		identities = append(identities, id)
	}
	roster, root, err := Enrol(domain, own, identities, services)
	if err != nil {
		return nil, err
	}
	o, err := Operate(nc, domain, own, roster, root)
	if err != nil {
		return nil, err
	}
	o.Policy = policy
	for name, proposes := range services {
		identity := filepath.Join(dir, name+".identity")
		o.members[name] = &Member{Identity: identity, Root: root.String(), Proposes: proposes, Policy: &policy}
	}
	return o, o.Begin(ctx)
}

// Enrol signs the roster of a domain: the operator, and the services, of which proposes says whether they may propose
// keys. The root that signs is needed once and kept nowhere; its public half is returned.
func Enrol(domain string, own *agering.Identity, services []*agering.Identity, proposes map[string]bool) (
	signed []byte, root agering.PublicRoot, err error) {
	first := own.Public()
	first.MayPropose, first.MayRevoke = true, true
	roster := agering.Roster{
		Domain: domain, Seq: 1, Epoch: 1, Expires: time.Now().Add(lifetime), Members: []agering.Member{first},
	}
	for _, id := range services {
		member := id.Public()
		member.MayPropose = proposes[id.Name()]
		roster.Members = append(roster.Members, member)
	}
	once := agering.NewRoot()
	signed, err = roster.Sign(once)
	return signed, once.Public(), err
}

// Operate returns the operator whom a roster names.
func Operate(nc *nats.Conn, domain string, own *agering.Identity, roster []byte, root agering.PublicRoot) (*Operator, error) {
	o := &Operator{Policy: Steady, nc: nc, domain: domain, members: map[string]*Member{}}
	var err error
	if o.wrapper, err = agering.New(domain, own, []agering.PublicRoot{root}); err != nil {
		return nil, err
	}
	if err := o.wrapper.Learn(roster); err != nil {
		return nil, err
	}
	o.store, err = natskv.New(nc, bucket, domain)
	return o, err
}

// Begin creates the bucket and puts the first ring into it. If there is one, the error is [keyring.ErrConflict] and it
// stays as it is.
func (o *Operator) Begin(ctx context.Context) error {
	if err := natskv.Create(ctx, o.nc, bucket); err != nil {
		return err
	}
	set, err := o.Policy.Genesis(o.domain, time.Now())
	if err != nil {
		return err
	}
	return keyring.Create(ctx, o.store, o.wrapper, set)
}

// Keep opens the ring as one who may change it.
func (o *Operator) Keep(ctx context.Context) (*keyring.Ring, error) {
	return keyring.Maintain(ctx, o.store, o.wrapper, keyring.Domain(o.domain), keyring.WithPolicy(o.Policy), keyring.Logger(quiet()))
}

// Rotate proposes the next key out of turn, and returns it. The operator keeps the ring for no longer than that takes: to
// change keys in turn is the services' part.
func (o *Operator) Rotate(ctx context.Context) (*keyring.Key, error) {
	ring, err := o.Keep(ctx)
	if err != nil {
		return nil, err
	}
	defer ring.Close()
	made, err := ring.Rotate(ctx)
	if err != nil {
		return nil, err
	}
	return made[0], nil
}

// Revoke takes a key back.
func (o *Operator) Revoke(ctx context.Context, kid, reason string) error {
	ring, err := o.Keep(ctx)
	if err != nil {
		return err
	}
	defer ring.Close()
	return ring.Revoke(ctx, kid, reason)
}

// Member returns what a service needs to open the ring, or nil if it is no member.
func (o *Operator) Member(service string) *Member { return o.members[service] }
