package waybill_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

var update = flag.Bool("update", false, "write the files in testdata/vectors anew")

const vectorDir = "testdata/vectors"

// vector is one file of testdata/vectors; see the README there.
type vector struct {
	name       string
	comment    string
	expect     string
	cause      string
	domain     string
	at         int64
	accept     []waybill.Protection
	leeway     int // -1: the default
	maxLife    int // 0: the default
	maxJourney int // 0: the default
	limit      int // 0: the default
	ring       string
	foreign    bool
	payload    string
	token      string
}

var protections = []waybill.Protection{waybill.Signed, waybill.Sealed, waybill.Public}

// String writes the vector as its file.
func (v vector) String() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	line("comment", v.comment)
	line("expect", v.expect)
	line("cause", v.cause)
	line("domain", v.domain)
	line("at", strconv.FormatInt(v.at, 10))
	var accept []string
	for _, p := range v.accept {
		accept = append(accept, p.String())
	}
	line("accept", strings.Join(accept, ","))
	if v.leeway >= 0 {
		line("leeway", strconv.Itoa(v.leeway))
	}
	if v.maxLife > 0 {
		line("maxlife", strconv.Itoa(v.maxLife))
	}
	if v.maxJourney > 0 {
		line("maxjourney", strconv.Itoa(v.maxJourney))
	}
	if v.limit > 0 {
		line("limit", strconv.Itoa(v.limit))
	}
	line("ring", v.ring)
	if v.foreign {
		line("foreign", "yes")
	}
	line("payload", v.payload)
	token := v.token
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) || strings.HasPrefix(token, `"`) {
		quoted, _ := json.Marshal(token)
		token = string(quoted)
	}
	fmt.Fprintf(&b, "\n%s\n", token)
	return b.String()
}

// parseVector reads what String wrote.
func parseVector(name, text string) (vector, error) {
	v := vector{name: name, leeway: -1}
	head, body, ok := strings.Cut(text, "\n\n")
	if !ok {
		return v, fmt.Errorf("%s: no empty line", name)
	}
	for line := range strings.Lines(head) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		var err error
		switch {
		case !ok:
			err = fmt.Errorf("not a header line: %q", line)
		case key == "comment":
			v.comment = value
		case key == "expect":
			v.expect = value
		case key == "cause":
			v.cause = value
		case key == "domain":
			v.domain = value
		case key == "at":
			v.at, err = strconv.ParseInt(value, 10, 64)
		case key == "accept":
			for name := range strings.SplitSeq(value, ",") {
				i := slices.IndexFunc(protections, func(p waybill.Protection) bool { return p.String() == name })
				if i < 0 {
					return v, fmt.Errorf("%s: no protection %q", v.name, name)
				}
				v.accept = append(v.accept, protections[i])
			}
		case key == "leeway":
			v.leeway, err = strconv.Atoi(value)
		case key == "maxlife":
			v.maxLife, err = strconv.Atoi(value)
		case key == "maxjourney":
			v.maxJourney, err = strconv.Atoi(value)
		case key == "limit":
			v.limit, err = strconv.Atoi(value)
		case key == "ring":
			v.ring = value
		case key == "foreign":
			v.foreign = value == "yes"
		case key == "payload":
			v.payload = value
		default:
			err = fmt.Errorf("no header is named %q", key)
		}
		if err != nil {
			return v, fmt.Errorf("%s: %w", name, err)
		}
	}
	v.token = strings.TrimSuffix(body, "\n")
	if strings.HasPrefix(v.token, `"`) {
		if err := json.Unmarshal([]byte(v.token), &v.token); err != nil {
			return v, fmt.Errorf("%s: %w", name, err)
		}
	}
	return v, nil
}

// authority returns the Authority that the vector describes.
func (v vector) authority(t testing.TB) *waybill.Authority {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectorDir, v.ring))
	if err != nil {
		t.Fatal(err)
	}
	set, err := keyring.ParseSet(data)
	if v.foreign {
		set, err = keyring.ParseForeign(v.domain, data)
	}
	if err != nil {
		t.Fatal(err)
	}
	opts := []waybill.Option{
		waybill.Clock(func() time.Time { return time.Unix(v.at, 0) }),
		waybill.AlsoOpen(v.accept...),
		waybill.Claims(waybill.NewClaim[string]("cell")),
	}
	switch v.accept[0] { // an Authority also opens the protection it issues, so it must be one of the accepted
	case waybill.Sealed:
		opts = append(opts, waybill.Protect(waybill.Sealed))
	case waybill.Public:
		opts = append(opts, waybill.Protect(waybill.Public))
	}
	if v.leeway >= 0 {
		opts = append(opts, waybill.Leeway(time.Duration(v.leeway)*time.Second))
	}
	if v.maxLife > 0 {
		opts = append(opts, waybill.MaxLife(time.Duration(v.maxLife)*time.Second))
	}
	if v.maxJourney > 0 {
		d := time.Duration(v.maxJourney) * time.Second
		opts = append(opts, waybill.MaxJourney(d), waybill.Journey(min(waybill.DefaultJourney, d)))
	}
	if v.limit > 0 {
		opts = append(opts, waybill.AcceptLimit(v.limit))
	}
	auth, err := waybill.New(v.domain, keyring.NewRing(set), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

// TestVectors compares the files with the generator's, and opens each token.
func TestVectors(t *testing.T) {
	made := map[string]string{}
	for name, ring := range vectorRings() {
		made[name] = ring
	}
	for _, v := range vectors() {
		if _, ok := made[v.name+".txt"]; ok {
			t.Fatalf("two vectors are named %s", v.name)
		}
		made[v.name+".txt"] = v.String()
	}
	if *update {
		writeVectors(t, made)
	}
	found := 0
	for _, pattern := range []string{"*.txt", "*.jwks"} {
		files, err := filepath.Glob(filepath.Join(vectorDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			name := filepath.Base(path)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found++
			if string(text) != made[name] {
				t.Errorf("%s differs from the generator's; run go test -run TestVectors -update .", name)
				continue
			}
			if v, err := parseVector(strings.TrimSuffix(name, ".txt"), string(text)); strings.HasSuffix(name, ".txt") {
				if err != nil {
					t.Error(err)
					continue
				}
				t.Run(v.name, func(t *testing.T) { v.run(t) })
			}
		}
	}
	if found != len(made) {
		t.Errorf("got %d files, the generator makes %d", found, len(made))
	}
}

func writeVectors(t *testing.T, made map[string]string) {
	t.Helper()
	for _, pattern := range []string{"*.txt", "*.jwks"} {
		old, err := filepath.Glob(filepath.Join(vectorDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(made)) {
		if err := os.WriteFile(filepath.Join(vectorDir, name), []byte(made[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// run opens the token in every way and compares the outcomes.
func (v vector) run(t *testing.T) {
	auth := v.authority(t)
	wb, err := auth.Open(v.token)
	if got := waybill.Reason(err); got != v.expect {
		t.Fatalf("Open: got %s (%v), want %s: %s", got, err, v.expect, v.comment)
	}
	if (wb == nil) != (err != nil) {
		t.Errorf("Open: got waybill %v and error %v, want exactly one", wb, err)
	}
	if err != nil && !strings.Contains(err.Error(), cmp.Or(v.cause, "waybill: ")) {
		t.Errorf("Open: got %q, want a text with %q", err, v.cause)
	}
	if err != nil && len(v.token) > 40 && strings.Contains(err.Error(), v.token[:40]) {
		t.Errorf("Open: the error contains the token")
	}
	if got := string(wb.Payload()); got != v.payload {
		t.Errorf("payload: got %s, want %s", got, v.payload)
	}
	if err == nil && wb.Token() != v.token {
		t.Errorf("Token: got %s, want the opened token", wb.Token())
	}
	if _, err := auth.OpenAt(v.token, time.Unix(v.at, 0)); waybill.Reason(err) != v.expect {
		t.Errorf("OpenAt: got %v, want %s", err, v.expect)
	}
	ctx, hop := auth.Receive(t.Context(), []string{v.token}, nil)
	if got := waybill.Reason(hop.Err()); got != v.expect {
		t.Errorf("Receive: got %s, want %s", got, v.expect)
	}
	if _, err := waybill.FromContext(ctx); waybill.Reason(err) != v.expect {
		t.Errorf("FromContext: got %v, want %s", err, v.expect)
	}
}
