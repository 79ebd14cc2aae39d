package jose

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
)

const (
	// A random 96-bit nonce may repeat once a key has met 2^32 messages (NIST SP 800-38D, section
	// 8.3). Each issuing process seals under keys of its own, and starts a new one long before.
	maxSealed = 1 << 30

	// maxDerived bounds the derived keys that a Key remembers; a fleet has about one per issuing
	// process.
	maxDerived = 1024

	derivationLabel = "waybill/a256gcm/v1"
)

// derivation names one derived key.
type derivation struct {
	domain string
	salt   [saltLen]byte
}

// sealer is a derived key in use for issuing.
type sealer struct {
	mu  sync.Mutex // serialises renewal
	cur atomic.Pointer[sealing]
}

type sealing struct {
	head string // the encoded header and its dot
	aead cipher.AEAD
	used atomic.Int64
}

// derive returns the AES-256-GCM of (domain, kid, salt): HKDF-Expand (RFC 5869) with SHA-256 over
// the length-prefixed strings. The salt goes into info, not into Extract, because attackers choose
// it.
func (k *Key) derive(domain string, salt []byte) cipher.AEAD {
	var room [256]byte
	info := room[:0]
	for _, s := range [...]string{derivationLabel, domain, k.kid, string(salt)} {
		info = binary.BigEndian.AppendUint16(info, uint16(len(s)))
		info = append(info, s...)
	}
	key, err := hkdf.Expand(sha256.New, k.prk(), string(info), 32)
	if err != nil {
		panic(err) // only lengths can be wrong, and they are constants
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func (k *Key) openSealed(t *Token, domain string) ([]byte, error) {
	switch {
	case t.dots[1] != t.dots[0]+1:
		return nil, &Error{Malformed, "dir has no encrypted key, but that part is not empty"}
	case t.dots[2]-t.dots[1]-1 != nonceLen, len(t.text)-t.dots[3]-1 != tagLen:
		return nil, errLength
	}
	d := derivation{domain: domain}
	copy(d.salt[:], t.Salt)
	aead, seen := (*k.derived.Load())[d]
	if !seen {
		aead = k.derive(domain, t.Salt)
	}

	s := buffers.Get().(*buffer)
	defer buffers.Put(s)
	s.b = append(s.b[:0], t.text...)
	text := len(s.b)
	s.b = append(s.b, make([]byte, nonceSize+encoding.DecodedLen(t.dots[3]-t.dots[2]-1)+tagSize+2)...)
	nonce, box := s.b[text:text+nonceSize], s.b[text+nonceSize:]
	_, ok := decode64(nonce, s.b[t.dots[1]+1:t.dots[2]])
	sealed, ok2 := decode64(box, s.b[t.dots[2]+1:t.dots[3]])
	n := len(sealed)
	_, ok3 := decode64(box[n:], s.b[t.dots[3]+1:text])
	if !ok || !ok2 || !ok3 {
		return nil, errBase64
	}
	// RFC 7516, section 5.1, step 14: the additional data is the encoded header.
	out, err := aead.Open(make([]byte, 0, n), nonce, box[:n+tagSize], s.b[:t.dots[0]])
	if err != nil {
		return nil, errForged
	}
	if !seen {
		k.remember(d, aead)
	}
	return out, nil
}

// remember admits a derived key, after a token has passed under it. Readers take no lock, so
// writers replace the map.
func (k *Key) remember(d derivation, aead cipher.AEAD) {
	k.admit.Lock()
	defer k.admit.Unlock()
	old := *k.derived.Load()
	next := make(map[derivation]cipher.AEAD, len(old)+1)
	for o, a := range old {
		if len(next) == maxDerived-1 {
			break // map order is random: some other one has to go
		}
		next[o] = a
	}
	next[d] = aead
	k.derived.Store(&next)
}

func (k *Key) issueSealed(payload []byte, domain string) string {
	v, ok := k.sealers.Load(domain)
	if !ok {
		v, _ = k.sealers.LoadOrStore(domain, new(sealer))
	}
	cur := v.(*sealer).next(k, domain)

	s := buffers.Get().(*buffer)
	defer buffers.Put(s)
	nonce := &s.nonce
	rand.Read(nonce[:])
	s.b = append(append(s.b[:0], cur.head...), '.')
	s.b = encoding.AppendEncode(s.b, nonce[:])
	s.b = append(s.b, '.')
	token := len(s.b)
	// The box is made behind the token's place, then encoded forward into it.
	end := token + encoding.EncodedLen(len(payload)) + 1 + tagLen
	for cap(s.b) < end+len(payload)+tagSize {
		s.b = append(s.b[:cap(s.b)], 0)
	}
	s.b = s.b[:end]
	box := cur.aead.Seal(s.b[end:], nonce[:], payload, s.b[:len(cur.head)-1])
	s.b = encoding.AppendEncode(s.b[:token], box[:len(payload)])
	s.b = append(s.b, '.')
	s.b = encoding.AppendEncode(s.b, box[len(payload):])
	return string(s.b)
}

// next counts one token and returns the derived key to seal it with.
func (s *sealer) next(k *Key, domain string) *sealing {
	if cur := s.cur.Load(); cur != nil && cur.used.Add(1) <= maxSealed {
		return cur
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if cur := s.cur.Load(); cur != nil && cur.used.Add(1) <= maxSealed {
		return cur
	}
	var raw [16]byte
	rand.Read(raw[:])
	salt := encoding.EncodeToString(raw[:])
	cur := &sealing{
		head: string(append(appendHeader(nil, A256GCM, k.kid, salt), '.')),
		aead: k.derive(domain, []byte(salt)),
	}
	cur.used.Store(1)
	s.cur.Store(cur)
	return cur
}
