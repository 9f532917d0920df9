// Command deploy brings clusters of real machines up, in order, without losing anything.
// This file wires the kinds of steps and the transports; everything else is in the packages.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/term"

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
		Version:    version(),
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
			return w, err == nil
		},
		ReadPassword: readPassword(),
	}
}

func readPassword() func() (string, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	return func() (string, error) {
		b, err := term.ReadPassword(fd)
		return string(b), err
	}
}

// version tells builds apart: a saved plan holds for the program that made it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v = s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}
