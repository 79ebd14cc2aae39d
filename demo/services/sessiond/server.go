// Package sessiond is one central store of sessions, as many fleets have one: a stand-in for Redis,
// so that nothing has to be installed. It speaks as much of Redis's protocol as its client needs.
//
// The store is not made worse than it has to be: it writes each change to a file before it
// acknowledges it, so a crash loses no session. While it is down, nobody has a session.
package sessiond

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tidwall/redcon"
	"go.etcd.io/bbolt"

	"github.com/waybill-go/waybill/demo/internal/service"
)

// Run serves until ctx is done.
func Run(ctx context.Context, e *service.Env) error {
	s, err := open(filepath.Join(e.Dir, "sessions"))
	if err != nil {
		return err
	}
	handle := func(conn redcon.Conn, cmd redcon.Command) {
		defer e.Watch.Begin(ctx, "Redis")()
		s.serve(conn, cmd)
	}
	srv := redcon.NewServer(e.Addr, handle, nil, nil)
	return e.Serve(ctx, srv.Serve, func(context.Context) error { return srv.Close() })
}

// store is the sessions in a file.
type store struct{ db *bbolt.DB }

var sessions = []byte("sessions")

// open opens the file with what a process before this one has written. The operating system has a
// change before the change is acknowledged, so the death of the process does not lose it. The death
// of the machine may.
func open(path string) (*store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(sessions)
		return err
	})
	return &store{db}, err
}

// serve answers one command. Sessions do not expire: the demo lives shorter than that would matter.
func (s *store) serve(conn redcon.Conn, cmd redcon.Command) {
	var answer any = redcon.SimpleString("OK")
	var err error
	switch name := strings.ToLower(string(cmd.Args[0])); {
	case name == "get" && len(cmd.Args) == 2:
		err = s.db.View(func(tx *bbolt.Tx) error {
			answer = bytes.Clone(tx.Bucket(sessions).Get(cmd.Args[1]))
			return nil
		})
	case name == "set" && len(cmd.Args) >= 3:
		err = s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(sessions).Put(cmd.Args[1], cmd.Args[2]) })
	default:
		err = fmt.Errorf("unknown command '%s'", name)
	}
	if err != nil {
		answer = fmt.Errorf("ERR %w", err)
	}
	conn.WriteAny(answer)
}
