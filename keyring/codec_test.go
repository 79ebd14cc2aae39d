package keyring_test

import (
	"github.com/waybill-go/waybill/internal/jose"
	"github.com/waybill-go/waybill/keyring"
)

// roundTrip protects a payload with one key and opens it with another.
func roundTrip(opener, issuer *keyring.Key, payload []byte) ([]byte, error) {
	var buf jose.HeaderBuffer
	token, err := jose.Parse(issuer.Codec().Issue(payload, "shop"), &buf)
	if err != nil {
		return nil, err
	}
	return opener.Codec().Open(&token, "shop")
}
