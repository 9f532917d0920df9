package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"deploy/internal/direct"
	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/local"
	"deploy/internal/node"
	"deploy/internal/posix"
	"deploy/internal/remote"
	"deploy/inventory"
	"deploy/transport"
)

// dial opens an executor on a node for the engine: an agent beside it where one can be and the site lets it, else a session from here.
func (fl *fleet) dial(ctx context.Context, name string) (engine.Executor, error) {
	n, ok := fl.l.site.Node(name)
	if !ok {
		return nil, fmt.Errorf("cannot connect to %s: it is not in the inventory", name)
	}
	if n.Transport == "local" {
		s, err := fl.session(ctx, name)
		if err != nil {
			return nil, err
		}
		return engine.Direct(s, "steps run here"), nil
	}
	conn, err := fl.conn(ctx, n)
	if err != nil {
		return nil, err
	}
	a, why, err := fl.agent(ctx, n, conn)
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
	return engine.Direct(s, "steps run from here over "+n.Transport+": "+why), nil
}

// session opens a session on a node.
func (fl *fleet) session(ctx context.Context, name string) (node.Session, error) {
	n, ok := fl.l.site.Node(name)
	if !ok {
		return nil, fmt.Errorf("cannot connect to %s: it is not in the inventory", name)
	}
	if n.Transport == "local" {
		return local.Open(ctx, local.Options{Node: name, Credentials: fl.jobs(runtime.GOOS == "windows"), Log: fl.log})
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
		return nil, hint.Wrap(fmt.Errorf("cannot connect to %s: there is no transport %q", n.Name, t.Transport), "use winrm, ssh or local")
	}
	return d.Dial(ctx, t)
}

// jobs are the credentials that jobs may run with. On Linux root needs no password to be somebody else; on Windows a task needs one.
func (fl *fleet) jobs(windows bool) map[string]node.Credential {
	out := map[string]node.Credential{}
	for name, c := range fl.creds {
		if c.user != "" && !(windows && c.password.IsZero()) {
			out[name] = node.Credential{User: c.user, Password: c.password}
		}
	}
	return out
}

// windows says that the machine behind an SSH connection is known to be Windows, by how its server calls itself.
func windows(conn transport.Conn) bool {
	v, ok := conn.(interface{ ServerVersion() string })
	return ok && strings.Contains(v.ServerVersion(), "Windows")
}

// over opens a session from here. It owns conn.
func (fl *fleet) over(ctx context.Context, n inventory.Node, conn transport.Conn) (node.Session, error) {
	if n.Transport == "ssh" && fl.endpoints == nil && !windows(conn) {
		s, err := posix.Open(ctx, conn, posix.Options{Node: n.Name, Credentials: fl.jobs(false), Sudo: n.SSH.Sudo, SudoPassword: fl.creds[n.Credential].password, Log: fl.log})
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return s, nil
	}
	s, err := direct.Open(ctx, conn, direct.Options{Node: n.Name, Credentials: fl.jobs(true), Log: fl.log})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

// agent starts an agent beside the node. Where there can be none, why says so. conn stays the caller's unless an agent came.
func (fl *fleet) agent(ctx context.Context, n inventory.Node, conn transport.Conn) (a *remote.Agent, why string, err error) {
	refuse := func(why string) (*remote.Agent, string, error) {
		if n.Agent == "always" {
			return nil, "", hint.Wrap(fmt.Errorf("cannot work on %s: the site wants an agent there, and %s", n.Name, why), "write agent: auto to let steps run from here")
		}
		return nil, why, nil
	}
	switch {
	case n.Agent == "never":
		return nil, "the site wants no agent there", nil
	case fl.endpoints != nil:
		return refuse("the lab's machines carry none")
	case n.Transport != "ssh":
		return refuse("over " + n.Transport + " none can be placed")
	case windows(conn):
		return refuse("on Windows none can be placed over ssh")
	case fl.app.Programs == nil:
		return refuse("this program brings none")
	}
	o := remote.Options{Node: n.Name, Who: fmt.Sprintf("%s (process %d)", who(), os.Getpid()), Site: fl.l.site.Name, Credentials: fl.jobs(false), Log: fl.log}
	if fl.app.Tap != nil {
		o.Tap = fl.app.Tap(n.Name)
	}
	a, err = remote.Start(ctx, conn, remote.Launch{Options: o, Programs: fl.app.Programs, Sudo: n.SSH.Sudo, SudoPassword: fl.creds[n.Credential].password})
	if errors.Is(err, remote.ErrCannotPlace) {
		return refuse(err.Error())
	}
	return a, "", err
}
