// Package session is what all sessions on a node have in common: what a Reader may ask, how a
// credential takes the place of its name, the limits, the answers that were fetched ahead, and the
// fence that writing requests carry. A session itself says how one request is carried out (Server),
// how files are read and written, and how many requests travel at once.
package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"deploy/internal/node"
)

// Server carries out one request, whatever it does. Its verbs are those of node.Verbs that the
// machine knows; others are node.ErrUnsupported.
type Server interface {
	Serve(ctx context.Context, r node.Request) ([]node.Row, error)
}

// Core is the part of a session that does not depend on how requests reach the machine. Init
// makes it ready.
type Core struct {
	o      Options
	server Server
	linked bool
	facts  node.Facts
	fence  atomic.Pointer[node.Fence]

	mu    sync.Mutex
	cache map[string]*waiting // answers that wait to be asked for
}

// Init makes a core that has s carry out requests. linked says that a request travels, so that
// the outcome of one that nobody waits for any more is unknown. The limits that o does not set
// get their defaults.
func (c *Core) Init(o Options, s Server, linked bool) {
	o.Defaults()
	c.o, c.server, c.linked, c.cache = o, s, linked, map[string]*waiting{}
}

// SetFacts says what the machine is. It is called once, before the session is handed on.
func (c *Core) SetFacts(f node.Facts) { c.facts = f }

// Facts are those of the session's start.
func (c *Core) Facts() node.Facts { return c.facts }

// Query asks and waits. A query that was fetched ahead takes its waiting answer, once.
func (c *Core) Query(ctx context.Context, q node.Query) ([]node.Row, error) {
	r, err := c.readable(q)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if answer := c.taken(keyOf(r)); answer != nil {
		if rows, err, ok := answer(ctx); ok {
			return rows, err
		}
	}
	return c.server.Serve(ctx, r)
}

// Do carries out one action.
func (c *Core) Do(ctx context.Context, a node.Action) ([]node.Row, error) {
	r, err := c.withUser(a.Request())
	if err != nil {
		return nil, err
	}
	return c.Change(ctx, r)
}

// Change carries out a request that may change the machine: it carries the fence, and what was
// fetched before it is no longer true.
func (c *Core) Change(ctx context.Context, r node.Request) (rows []node.Row, err error) {
	err = c.Changing(ctx, func() error {
		rows, err = c.server.Serve(ctx, c.Fenced(r))
		return err
	})
	return rows, err
}

// Changing is Change for what is no request: do must carry Fence itself.
func (c *Core) Changing(ctx context.Context, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.Forget()
	err := do()
	c.Forget() // also what was fetched while it worked
	var link *node.LinkError
	if c.linked && err != nil && ctx.Err() != nil && !errors.As(err, &link) && errors.Is(err, ctx.Err()) {
		return &node.LinkError{Node: c.o.Node, Sent: true, Err: err}
	}
	return err
}

// Run starts a program and waits for its end.
func (c *Core) Run(ctx context.Context, cmd node.Cmd) (node.Result, error) {
	if cmd.As != "" {
		return node.Result{}, fmt.Errorf("cannot run %s on %s as %q: only a job has credentials of its own",
			first(cmd.Argv), c.o.Node, cmd.As)
	}
	if first(cmd.Argv) == "" {
		return node.Result{}, fmt.Errorf("cannot run a program on %s: the argument list is empty", c.o.Node)
	}
	r := node.Request{Verb: "run", Args: map[string]any{"argv": anys(cmd.Argv), "dir": cmd.Dir, "stdin": cmd.Stdin,
		"timeout": int64((limit(cmd.Timeout, c.o.Run) + time.Millisecond - 1) / time.Millisecond)}}
	rows, err := c.Change(ctx, r)
	if err != nil {
		return node.Result{}, err
	}
	row, err := One(rows, r.Op())
	if err != nil {
		return node.Result{}, err
	}
	return node.Result{Code: exitCode(row.Int("code")), Stdout: row.Bytes("stdout"), Stderr: row.Bytes("stderr")}, nil
}

// exitCode makes 4294967295 and -1 one value: exit codes of Windows have 32 bits.
func exitCode(n int64) int { return int(int32(n)) }

// StartJob starts a program that outlives the session. Without c.As it runs as the session's
// user, on Windows as SYSTEM. A known id does nothing.
func (c *Core) StartJob(ctx context.Context, id string, cmd node.Cmd) error {
	if len(cmd.Stdin) > 0 {
		return fmt.Errorf("cannot start the job %s on %s: a job has no standard input", id, c.o.Node)
	}
	if id == "" || first(cmd.Argv) == "" {
		return fmt.Errorf("cannot start the job %q on %s: an id and a program are needed", id, c.o.Node)
	}
	var cred node.Credential
	if cmd.As != "" {
		var err error
		if cred, err = c.credential(cmd.As); err != nil {
			return fmt.Errorf("cannot start the job %s on %s: %w", id, c.o.Node, err)
		}
	}
	most := limit(cmd.Timeout, c.o.Job)
	_, err := c.Change(ctx, node.Request{Verb: "job.start", Args: map[string]any{"id": id, "argv": anys(cmd.Argv),
		"dir": cmd.Dir, "user": cred.User, "password": cred.Password.Reveal(),
		"limit": int64((most + time.Second - 1) / time.Second)}})
	return err
}

// Job tells how a job stands. A job that another session on the machine started is known as well.
func (c *Core) Job(ctx context.Context, id string) (node.JobState, error) {
	r := node.Request{Verb: "job.state", Args: map[string]any{"id": id}}
	row, err := c.ask(ctx, r)
	if err != nil {
		return node.JobState{}, err
	}
	st := node.JobState{Phase: node.JobPhase(row.String("phase")), Code: exitCode(row.Int("code")),
		Output: string(row.Bytes("output"))}
	switch st.Phase {
	case node.JobRunning, node.JobDone, node.JobLost:
		return st, nil
	}
	return node.JobState{}, fmt.Errorf("cannot tell how the job %s stands on %s: unknown phase %q", id, c.o.Node,
		st.Phase)
}

// JobRow is the answer to job.state.
func JobRow(st node.JobState) []node.Row {
	return []node.Row{{"phase": string(st.Phase), "code": int64(st.Code), "output": []byte(st.Output)}}
}

// Stat tells about a path.
func (c *Core) Stat(ctx context.Context, path string) (node.FileInfo, error) {
	row, err := c.ask(ctx, node.Request{Verb: "file.stat", Args: map[string]any{"path": path}})
	if err != nil {
		return node.FileInfo{}, err
	}
	return node.FileInfo{Size: row.Int("size"), Dir: row.Bool("dir"), Modified: time.Unix(row.Int("modified"), 0).UTC(),
		Mode: uint32(row.Int("mode")), Owner: row.String("owner"), Group: row.String("group")}, nil
}

// ask carries out a request that reads one row.
func (c *Core) ask(ctx context.Context, r node.Request) (node.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows, err := c.server.Serve(ctx, r)
	if err != nil {
		return nil, err
	}
	return One(rows, r.Op())
}

// One is the row of an answer that has one.
func One(rows []node.Row, op string) (node.Row, error) {
	if len(rows) != 1 {
		return nil, fmt.Errorf("cannot %s: %d answers where one was due", op, len(rows))
	}
	return rows[0], nil
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func first(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	return argv[0]
}
