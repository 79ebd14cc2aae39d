package agering

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/waybill-go/waybill/internal/replace"
	"github.com/waybill-go/waybill/keyring"
)

// SeqGuard remembers the newest accepted roster and rejects older ones. It is safe for concurrent
// use and must not be copied. The zero SeqGuard is the same as one of [NewSeqGuard]. [New] rejects
// a nil SeqGuard.
type SeqGuard struct {
	path string

	mu   sync.Mutex
	last guardText // zero: none yet
}

// guardText is the state of a guard: one line of JSON with the members in this order.
type guardText struct {
	Domain     string `json:"domain"`
	Seq        uint64 `json:"seq"`
	Epoch      uint64 `json:"epoch"`
	EpochStart int64  `json:"epoch_start"`
	Digest     []byte `json:"sha256"`
}

const maxGuardFile = 1 << 10

// NewSeqGuard returns a guard that remembers in memory. After a restart a process accepts the first
// roster that it reads, even an old one that has not expired.
func NewSeqGuard() *SeqGuard { return &SeqGuard{} }

// LoadSeqGuard returns a guard that also remembers in a file. The file need not exist, but its
// folder must. A file that no guard has written is an error. Each process must have its own file.
func LoadSeqGuard(path string) (*SeqGuard, error) {
	g := &SeqGuard{path: path}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxGuardFile+1))
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	if g.last, err = parseGuard(data); err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, path)
	}
	return g, nil
}

func parseGuard(line []byte) (guardText, error) {
	var t guardText
	if len(line) > maxGuardFile || !decode(line, &t) || keyring.CheckDomain(t.Domain) != nil || t.Seq == 0 || t.Epoch == 0 ||
		t.EpochStart < 0 || len(t.Digest) != sha256.Size {
		return guardText{}, errors.New("agering: not the state of a SeqGuard")
	}
	return t, nil
}

// accept accepts the roster that it knows, or a newer one, and remembers it before it returns.
func (g *SeqGuard) accept(r *signedRoster) error {
	next := guardText{r.Domain, r.Seq, r.Epoch, r.text.EpochStart, r.digest[:]}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch last := g.last; {
	case last.Seq == 0:
	case next.Domain != last.Domain:
		return fmt.Errorf("%w: the roster is of %s, not %s", keyring.ErrDomain, next.Domain, last.Domain)
	case next.Seq < last.Seq:
		return fmt.Errorf("%w: number %d after %d", ErrOldRoster, next.Seq, last.Seq)
	case next.Seq == last.Seq && string(next.Digest) == string(last.Digest):
		return nil
	case next.Seq == last.Seq:
		return fmt.Errorf("agering: two different rosters have the number %d; the operator must sign one with a higher number", next.Seq)
	case next.Epoch < last.Epoch:
		return fmt.Errorf("%w: roster %d goes back from epoch %d to %d", ErrOldEpoch, next.Seq, last.Epoch, next.Epoch)
	case next.Epoch == last.Epoch && next.EpochStart != last.EpochStart, next.EpochStart < last.EpochStart:
		return fmt.Errorf("%w: roster %d moves the start of an epoch", ErrOldEpoch, next.Seq)
	}
	if g.path != "" {
		if err := replace.Write(g.path, encode(next)); err != nil {
			return fmt.Errorf("agering: cannot accept roster %d, because it cannot be remembered: %w", next.Seq, err)
		}
	}
	g.last = next
	return nil
}
