package admission

import "github.com/waybill-go/waybill"

// grpcCodes are the gRPC status codes of each class of refusal (google/rpc/code.proto).
var grpcCodes = [...]uint32{
	waybill.OK:              0,
	waybill.Unauthenticated: 16, // UNAUTHENTICATED
	waybill.Denied:          7,  // PERMISSION_DENIED
	waybill.Invalid:         3,  // INVALID_ARGUMENT
	waybill.TooLarge:        3,  // INVALID_ARGUMENT
	waybill.Unavailable:     14, // UNAVAILABLE
}

// GRPCCode returns the gRPC status code of a refusal. It is a number because the HTTP transport,
// which also answers gRPC calls, does not import gRPC.
func GRPCCode(err error) uint32 { return grpcCodes[waybill.ClassOf(err)] }
