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
	call *waybill.Call
	cc   *grpc.ClientConn
	next credentials.PerRPCCredentials // the caller's own, or nil

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

// GetRequestMetadata gives the token, beside what the caller's own credentials give, if the connection is approved.
func (o *outgoing) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	var md map[string]string
	if o.next != nil {
		theirs, err := o.next.GetRequestMetadata(ctx, uri...)
		if err != nil {
			return nil, err
		}
		md = theirs
	}
	// A propagator beneath us that always injects has been asked for by its name. Two tokens would be refused.
	beneath, _ := metadata.FromOutgoingContext(ctx)
	there := beneath[waybill.Header] != nil
	if !there && !o.plaintext && !private(ctx) {
		if o.judged.CompareAndSwap(false, true) {
			o.rec.Suppressed(ctx, o.target(), "the connection has no privacy and integrity")
		}
		return md, nil
	}
	o.sent.Store(true)
	if o.judged.CompareAndSwap(false, true) {
		o.rec.Injected(ctx, nil)
	}
	if there {
		return md, nil
	}
	return with(md, o.call.Token()), nil
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

// private reports whether the connection of the attempt in ctx may carry a bearer token, by gRPC's own measure.
func private(ctx context.Context) bool {
	ri, ok := credentials.RequestInfoFromContext(ctx)
	return ok && credentials.CheckSecurityLevel(ri.AuthInfo, credentials.PrivacyAndIntegrity) == nil
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
