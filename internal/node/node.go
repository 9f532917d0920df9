// Package node is what a step may ask of a machine.
//
// A Reader has no verb that changes anything; it is all that a step's Check ever sees. A Node adds
// the verbs that do. Both speak in requests that are plain data (see Query and Action), so that the
// same request can travel to a resident PowerShell, to an agent beside the machine, or to the lab's
// emulated machines, and so that a test can hold every name in it against tables recorded from real
// systems. The meaning of each verb is fixed in package protocol of the PowerShell session.
//
// # Who is in charge
//
// A node keeps one record (Owner) per site that works on it. Query with Owners reads all of them
// in one request, which Prefetch may send along with others; no rows say that no site has worked
// there. Do with OwnerSet puts one in the place of the text that was read, in one request, and
// refuses with a SupersededError when something else stands there by then. Fenced.SetFence has
// every writing request after it carry a Fence: the node compares it with the record before the
// act, and puts Fence.Record in its place where that is not empty, so the number of the act that
// begins reaches the node with the act's own first request. All sessions do so; reading is never
// refused.
package node

import (
	"context"
	"io"
	"time"
)

// Reader answers questions about a machine.
type Reader interface {
	// Facts never asks the machine: they were taken when the session was opened.
	Facts() Facts
	// Query returns typed rows. No rows is an answer; ErrNotFound says that the thing asked about is
	// absent; every other error means "cannot tell".
	Query(ctx context.Context, q Query) ([]Row, error)
	// Stat returns ErrNotFound for a path that is not there.
	Stat(ctx context.Context, path string) (FileInfo, error)
	// Open reads a file. The caller closes it.
	Open(ctx context.Context, path string) (io.ReadCloser, error)
}

// Node is a Reader that can also change the machine.
type Node interface {
	Reader
	// Do carries out one action and returns what it answered (WMI out parameters, a cmdlet's objects).
	Do(ctx context.Context, a Action) ([]Row, error)
	// Run starts a program, waits and returns its result. A non-zero exit code is a Result, not an
	// error.
	Run(ctx context.Context, c Cmd) (Result, error)
	// StartJob starts a program that outlives the link and the session, with credentials of its own
	// when c.As is set. The same id is the same job: starting it again while it runs or after it ended
	// does nothing.
	StartJob(ctx context.Context, id string, c Cmd) error
	// Job tells how a job stands. An id that was never started is ErrNotFound.
	Job(ctx context.Context, id string) (JobState, error)
	// Write puts a file in place whole: temporary name, hash, rename. Missing parent directories are
	// an error.
	Write(ctx context.Context, path string, r io.Reader, o WriteOptions) error
}

// Session is a Node with a life: it was opened and will be closed.
type Session interface {
	Node
	// Prefetch sends many queries in one request; the answers wait in the session until they are asked
	// for with Query or until anything changes the machine. Errors of single queries come when they
	// are asked for.
	Prefetch(ctx context.Context, qs []Query) error
	// Mode says where steps run: "direct" or "agent".
	Mode() string
	Close() error
}

// FileInfo is what Stat knows of a path. A symbolic link on Linux is followed.
type FileInfo struct {
	Size     int64
	Dir      bool
	Modified time.Time
	Mode     uint32 // permission bits with setuid, setgid and sticky as chmod(2) has them (07777); Linux only
	Owner    string // user name, or its number where it has no name; Linux only
	Group    string // group name, or its number; Linux only
}

// WriteOptions say how a file is written. All of them are ignored on Windows. The file has them
// before it appears under its name.
type WriteOptions struct {
	Mode  uint32 // permission bits; 0 keeps those of the file that is replaced, or is 0644
	Owner string // user name or number; "" keeps that of the file that is replaced, or is the session's user
	Group string // group name or number; "" likewise
}

// Cmd is a program to run. Arguments are data: quoting is the session's business.
type Cmd struct {
	Argv    []string
	Dir     string        // working directory, "" for the session's own
	Stdin   []byte        // the program always sees end of file after it
	As      string        // name of a credential of the site; "" runs as the session's user. Only jobs may set it.
	Timeout time.Duration // 0 means the session's default (2 minutes; jobs 4 hours)
}

// Result is what a program left behind.
type Result struct {
	Code   int
	Stdout []byte
	Stderr []byte
}

// JobPhase is where a job stands.
type JobPhase string

// A job is running, or done with an exit code, or lost: its process is gone and left no exit code
// (a reboot, a kill).
const (
	JobRunning JobPhase = "running"
	JobDone    JobPhase = "done"
	JobLost    JobPhase = "lost"
)

// JobState is how a job stands.
type JobState struct {
	Phase  JobPhase
	Code   int    // exit code when done
	Output string // the last 64 KB of what it printed
}
