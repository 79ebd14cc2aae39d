// Package waybillgrpc carries waybills over gRPC: server interceptors that open, judge and strip what a call brings, and
// client interceptors that send the caller's waybill along and take back what the callee made of it.
//
// The ordinary path is one line on each side:
//
//	srv := grpc.NewServer(waybillgrpc.ServerOptions(auth)...)
//	conn, err := grpc.NewClient(target, append(waybillgrpc.DialOptions(auth), grpc.WithTransportCredentials(creds))...)
//
// Handlers then read and change claims in their context. The options chain, so other interceptors may stand beside these.
// Where the order is yours, put ours behind recovery on the server, so that a panic sends nothing back, and before retry
// middleware on the client, so that all attempts carry the same token.
//
// # On the server
//
// An invalid waybill is refused; an absent one passes unless [Required] or [RequireClaims] says otherwise. A refusal is a
// status whose ErrorInfo detail has the domain [ErrorDomain] and the stable reason that [waybill.Reason] names; the cause
// stays here. The code is UNAUTHENTICATED, PERMISSION_DENIED if a required claim is missing, INVALID_ARGUMENT for what is
// not one well-formed token, and UNAVAILABLE if the keys are not at hand.
//
// The token is taken out of the metadata that the handler sees, so that a proxy which copies its metadata does not pass it
// on. A change travels back in the trailer, whatever the handler returns, and never in a header: a header would end the
// client's retries. It stays behind, and is counted, where the trailer would outgrow the 8 KiB that other gRPC
// implementations take.
//
// Interceptors run in a server of gRPC's own; one of connect-go takes the middleware of transport/http. An HTTP middleware
// around [grpc.Server.ServeHTTP] has taken the token out before they see it: let it skip gRPC requests.
//
// # On the client
//
// Giving the options to a connection is the permission to send the waybill to its target. Other connections of the process
// send none, OpenTelemetry's instrumentation included. The token is pinned once for each call, for all attempts of gRPC's
// own retries, and travels over connections with privacy and integrity only: [AllowPlaintext] is for a mesh or a test, and
// [AllowPeer], the strictest, looks at the peer's certificate. On others the call goes on without it, as it does, counted as
// too_large, where the request would outgrow 8 KiB. Call credentials of the user, for a call or a connection, work beside
// it; an interceptor behind ours that sets [grpc.PerRPCCredentials] replaces it.
//
// The update is merged before the caller sees the result of the call: the return of a unary call, io.EOF or an error of a
// stream, the one response of a client stream. A stream that is abandoned before its end brings nothing back. Neither the
// headers nor the trailers that the caller sees contain the update, however it asks for them.
//
// A waybill that has expired since it was received is not sent: the call fails here, with FAILED_PRECONDITION and an error
// that wraps [waybill.ErrExpired]; see [waybill.Reissue].
//
// Tokens are in the metadata, and gRPC's binary log writes metadata down: leave the two header names out of it.
package waybillgrpc
