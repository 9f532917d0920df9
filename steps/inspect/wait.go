package inspect

import (
	"context"
	"fmt"
	"time"
)

// Wait asks done again and again until it says yes, an error comes, or most has gone by. It looks
// quickly first and then every second. what names the thing waited for, for the error.
func Wait(ctx context.Context, what string, most time.Duration, done func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	pause := 20 * time.Millisecond
	for {
		ok, err := done(ctx)
		if err != nil || ok {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("gave up waiting for %s: %w", what, ctx.Err())
		case <-timer.C:
		}
		pause = min(2*pause, time.Second)
	}
}
