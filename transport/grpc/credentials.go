package waybillgrpc

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/waybill-go/waybill"
)

// outgoing is one call of the client, with the token pinned for it. It sends the token as the call's
// credentials, because gRPC shows the connection to credentials and not to interceptors. gRPC asks for
// credentials once per attempt.
type outgoing struct {
	*Client
	call   *waybill.Call
	cc     *grpc.ClientConn
	method string
	next   credentials.PerRPCCredentials // the caller's credentials, or nil

	judged atomic.Bool // counted as sent or suppressed
	sent   atomic.Bool
}

// credentialsOf returns the call credentials in opts. As in gRPC, the last ones are used.
func credentialsOf(opts []grpc.CallOption) credentials.PerRPCCredentials {
	for _, o := range slices.Backward(opts) {
		if o, ok := o.(grpc.PerRPCCredsCallOption); ok {
			return o.Creds
		}
	}
	return nil
}

// GetRequestMetadata returns the caller's credentials, together with the token if the connection is
// approved and the token fits its limits.
func (o *outgoing) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	md, err := o.theirs(ctx, uri)
	if err != nil {
		return nil, err
	}
	beneath, _ := metadata.FromOutgoingContext(ctx)
	first := o.judged.CompareAndSwap(false, true)
	switch why := o.objection(ctx); {
	case beneath[waybill.Header] != nil:
		// A propagator below the interceptor injects always, as its option says. Two tokens would be refused.
		md = with(md, hopHeader, "1")
	case why != "":
		if first {
			o.rec.Suppressed(ctx, o.target(), why)
		}
		return md, nil
	case !o.fits(beneath, md, uri):
		if first {
			o.rec.Injected(ctx, waybill.ErrTooLarge)
		}
		return md, nil
	default:
		md = with(md, waybill.Header, o.call.Token(), hopHeader, "1")
	}
	o.sent.Store(true)
	if first {
		o.rec.Injected(ctx, nil)
	}
	return md, nil
}

// theirs returns the metadata of the caller's credentials.
func (o *outgoing) theirs(ctx context.Context, uri []string) (map[string]string, error) {
	if o.next == nil {
		return nil, nil
	}
	return o.next.GetRequestMetadata(ctx, uri...)
}

// objection returns why the token must not be sent over the connection of the attempt in ctx, or "".
func (o *outgoing) objection(ctx context.Context) string {
	if o.plaintext && o.peer == nil {
		return ""
	}
	conn, _ := credentials.RequestInfoFromContext(ctx)
	// The level that gRPC itself requires for bearer tokens.
	if credentials.CheckSecurityLevel(conn.AuthInfo, credentials.PrivacyAndIntegrity) != nil {
		return "the connection has no privacy and integrity; use TLS, or AllowPlaintext in a trusted network"
	}
	if o.peer == nil {
		return ""
	}
	if peer, ok := conn.AuthInfo.(credentials.TLSInfo); !ok || !o.peer(peer) {
		return "OnlyPeers does not approve the peer"
	}
	return ""
}

// fits reports whether the token fits next to the caller's metadata and credentials. Credentials of the
// connection are not visible here.
func (o *outgoing) fits(md metadata.MD, creds map[string]string, uri []string) bool {
	size := requestFields + len(o.method) + listSize(md) +
		fieldSize(waybill.Header, o.call.Token()) + fieldSize(hopHeader, "1")
	for _, u := range uri {
		size += len(u)
	}
	for key, value := range creds {
		size += fieldSize(key, value)
	}
	return size <= listLimit
}

// RequireTransportSecurity returns the answer of the caller's credentials. On an insecure connection the
// call goes on without the token.
func (o *outgoing) RequireTransportSecurity() bool {
	return o.next != nil && o.next.RequireTransportSecurity()
}

// target returns the destination for logs. In-process transports may pass no connection.
func (o *outgoing) target() string {
	if o.cc == nil {
		return "unknown"
	}
	return o.cc.Target()
}

// with returns a copy of md with the fields, given as names and values, and with no others of our names.
// The map md belongs to the caller's credentials.
func with(md map[string]string, fields ...string) map[string]string {
	out := make(map[string]string, len(md)+len(fields)/2)
	for k, v := range md {
		if !ours(strings.ToLower(k)) {
			out[k] = v
		}
	}
	for i := 0; i < len(fields); i += 2 {
		out[fields[i]] = fields[i+1]
	}
	return out
}
