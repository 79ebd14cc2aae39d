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

// operator is the operator's name on the roster.
const operator = "operator"

// lifetime of the roster is longer than any demo runs.
const lifetime = 30 * 24 * time.Hour

// Operator is who made the ring.
type Operator struct {
	domain  string
	store   *natskv.Store
	wrapper *agering.Wrapper
	policy  keyring.Policy
	members map[string]*Member
}

// Create makes an identity for each service, its file in dir, signs the roster of them, and creates the bucket and the
// first ring in it. Services says of each member whether it may propose keys. The root that signs is needed once and kept
// nowhere.
func Create(
	ctx context.Context, nc *nats.Conn, dir, domain string, period time.Duration, services map[string]bool,
) (*Operator, error) {
	root := agering.NewRoot()
	own, err := agering.NewIdentity(operator)
	if err != nil {
		return nil, err
	}
	first := own.Public()
	first.MayPropose, first.MayRevoke = true, true
	roster := agering.Roster{
		Domain: domain, Seq: 1, Epoch: 1, Expires: time.Now().Add(lifetime), Members: []agering.Member{first},
	}
	o := &Operator{domain: domain, policy: Policy(period), members: map[string]*Member{}}
	for name, proposes := range services {
		id, err := agering.NewIdentity(name)
		if err != nil {
			return nil, err
		}
		m := &Member{Identity: filepath.Join(dir, name+".identity"), Root: root.Public().String(), Proposes: proposes, Period: period}
		if err := id.Save(m.Identity); err != nil {
			return nil, err
		}
		o.members[name] = m
		member := id.Public()
		member.MayPropose = proposes
		roster.Members = append(roster.Members, member)
	}
	signed, err := roster.Sign(root)
	if err != nil {
		return nil, err
	}
	if o.wrapper, err = agering.New(domain, own, []agering.PublicRoot{root.Public()}); err != nil {
		return nil, err
	}
	if err := o.wrapper.Learn(signed); err != nil {
		return nil, err
	}
	if o.store, err = natskv.New(nc, bucket, domain); err != nil {
		return nil, err
	}
	if err := natskv.Create(ctx, nc, bucket); err != nil {
		return nil, err
	}
	set, err := o.policy.Genesis(domain, time.Now())
	if err != nil {
		return nil, err
	}
	return o, keyring.Create(ctx, o.store, o.wrapper, set)
}

// Rotate proposes the next key out of turn, and returns it.
func (o *Operator) Rotate(ctx context.Context) (*keyring.Key, error) {
	ring, err := o.keep(ctx)
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
	ring, err := o.keep(ctx)
	if err != nil {
		return err
	}
	defer ring.Close()
	return ring.Revoke(ctx, kid, reason)
}

// keep opens the ring as one who may change it, which the operator does for no longer than a command takes: to change
// keys in turn is the services' part.
func (o *Operator) keep(ctx context.Context) (*keyring.Ring, error) {
	return keyring.Keep(ctx, o.store, o.wrapper, keyring.Domain(o.domain), keyring.WithPolicy(o.policy), keyring.Logger(quiet()))
}

// Member returns what a service needs to open the ring, or nil if it is no member.
func (o *Operator) Member(service string) *Member { return o.members[service] }
