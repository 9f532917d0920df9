package local

import (
	"context"
	"errors"
	"sync"

	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/local/winapi"
	"deploy/internal/session/powershell"
	transport "deploy/transport/local"
)

// platform is what a session keeps for Windows.
type platform struct {
	host winapi.Host

	mu    sync.Mutex          // one start of PowerShell at a time
	shell *powershell.Session // nil until the first request that needs it, and after it broke
}

func (s *Session) open(ctx context.Context) (node.Facts, error) {
	facts, err := winapi.Facts(ctx, &s.platform.host)
	if err != nil {
		s.platform.host.Close()
	}
	return facts, err
}

func (s *Session) close() error {
	s.platform.mu.Lock()
	defer s.platform.mu.Unlock()
	s.platform.host.Close()
	if s.platform.shell == nil {
		return nil
	}
	err := s.platform.shell.Close()
	s.platform.shell = nil
	return err
}

func (s *Session) system(ctx context.Context, r node.Request) ([]node.Row, error) {
	a := node.Row(r.Args)
	table := func(name string) map[string]any { m, _ := r.Args[name].(map[string]any); return m }
	row := func(out node.Row, err error) ([]node.Row, error) {
		if err != nil {
			return nil, err
		}
		return []node.Row{out}, nil
	}
	ns, class, where := a.String("ns"), a.String("class"), table("where")
	switch r.Verb {
	case "reg.get":
		return winapi.RegistryValues(a.String("key"))
	case "reg.keys":
		return winapi.RegistryKeys(a.String("key"))
	case "reg.set":
		return nil, winapi.RegistrySet(a.String("key"), a.String("name"), a.String("type"), r.Args["data"])
	case "reg.del":
		return nil, winapi.RegistryDelete(a.String("key"), a.String("name"))
	case "reg.delkey":
		return nil, winapi.RegistryDeleteKey(a.String("key"))
	case "wmi.get":
		props := a.Strings("props")
		if winapi.ServesService(ns, class, props, where) {
			return winapi.ServiceGet(props, where)
		}
		return s.platform.host.Get(ctx, ns, class, props, where)
	case "wmi.call":
		args, method := table("args"), a.String("method")
		if winapi.ServesServiceCall(ns, class, where, method, args) {
			return row(winapi.ServiceCall(where, method, args))
		}
		return row(s.platform.host.Call(ctx, ns, class, where, method, args))
	case "wmi.set":
		return nil, s.platform.host.Set(ctx, ns, class, where, table("set"))
	case "acl.get":
		return winapi.ACL(a.String("path"))
	case "acl.set":
		return nil, winapi.SetACL(a.String("path"), a.String("sddl"))
	case "restart":
		return nil, winapi.Restart(a.String("reason"))
	case "cmdlet", "ad.find", "ad.add", "ad.mod", "ad.del":
		return s.throughShell(ctx, r)
	}
	return nil, s.unsupported(r.Op(), "no verb "+r.Verb)
}

func (s *Session) owners() ([]node.Row, error) { return winapi.Owners(s.ownerRoot()) }

func (s *Session) ownerRoot() string {
	if s.opts.OwnerKey != "" {
		return s.opts.OwnerKey
	}
	return winapi.DeployKey
}

// putOwner puts a site's owner record in place; "" removes it.
func (s *Session) putOwner(site, record string) error {
	return winapi.SetOwner(s.ownerRoot(), site, record)
}

// throughShell has one resident PowerShell on this machine carry a request out. One that broke is
// started anew for the next request; what was under way in it has an unknown outcome, which its
// error says.
func (s *Session) throughShell(ctx context.Context, r node.Request) ([]node.Row, error) {
	shell, err := s.resident(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := shell.Change(ctx, r)
	var link *node.LinkError
	if errors.As(err, &link) {
		s.platform.mu.Lock()
		defer s.platform.mu.Unlock()
		if s.platform.shell == shell {
			s.platform.shell = nil
			_ = shell.Close()
		}
	}
	return rows, err
}

func (s *Session) resident(ctx context.Context) (*powershell.Session, error) {
	s.platform.mu.Lock()
	defer s.platform.mu.Unlock()
	if s.platform.shell != nil {
		return s.platform.shell, nil
	}
	shell, err := powershell.Open(ctx, transport.New(s.opts.Node),
		powershell.Options{Options: session.Options{Node: s.opts.Node, Log: s.opts.Log}})
	if err != nil {
		return nil, err
	}
	s.platform.shell = shell
	return shell, nil
}

// builtin: no program is answered for here.
func builtin([]string) (node.Row, bool) { return nil, false }
