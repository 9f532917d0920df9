// Package labnode is a node.Session over an emulated machine in the same process, with no wire in
// between: for tests that play steps in the lab over many releases and languages. It speaks to the
// machine as package direct does over a transport, and passes every value through the codec, so
// that nothing arrives that the wire could not carry.
package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
)

// Credential is a user whom a job or a cmdlet may run as.
type Credential struct{ User, Password string }

// Options say which machine is meant and who is logged on. World, Machine and Module must be set.
type Options struct {
	World       *model.World
	Machine     *model.Machine
	Module      *machine.Module
	User        string // DOMAIN\name; "" is the machine's Administrator
	Network     bool   // a network logon, which has no second hop
	Credentials map[string]Credential
	// Serve carries a request to the machine. nil does it in this process, with World and Machine
	// alone.
	Serve func(ctx context.Context, verb string, args map[string]any) ([]machine.Object, error)
}

// Session is a session on the machine. It holds the world's lock only while a request runs.
// Background work of the machine (jobs, restarts) runs in goroutines that end with the context
// given to New.
type Session struct {
	o     Options
	ctx   context.Context
	facts node.Facts
	fence atomic.Pointer[node.Fence]
}

var (
	_ node.Session = (*Session)(nil)
	_ node.Fenced  = (*Session)(nil)
)

// New opens a session and takes the machine's facts. ctx bounds the machine's background work, not
// the opening.
func New(ctx context.Context, o Options) (*Session, error) {
	if o.User == "" {
		o.User = o.Machine.Name + `\Administrator`
	}
	s := &Session{o: o, ctx: ctx}
	if s.o.Serve == nil {
		s.o.Serve = s.here
	}
	rows, err := s.serve(ctx, node.Request{Verb: "facts", Args: map[string]any{}})
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("cannot take the facts of %s: %d answers", o.Machine.Name, len(rows))
	}
	r := rows[0]
	s.facts = node.Facts{OS: "windows", Version: r.String("version"), Build: int(r.Int("build")),
		ServicePack: int(r.Int("sp")),
		Arch:        r.String("arch"), Computer: r.String("computer"), Domain: r.String("domain"),
		DomainRole: int(r.Int("domain_role")),
		BootID:     node.BootID(r.String("boot_id")), PowerShell: r.String("powershell"),
		UILanguage: int(r.Int("ui_language")),
		Privileged: r.Bool("privileged"),
		Release:    node.ReleaseOf(r.String("version"), int(r.Int("build")))}
	return s, nil
}

// Restart restarts the machine at once, as the engine would, and opens a new session to it.
func (s *Session) Restart() (*Session, error) {
	s.o.World.Lock()
	machine.Restart(s.newCtx(s.ctx))
	s.o.World.Unlock()
	return s.Again()
}

// Again opens another session to the same machine, as a new connection would. A machine that is
// down is a *node.LinkError.
func (s *Session) Again() (*Session, error) { return s.another(s.o.World) }

// another opens a session like this one in a world that has the same machine.
func (s *Session) another(w *model.World) (*Session, error) {
	o := s.o
	o.World, o.Machine, o.Serve = w, w.Machine(s.o.Machine.Name), nil
	return New(s.ctx, o)
}

// Copy opens a session to the machine's double in a copy of the whole world: what happens there is
// not seen here.
func (s *Session) Copy() (*Session, error) {
	s.o.World.Lock()
	defer s.o.World.Unlock()
	w, err := s.o.World.Copy()
	if err != nil {
		return nil, err
	}
	return s.another(w)
}

// World is what the machine is part of. Take its lock before looking.
func (s *Session) World() *model.World { return s.o.World }

func (s *Session) newCtx(ctx context.Context) *machine.Ctx {
	w := s.o.World
	return &machine.Ctx{Context: ctx, W: w, M: s.o.Machine, B: s.o.Module, User: s.o.User, Network: s.o.Network,
		Now: time.Now, Print: func(string) {},
		// emulated waiting takes a moment only, so that others get their turn
		Sleep: func(time.Duration) {
			w.Unlock()
			time.Sleep(time.Millisecond)
			w.Lock()
		},
		Go: func(work func(*machine.Ctx)) {
			go func() {
				w.Lock()
				defer w.Unlock()
				if s.ctx.Err() == nil {
					work(s.newCtx(s.ctx))
				}
			}()
		}}
}

// serve carries one request to the machine and its answer back.
func (s *Session) serve(ctx context.Context, r node.Request) ([]node.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	args, err := overWire(r.Args)
	if err != nil {
		return nil, fmt.Errorf("cannot send %s: %w", r.Verb, err)
	}
	objects, err := s.o.Serve(ctx, r.Verb, args)
	if err != nil {
		return nil, s.refusal(r, err)
	}
	rows := make([]node.Row, 0, len(objects))
	for _, o := range objects {
		row, err := overWire(o)
		if err != nil {
			return nil, fmt.Errorf("cannot read the answer to %s: %w", r.Verb, err)
		}
		rows = append(rows, node.Row(row))
	}
	return rows, nil
}

// here carries out a request in this process.
func (s *Session) here(ctx context.Context, verb string, args map[string]any) ([]machine.Object, error) {
	s.o.World.Lock()
	defer s.o.World.Unlock()
	if !s.o.Machine.Powered {
		return nil, &node.LinkError{Node: s.o.Machine.Name, Err: errors.New("the machine is down")}
	}
	return machine.Serve(s.newCtx(ctx), verb, args)
}

// overWire encodes and decodes, so that the far side sees only what the codec carries.
func overWire(m map[string]any) (map[string]any, error) {
	text, err := protocol.Encode(m)
	if err != nil {
		return nil, err
	}
	v, err := protocol.Decode(text)
	if err != nil {
		return nil, err
	}
	out, _ := v.(map[string]any)
	return out, nil
}

// WMI codes that mean that something is not there. Source: WbemErrorEnum.
const (
	wbemNotFound         = 0x80041002
	wbemInvalidNamespace = 0x8004100E
	wbemInvalidClass     = 0x80041010
	wbemInvalidQuery     = 0x80041017
)

// refusal makes of what the emulated machine answered one of package node's answers.
func (s *Session) refusal(r node.Request, err error) error {
	var f *machine.Fail
	if !errors.As(err, &f) {
		return err
	}
	if f.ID == protocol.IDSuperseded {
		return &node.SupersededError{Node: s.o.Machine.Name, Record: f.Text}
	}
	out := &node.Refusal{Node: s.o.Machine.Name, Code: &node.CodeError{Op: r.Verb, Code: int64(uint32(f.Code)), ID: f.ID,
		Category: f.Category, Text: f.Text}}
	switch code := out.Code.Code; {
	case f.ID == protocol.IDNotFound, r.Verb == "cmdlet" && f.Category == "ObjectNotFound" &&
		!strings.HasPrefix(f.ID, "CommandNotFoundException"):
		out.Kind = node.ErrNotFound
	case f.ID == protocol.IDUnsupported, strings.HasPrefix(f.ID, "NamedParameterNotFound"),
		strings.HasPrefix(f.ID, "CommandNotFoundException"):
		out.Kind = node.ErrUnsupported
	case strings.HasPrefix(r.Verb, "wmi.") && code == wbemNotFound:
		out.Kind = node.ErrNotFound
	case strings.HasPrefix(r.Verb, "wmi.") && (code == wbemInvalidNamespace || code == wbemInvalidClass ||
		code == wbemInvalidQuery):
		out.Kind = node.ErrUnsupported
	}
	return out
}

// Facts are those of the session's start.
func (s *Session) Facts() node.Facts { return s.facts }

// Mode is "direct".
func (s *Session) Mode() string { return "direct" }

// Close does nothing: nothing is open.
func (s *Session) Close() error { return nil }

// Prefetch refuses what Query would refuse, and sends nothing ahead.
func (s *Session) Prefetch(_ context.Context, qs []node.Query) error {
	for _, q := range qs {
		if err := readable(q); err != nil {
			return err
		}
	}
	return nil
}

// readable holds queries to what the direct node lets through.
func readable(q node.Query) error {
	switch q := q.(type) {
	case node.Tool:
		if !q.TrustedReadOnly && !node.ReadOnlyTool(q.Argv) {
			return fmt.Errorf("cannot query with %s: it is not known to only read", strings.Join(q.Argv, " "))
		}
	case node.Cmdlet:
		verb, _, _ := strings.Cut(strings.ToLower(q.Name), "-")
		if verb != "get" && verb != "test" {
			return fmt.Errorf("cannot query with %s: only Get and Test cmdlets read", q.Name)
		}
	}
	return nil
}

func (s *Session) withUser(r node.Request) (node.Request, error) {
	name, ok := r.Args["as"].(string)
	if !ok {
		return r, nil
	}
	c, ok := s.o.Credentials[name]
	if !ok {
		return r, fmt.Errorf("there is no credential %q", name)
	}
	args := map[string]any{"user": c.User, "password": c.Password}
	for k, v := range r.Args {
		if k != "as" {
			args[k] = v
		}
	}
	return node.Request{Verb: r.Verb, Args: args}, nil
}

// Query asks the machine.
func (s *Session) Query(ctx context.Context, q node.Query) ([]node.Row, error) {
	if err := readable(q); err != nil {
		return nil, err
	}
	r, err := s.withUser(q.Request())
	if err != nil {
		return nil, err
	}
	return s.serve(ctx, r)
}

// Do carries out an action.
func (s *Session) Do(ctx context.Context, a node.Action) ([]node.Row, error) {
	r, err := s.withUser(a.Request())
	if err != nil {
		return nil, err
	}
	return s.change(ctx, r)
}

// SetFence has all that may change the machine compare its owner record first, in the same request.
func (s *Session) SetFence(f node.Fence) { s.fence.Store(&f) }

// change sends a request that may change the machine; owner.set compares by itself.
func (s *Session) change(ctx context.Context, r node.Request) ([]node.Row, error) {
	if f := s.fence.Load(); f != nil && f.Journal != "" && r.Verb != "owner.set" {
		r.Args = maps.Clone(r.Args)
		r.Args[node.FenceArg] = f.Arg()
	}
	return s.serve(ctx, r)
}

func (s *Session) one(ctx context.Context, r node.Request) (node.Row, error) {
	ask := s.serve
	if r.Verb == "run" {
		ask = s.change
	}
	rows, err := ask(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("cannot %s: %d answers where one was due", r.Verb, len(rows))
	}
	return rows[0], nil
}

// Run starts a program and waits.
func (s *Session) Run(ctx context.Context, c node.Cmd) (node.Result, error) {
	if c.As != "" {
		return node.Result{}, errors.New("only a job has credentials of its own")
	}
	row, err := s.one(ctx, node.Request{Verb: "run", Args: map[string]any{"argv": c.Argv, "dir": c.Dir, "stdin": c.Stdin,
		"timeout": c.Timeout.Milliseconds()}})
	if err != nil {
		return node.Result{}, err
	}
	return node.Result{Code: int(int32(row.Int("code"))), Stdout: row.Bytes("stdout"), Stderr: row.Bytes("stderr")}, nil
}

// StartJob starts a job.
func (s *Session) StartJob(ctx context.Context, id string, c node.Cmd) error {
	var cred Credential
	if c.As != "" {
		var ok bool
		if cred, ok = s.o.Credentials[c.As]; !ok {
			return fmt.Errorf("there is no credential %q", c.As)
		}
	}
	_, err := s.change(ctx, node.Request{Verb: "job.start", Args: map[string]any{"id": id, "argv": c.Argv, "dir": c.Dir,
		"user": cred.User, "password": cred.Password, "limit": int64(c.Timeout / time.Second)}})
	return err
}

// Job tells how a job stands.
func (s *Session) Job(ctx context.Context, id string) (node.JobState, error) {
	row, err := s.one(ctx, node.Request{Verb: "job.state", Args: map[string]any{"id": id}})
	if err != nil {
		return node.JobState{}, err
	}
	return node.JobState{Phase: node.JobPhase(row.String("phase")), Code: int(int32(row.Int("code"))),
		Output: string(row.Bytes("output"))}, nil
}

// Stat tells about a path.
func (s *Session) Stat(ctx context.Context, path string) (node.FileInfo, error) {
	row, err := s.one(ctx, node.Request{Verb: "file.stat", Args: map[string]any{"path": path}})
	if err != nil {
		return node.FileInfo{}, err
	}
	return node.FileInfo{Size: row.Int("size"), Dir: row.Bool("dir"), Modified: time.Unix(row.Int("modified"), 0).UTC()},
		nil
}

// Open reads a file whole.
func (s *Session) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	var all []byte
	for {
		row, err := s.one(ctx, node.Request{Verb: "file.read", Args: map[string]any{"path": path, "offset": int64(len(all)),
			"count": int64(1 << 20)}})
		if err != nil {
			return nil, err
		}
		all = append(all, row.Bytes("data")...)
		if int64(len(all)) >= row.Int("size") || len(row.Bytes("data")) == 0 {
			return io.NopCloser(bytes.NewReader(all)), nil
		}
	}
}

// Write puts a file in place by way of a temporary one.
func (s *Session) Write(ctx context.Context, path string, r io.Reader, _ node.WriteOptions) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	temp := path + ".labnode.tmp"
	if _, err := s.change(ctx, node.Request{Verb: "file.put",
		Args: map[string]any{"path": temp, "offset": int64(0), "data": b}}); err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	_, err = s.change(ctx, node.Request{Verb: "file.commit",
		Args: map[string]any{"temp": temp, "path": path, "sha256": hex.EncodeToString(sum[:])}})
	return err
}
