package waybill

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// newSID returns the "sid" of a journey that begins at the given time: 4 bytes of seconds since 1970,
// big-endian, and 12 random bytes, in base64url.
func newSID(began time.Time) string {
	var id [16]byte
	rand.Read(id[4:])
	binary.BigEndian.PutUint32(id[:4], uint32(began.Unix()))
	return base64.RawURLEncoding.EncodeToString(id[:])
}
