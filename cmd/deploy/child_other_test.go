//go:build !linux

package main

import "deploy/internal/cli"

func hooks(*cli.App) {}
