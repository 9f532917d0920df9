//go:build agentonly

// With the tag agentonly the program is nothing but the agent: small enough to be carried to a
// node. `make release` builds it for every platform.
package main

import (
	"context"
	"fmt"
	"os"

	"deploy/internal/agent/command"
	"deploy/steps/all"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "agent" {
		fmt.Fprintln(os.Stderr, "error: this is the agent of deploy; a controller starts it as: deploy agent")
		os.Exit(2)
	}
	p := command.Program{Kinds: all.Kinds, Version: version, Digest: executableDigest}
	os.Exit(p.Run(context.Background(), os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
}
