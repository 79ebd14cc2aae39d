package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
)

// lineCmd sets a variable to the one line of a file, as a shell's $(cat FILE) does: line VAR FILE.
func lineCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: line VAR FILE")
	}
	text := ts.ReadFile(args[1])
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		ts.Fatalf("%s: got %q, want one line", args[1], text)
	}
	ts.Setenv(args[0], strings.TrimSuffix(text, "\n"))
}

// valueCmd sets a variable to a value in a JSON file: value VAR FILE PATH.
func valueCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: value VAR FILE PATH")
	}
	v, found := jsonValue(ts, args[1], args[2])
	if !found {
		ts.Fatalf("%s has no %s", args[1], args[2])
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// followCmd opens a sealed ring as a service does: follow STORE DOMAIN IDENTITY ROOT. It writes the ring's text, and how
// it stands, to the file "followed".
func followCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: follow STORE DOMAIN IDENTITY ROOT")
	}
	id, err := agering.LoadIdentity(ts.MkAbs(args[2]))
	ts.Check(err)
	roots, err := agering.ParseRoots(args[3])
	ts.Check(err)
	wrapper, err := agering.New(args[1], id, roots)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ring, err := keyring.Follow(ctx, keyring.File(ts.MkAbs(args[0])), keyring.Domain(args[1]), keyring.Wrapped(wrapper))
	ts.Check(err)
	defer ring.Close()
	state := "ready"
	if err := ring.Ready(); err != nil {
		state = "not ready: " + err.Error()
	}
	ts.Check(os.WriteFile(ts.MkAbs("followed"), fmt.Appendf(nil, "%s, %s\n", ring.Set(), state), 0o600))
}

// ageCmd is the age command, as far as escrow needs it: "age new VAR" makes an identity in the file VAR and sets the
// variable to its recipient; "age open IDENTITY SEALED OUT" decrypts.
func ageCmd(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case !neg && len(args) == 2 && args[0] == "new":
		id, err := age.GenerateX25519Identity()
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(id.String()), 0o600))
		ts.Setenv(args[1], id.Recipient().String())
	case !neg && len(args) == 4 && args[0] == "open":
		id, err := age.ParseX25519Identity(ts.ReadFile(args[1]))
		ts.Check(err)
		in, err := age.Decrypt(armor.NewReader(strings.NewReader(ts.ReadFile(args[2]))), id)
		ts.Check(err)
		var plain bytes.Buffer
		_, err = io.Copy(&plain, in)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[3]), plain.Bytes(), 0o600))
	default:
		ts.Fatalf("usage: age new VAR, or age open IDENTITY SEALED OUT")
	}
}

// natsCmd starts a NATS server with JetStream and sets a variable to its address: nats VAR.
func natsCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: nats VAR")
	}
	url, stop, err := startNATS(ts.MkAbs("jetstream"))
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv(args[0], url)
}

// startNATS starts a server that keeps its streams in a folder.
func startNATS(dir string) (url string, stop func(), err error) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		return "", nil, err
	}
	s.Start()
	stop = func() {
		s.Shutdown()
		s.WaitForShutdown()
	}
	if !s.ReadyForConnections(10 * time.Second) {
		stop()
		return "", nil, errors.New("the NATS server did not start")
	}
	return s.ClientURL(), stop, nil
}

// endedCmd writes a roster of one member that ended an hour ago, and a ring under it:
// ended STORE ROSTER DOMAIN IDENTITY ROOT-FILE.
func endedCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: ended STORE ROSTER DOMAIN IDENTITY ROOT-FILE")
	}
	id, err := agering.LoadIdentity(ts.MkAbs(args[3]))
	ts.Check(err)
	root, err := agering.LoadRoot(ts.MkAbs(args[4]))
	ts.Check(err)
	then := time.Now().Add(-2 * time.Hour)
	me := id.Public()
	me.MayPropose, me.MayRevoke = true, true
	roster := agering.Roster{Domain: args[2], Seq: 1, Epoch: 1, Expires: then.Add(time.Hour),
		Members: []agering.Member{me}}
	signed, err := roster.Sign(root)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), signed, 0o644))
	wrapper, err := agering.New(args[2], id, []agering.PublicRoot{root.Public()},
		agering.Clock(func() time.Time { return then }))
	ts.Check(err)
	ts.Check(wrapper.Learn(signed))
	set, err := keyring.DefaultPolicy().Genesis(args[2], then)
	ts.Check(err)
	ts.Check(keyring.Create(context.Background(), keyring.FileStore(ts.MkAbs(args[0])), wrapper, set))
}
