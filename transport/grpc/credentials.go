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

// outgoing is one call of the client, with the token that was pinned for it. It puts the token on the wire as the call's
// credentials, because gRPC shows the connection to credentials and not to interceptors. gRPC asks once for each attempt.
type outgoing struct {
	*config
	call   *waybill.Call
	cc     *grpc.ClientConn
	method string
	next   credentials.PerRPCCredentials // the caller's own, or nil

	judged atomic.Bool // counted as sent or suppressed
	sent   atomic.Bool
}

// credentialsOf returns the call credentials in opts. As in gRPC, the last ones count.
func credentialsOf(opts []grpc.CallOption) credentials.PerRPCCredentials {
	for _, o := range slices.Backward(opts) {
		if o, ok := o.(grpc.PerRPCCredsCallOption); ok {
			return o.Creds
		}
	}
	return nil
}

// GetRequestMetadata gives the token, beside what the caller's own credentials give, if the connection is approved and its
// limits have room.
func (o *outgoing) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	md, err := o.theirs(ctx, uri)
	if err != nil {
		return nil, err
	}
	beneath, _ := metadata.FromOutgoingContext(ctx)
	first := o.judged.CompareAndSwap(false, true)
	switch why := o.objection(ctx); {
	case beneath[waybill.Header] != nil:
		// A propagator beneath us that always injects has been asked for by its name. Two tokens would be refused.
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
		md = with(md, o.call.Token())
	}
	o.sent.Store(true)
	if first {
		o.rec.Injected(ctx, nil)
	}
	return md, nil
}

// theirs is what the caller's own credentials give.
func (o *outgoing) theirs(ctx context.Context, uri []string) (map[string]string, error) {
	if o.next == nil {
		return nil, nil
	}
	return o.next.GetRequestMetadata(ctx, uri...)
}

// objection returns why the token must not travel over the connection of the attempt in ctx, or "".
func (o *outgoing) objection(ctx context.Context) string {
	if o.plaintext && o.peer == nil {
		return ""
	}
	conn, _ := credentials.RequestInfoFromContext(ctx)
	// By gRPC's own measure of what may carry a bearer token.
	if credentials.CheckSecurityLevel(conn.AuthInfo, credentials.PrivacyAndIntegrity) != nil {
		return "the connection has no privacy and integrity"
	}
	if o.peer == nil {
		return ""
	}
	if peer, ok := conn.AuthInfo.(credentials.TLSInfo); !ok || !o.peer(peer) {
		return "AllowPeer does not approve of the peer"
	}
	return ""
}

// fits reports whether the token can stand beside the caller's metadata and credentials. Credentials of the connection are
// not seen here.
func (o *outgoing) fits(md metadata.MD, creds map[string]string, uri []string) bool {
	size := requestFields + len(o.method) + fieldSize(waybill.Header, o.call.Token()) + listSize(md)
	for _, u := range uri {
		size += len(u)
	}
	for key, value := range creds {
		size += fieldSize(key, value)
	}
	return size <= listLimit
}

// RequireTransportSecurity is what the caller's own credentials say. Ours hold the token back instead: the call goes on.
func (o *outgoing) RequireTransportSecurity() bool {
	return o.next != nil && o.next.RequireTransportSecurity()
}

// target is the destination for logs. In-process transports may show interceptors no connection.
func (o *outgoing) target() string {
	if o.cc == nil {
		return "unknown"
	}
	return o.cc.Target()
}

// with returns a copy of md, which belongs to the caller's credentials, with the token in it.
func with(md map[string]string, token string) map[string]string {
	out := make(map[string]string, len(md)+1)
	for k, v := range md {
		if !strings.EqualFold(k, waybill.Header) {
			out[k] = v
		}
	}
	out[waybill.Header] = token
	return out
}
