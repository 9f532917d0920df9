// Package local serves package node's verbs for the machine that the program itself runs on: the
// agent carries steps out over it, and a site may name its own machine as a node.
//
// # What is common and what is the system's own
//
// Files, programs and the choice by verb are the same code everywhere. What differs stands behind a
// few unexported names that each system's files (…_linux.go, …_windows.go) have:
//
//	type platform                         what a session keeps for its system; its zero value is ready
//	(s *Session) open(ctx) error          takes s.facts, starts what the system needs
//	(s *Session) close() error            undoes open
//	(s *Session) system(ctx, request)     every verb that is not about files, programs and jobs; ErrUnsupported for the others
//	(s *Session) startJob, jobState, removeJob
//	(p *platform) statOf(fs.FileInfo)     FileInfo with what the system knows of modes and owners
//	newTemp, dress, place                 how the temporary file of Write is made, gets mode and owner, and takes the target's name
//	removable(path)                       refuses what must never be removed
//	lookProgram, environment, family      finding a program, its environment, and ending it with all its children
//	byItself(*os.ProcessState)            whether a program ended by itself and not by family.kill
//	stateDir()                            where jobs are kept when Options do not say
//
// Errors are those of package direct: node.ErrNotFound, node.ErrUnsupported, and a node.CodeError
// whose code is the errno on Linux and, on Windows, the HRESULT that the resident script would
// give. There is no link, so a node.LinkError only comes from the one PowerShell of a Windows
// session: it says that the outcome of a cmdlet is unknown.
package local

import (
	"log/slog"
	"os"
	"time"

	"deploy/internal/node"
)

// Options say how a session works.
type Options struct {
	// the name in the inventory, for errors and the log; "" is the machine's own name
	Node        string
	Agent       bool                       // the session serves an agent: Mode says "agent" and not "local"
	Credentials map[string]node.Credential // by the name that node.Cmd.As holds
	// private directory for jobs, made when it is missing; "" is the system's own place
	State string
	// debug lines; nil is silent. Values never reach it: only verbs and what they are about
	Log   *slog.Logger
	Start time.Duration // until Open has its facts; 0 is 60 s
	Run   time.Duration // limit of a program whose Cmd has none; 0 is 2 minutes
	Job   time.Duration // limit of a job whose Cmd has none; 0 is 4 hours
}

func (o *Options) defaults() {
	if o.Node == "" {
		o.Node = "this machine"
		if name, err := os.Hostname(); err == nil {
			o.Node = name
		}
	}
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
	if o.State == "" {
		o.State = stateDir()
	}
}
