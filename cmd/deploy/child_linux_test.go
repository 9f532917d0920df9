package main

import (
	"os"
	"strconv"

	"deploy/internal/cli"
)

// hooks are what tests on real nodes set by the environment.
func hooks(a *cli.App) {
	if at, err := strconv.Atoi(os.Getenv(cutAt)); err == nil && at > 0 {
		a.Tap = tapForTest(at, os.Getenv(cutSocket))
	}
}
