package powershell

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
	"deploy/internal/winargs"
)

// piece is how much of a file travels in one frame, in bytes.
const piece = 192 << 10

// ahead is how many pieces of a file are on their way at once: two Sends of the widest envelope
// hold about as many.
const ahead = 8

// Query asks and waits. A query that Prefetch has sent takes its waiting answer, once.
func (s *Session) Query(ctx context.Context, q node.Query) ([]node.Row, error) {
	r, err := s.readable(q)
	if err != nil {
		return nil, err
	}
	key, err := keyOf(r)
	if err != nil {
		return nil, err
	}
	if c := s.taken(key); c != nil {
		return s.await(ctx, c)
	}
	return s.ask(ctx, r)
}

// Prefetch sends all queries in one write and returns without waiting for the answers.
func (s *Session) Prefetch(ctx context.Context, qs []node.Query) error {
	if err := ctx.Err(); err != nil || len(qs) == 0 {
		return err
	}
	keys := make([]string, 0, len(qs))
	reqs := make([]node.Request, 0, len(qs))
	uses := map[string]int{}
	for _, q := range qs {
		r, err := s.readable(q)
		if err != nil {
			continue // said when it is asked for
		}
		key, err := keyOf(r)
		if err != nil {
			continue
		}
		if uses[key]++; uses[key] == 1 {
			keys, reqs = append(keys, key), append(reqs, r)
		}
	}
	if len(reqs) == 0 {
		return nil
	}
	calls, _, err := s.send(reqs)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, key := range keys {
		s.cache[key] = &prefetch{call: calls[i], uses: uses[key]}
	}
	s.opts.Log.DebugContext(ctx, "prefetch", "node", s.opts.Node, "queries", len(reqs))
	return nil
}

// taken takes one use of a waiting answer. Each answer serves as often as it was wanted, so that a
// step that polls sees news.
func (s *Session) taken(key string) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.cache[key]
	if p == nil {
		return nil
	}
	if p.uses--; p.uses == 0 {
		delete(s.cache, key)
	}
	return p.call
}

// change sends a request that may change the machine: what was fetched before it is no longer true.
func (s *Session) change(ctx context.Context, r node.Request) ([]node.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.forget()
	rows, err := s.ask(ctx, s.fenced(r))
	s.forget() // also what was fetched while it worked
	var link *node.LinkError
	if err != nil && ctx.Err() != nil && !errors.As(err, &link) && errors.Is(err, ctx.Err()) {
		return nil, &node.LinkError{Node: s.opts.Node, Sent: true, Err: err}
	}
	return rows, err
}

// SetFence has all that may change the machine compare its owner record first, in the same request.
func (s *Session) SetFence(f node.Fence) { s.fence.Store(&f) }

// fenced adds the fence to a request; owner.set compares by itself.
func (s *Session) fenced(r node.Request) node.Request {
	f := s.fence.Load()
	if f == nil || f.Journal == "" || r.Verb == "owner.set" {
		return r
	}
	args := maps.Clone(r.Args)
	args[node.FenceArg] = f.Arg()
	return node.Request{Verb: r.Verb, Args: args}
}

func (s *Session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.cache)
}

// readable makes a query's request, and refuses one that could change something.
func (s *Session) readable(q node.Query) (node.Request, error) {
	r := q.Request()
	switch r.Verb {
	case "run":
		argv := stringsOf(r.Args["argv"])
		tool, _ := q.(node.Tool)
		if !tool.TrustedReadOnly && !node.ReadOnlyTool(argv) {
			return r, fmt.Errorf("cannot query %s with %s: it is not known to only read", s.opts.Node, strings.Join(argv, " "))
		}
		return withLine(r)
	case "cmdlet":
		name, _ := r.Args["name"].(string)
		verb, _, _ := strings.Cut(strings.ToLower(name), "-")
		if verb != "get" && verb != "test" {
			return r, fmt.Errorf("cannot query %s with %s: only Get and Test cmdlets read", s.opts.Node, name)
		}
	}
	return s.withUser(r)
}

// withUser puts a credential in the place of its name.
func (s *Session) withUser(r node.Request) (node.Request, error) {
	name, ok := r.Args["as"].(string)
	if !ok {
		return r, nil
	}
	cred, err := s.credential(name)
	if err != nil {
		return r, fmt.Errorf("cannot %s on %s: %w", r.Op(), s.opts.Node, err)
	}
	args := maps.Clone(r.Args)
	delete(args, "as")
	args["user"], args["password"] = cred.User, cred.Password.Reveal()
	return node.Request{Verb: r.Verb, Args: args}, nil
}

func (s *Session) credential(name string) (node.Credential, error) {
	cred, ok := s.opts.Credentials[name]
	if !ok {
		return cred, hint.Wrap(fmt.Errorf("there is no credential %q", name), "name it under credentials: in the site file")
	}
	return cred, nil
}

func keyOf(r node.Request) (string, error) {
	args, err := protocol.Encode(r.Args)
	if err != nil {
		return "", fmt.Errorf("cannot send %s: %w", r.Op(), err)
	}
	return r.Verb + " " + args, nil
}

func stringsOf(v any) []string {
	return node.Row{"v": v}.Strings("v")
}

// withLine adds the quoted command line, which the script hands to CreateProcess as it is.
func withLine(r node.Request) (node.Request, error) {
	line, err := winargs.Quote(stringsOf(r.Args["argv"]))
	if err != nil {
		return r, err
	}
	args := maps.Clone(r.Args)
	args["line"] = line
	return node.Request{Verb: r.Verb, Args: args}, nil
}

// Do carries out one action.
func (s *Session) Do(ctx context.Context, a node.Action) ([]node.Row, error) {
	r, err := s.withUser(a.Request())
	if err != nil {
		return nil, err
	}
	return s.change(ctx, r)
}

// Serve carries out a request that another session hands on: that of the machine which its
// PowerShell runs on. It is taken for one that changes something.
func (s *Session) Serve(ctx context.Context, r node.Request) ([]node.Row, error) {
	r, err := s.withUser(r)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, r)
}

// Run starts a program and waits for its end.
func (s *Session) Run(ctx context.Context, c node.Cmd) (node.Result, error) {
	if c.As != "" {
		return node.Result{}, fmt.Errorf("cannot run %s on %s as %q: only a job has credentials of its own", first(c.Argv),
			s.opts.Node, c.As)
	}
	limit := c.Timeout
	if limit == 0 {
		limit = s.opts.Run
	}
	r, err := withLine(node.Request{Verb: "run", Args: map[string]any{
		"argv": list(c.Argv), "dir": c.Dir, "stdin": c.Stdin, "timeout": limit.Milliseconds(),
	}})
	if err != nil {
		return node.Result{}, fmt.Errorf("cannot run %s on %s: %w", first(c.Argv), s.opts.Node, err)
	}
	rows, err := s.change(ctx, r)
	if err != nil {
		return node.Result{}, err
	}
	row, err := one(rows, r.Op())
	if err != nil {
		return node.Result{}, err
	}
	return node.Result{Code: exitCode(row.Int("code")), Stdout: row.Bytes("stdout"), Stderr: row.Bytes("stderr")}, nil
}

// exitCode makes 4294967295 and -1 one value: Windows exit codes have 32 bits.
func exitCode(n int64) int { return int(int32(n)) }

// StartJob starts a scheduled task. Without c.As it runs as SYSTEM.
func (s *Session) StartJob(ctx context.Context, id string, c node.Cmd) error {
	if len(c.Stdin) > 0 {
		return fmt.Errorf("cannot start the job %s on %s: a job has no standard input", id, s.opts.Node)
	}
	var cred node.Credential
	if c.As != "" {
		var err error
		if cred, err = s.credential(c.As); err != nil {
			return fmt.Errorf("cannot start the job %s on %s: %w", id, s.opts.Node, err)
		}
	}
	limit := c.Timeout
	if limit == 0 {
		limit = s.opts.Job
	}
	r, err := withLine(node.Request{Verb: "job.start", Args: map[string]any{
		"id": id, "argv": list(c.Argv), "dir": c.Dir, "user": cred.User, "password": cred.Password.Reveal(),
		"limit": int64(limit / time.Second),
	}})
	if err != nil {
		return fmt.Errorf("cannot start the job %s on %s: %w", id, s.opts.Node, err)
	}
	_, err = s.change(ctx, r)
	return err
}

// Job tells how a job stands.
func (s *Session) Job(ctx context.Context, id string) (node.JobState, error) {
	r := node.Request{Verb: "job.state", Args: map[string]any{"id": id}}
	rows, err := s.ask(ctx, r)
	if err != nil {
		return node.JobState{}, err
	}
	row, err := one(rows, r.Op())
	if err != nil {
		return node.JobState{}, err
	}
	st := node.JobState{Phase: node.JobPhase(row.String("phase")), Code: exitCode(row.Int("code")),
		Output: string(row.Bytes("output"))}
	switch st.Phase {
	case node.JobRunning, node.JobDone, node.JobLost:
		return st, nil
	}
	return node.JobState{}, fmt.Errorf("cannot tell how the job %s stands on %s: unknown phase %q", id, s.opts.Node,
		st.Phase)
}

// Stat tells about a path.
func (s *Session) Stat(ctx context.Context, path string) (node.FileInfo, error) {
	r := node.Request{Verb: "file.stat", Args: map[string]any{"path": path}}
	rows, err := s.ask(ctx, r)
	if err != nil {
		return node.FileInfo{}, err
	}
	row, err := one(rows, r.Op())
	if err != nil {
		return node.FileInfo{}, err
	}
	return node.FileInfo{Size: row.Int("size"), Dir: row.Bool("dir"), Modified: time.Unix(row.Int("modified"), 0).UTC()},
		nil
}

// Open reads a file in pieces, each when it is needed.
func (s *Session) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	f := &file{s: s, ctx: ctx, path: path}
	if err := f.fetch(); err != nil {
		return nil, err
	}
	return f, nil
}

type file struct {
	s         *Session
	ctx       context.Context
	path      string
	at, size  int64
	data      []byte
	completed bool
}

func (f *file) fetch() error {
	r := node.Request{Verb: "file.read", Args: map[string]any{"path": f.path, "offset": f.at, "count": int64(1 << 20)}}
	rows, err := f.s.ask(f.ctx, r)
	if err != nil {
		return err
	}
	row, err := one(rows, r.Op())
	if err != nil {
		return err
	}
	f.data, f.size = row.Bytes("data"), row.Int("size")
	f.at += int64(len(f.data))
	f.completed = f.at >= f.size || len(f.data) == 0
	return nil
}

func (f *file) Read(p []byte) (int, error) {
	if len(f.data) == 0 {
		if f.completed {
			return 0, io.EOF
		}
		if err := f.fetch(); err != nil {
			return 0, err
		}
		if len(f.data) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, f.data)
	f.data = f.data[n:]
	return n, nil
}

func (f *file) Close() error {
	f.data, f.completed = nil, true
	return nil
}

// Write puts a file in place: pieces to a temporary name beside it, then one request that verifies
// the hash and renames.
func (s *Session) Write(ctx context.Context, path string, r io.Reader, _ node.WriteOptions) error {
	// always the same name: what a link that broke has left there is written over by the next try
	temp := path + ".deploy.tmp"
	err := s.put(ctx, temp, path, r)
	if err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, _ = s.ask(clean, s.fenced(node.Request{Verb: "file.remove", Args: map[string]any{"path": temp, "tree": false}}))
	}
	return err
}

func (s *Session) put(ctx context.Context, temp, path string, r io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.forget()
	defer s.forget()
	sum, offset := sha256.New(), int64(0)
	var flight []*call
	var pack packer
	buf := make([]byte, piece)
	land := func(keep int) error {
		for len(flight) > keep {
			if _, err := s.await(ctx, flight[0]); err != nil {
				return err
			}
			flight = flight[1:]
		}
		return nil
	}
	for eof := false; !eof; {
		n, err := io.ReadFull(r, buf)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			eof = true
		case err != nil:
			return fmt.Errorf("cannot write %s on %s: %w", path, s.opts.Node, err)
		}
		if n == 0 && offset > 0 {
			break
		}
		sum.Write(buf[:n])
		data, packed := pack.piece(buf[:n])
		calls, _, err := s.send([]node.Request{s.fenced(node.Request{Verb: "file.put",
			Args: map[string]any{"path": temp, "offset": offset, "data": data, "packed": packed}})})
		if err != nil {
			return err
		}
		offset += int64(n)
		flight = append(flight, calls...)
		if err := land(ahead - 1); err != nil {
			return err
		}
	}
	if err := land(0); err != nil {
		return err
	}
	_, err := s.change(ctx, node.Request{Verb: "file.commit",
		Args: map[string]any{"temp": temp, "path": path, "sha256": hex.EncodeToString(sum.Sum(nil))}})
	return err
}

func one(rows []node.Row, op string) (node.Row, error) {
	if len(rows) != 1 {
		return nil, fmt.Errorf("cannot %s: %d answers where one was due", op, len(rows))
	}
	return rows[0], nil
}

func list(argv []string) []any {
	out := make([]any, len(argv))
	for i, a := range argv {
		out[i] = a
	}
	return out
}

func first(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	return argv[0]
}
