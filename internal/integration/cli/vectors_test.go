package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// exitCodes are those that a user reads in docs/cli.md, by the reasons of the vectors.
var exitCodes = map[string]int{
	"ok":     0,
	"absent": 3, "malformed": 3, "algorithm": 3, "forged": 3,
	"expired": 4, "not_yet_valid": 4, "lifetime": 4,
	"unknown_key": 5, "revoked": 5,
	"protection": 6, "audience": 6, "too_large": 6,
}

// TestVectors runs every test vector of the token profile through "waybill open".
func TestVectors(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("SKIPPED LOUDLY: the rings are passed as descriptors, which Windows cannot")
	}
	forVectors(t, openVector)
}

// TestVectorsInspected holds "waybill inspect" to calling no good token bad, and no token good that every ring refuses
// for its form.
func TestVectorsInspected(t *testing.T) { forVectors(t, inspectVector) }

func forVectors(t *testing.T, run func(t *testing.T, dir, file string)) {
	dir := filepath.Join("..", "..", "..", "testdata", "vectors")
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("test vectors in %s: got %d, want at least 100", dir, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			run(t, dir, file)
		})
	}
}

func openVector(t *testing.T, dir, file string) {
	head, token := readVector(t, file)
	want, known := exitCodes[head["expect"]]
	if !known {
		t.Fatalf("the vector expects %q, which has no exit code here", head["expect"])
	}
	args := []string{"open", "-o", "json", "--ring-fd", "3", "--at", head["at"], "--accept", head["accept"]}
	for name, flag := range map[string]string{"leeway": "--leeway", "maxlife": "--max-life", "maxjourney": "--max-journey"} {
		if v := head[name]; v != "" {
			args = append(args, flag, v+"s")
		}
	}
	if v := head["limit"]; v != "" {
		args = append(args, "--limit", v)
	}
	if head["foreign"] == "yes" {
		args = append(args, "--domain", head["domain"])
	}
	ring, err := os.Open(filepath.Join(dir, head["ring"]))
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	stdout, stderr, code := execute(t, token, []*os.File{ring}, args...)
	if code != want {
		t.Fatalf("%s: exit code: got %d, want %d (%s); stderr: %s", head["comment"], code, want, head["expect"], stderr)
	}
	var got struct {
		Verified bool
		Reason   string
		Claims   json.RawMessage
	}
	if err := json.Unmarshal(stdout, &got); err != nil {
		t.Fatalf("stdout is not JSON: %v in %q", err, stdout)
	}
	if got.Verified != (want == 0) {
		t.Errorf("verified: got %v, want %v", got.Verified, want == 0)
	}
	if want != 0 {
		if got.Reason != head["expect"] || got.Claims != nil {
			t.Errorf("got reason %q and claims %s, want %q and none", got.Reason, got.Claims, head["expect"])
		}
		return
	}
	if have, wanted := decode(t, got.Claims), decode(t, []byte(head["payload"])); !reflect.DeepEqual(have, wanted) {
		t.Errorf("claims: got %v, want %v", have, wanted)
	}
}

func inspectVector(t *testing.T, _, file string) {
	head, token := readVector(t, file)
	stdout, stderr, code := execute(t, token, nil, "inspect", "-o", "json")
	var got struct {
		Verified   *bool
		Protection string
		Claims     json.RawMessage
	}
	if err := json.Unmarshal(stdout, &got); err != nil {
		t.Fatalf("stdout is not JSON: %v in %q", err, stdout)
	}
	if got.Verified == nil || *got.Verified {
		t.Errorf("verified: got %v, want false", got.Verified)
	}
	sealed := got.Protection == "sealed" // and its header is sound
	if sealed && got.Claims != nil {
		t.Errorf("claims of a sealed token: got %s, want none", got.Claims)
	}
	switch expect := head["expect"]; {
	case expect == "malformed" && !sealed:
		if code != 3 {
			t.Errorf("%s: exit code: got %d, want 3", head["comment"], code)
		}
	case expect == "ok":
		if code != 0 {
			t.Errorf("%s: exit code: got %d, want 0; stderr: %s", head["comment"], code, stderr)
		}
		if !sealed && !reflect.DeepEqual(decode(t, got.Claims), decode(t, []byte(head["payload"]))) {
			t.Errorf("claims: got %s, want %s", got.Claims, head["payload"])
		}
	}
}

// execute runs the program with a token on standard input and files as its descriptors from 3 on.
func execute(t *testing.T, token string, files []*os.File, args ...string) (stdout, stderr []byte, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(program(), args...)
	cmd.ExtraFiles = files
	cmd.Stdout, cmd.Stderr = &out, &errs
	// The line end that the program takes off; the token's own stay.
	cmd.Stdin = strings.NewReader(token + "\r\n")
	if err := cmd.Run(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	return out.Bytes(), errs.Bytes(), code
}

// readVector reads "name: value" lines, an empty line and a token, which is a JSON string if it has quotes.
func readVector(t *testing.T, file string) (head map[string]string, token string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines, token, ok := strings.Cut(string(data), "\n\n")
	if !ok {
		t.Fatalf("%s has no empty line", file)
	}
	head = map[string]string{}
	for line := range strings.SplitSeq(lines, "\n") {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			t.Fatalf("%s: header line %q has no value", file, line)
		}
		head[name] = value
	}
	token = strings.TrimSuffix(token, "\n")
	if strings.HasPrefix(token, `"`) {
		if err := json.Unmarshal([]byte(token), &token); err != nil {
			t.Fatalf("%s: token: %v", file, err)
		}
	}
	return head, token
}

func decode(t *testing.T, data []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return v
}
