package local

import (
	"time"

	"deploy/internal/node"
	"deploy/internal/secret"
)

// job is what the system is to start.
type job struct {
	id    string // as the caller knows it
	argv  []string
	dir   string
	limit time.Duration
	as    *node.Credential // nil is the session's own user (SYSTEM on Windows)
}

// jobOf is the job of a request.
func jobOf(args node.Row) job {
	j := job{id: args.String("id"), argv: args.Strings("argv"), dir: args.String("dir"),
		limit: time.Duration(args.Int("limit")) * time.Second}
	if user := args.String("user"); user != "" {
		j.as = &node.Credential{User: user, Password: secret.New(args.String("password"))}
	}
	return j
}
