// Package local serves package node's verbs for the machine that the program itself runs on: the
// agent carries steps out over it, and a site may name its own machine as a node.
//
// # What is common and what is the system's own
//
// Files, programs and the choice by verb are the same code everywhere. What differs stands behind a
// few unexported names that each system's files (…_linux.go, …_windows.go) have:
//
//	type platform                         what a session keeps for its system; its zero value is ready
//	(s *Session) open(ctx) error          takes the facts, starts what the system needs
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
// Errors are those of package powershell: node.ErrNotFound, node.ErrUnsupported, and a
// node.CodeError whose code is the errno on Linux and, on Windows, the HRESULT that the resident
// script would give. There is no link, so a node.LinkError only comes from the one PowerShell of
// a Windows session: it says that the outcome of a cmdlet is unknown.
package local

import (
	"os"

	"deploy/internal/session"
)

// Options say how a session works. Node "" is the machine's own name.
type Options struct {
	session.Options
	Agent bool // the session serves an agent: Mode says "agent" and not "local"
	// private directory for jobs, made when it is missing; "" is the system's own place
	State string
	// Windows: the registry key below HKLM that stands for SOFTWARE\deploy, so that tests which share
	// a registry do not share owner records; "" is SOFTWARE\deploy
	OwnerKey string
}

func (o *Options) defaults() {
	if o.Node == "" {
		o.Node = "this machine"
		if name, err := os.Hostname(); err == nil {
			o.Node = name
		}
	}
	o.Defaults()
	if o.State == "" {
		o.State = stateDir()
	}
}
