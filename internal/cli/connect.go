package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"deploy/internal/hint"
	"deploy/internal/lab"
	"deploy/inventory"
	"deploy/steps"
	"deploy/transport"
)

// fleet reaches the nodes of one site: real ones, or the lab's.
type fleet struct {
	app       *App
	l         *loaded
	creds     map[string]credential
	endpoints map[string]lab.Endpoint // nil for real nodes
	own       *lab.Lab                // the lab that this command started
	log       *slog.Logger
	closers   []func() error
}

// fleet finds the secrets and, with --lab, the lab: one that is already up is joined, else one is
// started for this command.
func (a *App) fleet(ctx context.Context, l *loaded, f siteFlags) (_ *fleet, err error) {
	fl := &fleet{app: a, l: l, log: slog.New(slog.DiscardHandler)}
	defer func() {
		if err != nil {
			err = errors.Join(err, fl.close())
		}
	}()
	if f.debug != "" {
		file, err := os.OpenFile(f.debug, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("cannot open the debug log: %w", err)
		}
		fl.closers = append(fl.closers, file.Close)
		fl.log = slog.New(slog.NewJSONHandler(redactingWriter{file, &a.redact}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if fl.creds, err = a.credentials(ctx, l, f); err != nil {
		return nil, err
	}
	if !f.lab {
		return fl, nil
	}
	for _, n := range l.site.Nodes {
		if n.Transport == "local" {
			return nil, hint.Wrap(fmt.Errorf("cannot emulate %s in the lab: transport: local means this machine",
				n.Name),
				"set transport: winrm or ssh for nodes that the lab emulates")
		}
	}
	if at, up := lab.Attach(l.labDir()); up {
		if f.labDelay != "" || len(f.faults) > 0 {
			return nil, hint.Wrap(fmt.Errorf("the lab of site %s is already running with its own faults and delay", l.site.Name),
				"pass --fault and --lab-delay to deploy lab up, or stop the running lab")
		}
		fl.endpoints = at
		return fl, nil
	}
	if fl.own, err = a.startLab(ctx, l, fl.creds, f, fl.log); err != nil {
		return nil, err
	}
	fl.closers = append(fl.closers, fl.own.Close)
	fl.endpoints = fl.own.Endpoints()
	return fl, nil
}

func (a *App) startLab(ctx context.Context, l *loaded, creds map[string]credential, f siteFlags,
	log *slog.Logger) (*lab.Lab, error) {
	config := lab.Config{Site: l.site, Dir: l.labDir(),
		Faults: append(append([]string{}, l.site.Lab.Faults...), f.faults...), Log: log}
	if f.labDelay != "" {
		d, err := time.ParseDuration(f.labDelay)
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("cannot read --lab-delay %q: %w", f.labDelay, err), "write a duration such as 5ms")
		}
		config.Latency = d
	}
	for _, c := range creds {
		config.Accounts = append(config.Accounts, lab.Account{User: c.user, Password: c.password})
	}
	var err error
	if config.Agent, err = a.LabAgent(config.Dir); err != nil {
		return nil, err
	}
	return lab.Start(ctx, config)
}

func (fl *fleet) close() error {
	var errs []error
	for i := len(fl.closers) - 1; i >= 0; i-- {
		errs = append(errs, fl.closers[i]())
	}
	fl.closers = nil
	return errors.Join(errs...)
}

// target is where and how to reach a node.
func (fl *fleet) target(n inventory.Node) (transport.Target, error) {
	c := fl.creds[n.Credential]
	dir := filepath.Dir(fl.l.site.Path)
	rel := func(p string) string {
		if p == "" || filepath.IsAbs(p) || p[0] == '~' {
			return p
		}
		return filepath.Join(dir, p)
	}
	t := transport.Target{
		Node: n.Name, Transport: n.Transport, Address: n.Address, Port: n.Port, User: c.user, Password: c.password,
		Timeout: n.Timeout,
		WinRM:   transport.WinRM{HTTPS: n.WinRM.Scheme != "http", Auth: n.WinRM.Auth, Pin: n.WinRM.Fingerprint},
		SSH: transport.SSH{Fingerprints: n.SSH.Fingerprints, AcceptNew: n.SSH.AcceptNew, KeyPassphrase: c.passphrase,
			Agent:      c.agent,
			ConfigFile: rel(n.SSH.Config), ProxyJump: n.SSH.ProxyJump, KeepAlive: n.SSH.KeepAlive},
	}
	if c.keyFile != "" {
		t.SSH.KeyFiles = []string{c.keyFile}
	}
	if n.SSH.KnownHosts != "" {
		t.SSH.KnownHosts = []string{rel(n.SSH.KnownHosts)}
	}
	if fl.endpoints != nil {
		return fl.labTarget(t)
	}
	if n.WinRM.CA != "" {
		pem, err := os.ReadFile(rel(n.WinRM.CA))
		if err != nil {
			return t, fmt.Errorf("cannot read the certificate authority: %w", err)
		}
		t.WinRM.CACert = pem
	}
	if n.WinRM.Certificate != "" {
		cert, err := os.ReadFile(rel(n.WinRM.Certificate))
		if err != nil {
			return t, fmt.Errorf("cannot read the client certificate: %w", err)
		}
		key, err := os.ReadFile(rel(n.WinRM.Key))
		if err != nil {
			return t, fmt.Errorf("cannot read the client certificate's key: %w", err)
		}
		t.WinRM.CertPEM, t.WinRM.KeyPEM = cert, newSecret(string(key))
	}
	return t, nil
}

// labTarget turns a target to the lab's address on loopback. The way in (transport, HTTP or HTTPS,
// authentication) stays the site's.
func (fl *fleet) labTarget(t transport.Target) (transport.Target, error) {
	e, ok := fl.endpoints[t.Node]
	if !ok {
		return t, hint.Wrap(fmt.Errorf("the running lab has no machine for this node"),
			"stop the running lab and start it again with this site file")
	}
	address := e.HTTPS
	switch {
	case t.Transport == "ssh":
		address = e.SSH
		t.SSH = transport.SSH{Fingerprints: []string{e.HostKey}, KeepAlive: t.SSH.KeepAlive}
	case !t.WinRM.HTTPS:
		address = e.HTTP
	}
	if t.Transport != "ssh" {
		t.WinRM.CACert, t.WinRM.Pin = e.CA, ""
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return t, fmt.Errorf("cannot read the lab's address: %w", err)
	}
	t.Address = host
	t.Port, err = strconv.Atoi(port)
	return t, err
}

// decode makes a step of what the journal holds.
func (a *App) decode(kind string, data json.RawMessage) (steps.Step, error) {
	k, ok := a.Registry.Get(kind)
	if !ok {
		return nil, hint.Wrap(fmt.Errorf("the journal contains a step of unknown kind %s", kind),
			"use the version of deploy that wrote the journal")
	}
	s := k.New()
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("cannot read a %s step from the journal: %w", kind, err)
	}
	return s, nil
}
