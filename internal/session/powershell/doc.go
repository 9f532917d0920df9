// Package direct serves package node's verbs for a machine that cannot carry an agent: one
// long-lived PowerShell process on it runs the embedded script of package resident, and every
// request is a frame on that process's streams.
//
// Requests do not wait for each other. What is asked while a write is under way leaves together in
// the next one, and Prefetch sends all of its queries in one write; so the cost on the wire follows
// the number of batches and not the number of requests.
package powershell

import (
	"log/slog"
	"time"

	"deploy/internal/node"
)

// Options say how a session works.
type Options struct {
	Node        string                     // the name in the inventory, for errors and the log
	Credentials map[string]node.Credential // by the name that node.Cmd.As holds
	// debug lines; nil is silent. Values never reach it: only verbs and what they are about
	Log *slog.Logger
	// until the process has answered; 0 is 60 s (a cold start of PowerShell can take 30)
	Start time.Duration
	Run   time.Duration // limit of a program whose Cmd has none; 0 is 2 minutes
	Job   time.Duration // limit of a job whose Cmd has none; 0 is 4 hours
	// lines of stdout that are no answers, and stderr; may be nil. Called from the session's own
	// goroutines
	Stray func(line string)
}

func (o *Options) defaults() {
	if o.Start == 0 {
		o.Start = 60 * time.Second
	}
	if o.Run == 0 {
		o.Run = 2 * time.Minute
	}
	if o.Job == 0 {
		o.Job = 4 * time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Stray == nil {
		o.Stray = func(string) {}
	}
}
