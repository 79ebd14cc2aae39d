package waybillgrpc

import (
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
)

// ErrorDomain is the domain of the ErrorInfo detail in a refusal. Its reason is one of [waybill.Reason].
const ErrorDomain = "waybill"

// forgotten tells a caller that sent no waybill the likely cause. No code of this module runs at such a
// caller, so only the server can tell it.
const forgotten = "; a caller in Go sends the waybill of its context with the DialOptions of waybillgrpc.NewClient"

// refusal returns the status that the peer sees: the reason, and nothing about the cause.
func refusal(err error) error {
	reason := waybill.Reason(err)
	message := "waybill refused: " + reason
	if errors.Is(err, waybill.ErrNoWaybill) {
		message += forgotten
	}
	st := status.New(codes.Code(admission.GRPCCode(err)), message)
	if detailed, err := st.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: ErrorDomain}); err == nil {
		st = detailed
	}
	return st.Err()
}

// expiredError fails a call before it is sent. It has a status code, and wraps [waybill.ErrExpired].
type expiredError struct{}

func (expiredError) Error() string { return expired.Err().Error() }

// GRPCStatus returns the status for grpc-go.
func (expiredError) GRPCStatus() *status.Status { return expired }

func (expiredError) Unwrap() error { return waybill.ErrExpired }

// FAILED_PRECONDITION: retrying does not help until this process has issued a fresh waybill, and the
// caller of this process cannot help either.
var expired = status.New(codes.FailedPrecondition,
	"waybill: not sent, because it has expired since it was received; call waybill.Reissue first")
