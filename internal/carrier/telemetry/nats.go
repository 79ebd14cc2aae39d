package telemetry

import "context"

// The outcomes that only messages of NATS have.
const (
	Undecided = "undecided" // waybill.refuse: could neither be decided nor held
	Untraced  = "untraced"  // waybill.inject: sent without its trace destination, counted as sent as well
)

// Undecided counts a message that could neither be decided nor held.
func (r *Recorder) Undecided(ctx context.Context) { r.refuse.add(ctx, Undecided) }

// Untraced counts a message whose trace destination was removed because it carries a waybill, and
// logs the first one of each subject.
func (r *Recorder) Untraced(ctx context.Context, subject string) {
	r.inject.add(ctx, Untraced)
	if r.first("untraced " + subject) {
		r.logger.WarnContext(ctx, "waybill: trace destination removed, because trace events would contain the token",
			"transport", r.transport, "destination", subject)
	}
}
