package waybillgrpc

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
)

// ErrorDomain is the domain of the ErrorInfo detail in a refusal: it says that the reason is one of [waybill.Reason].
const ErrorDomain = "waybill"

// refusal returns the status that the peer sees: the reason, and nothing of the cause.
func refusal(err error) error {
	reason := waybill.Reason(err)
	st := status.New(code(err), "waybill refused: "+reason)
	if detailed, err := st.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: ErrorDomain}); err == nil {
		st = detailed
	}
	return st.Err()
}

func code(err error) codes.Code {
	switch waybill.ClassOf(err) {
	case waybill.Unauthenticated:
		return codes.Unauthenticated
	case waybill.Denied:
		return codes.PermissionDenied
	case waybill.Invalid, waybill.TooLarge:
		return codes.InvalidArgument
	default:
		return codes.Unavailable
	}
}

// expiredError refuses a call here: it is a status for those who look at codes, and [waybill.ErrExpired] for those who
// look at causes.
type expiredError struct{}

func (expiredError) Error() string { return expired.Err().Error() }

// GRPCStatus makes this a status of grpc-go.
func (expiredError) GRPCStatus() *status.Status { return expired }

func (expiredError) Unwrap() error { return waybill.ErrExpired }

// FAILED_PRECONDITION: no retry helps until this process has made a fresh waybill, and the one who called us cannot help.
var expired = status.New(codes.FailedPrecondition,
	"waybill: not sent, it has expired since it was received; waybill.Reissue makes a fresh one of it")
