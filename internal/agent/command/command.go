// Package command is the command `deploy agent`, which a controller starts on a node. It does not
// depend on the command line for people, so that the program for nodes stays small.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"deploy/internal/agent"
	"deploy/internal/agent/wire"
	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/local"
	"deploy/steps"
)

// Program is what the command needs to know of the program that it is part of.
type Program struct {
	Kinds   func() *steps.Registry // asked by a worker only
	Version func() string
	Digest  func() (string, error) // SHA-256 of the program's file, hex
}

// Run carries out `deploy agent ARGS` and returns the exit code: 0, 2 for arguments that it does
// not know, wire.ExitNoDisk where no record can be kept, wire.ExitFailed for everything else.
// Without flags it joins its streams to the machine's worker.
func (p Program) Run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("deploy agent", flag.ContinueOnError)
	flags.SetOutput(errOut)
	worker := flags.Bool("worker", false, "run as the worker process")
	root := flags.String("root", "", "directory of the agent (default: depends on the system)")
	idle := flags.Duration("idle", 10*time.Minute, "exit after this time without a controller")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	err := p.run(ctx, *worker, *root, *idle, in, out, errOut)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, agent.ErrHeld):
		return 0 // two fronts came at the same time, and the other one's worker was faster
	}
	fmt.Fprintln(errOut, "error: "+err.Error())
	if errors.Is(err, agent.ErrNoDisk) {
		return wire.ExitNoDisk
	}
	return wire.ExitFailed
}

// collect sets the garbage collector for a program that sits beside other people's. A front copies
// bytes and makes no garbage to speak of. A worker that looks at a machine and finds nothing to do
// should not collect once; one that works keeps its memory small.
func collect(worker bool) {
	if worker {
		debug.SetGCPercent(100)
		return
	}
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(16 << 20)
}

func (p Program) run(ctx context.Context, worker bool, root string, idle time.Duration, in io.Reader, out,
	errOut io.Writer) error {
	if root == "" {
		var err error
		if root, err = agent.Root(); err != nil {
			return err
		}
	}
	collect(worker)
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find the agent's own program: %w", err)
	}
	h := agent.Host{Root: root, Program: path, Spawn: agent.Spawn}
	if !worker {
		return h.Front(ctx, in, out)
	}
	usualUmask()
	// asked only once the directory is known to be private
	digest := sync.OnceValues(func() (string, error) {
		d, err := digestOf(root, path, p.Digest)
		if err != nil {
			err = fmt.Errorf("cannot read the agent's own program: %w", err)
		}
		return d, err
	})
	log := slog.New(slog.NewTextHandler(errOut, nil))
	return h.Work(ctx, agent.Options{
		Kinds: p.Kinds(), Version: p.Version(), Digest: digest, Idle: idle, Log: log,
		Session: func(ctx context.Context, creds map[string]node.Credential) (node.Session, error) {
			return local.Open(ctx, local.Options{Agent: true, Options: session.Options{Credentials: creds,
				ReadOnly: p.Kinds().ReadOnly(), Log: log}})
		},
	})
}
