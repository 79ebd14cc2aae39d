// Package waybillgrpc carries waybills over gRPC: server interceptors that open the waybill of each call
// and send back what the handler changed, and client interceptors that send the caller's waybill and
// merge what the callee returned.
//
//	incoming, err := waybillgrpc.NewServer(auth)
//	srv := grpc.NewServer(incoming.ServerOptions()...)
//
//	outgoing, err := waybillgrpc.NewClient(auth)
//	conn, err := grpc.NewClient(target, append(outgoing.DialOptions(), grpc.WithTransportCredentials(creds))...)
//
// Handlers then read and change claims in their context. The options chain, so they can be combined with
// other interceptors. If you choose the order, install the server interceptors inside recovery, so that a
// panic sends nothing back, and the client interceptors outside retry middleware, so that all attempts
// have the same token.
//
// # Server
//
// An invalid waybill is refused. An absent one passes unless [Required] or [RequireClaims] says otherwise.
// A refusal is a status whose ErrorInfo detail has the domain [ErrorDomain] and the stable reason that
// [waybill.Reason] names; the cause is not sent. The code is UNAUTHENTICATED, PERMISSION_DENIED if a
// required claim is missing, INVALID_ARGUMENT if the call does not carry exactly one well-formed token,
// and UNAVAILABLE if the keys are not available.
//
// The token is removed from the metadata that the handler sees, so that a proxy that copies its metadata
// does not send it on. Changes go back in the trailer, whatever the handler returns, and never in a
// header, because a header would end the client's retries. If the trailer would exceed 8 KiB, the limit
// of other gRPC implementations, the returned token is left out and counted as too_large.
//
// The interceptors run in a server of gRPC itself; servers of connect-go use the middleware of
// transport/http. An HTTP middleware around [grpc.Server.ServeHTTP] removes the token before the
// interceptors see it: let it skip gRPC requests.
//
// # Client
//
// Giving the options to a connection is the permission to send waybills to its target. Other connections
// of the process send none, even with OpenTelemetry's instrumentation. The token is pinned once per call,
// for all attempts of gRPC's retries. It is sent over connections with privacy and integrity only, unless
// [AllowPlaintext] is given for a mesh or a test; [OnlyPeers] also checks the peer's certificate. On other
// connections the call is made without the token, and so is a call that would exceed 8 KiB with it, which
// is counted as too_large. The caller's own call credentials are kept. An interceptor further in that sets
// [grpc.PerRPCCredentials] replaces the token.
//
// The returned token is merged before the caller sees the result of the call: the return of a unary call,
// io.EOF or an error of a stream, or the one response of a client stream. The caller never sees the
// returned token in headers or trailers.
//
// Read every stream to its end. If the caller gives a stream up, because it ends the context or closes the
// connection, a returned token that has already arrived is merged soon afterwards, as of a failed call. If
// none has arrived, one may have followed: the stream is counted as unread, and [waybill.Lost] reports
// [waybill.ErrUnread].
//
// Each token is sent together with the metadata waybill-hop: 1. It tells an edge of package waybillhttp
// around [grpc.Server.ServeHTTP] that the caller keeps its own waybill, which must not be renewed.
//
// A waybill that has expired since it was received is not sent: the call fails with FAILED_PRECONDITION
// and an error that wraps [waybill.ErrExpired]; see [waybill.Reissue].
//
// Tokens are in the metadata, and gRPC's binary log records metadata: exclude the two header names there.
//
// Integration tests: internal/integration/grpc, and internal/integration/carriers for what all transports
// have in common.
package waybillgrpc
