package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"deploy/internal/lab/front"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/lab/sshd"
	"deploy/internal/lab/winrmd"
)

// host is one machine with its servers.
type host struct {
	lab      *Lab
	m        *model.Machine
	winrm    *winrmd.Server
	ssh      *sshd.Server
	gates    []*gate
	endpoint Endpoint
	requests atomic.Int64
	worker   worker
}

// errDown is what a request meets on a machine that went down before it:
// ERROR_SHUTDOWN_IN_PROGRESS. Its client never sees it, since its connection is cut.
var errDown error = &machine.Fail{Code: 1115, Category: "ConnectionError", Text: "the machine is down"}

// newHost opens a machine's listeners, shut, and serves them.
func newHost(l *Lab, m *model.Machine, k *keys) (*host, error) {
	h := &host{lab: l, m: m}
	address := ""
	if n, ok := l.cfg.Site.Node(m.Name); ok {
		address = n.Address
	}
	dns := m.Name
	if m.Domain != "" {
		dns += "." + m.Domain
	}
	cert, err := k.certificate(m.Name, dns, address)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate for %s: %w", m.Name, err)
	}
	signer, err := k.hostKey(m.Name)
	if err != nil {
		return nil, fmt.Errorf("cannot make a host key for %s: %w", m.Name, err)
	}
	quotas := winrmd.QuotasOld()
	if m.Release.AtLeast("2012") {
		quotas = winrmd.QuotasNew()
	}
	quotas.Speed = l.cfg.Speed
	wc := winrmd.Config{Machine: m.Name, DNSDomain: m.Domain, Version: m.Version, ServicePack: m.SP, Quotas: quotas,
		Password: h.password,
		Run:      h.run, Certificate: cert, RefuseShell: func() bool { return h.strike("shell-quota") }, Log: l.log}
	if l.world.Forest != nil && m.Domain != "" {
		wc.Domain = l.world.Forest.NetBIOS
	}
	if l.cfg.Latency > 0 {
		wc.Before = func(ctx context.Context) { wait(ctx, l.cfg.Latency) }
	}
	if h.winrm, err = winrmd.New(wc); err != nil {
		return nil, err
	}
	sc := sshd.Config{Machine: m.Name, HostKey: signer, Lookup: h.lookup, Run: h.run, Serve: h.serve,
		CodePage: codePage(m.Locale), Log: l.log}
	for _, b := range l.cfg.Bastions {
		if strings.EqualFold(b, m.Name) {
			sc.Forward = l.forward
		}
	}
	h.ssh = sshd.New(sc)

	var at [3]string
	for i, serve := range []func(net.Listener){
		func(l net.Listener) { h.winrm.Serve(l, false) },
		func(l net.Listener) { h.winrm.Serve(l, true) },
		func(l net.Listener) { h.ssh.Serve(l) },
	} {
		tcp, err := listen()
		if err != nil {
			h.close()
			return nil, fmt.Errorf("cannot serve %s: %w", m.Name, err)
		}
		delay := l.cfg.Latency
		if i < 2 {
			delay = 0 // WinRM's is per request, see Before
		}
		g := newGate(tcp, delay)
		h.gates = append(h.gates, g)
		at[i] = tcp.Addr().String()
		serve(g)
	}
	h.endpoint = Endpoint{HTTP: at[0], HTTPS: at[1], SSH: at[2], CA: k.authority(),
		HostKey: ssh.FingerprintSHA256(signer.PublicKey()), HostKeyLine: sshd.HostKeyLine(at[2], signer.PublicKey())}
	return h, nil
}

// codePage is the OEM code page of a machine in that language. Source: Windows' system locales.
func codePage(locale string) int {
	switch locale {
	case "fr", "de":
		return 850
	case "ja":
		return 932
	}
	return 437
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// close ends the servers and all that runs in their shells.
func (h *host) close() {
	for _, g := range h.gates {
		_ = g.Close()
		g.cut()
		g.thaw()
	}
	if h.winrm != nil {
		h.winrm.Close()
	}
	if h.ssh != nil {
		h.ssh.Close()
	}
}

// set opens or shuts the machine's listeners. Shells do not outlive the machine.
func (h *host) set(up bool) {
	for _, g := range h.gates {
		g.set(up)
	}
	if !up {
		h.winrm.Restart()
		h.endAgent()
	}
}

// strike plays a fault of this machine and keeps that it struck.
func (h *host) strike(kind string) bool {
	l := h.lab
	l.world.Lock()
	defer l.world.Unlock()
	_, hit := l.world.Strike(kind, h.m.Name, nil)
	if hit {
		l.save(true)
	}
	return hit
}

// password is WinRM's way to an account.
func (h *host) password(user, domain string) (account, password string, ok bool) {
	acc, full, ok := h.lab.accounts.find(user, domain)
	if !ok || acc.Password.IsZero() || h.strike("logon-refused") {
		return "", "", false
	}
	return full, acc.Password.Reveal(), true
}

// lookup is SSH's.
func (h *host) lookup(user string) (sshd.Account, bool) {
	acc, full, ok := h.lab.accounts.find(user, "")
	if !ok {
		return sshd.Account{}, false
	}
	return sshd.Account{Name: full, Password: acc.Password.Reveal(), Key: acc.Key,
		Refused: func() bool { return h.strike("logon-refused") }}, true
}

// run is the process that a remote shell starts.
func (h *host) run(ctx context.Context, p front.Process) int {
	return front.Run(ctx, p, front.Host{PowerShell: h.m.PSVer, Serve: h.serve, Command: h.command})
}

// serve carries out one verb of package resident.
func (h *host) serve(ctx context.Context, p front.Process, verb string, args map[string]any) (rows []machine.Object,
	err error) {
	down := h.do(ctx, p, onlyReads(verb, args), func(c *machine.Ctx) { rows, err = machine.Serve(c, verb, args) })
	return rows, errors.Join(down, err)
}

// command runs a command line.
func (h *host) command(ctx context.Context, p front.Process, line string, stdin []byte) (res machine.Result) {
	if err := h.do(ctx, p, false, func(c *machine.Ctx) { res = machine.CommandLine(c, line, stdin) }); err != nil {
		return machine.Result{Code: 1}
	}
	return res
}

// do carries out one request with all that the lab plays around it.
func (h *host) do(ctx context.Context, p front.Process, reads bool, work func(c *machine.Ctx)) error {
	l := h.lab
	n := h.requests.Add(1)
	l.world.Lock()
	defer l.world.Unlock()
	if args, hit := l.world.Strike("slow", h.m.Name, nil); hit {
		ms, _ := strconv.Atoi(args["ms"])
		l.world.Unlock()
		wait(ctx, time.Duration(ms)*time.Millisecond)
		l.world.Lock()
	}
	if args, hit := l.world.Strike("node-lost", h.m.Name,
		func(args map[string]string) bool { return args["at"] != "" && due(n)(args) }); hit {
		l.lose(h, duration(args, "back"))
	}
	if !h.m.Powered || ctx.Err() != nil {
		return errDown
	}
	if args, hit := l.world.Strike("link-freeze", h.m.Name, due(n)); hit {
		h.freeze(duration(args, "for"))
	}
	h.drop(n, "before")
	if _, hit := l.world.Strike("winrm-restarts", h.m.Name, due(n)); hit {
		h.winrm.Restart()
	}
	work(l.newCtx(ctx, h.m, p.User, p.Network, p.Dir))
	l.save(reads)
	h.drop(n, "after")
	return nil
}

// drop plays the fault link-drop.
func (h *host) drop(n int64, when string) {
	_, hit := h.lab.world.Strike("link-drop", h.m.Name, func(args map[string]string) bool {
		w := args["when"]
		return (w == when || w == "" && when == "after") && due(n)(args)
	})
	if hit {
		h.lab.save(true)
		for _, g := range h.gates {
			g.cut()
		}
	}
}

// freeze plays the fault link-freeze.
func (h *host) freeze(d time.Duration) {
	for _, g := range h.gates {
		g.freeze()
		if d > 0 {
			time.AfterFunc(d, g.thaw)
		}
	}
}

// thawUnless lets bytes move again when none of the faults can have frozen them.
func (h *host) thawUnless(faults []*model.Fault) {
	for _, f := range faults {
		if f.Kind == "link-freeze" && (f.Machine == "" || strings.EqualFold(f.Machine, h.m.Name)) {
			return
		}
	}
	for _, g := range h.gates {
		g.thaw()
	}
}

// onlyReads says that a request changes nothing, so that the world need not be looked at for
// changes. When in doubt it is false.
func onlyReads(verb string, args map[string]any) bool {
	switch verb {
	case "facts", "reg.get", "reg.keys", "wmi.get", "file.stat", "file.read", "file.hash", "dir.list", "acl.get",
		"ad.find", "owner.get":
		return true
	case "file.put":
		// a piece of a temporary file stays in the machine's cache until the file is committed: a lab
		// that is killed before has lost it, as a machine without power would. SFTP writes to a file's
		// own name and commits nothing.
		path, _ := args["path"].(string)
		return strings.HasSuffix(path, ".deploy.tmp")
	case "cmdlet":
		name, _ := args["name"].(string)
		return strings.HasPrefix(strings.ToLower(name), "get-")
	}
	return false
}

// forward connects a bastion's client to another machine's SSH server, by its inventory address or
// name.
func (l *Lab) forward(ctx context.Context, to string, _ int) (net.Conn, error) {
	for _, h := range l.hosts {
		n, _ := l.cfg.Site.Node(h.m.Name)
		if strings.EqualFold(to, h.m.Name) || to == n.Address {
			return (&net.Dialer{}).DialContext(ctx, "tcp", h.endpoint.SSH)
		}
	}
	return nil, fmt.Errorf("cannot connect to %s: the lab has no such machine", to)
}
