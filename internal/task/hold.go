package task

import (
	"context"
	"errors"
	"time"

	"deploy/internal/node"
	"deploy/steps"
)

// Patience is how long looks go on after an act before it counts as not held: an address may be in
// duplicate address detection, a new volume may still be mounted, a directory may replicate.
const Patience = 15 * time.Second

// PatienceFor is the patience with a step: its kind may say that it takes longer.
func PatienceFor(s steps.Step) time.Duration {
	if slow, ok := s.(steps.Slow); ok {
		return max(Patience, slow.ShowsWithin())
	}
	return Patience
}

// The first pause between two looks, and the longest.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 4 * time.Second
)

// Hold looks until held says of the answer that it is as it shall be, for as long as patience says,
// and at least once. It gives back the last answer. An error ends it at once, unless it says that
// something is not there yet.
func Hold[T any](ctx context.Context, patience time.Duration, pause func(context.Context, time.Duration) error,
	look func(context.Context) (T, error), held func(T) bool) (T, error) {
	for waited, d := time.Duration(0), firstPause; ; d = min(2*d, longestPause) {
		got, err := look(ctx)
		if err == nil && held(got) || err != nil && !comes(err) || waited >= patience {
			return got, err
		}
		d = min(d, patience-waited)
		if perr := pause(ctx, d); perr != nil {
			return got, errors.Join(err, perr)
		}
		waited += d
	}
}

// comes says that what is not there may still come.
func comes(err error) bool {
	var until *steps.UntilError
	return errors.As(err, &until) || errors.Is(err, node.ErrNotFound)
}
