package operator

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/nats-io/nkeys"

	"github.com/waybill-go/waybill/demo/internal/container"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/keyring/agering"
)

// rosterFile is the operator's alone, as only the first ring is made of it. It holds no secret.
const rosterFile = "roster"

// volumes are the directories in which each member finds its own files and nobody else's.
type volumes string

func (v volumes) path(member, file string) string { return filepath.Join(string(v), member, file) }

// Init gives every member its files, in a directory of its own in dir: who it is to the broker and who it is to the ring.
// The broker gets the public halves. The root that signs the roster is kept nowhere. What is there already stays as it is,
// so that to do it again changes nothing, and to do it after it was interrupted completes it.
func Init(dir string) error {
	v := volumes(dir)
	if err := v.users(); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	own, err := v.identity(keys.OperatorName)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	var services []*agering.Identity
	for _, name := range slices.Sorted(maps.Keys(keys.Members)) {
		id, err := v.identity(name)
		if err != nil {
			return fmt.Errorf("init: %w", err)
		}
		services = append(services, id)
	}
	if v.enrolled(own, services) {
		return nil
	}
	return v.enrol(own, services)
}

// users gives each member its seed, and the broker its configuration.
func (v volumes) users() error {
	public := map[string]string{}
	for _, name := range users() {
		seed, err := v.once(name, container.SeedFile, func() ([]byte, error) {
			pair, err := nkeys.CreateUser()
			if err != nil {
				return nil, err
			}
			return pair.Seed()
		})
		if err != nil {
			return err
		}
		pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
		if err != nil {
			return fmt.Errorf("%s: %w", v.path(name, container.SeedFile), err)
		}
		if public[name], err = pair.PublicKey(); err != nil {
			return err
		}
	}
	return v.write(BrokerVolume, configFile, brokerConfig(public))
}

// identity returns a member's identity, which is made if there is none.
func (v volumes) identity(name string) (*agering.Identity, error) {
	text, err := v.once(name, container.IdentityFile, func() ([]byte, error) {
		id, err := agering.NewIdentity(name)
		if err != nil {
			return nil, err
		}
		return id.Text(), nil
	})
	if err != nil {
		return nil, err
	}
	return agering.ParseIdentity(text)
}

// enrolled reports whether the roster is of just these members, and each of them trusts the root that signed it.
func (v volumes) enrolled(own *agering.Identity, services []*agering.Identity) bool {
	text, err := os.ReadFile(v.path(keys.OperatorName, container.RootFile))
	if err != nil {
		return false
	}
	known := []string{own.Public().String()}
	for _, id := range services {
		known = append(known, id.Public().String())
		if theirs, err := os.ReadFile(v.path(id.Name(), container.RootFile)); err != nil || !bytes.Equal(theirs, text) {
			return false
		}
	}
	roots, err := agering.ParseRoots(string(bytes.TrimSpace(text)))
	if err != nil {
		return false
	}
	signed, err := os.ReadFile(v.path(keys.OperatorName, rosterFile))
	if err != nil {
		return false
	}
	roster, err := agering.VerifyRoster(signed, roots...)
	if err != nil || len(roster.Members) != len(known) {
		return false
	}
	return !slices.ContainsFunc(roster.Members, func(m agering.Member) bool {
		m.MayPropose, m.MayRevoke = false, false
		return !slices.Contains(known, m.String())
	})
}

// enrol signs a new roster. It comes last of all files: without it, all of this is done again.
func (v volumes) enrol(own *agering.Identity, services []*agering.Identity) error {
	signed, root, err := keys.Enrol(trip.Domain, own, services, keys.Members)
	if err != nil {
		return err
	}
	for _, id := range append(services, own) {
		if err := v.write(id.Name(), container.RootFile, []byte(root.String()+"\n")); err != nil {
			return err
		}
	}
	return v.write(keys.OperatorName, rosterFile, signed)
}

// once returns what a file holds, and makes it if there is none.
func (v volumes) once(member, file string, text func() ([]byte, error)) ([]byte, error) {
	data, err := os.ReadFile(v.path(member, file))
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	if data, err = text(); err != nil {
		return nil, err
	}
	return data, v.write(member, file, data)
}

// write writes a file, for its owner only and as a whole. One that has this text already is not touched.
func (v volumes) write(member, file string, data []byte) error {
	path := v.path(member, file)
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, data) {
		return nil
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
