package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"deploy/internal/lab/front"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/session"
	"deploy/internal/node"
	core "deploy/internal/session"
)

// agentDir is where the records of the machines' agents are kept, each in a directory of its
// machine's name: they are on the machines' disks.
const agentDir = "agents"

// Agent is the program that a controller places on machines to work there. The lab cannot run it as
// a program; it runs what Start gives, which is the same code, over the machine's model.
type Agent struct {
	// ReadOnly is the session's, see package session: what a check may start
	ReadOnly func(argv []string) bool
	Digest   string // SHA-256 of the program's file, lower-case hex: a file with another content is no agent
	// Start begins a worker, the part of an agent that outlives its links. root is a directory for its
	// record; open opens a session to the machine, with the credentials that jobs may have.
	Start func(root string, open func(ctx context.Context, credentials map[string]node.Credential) (node.Session,
		error)) Worker
}

// Worker is an agent at work on a machine.
type Worker interface {
	// Serve talks to one controller until either side goes.
	Serve(s io.ReadWriteCloser) error
	// Kill ends it as the end of the machine would. It does not wait.
	Kill()
	// Close waits until nothing of it is left.
	Close() error
}

// worker is the agent of one machine, or none.
type worker struct {
	mu sync.Mutex
	w  Worker
}

// programs lets machines run the agent's program wherever its file stands.
func (l *Lab) programs() *machine.Module {
	find := func(c *machine.Ctx, path string) machine.Tool {
		data, err := machine.ReadFile(c, path)
		if err != nil || !isProgram(data, l.cfg.Agent.Digest) {
			return nil
		}
		return func(c *machine.Ctx, argv []string, _ []byte) machine.Result { return l.runAgent(c, argv) }
	}
	return &machine.Module{Lookup: []func(*machine.Ctx, string) machine.Tool{find}}
}

func isProgram(data []byte, digest string) bool {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]) == digest
}

// runAgent is `deploy agent`: it joins its streams to the machine's worker, and starts one where
// there is none.
func (l *Lab) runAgent(c *machine.Ctx, argv []string) machine.Result {
	// Go programs of today need Windows 10 or Windows Server 2016. Source: Go 1.21 release notes
	if !c.AtLeast(node.WS2016) {
		// ERROR_EXE_MACHINE_TYPE_MISMATCH
		return machine.Result{Code: 216, Stderr: "This program cannot be run on this version of Windows.\r\n"}
	}
	if len(argv) != 2 || argv[1] != "agent" {
		return machine.Result{Code: 2, Stderr: "deploy lab: only deploy agent is emulated\r\n"}
	}
	h, logon := l.hosts[strings.ToLower(c.M.Name)], front.Process{User: c.User, Network: c.Network}
	return machine.Result{Goes: func(ctx context.Context, in io.Reader, out, errOut io.Writer) int {
		w, err := h.agent(logon)
		if err != nil {
			_, _ = fmt.Fprintf(errOut, "error: %v\r\n", err)
			return 70 // as `deploy agent` ends when it could not do what it was started for
		}
		s := newFrontStream(in, out)
		stop := context.AfterFunc(ctx, func() { _ = s.Close() })
		defer stop()
		if err := w.Serve(s); err != nil {
			l.log.Debug("an agent's link ended", "machine", h.m.Name, "why", err)
		}
		return 0
	}}
}

// agent returns the machine's worker, and starts it when there is none. It has the logon of whoever
// came first, as a process inherits it.
func (h *host) agent(logon front.Process) (Worker, error) {
	h.lab.world.Lock()
	up := h.m.Powered
	h.lab.world.Unlock()
	h.worker.mu.Lock()
	defer h.worker.mu.Unlock()
	if !up || h.lab.ctx.Err() != nil {
		return nil, errDown
	}
	if h.worker.w == nil {
		root := filepath.Join(h.lab.cfg.Dir, agentDir, strings.ToLower(h.m.Name))
		if err := os.MkdirAll(root, 0o700); err != nil {
			return nil, err
		}
		h.worker.w = h.lab.cfg.Agent.Start(root, func(ctx context.Context, creds map[string]node.Credential) (node.Session,
			error) {
			return h.session(ctx, logon, creds)
		})
	}
	return h.worker.w, nil
}

// session is what the steps of an agent see: the machine itself, with all that the lab plays around
// a request.
func (h *host) session(ctx context.Context, logon front.Process, creds map[string]node.Credential) (node.Session,
	error) {
	o := session.Options{World: h.lab.world, Machine: h.m, Module: h.lab.b, User: logon.User, Network: logon.Network,
		Options: core.Options{Credentials: creds, ReadOnly: h.lab.cfg.Agent.ReadOnly},
		Serve: func(ctx context.Context, verb string, args map[string]any) ([]machine.Object, error) {
			return h.serve(ctx, logon, verb, args)
		}}
	return session.New(ctx, o)
}

// endAgent ends the machine's agent with the machine. The caller may hold the world's lock, which
// the step under way may want.
func (h *host) endAgent() {
	h.worker.mu.Lock()
	w := h.worker.w
	h.worker.w = nil
	h.worker.mu.Unlock()
	if w == nil {
		return
	}
	w.Kill()
	h.lab.wg.Go(func() {
		if err := w.Close(); err != nil {
			h.lab.log.Debug("an agent ended with its machine", "machine", h.m.Name, "why", err)
		}
	})
}

// frontStream makes one stream of a process's two. Closing it ends a read that waits, which closing
// nothing of the process would.
type frontStream struct {
	*io.PipeReader
	out io.Writer
}

func newFrontStream(in io.Reader, out io.Writer) frontStream {
	r, w := io.Pipe()
	go func() {
		// ends with the process, whose streams its server closes
		_, err := io.Copy(w, in)
		_ = w.CloseWithError(err)
	}()
	return frontStream{r, out}
}

func (s frontStream) Write(p []byte) (int, error) { return s.out.Write(p) }
