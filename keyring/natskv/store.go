package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/keyring"
)

// patience bounds one call, whatever the caller's context allows. It covers the election of a
// stream's leader.
const patience = 5 * time.Second

// The error codes of a lost compare-and-swap: there is another version, or, in a cluster, another
// one may be in flight.
const (
	wrongLastSequence jetstream.ErrorCode = 10071
	sequenceInFlight  jetstream.ErrorCode = 10164
)

var (
	errNoConnection = errors.New("natskv: no connection: pass a *nats.Conn that is not nil")
	errOffline      = errors.New("natskv: not connected to NATS")
	errLost         = errors.New("natskv: the connection to NATS was lost during the call")
)

// Store stores the ring of one domain in a bucket. It is a [keyring.Store], safe for concurrent
// use. The zero Store and a nil Store have no connection: every call fails, and there are no
// nudges.
type Store struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	bucket  string
	subject string
	nudges  string
	status  string

	mu   sync.Mutex
	link context.Context // ends when the connection is lost, while Nudges is running
	cut  context.CancelCauseFunc
}

var _ keyring.Store = (*Store)(nil)

// New returns the store of a domain's ring in a bucket. It does no I/O: the server may be
// unreachable, and the bucket need not exist until the ring is read. The caller must close the
// connection. Use nats.MaxReconnects(-1) so that it survives any outage.
func New(nc *nats.Conn, bucket, domain string) (*Store, error) {
	if nc == nil {
		return nil, errNoConnection
	}
	if err := checkNames(bucket, domain); err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("natskv: %w", err)
	}
	s := &Store{
		nc: nc, js: js, bucket: bucket,
		subject: "$KV." + bucket + "." + Key(domain), nudges: NudgeSubject(bucket, domain), status: StatusSubject(bucket, domain),
	}
	s.link, s.cut = context.WithCancelCause(context.Background())
	return s, nil
}

// String returns the subject of the ring.
func (s *Store) String() string {
	if s == nil {
		return "natskv"
	}
	return "natskv " + s.subject
}

// Load reads the ring from the leader of the bucket's stream. It returns keyring.ErrNotFound if the
// leader has no ring or its last version is a deletion, and jetstream.ErrBucketNotFound if the
// bucket does not exist. Without a connection Load fails at once; it never takes longer than 5 s.
func (s *Store) Load(ctx context.Context) (keyring.Blob, error) {
	ctx, cancel, err := s.call(ctx)
	if err != nil {
		return keyring.Blob{}, err
	}
	defer cancel()
	info, err := s.request(ctx, "STREAM.INFO.", nil)
	if err != nil {
		return keyring.Blob{}, err
	}
	answered := time.Now()
	last, err := s.last(ctx)
	if err != nil {
		return keyring.Blob{}, err
	}
	if last == nil || last.deleted {
		return keyring.Blob{}, fmt.Errorf("%w: %s", keyring.ErrNotFound, s.subject)
	}
	blob := keyring.Blob{Data: last.Data, Revision: last.Seq}
	if !info.TimeStamp.IsZero() { // servers before 2.10 send no time
		blob.At = info.TimeStamp.Add(time.Since(answered))
	}
	return blob, nil
}

// CompareAndSwap publishes the next version if prev is still the last. It returns an error for a
// ring of more than three quarters of the server's max_payload.
func (s *Store) CompareAndSwap(ctx context.Context, prev uint64, data []byte) (uint64, error) {
	ctx, cancel, err := s.call(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	if limit := s.nc.MaxPayload() / 4 * 3; int64(len(data)) > limit {
		return 0, fmt.Errorf("natskv: the ring has %d bytes, the limit is %d, 75 %% of the server's max_payload: "+
			"use fewer members or keys, or a larger max_payload", len(data), limit)
	}
	expect := prev
	for {
		ack, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: s.subject, Header: nats.Header{}, Data: data},
			jetstream.WithExpectLastSequencePerSubject(expect), jetstream.WithExpectStream(streamName(s.bucket)))
		if err == nil {
			return ack.Sequence, nil
		}
		api, ok := errors.AsType[*jetstream.APIError](err)
		if !ok || api.ErrorCode != wrongLastSequence && api.ErrorCode != sequenceInFlight {
			return 0, s.failed(ctx, err, s.subject)
		}
		last, err := s.last(ctx)
		if err != nil {
			return 0, err
		}
		current := uint64(0)
		if last != nil {
			current = last.Seq
		}
		switch {
		case prev == 0 && last != nil && last.deleted && current != expect:
			expect = current // a deletion is also a version: the ring is created after it
		case current == expect && api.ErrorCode == sequenceInFlight:
			// The cluster still processes this or another version.
			select {
			case <-ctx.Done():
			case <-time.After(rand.N(10 * time.Millisecond)):
			}
		default:
			return 0, fmt.Errorf("%w: %s is not at version %d", keyring.ErrConflict, s.subject, prev)
		}
	}
}

// message is a message in the answer of a stream.
type message struct {
	Seq     uint64 `json:"seq"`
	Header  []byte `json:"hdrs"`
	Data    []byte `json:"data"`
	deleted bool
}

// answer is the part of JetStream's answers that this package reads.
type answer struct {
	Error     *jetstream.APIError `json:"error"`
	TimeStamp time.Time           `json:"ts"`
	Message   *message            `json:"message"`
}

// last asks the leader of the stream for the last message of the ring. It returns nil if there is
// certainly none.
func (s *Store) last(ctx context.Context) (*message, error) {
	query, err := json.Marshal(map[string]string{"last_by_subj": s.subject})
	if err != nil {
		return nil, err
	}
	a, err := s.request(ctx, "STREAM.MSG.GET.", query)
	if err != nil {
		if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return nil, nil
		}
		return nil, err
	}
	m := a.Message
	if m == nil || m.Seq == 0 {
		return nil, fmt.Errorf("natskv: %s: the server's answer has no message", s.subject)
	}
	if len(m.Header) > 0 {
		header, err := nats.DecodeHeadersMsg(m.Header)
		if err != nil {
			return nil, fmt.Errorf("natskv: %s: %w", s.subject, err)
		}
		op := header.Get("KV-Operation")
		m.deleted = op == "DEL" || op == "PURGE"
	}
	return m, nil
}

// request calls the JetStream API directly: the readers of the client may ask any replica, even one
// that lags by hours.
func (s *Store) request(ctx context.Context, method string, query []byte) (*answer, error) {
	subject := "$JS.API." + method + streamName(s.bucket)
	reply, err := s.nc.RequestWithContext(ctx, subject, query)
	if err != nil {
		return nil, s.failed(ctx, err, subject)
	}
	var a answer
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		return nil, fmt.Errorf("natskv: %s: not an answer of JetStream: %w", subject, err)
	}
	if a.Error != nil {
		if a.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound {
			return nil, fmt.Errorf("natskv: bucket %q: %w: an operator must create it", s.bucket, jetstream.ErrBucketNotFound)
		}
		return nil, fmt.Errorf("natskv: %s: %w", subject, a.Error)
	}
	return &a, nil
}

// failed returns an error that says, as far as possible, why a call got no answer.
func (s *Store) failed(ctx context.Context, err error, subject string) error {
	if cause := context.Cause(ctx); cause == errLost {
		return fmt.Errorf("%w: %s", errLost, subject)
	}
	return fmt.Errorf("natskv: %s: %w%s", subject, err, denied(s.nc, err, subject))
}

// denied explains a timeout. A server does not answer a call that it does not allow, but sends an
// error to the connection.
func denied(nc *nats.Conn, err error, subject string) string {
	last := nc.LastError()
	if last == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) {
		return ""
	}
	text := strings.ToLower(last.Error())
	if !strings.Contains(text, "permissions violation") || !strings.Contains(text, strings.ToLower(subject)) {
		return ""
	}
	return fmt.Sprintf(" (the server denied it: %v)", last)
}

// usable reports whether New made the store.
func (s *Store) usable() bool { return s != nil && s.nc != nil }

// call begins a call. Without a connection it fails at once, and when the connection is lost it
// ends the call.
func (s *Store) call(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if !s.usable() {
		return nil, nil, errNoConnection
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("natskv: %w", err)
	}
	s.mu.Lock()
	link := s.link
	s.mu.Unlock()
	if !s.nc.IsConnected() {
		return nil, nil, errOffline
	}
	ctx, expire := context.WithTimeout(ctx, patience)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(link, func() { cancel(errLost) })
	return ctx, func() { stop(); cancel(nil); expire() }, nil
}
