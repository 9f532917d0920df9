//go:build !agentonly

// Command deploy brings clusters of real machines up, in order, without losing anything.
// This file wires the kinds of steps and the transports; everything else is in the packages.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"deploy/internal/agent/client"
	"deploy/internal/cli"
	"deploy/steps/all"
	"deploy/transport"
	"deploy/transport/ssh"
	"deploy/transport/winrm"
)

func main() { os.Exit(run(newApp(), os.Args[1:])) }

// run closes the transports after the command, so that bastions and idle connections go in order.
func run(a *cli.App, args []string) int {
	code := a.Run(context.Background(), args)
	var errs []error
	for _, d := range a.Dialers {
		errs = append(errs, d.Close())
	}
	if err := errors.Join(errs...); err != nil && code == 0 {
		code = cli.ExitError
	}
	return code
}

func newApp() *cli.App {
	interrupts := make(chan os.Signal, 4)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	return &cli.App{
		Registry: all.Kinds(),
		Dialers: map[string]transport.Dialer{
			"winrm": winrm.New(winrm.Options{}),
			"ssh":   ssh.New(ssh.Options{AgentSock: os.Getenv("SSH_AUTH_SOCK")}),
		},
		Programs:   programs(),
		Digest:     sync.OnceValues(executableDigest),
		Version:    sync.OnceValue(version),
		Stdin:      os.Stdin,
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		Env:        os.Getenv,
		Now:        time.Now,
		Interrupts: interrupts,
		Exit:       os.Exit,
		Terminal: func() (int, bool) {
			fd := int(os.Stdout.Fd())
			if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" {
				return 0, false
			}
			w, _, err := term.GetSize(fd)
			if err != nil {
				w = 0 // the view takes its default
			}
			return w, true
		},
		ReadPassword: readPassword(),
	}
}

// programs are where the agents' programs lie: in $DEPLOY_AGENTS, beside this program in the folder
// agents, where a release puts them; and this program itself is one for machines like this.
func programs() *client.Programs {
	p := &client.Programs{}
	if dir := os.Getenv("DEPLOY_AGENTS"); dir != "" {
		p.Dirs = append(p.Dirs, dir)
	}
	if own, err := os.Executable(); err == nil {
		p.Own = own
		p.Dirs = append(p.Dirs, filepath.Join(filepath.Dir(own), "agents"))
	}
	return p
}

// readPassword reads without an echo, and puts the echo back when ctx ends first: the read itself
// cannot be ended, and a shell without an echo is no place to be left in.
func readPassword() func(ctx context.Context) (string, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	return func(ctx context.Context) (string, error) {
		before, err := term.GetState(fd)
		if err != nil {
			return "", err
		}
		type answer struct {
			text []byte
			err  error
		}
		got := make(chan answer, 1)
		go func() {
			b, err := term.ReadPassword(fd)
			got <- answer{b, err}
		}()
		select {
		case a := <-got:
			return string(a.text), a.err
		case <-ctx.Done():
			return "", errors.Join(ctx.Err(), term.Restore(fd, before))
		}
	}
}
