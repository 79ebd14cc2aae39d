package natskv

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/keyring"
)

// history is how many versions of a ring the bucket stores, so that an operator can look at earlier
// ones.
const history = 8

// Option configures [Create].
type Option interface{ apply(*jetstream.StreamConfig) }

type option func(*jetstream.StreamConfig)

func (o option) apply(c *jetstream.StreamConfig) { o(c) }

// Replicas sets how many servers of a cluster store the bucket: 1 (the default), 3 or 5.
func Replicas(n int) Option { return option(func(c *jetstream.StreamConfig) { c.Replicas = n }) }

// Create makes a bucket for rings. It stores rings in files, without a maximum age and with some
// history, and republishes each change to the nudge subject. The server rejects purges and roll-ups
// of the bucket, so Purge of the key-value API fails on it; Delete works. Create is for operators;
// services need no permission for it. If a bucket with the same name and settings exists, Create succeeds; if its
// settings differ, it returns an error and changes nothing.
func Create(ctx context.Context, nc *nats.Conn, bucket string, opts ...Option) error {
	if nc == nil {
		return errNoConnection
	}
	if err := checkBucket(bucket); err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("natskv: %w", err)
	}
	config := jetstream.StreamConfig{
		Name:              streamName(bucket),
		Subjects:          []string{"$KV." + bucket + ".>"},
		MaxMsgsPerSubject: history,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		Storage:           jetstream.FileStorage,
		Replicas:          1,
		// With these settings other tools see the stream as a key-value bucket.
		Discard:     jetstream.DiscardNew,
		DenyDelete:  true,
		AllowDirect: true,
		// In contrast to other buckets: one message with the header "Nats-Rollup: all", from a node that
		// may write one ring, would remove the rings of all domains.
		AllowRollup: false,
		DenyPurge:   true,
		RePublish: &jetstream.RePublish{
			Source: "$KV." + bucket + ".>", Destination: nudgePrefix(bucket) + ">", HeadersOnly: true,
		},
	}
	for _, o := range opts {
		if o == nil {
			return errors.New("natskv: an option is nil")
		}
		o.apply(&config)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch _, err := js.CreateStream(ctx, config); {
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return fmt.Errorf("natskv: bucket %q exists with other settings: %w: see waybill keys doctor", bucket, jetstream.ErrBucketExists)
	case err != nil:
		return fmt.Errorf("natskv: creating bucket %q: %w%s", bucket, err, denied(nc, err, "STREAM.CREATE."+config.Name))
	}
	return nil
}

// NudgeSubject returns the subject to which the server publishes that the ring of a domain has
// changed.
func NudgeSubject(bucket, domain string) string { return nudgePrefix(bucket) + Key(domain) }

// StatusSubject returns the subject on which the nodes of a domain are asked for the state of their
// rings.
func StatusSubject(bucket, domain string) string {
	return "waybill.status." + bucket + "." + Key(domain)
}

// Key returns the bucket's key for the ring of a domain: "ring." and the domain, in which every
// character except A-Z a-z 0-9 - _ is written as = and two hexadecimal digits. So the domain is one
// token of the subject, and no two domains have the same key.
func Key(domain string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString("ring.")
	for _, c := range []byte(domain) {
		if nameByte(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'=', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// checkBucket returns an error unless a key-value bucket can have the name.
func checkBucket(bucket string) error {
	ok := len(bucket) > 0 && len(bucket) <= 128
	for _, c := range []byte(bucket) {
		ok = ok && nameByte(c)
	}
	if !ok {
		return fmt.Errorf("natskv: bucket %q is not 1 to 128 characters of A-Z a-z 0-9 - _", bucket)
	}
	return nil
}

func checkNames(bucket, domain string) error {
	return errors.Join(checkBucket(bucket), keyring.CheckDomain(domain))
}

func streamName(bucket string) string  { return "KV_" + bucket }
func nudgePrefix(bucket string) string { return "waybill.nudge." + bucket + "." }
