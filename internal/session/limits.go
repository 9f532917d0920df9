package session

import (
	"log/slog"
	"time"

	"deploy/internal/node"
)

// Options say how a session works.
type Options struct {
	Node        string                     // the name in the inventory, for errors and the log
	Credentials map[string]node.Credential // by the name that node.Cmd.As holds
	// ReadOnly says that a program with these arguments only looks, so that a Reader may start it: the
	// forms that the kinds of steps declare. nil lets a Reader start none.
	ReadOnly func(argv []string) bool
	// debug lines; nil is silent. Values never reach it: only verbs and what they are about
	Log *slog.Logger
	// until the machine has told its facts; 0 is 60 s (a cold start of PowerShell can take 30)
	Start time.Duration
	Run   time.Duration // limit of a program whose Cmd has none; 0 is 2 minutes
	Job   time.Duration // limit of a job whose Cmd has none; 0 is 4 hours
}

// Defaults fills in what is not set.
func (o *Options) Defaults() {
	o.Start = limit(o.Start, 60*time.Second)
	o.Run = limit(o.Run, 2*time.Minute)
	o.Job = limit(o.Job, 4*time.Hour)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// limit is d, or otherwise where d is none.
func limit(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
