// Package shell serves package node's verbs for a Linux machine that carries no agent: every
// request is one channel of the connection, on which sh(1) runs, and Prefetch puts many questions
// into one.
//
// # Protocol
//
// The command line that the login shell sees is always the same, whatever shell that is. It starts
// an sh that reads one line from its stdin and evaluates it: the scripts of this package and of
// package linux, and their arguments, quoted. What follows on stdin is the program's. So data never
// pass the login shell, never appear in the process list as part of a script, and are never
// inserted unquoted.
//
// The shell says "<nonce> hello <pid>" on stderr and "<nonce>" on stdout before anything else; what
// stands before it is a banner of the machine and is dropped. "<nonce> run" says that all checks
// are done and that what follows is the program's own. "<nonce> end <code>" is the exit code: it
// comes also when a grandchild keeps the channel open.
//
// With sudo the same shell runs below sudo -n, or below sudo -S with the password as the first line
// of stdin. The password is tried once, when the session opens: a second try may lock the account.
package shell

import (
	"deploy/internal/secret"
	"deploy/internal/session"
)

// Options say how a session works.
type Options struct {
	session.Options
	// directory for jobs on the machine; "" is the system's own place, which package local uses too
	State        string
	Sudo         bool         // everything runs as root by sudo(8)
	SudoPassword secret.Value // for Sudo; zero means that sudo asks for none
}
