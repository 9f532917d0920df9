//go:build linux

// Command wineexec runs a test binary that was built for Windows under Wine:
//
//	GOOS=windows go test -exec "env GOOS=linux go run deploy/tools/wineexec" ./internal/session/local/winapi
//
// It needs root. Each run has a prefix of its own; see package winelab.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"deploy/internal/testkit/winenodes"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "wineexec: "+err.Error())
		code = 1
	}
	os.Exit(code)
}

func run(args []string) (code int, err error) {
	if len(args) == 0 {
		return 0, errors.New("no program is named")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer stop()
	dir, err := os.MkdirTemp("", "wineexec-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	lab, err := winenodes.Open(ctx, dir)
	if err != nil {
		return 0, err
	}
	// go test builds into a directory that is its own
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return 0, err
	}
	program := filepath.Join(bin, filepath.Base(args[0]))
	if err := copyFile(program, args[0]); err != nil {
		return 0, err
	}
	where, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	var env []string
	for _, kv := range os.Environ() {
		// what a test is told, and not what this machine's programs are
		if name, _, _ := strings.Cut(kv, "="); name == "CI" || strings.HasPrefix(name, "DEPLOY_") {
			env = append(env, kv)
		}
	}
	cmd, err := lab.Once(ctx, sourceOf(where), where, program, env, args[1:]...)
	if err != nil {
		return 0, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// sourceOf is the top of the source tree around a directory: the nearest with a go.mod.
func sourceOf(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil || d == filepath.Dir(d) {
			return d
		}
	}
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}
