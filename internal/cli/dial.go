package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"deploy/internal/agent/client"
	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/local"
	"deploy/internal/session/powershell"
	"deploy/internal/session/shell"
	"deploy/inventory"
	"deploy/transport"
)

// dial opens an executor on a node for the engine: an agent beside it where one can be and the site
// lets it, else a session from here.
func (fl *fleet) dial(ctx context.Context, name string, b engine.Position) (engine.Executor, error) {
	n, ok := fl.l.site.Node(name)
	if !ok {
		return nil, fmt.Errorf("cannot connect to %s: it is not in the inventory", name)
	}
	if n.Transport == "local" {
		s, err := fl.session(ctx, name)
		if err != nil {
			return nil, err
		}
		return engine.Direct(s, "on this machine"), nil
	}
	var ready sync.WaitGroup
	if n.Transport == "ssh" && n.Agent != "never" && fl.endpoints == nil && fl.app.Programs != nil {
		ready.Go(fl.app.Programs.Ready) // there is time for it while the connection comes up
	}
	conn, err := fl.conn(ctx, n)
	ready.Wait()
	if err != nil {
		return nil, err
	}
	if fl.isWindows(n, conn) {
		return fl.dialWindows(ctx, n, conn, b)
	}
	a, why, err := fl.agent(ctx, n, conn, b)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if a != nil {
		return a, nil
	}
	s, err := fl.over(ctx, n, conn)
	if err != nil {
		return nil, err
	}
	return engine.Direct(s, "over "+n.Transport+" ("+why+")"), nil
}

// dialWindows brings an agent to a Windows machine. Over SSH that needs no PowerShell, which takes
// a second to start, and over WinRM none where the journal knows that an agent was there. Else a
// session comes first: it can tell whether the machine can carry an agent, it places one, and it is
// the way to work where there is none.
func (fl *fleet) dialWindows(ctx context.Context, n inventory.Node, conn transport.Conn,
	b engine.Position) (engine.Executor, error) {
	why, toDo := fl.unwanted(n), ""
	var undecided error
	if why == "" && (n.Transport == "ssh" || b.Agent.Epoch != "") {
		a, err := fl.quickOnWindows(ctx, n, conn, b)
		switch {
		case err == nil:
			return a, nil
		case errors.Is(err, client.ErrUndecided):
			undecided = err
		case errors.Is(err, client.ErrCannotPlace):
			why, toDo = err.Error(), hint.Of(err)
		default:
			return nil, errors.Join(err, conn.Close())
		}
	}
	if why != "" {
		if _, _, err := refused(n, why, toDo); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	s, err := powershell.Open(ctx, conn, powershell.Options{Options: fl.options(n.Name, true)})
	if err != nil {
		return nil, errors.Join(undecided, err, conn.Close())
	}
	if why == "" {
		var a *client.Agent
		if a, why, err = fl.agentOnWindows(ctx, n, conn, s, b); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		if a != nil {
			return a, nil
		}
	}
	return engine.Direct(s, "over "+n.Transport+" ("+why+")"), nil
}

// quickOnWindows starts an agent by the connection alone.
func (fl *fleet) quickOnWindows(ctx context.Context, n inventory.Node, conn transport.Conn,
	b engine.Position) (*client.Agent, error) {
	if n.Transport == "ssh" {
		return client.StartOnWindowsOverSSH(ctx, conn, fl.launch(n, true, b))
	}
	return client.StartPlacedOnWindows(ctx, conn, n.Transport, fl.launch(n, true, b))
}

// session opens a session on a node.
func (fl *fleet) session(ctx context.Context, name string) (node.Session, error) {
	n, ok := fl.l.site.Node(name)
	if !ok {
		return nil, fmt.Errorf("cannot connect to %s: it is not in the inventory", name)
	}
	if n.Transport == "local" {
		return local.Open(ctx, local.Options{Options: fl.options(name, runtime.GOOS == "windows")})
	}
	conn, err := fl.conn(ctx, n)
	if err != nil {
		return nil, err
	}
	return fl.over(ctx, n, conn)
}

func (fl *fleet) conn(ctx context.Context, n inventory.Node) (transport.Conn, error) {
	t, err := fl.target(n)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", n.Name, err)
	}
	d, ok := fl.app.Dialers[t.Transport]
	if !ok {
		return nil, hint.Wrap(fmt.Errorf("cannot connect to %s: unknown transport %q", n.Name, t.Transport),
			"use winrm, ssh or local")
	}
	return d.Dial(ctx, t)
}

// options are those of every session on a node.
func (fl *fleet) options(name string, windows bool) session.Options {
	return session.Options{Node: name, Credentials: fl.jobs(windows), ReadOnly: fl.app.Registry.ReadOnly(), Log: fl.log}
}

// jobs are the credentials that jobs may run with. On Linux root needs no password to be somebody
// else; on Windows a task needs one.
func (fl *fleet) jobs(windows bool) map[string]node.Credential {
	out := map[string]node.Credential{}
	for name, c := range fl.creds {
		if c.user != "" && !(windows && c.password.IsZero()) {
			out[name] = node.Credential{User: c.user, Password: c.password}
		}
	}
	return out
}

// isWindows says that the machine behind a connection is known to be Windows: by the transport, by
// how its SSH server calls itself, or because the lab has no others.
func (fl *fleet) isWindows(n inventory.Node, conn transport.Conn) bool {
	v, ok := conn.(interface{ ServerVersion() string })
	return n.Transport != "ssh" || fl.endpoints != nil || ok && strings.Contains(v.ServerVersion(), "Windows")
}

// over opens a session from here. It owns conn.
func (fl *fleet) over(ctx context.Context, n inventory.Node, conn transport.Conn) (node.Session, error) {
	if !fl.isWindows(n, conn) {
		s, err := shell.Open(ctx, conn, shell.Options{Options: fl.options(n.Name, false), Sudo: n.SSH.Sudo,
			SudoPassword: fl.creds[n.Credential].password})
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return s, nil
	}
	s, err := powershell.Open(ctx, conn, powershell.Options{Options: fl.options(n.Name, true)})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

// agent starts an agent beside a Linux node. Where there can be none, why says so. conn stays the
// caller's unless an agent came.
func (fl *fleet) agent(ctx context.Context, n inventory.Node, conn transport.Conn, b engine.Position) (a *client.Agent,
	why string, err error) {
	if why := fl.unwanted(n); why != "" {
		return refused(n, why, "")
	}
	a, err = client.Start(ctx, conn, fl.launch(n, false, b))
	if errors.Is(err, client.ErrCannotPlace) {
		return refused(n, err.Error(), hint.Of(err))
	}
	return a, "", err
}

// agentOnWindows is agent for a Windows node with a session s over conn, both of which stay the
// caller's unless an agent came.
func (fl *fleet) agentOnWindows(ctx context.Context, n inventory.Node, conn transport.Conn, s *powershell.Session,
	b engine.Position) (a *client.Agent, why string, err error) {
	a, err = client.StartOnWindows(ctx, conn, s, n.Transport, fl.launch(n, true, b))
	if errors.Is(err, client.ErrCannotPlace) {
		return refused(n, err.Error(), hint.Of(err))
	}
	return a, "", err
}

// unwanted says why no agent is to be tried on the node; "" when one is.
func (fl *fleet) unwanted(n inventory.Node) string {
	switch {
	case n.Agent == "never":
		return "agent: never"
	case fl.programs() == nil:
		return "this build of deploy contains no agents"
	}
	return ""
}

// refused is the answer where there is no agent: a reason for the plan, or an error where the site
// wants one always. toDo is what a person can do about the reason.
func refused(n inventory.Node, why, toDo string) (*client.Agent, string, error) {
	if n.Agent == "always" {
		what := "set agent: auto to allow agentless operation"
		if toDo != "" {
			what = toDo + "; or " + what
		}
		return nil, "", hint.Wrap(fmt.Errorf("cannot connect to %s with agent: always: %s", n.Name, why), what)
	}
	return nil, why, nil
}

// programs are the agents' programs for the site's nodes.
func (fl *fleet) programs() *client.Programs {
	if fl.endpoints != nil {
		return labPrograms(fl.l.labDir())
	}
	return fl.app.Programs
}

// launch says how an agent comes to a node.
func (fl *fleet) launch(n inventory.Node, windows bool, b engine.Position) client.Launch {
	o := client.Options{Node: n.Name, Who: fmt.Sprintf("%s (process %d)", who(), os.Getpid()), Site: fl.l.site.Name,
		Credentials: fl.jobs(windows), Position: b, Log: fl.log}
	if fl.app.Tap != nil {
		o.Tap = fl.app.Tap(n.Name)
	}
	fetch := client.Fetch{From: fl.l.site.Fetch}
	if fl.endpoints != nil {
		fetch.From = "" // nothing lies there for the lab's machines
	}
	return client.Launch{Options: o, Fetch: fetch, Programs: fl.programs(), Sudo: n.SSH.Sudo,
		SudoPassword: fl.creds[n.Credential].password}
}
