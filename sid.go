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

// rebegun returns the sid of the same journey with another begin. A clock that was ahead made the sid.
func rebegun(sid string, began time.Time) string {
	id, err := base64.RawURLEncoding.DecodeString(sid)
	if err != nil || len(id) != 16 { // ParseClaims has checked it
		return newSID(began)
	}
	binary.BigEndian.PutUint32(id[:4], uint32(began.Unix()))
	return base64.RawURLEncoding.EncodeToString(id)
}

// sameButBegun reports whether two sids differ in their begins only. Several edges may have corrected the
// begin at the same time.
func sameButBegun(a, b string) bool {
	return rebegun(a, time.Unix(0, 0)) == rebegun(b, time.Unix(0, 0))
}
