package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waybill-go/waybill/keyring"
)

// waybillCmd runs the program: waybill EXITCODE ARGS... A failing one must say so in one line, a good one never ends
// with a panic, and a token or a key never stands on standard error.
func waybillCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: waybill EXITCODE ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec("waybill", args[1:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("waybill did not run: %v", err)
		}
		got = exit.ExitCode()
	}
	stderr := ts.ReadFile("stderr")
	if got != want {
		ts.Fatalf("exit code: got %d, want %d; stderr: %s", got, want, stderr)
	}
	if want != 0 && (strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "waybill: ")) {
		ts.Fatalf("stderr of a failure: got %q, want one line that begins with \"waybill: \"", stderr)
	}
	for _, secret := range []string{"eyJ", `"k"`, `"d"`} {
		if strings.Contains(stderr, secret) {
			ts.Fatalf("stderr holds a token or a key (%s): %q", secret, stderr)
		}
	}
	for _, secret := range []string{"AGE-SECRET-KEY", "-root-key:", "-sign-key:"} {
		if strings.Contains(stderr+ts.ReadFile("stdout"), secret) {
			ts.Fatalf("the output holds an identity or a root (%s)", secret)
		}
	}
}

// jsonCmd compares one value of a JSON file: json FILE PATH VALUE, where PATH is a.0.b and VALUE is JSON, or "any".
func jsonCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: json FILE PATH VALUE")
	}
	v, found := jsonValue(ts, args[0], args[1])
	if neg {
		if found {
			ts.Fatalf("%s: got %v, want no such member", args[1], v)
		}
		return
	}
	got, err := json.Marshal(v)
	ts.Check(err)
	if !found || args[2] != "any" && string(got) != args[2] {
		ts.Fatalf("%s: got %s (there: %v), want %s", args[1], got, found, args[2])
	}
}

func jsonValue(ts *testscript.TestScript, file, path string) (v any, found bool) {
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(file)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		ts.Fatalf("%s is not JSON: %v", file, err)
	}
	for name := range strings.SplitSeq(path, ".") {
		found = false
		switch in := v.(type) {
		case map[string]any:
			v, found = in[name]
		case []any:
			i, err := strconv.Atoi(name)
			ts.Check(err)
			if found = i < len(in); found {
				v = in[i]
			}
		}
		if !found {
			return nil, false
		}
	}
	return v, true
}

// agoCmd compares a time in a JSON file with now: ago FILE PATH LEAST MOST. Negative durations lie ahead.
func agoCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: ago FILE PATH LEAST MOST")
	}
	v, _ := jsonValue(ts, args[0], args[1])
	at, err := time.Parse(time.RFC3339, fmt.Sprint(v))
	ts.Check(err)
	least, err := time.ParseDuration(args[2])
	ts.Check(err)
	most, err := time.ParseDuration(args[3])
	ts.Check(err)
	if got := time.Since(at); got < least || got > most {
		ts.Fatalf("%s: got %v ago, want %v to %v", args[1], got, least, most)
	}
}

// modeCmd compares the permissions of a file: mode FILE 0600.
func modeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("mode of %s: got %s, want %s", args[0], got, args[1])
	}
}

// momentCmd sets a variable to a time: moment VAR rfc3339|unix DURATION, counted from now.
func momentCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: moment VAR rfc3339|unix DURATION")
	}
	d, err := time.ParseDuration(args[2])
	ts.Check(err)
	at := time.Now().Add(d)
	if args[1] == "unix" {
		ts.Setenv(args[0], strconv.FormatInt(at.Unix(), 10))
	} else {
		ts.Setenv(args[0], at.Format(time.RFC3339))
	}
}

// statesCmd writes a ring with a key in each state, and the kids into variables: states FILE.
func statesCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: states FILE")
	}
	const day = 24 * time.Hour
	now := time.Now()
	var keys []*keyring.Key
	for _, k := range []struct {
		name            string
		active, expires time.Duration
	}{
		{"PENDING", 90 * time.Minute, 91 * day},
		{"ACTIVE", -5 * day, 85*day + 90*time.Minute},
		{"RETIRED", -50 * day, 40*day + 90*time.Minute},
		{"GONE", -100 * day, -10*day - 90*time.Minute},
		{"REVOKED", -60 * day, 30 * day},
	} {
		key, err := keyring.Generate(keyring.Signed, keyring.Times{
			Created: now.Add(min(k.active, 0)), NotBefore: now.Add(k.active), Expires: now.Add(k.expires)})
		ts.Check(err)
		ts.Setenv(k.name, key.ID())
		keys = append(keys, key)
	}
	set, err := keyring.NewSet("shop", keys...)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), set.SecretJWKS(), 0o600))
}

// revokeCmd puts the tombstone of a key in its place: revoke FILE KID REASON.
func revokeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: revoke FILE KID REASON")
	}
	var ring map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &ring))
	done := false
	for i, key := range ring["keys"].([]any) {
		if key.(map[string]any)["kid"] == args[1] {
			ring["keys"].([]any)[i] = map[string]any{
				"kid": args[1], "revoked": map[string]any{"revoked_at": time.Now().Unix(), "reason": args[2]}}
			done = true
		}
	}
	if !done {
		ts.Fatalf("%s has no key %s", args[0], args[1])
	}
	data, err := json.Marshal(ring)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// containCmd looks for the text of one file in another: contain FILE NEEDLE-FILE. "! contain" wants it absent.
func containCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: contain FILE NEEDLE-FILE")
	}
	needle := strings.TrimSpace(ts.ReadFile(args[1]))
	if found := strings.Contains(ts.ReadFile(args[0]), needle); found == neg {
		ts.Fatalf("%s holds the text of %s: got %v, want %v", args[0], args[1], found, !neg)
	}
}
