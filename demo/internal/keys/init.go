package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/keyring/agering"
)

// BrokerVolume is the broker's directory, and ConfigFile its configuration in it.
const (
	BrokerVolume = "nats"
	ConfigFile   = "nats.conf"
)

// A member's files, next to its seed for the broker. The roster is the operator's alone, because
// only the first ring is made of it. It holds no secret.
const (
	identityFile = "identity"
	rootFile     = "root.pub" // the public half of what signs rosters
	rosterFile   = "roster"
)

// OperatorName is the operator's name on the roster.
const OperatorName = "operator"

// Volumes are the directories that [Init] fills, one for each user of the broker and one for the
// broker.
var Volumes = append(slices.Clone(broker.Users), BrokerVolume)

// lifetime of the roster is longer than any demo runs.
const lifetime = 30 * 24 * time.Hour

// volumes is the directory that contains a directory for each member. A member sees only its own.
type volumes string

func (v volumes) path(member, file string) string { return filepath.Join(string(v), member, file) }

// Init gives every member its files, in a separate directory in dir: its seed for the broker and
// its identity for the ring. The broker gets the public halves. The root that signs the roster is
// not stored. Files that exist stay as they are, so a second Init changes nothing, and one after an
// interrupted Init completes it.
func Init(dir string) error {
	v := volumes(dir)
	if err := v.users(); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	members := append(slices.Sorted(maps.Keys(Members)), OperatorName)
	for _, name := range members {
		_, err := v.once(name, identityFile, func() ([]byte, error) {
			if err := v.disband(); err != nil { // the roster does not list this identity
				return nil, err
			}
			id, err := agering.NewIdentity(name)
			if err != nil {
				return nil, err
			}
			return id.Text(), nil
		})
		if err != nil {
			return fmt.Errorf("init: %w", err)
		}
	}
	if v.enrolled(members) {
		return nil
	}
	if err := v.enrol(members); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	return nil
}

// users gives each user its seed, and the broker its configuration.
func (v volumes) users() error {
	public := map[string]string{}
	for _, name := range broker.Users {
		seed, err := v.once(name, broker.SeedFile, func() ([]byte, error) {
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
			return fmt.Errorf("%s: %w", v.path(name, broker.SeedFile), err)
		}
		if public[name], err = pair.PublicKey(); err != nil {
			return err
		}
	}
	config, err := broker.Config(public)
	if err != nil {
		return err
	}
	return v.write(BrokerVolume, ConfigFile, config)
}

// enrolled reports whether there is a roster, and each member trusts the root that signed it.
func (v volumes) enrolled(members []string) bool {
	root, err := os.ReadFile(v.path(OperatorName, rootFile))
	if err != nil {
		return false
	}
	for _, name := range members {
		if theirs, err := os.ReadFile(v.path(name, rootFile)); err != nil || !bytes.Equal(theirs, root) {
			return false
		}
	}
	_, err = os.Stat(v.path(OperatorName, rosterFile))
	return err == nil
}

// disband removes the roster before files change that belong to it. Without a roster, the members
// are enrolled again.
func (v volumes) disband() error {
	err := os.Remove(v.path(OperatorName, rosterFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// enrol signs a new roster with a root that is needed once and not stored. The roster is the last
// file that is written.
func (v volumes) enrol(members []string) error {
	if err := v.disband(); err != nil {
		return err
	}
	roster := agering.Roster{Domain: trip.Domain, Seq: 1, Epoch: 1, Expires: time.Now().Add(lifetime)}
	root := agering.NewRoot()
	for _, name := range members {
		id, err := agering.LoadIdentity(v.path(name, identityFile))
		if err != nil {
			return err
		}
		m := id.Public()
		m.MayRevoke = name == OperatorName
		m.MayPropose = m.MayRevoke || Members[name]
		roster.Members = append(roster.Members, m)
		if err := v.write(name, rootFile, []byte(root.Public().String()+"\n")); err != nil {
			return err
		}
	}
	signed, err := roster.Sign(root)
	if err != nil {
		return err
	}
	return v.write(OperatorName, rosterFile, signed)
}

// once returns the contents of a file, which is made if it does not exist.
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

// write writes a whole file, for its owner only. A file that has this text already is not touched.
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
