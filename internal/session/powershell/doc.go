// Package powershell serves package node's verbs for a machine that cannot carry an agent: one
// long-lived PowerShell process on it runs the embedded script of package protocol, and every
// request is a frame on that process's streams.
//
// Requests do not wait for each other. What is asked while a write is under way leaves together in
// the next one, and Prefetch sends all of its queries in one write; so the cost on the wire follows
// the number of batches and not the number of requests.
package powershell

import "deploy/internal/session"

// Options say how a session works.
type Options struct {
	session.Options
	// lines of stdout that are no answers, and stderr; may be nil. Called from the session's own
	// goroutines
	Stray func(line string)
}

func (o *Options) defaults() {
	o.Defaults()
	if o.Stray == nil {
		o.Stray = func(string) {}
	}
}
