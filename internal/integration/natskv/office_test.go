package natskvtest

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring/agering"
)

// office is an operator with a root, the identities of all members, and the roster.
type office struct {
	t      testing.TB
	root   *agering.Root
	ids    map[string]*agering.Identity
	roster agering.Roster
	dir    string
}

// newOffice makes members. The first may revoke, and all may propose.
func newOffice(t testing.TB, names ...string) *office {
	t.Helper()
	o := &office{t: t, root: agering.NewRoot(), ids: map[string]*agering.Identity{}, dir: t.TempDir(),
		roster: agering.Roster{Domain: "shop", Seq: 1, Epoch: 1, Expires: time.Now().Add(24 * time.Hour)}}
	for _, name := range names {
		o.add(name)
	}
	o.roster.Members[0].MayRevoke = true
	return o
}

func (o *office) add(name string) {
	o.t.Helper()
	id, err := agering.NewIdentity(name)
	check(o.t, err)
	o.ids[name] = id
	m := id.Public()
	m.MayPropose = true
	o.roster.Members = append(o.roster.Members, m)
}

func (o *office) remove(name string) {
	o.roster.Members = slices.DeleteFunc(o.roster.Members, func(m agering.Member) bool { return m.Name == name })
}

// stranger is the wrapper of a member that knows no roster yet, as of a process that starts.
func (o *office) stranger(name string, opts ...agering.Option) *agering.Wrapper {
	o.t.Helper()
	w, err := agering.New("shop", o.ids[name], []agering.PublicRoot{o.root.Public()}, opts...)
	check(o.t, err)
	return w
}

// wrapper is that of a member that knows the roster as it is now.
func (o *office) wrapper(name string) *agering.Wrapper {
	o.t.Helper()
	signed, err := o.roster.Sign(o.root)
	check(o.t, err)
	w := o.stranger(name)
	check(o.t, w.Learn(signed))
	return w
}

// guard remembers in a file of the process that has this number.
func (o *office) guard(process int) agering.Option {
	o.t.Helper()
	g, err := agering.LoadSeqGuard(filepath.Join(o.dir, fmt.Sprint(process)))
	check(o.t, err)
	return agering.Remember(g)
}
