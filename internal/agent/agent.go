// Package agent runs steps on a node. Its worker holds a lock on the machine, keeps a record of its
// acts (the agent record), runs the tasks that a controller hands over, and keeps running when the
// connection is lost. Its front is what a transport starts: it connects the transport's streams to
// the worker, and starts a worker where there is none.
//
// After a lost connection the worker finishes the current step, records its outcome, and begins no
// other one. A controller that reconnects receives every event that it has not acknowledged.
package agent

import (
	"context"
	"log/slog"
	"time"

	"deploy/internal/agent/wire"
	"deploy/internal/node"
	"deploy/steps"
)

// Options are what a worker needs. Kinds, Session and Root must be set.
type Options struct {
	Kinds *steps.Registry
	// Session opens the session that steps see. It is called for every controller that comes, with its
	// credentials.
	Session func(ctx context.Context, credentials map[string]node.Credential) (node.Session, error)
	Root    string // private directory: lock, socket, records
	Version string
	Digest  func() (string, error) // SHA-256 of the program, hex; asked once for each controller, and may take a moment
	Now     func() time.Time
	Idle    time.Duration // the worker ends when nobody came for so long; 0 is 10 minutes
	Silence time.Duration // see wire.Silence, which is the default
	// how long a controller that is in another one's way has for a sign of life; 0 is three times
	// wire.Beat
	Sign  time.Duration
	Ahead int64        // how many events may be unacknowledged before no further task is begun; 0 is 256
	Log   *slog.Logger // never gets a value of a step
}

func (o *Options) defaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Idle <= 0 {
		o.Idle = 10 * time.Minute
	}
	if o.Silence <= 0 {
		o.Silence = wire.Silence
	}
	if o.Sign <= 0 {
		o.Sign = 3 * wire.Beat
	}
	if o.Ahead <= 0 {
		o.Ahead = 256
	}
	if o.Digest == nil {
		o.Digest = func() (string, error) { return "", nil }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}
