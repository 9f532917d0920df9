// Package sshd is the SSH server of an emulated Windows machine: OpenSSH for Windows with cmd.exe
// as its shell, exec requests, exit codes, and SFTP over the machine's files (paths like
// /C:/dir/file). No pty and no interactive shell: deploy never asks for one, and a person is told
// so.
package sshd

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"deploy/internal/lab/front"
	"deploy/internal/lab/machine"
)

// Limits of sshd_config that clients meet. Source: sshd_config(5) defaults.
const (
	maxSessions  = 10
	maxAuthTries = 6
	loginGrace   = 2 * time.Minute
)

// Account is one who may log on.
type Account struct {
	Name     string // DOMAIN\name
	Password string
	Key      ssh.PublicKey // nil when no key is accepted
	// Refused is asked when the credentials are right, and may refuse them all the same. nil never
	// does.
	Refused func() bool
}

func (a Account) refused() bool { return a.Refused != nil && a.Refused() }

// Config is a server's configuration. HostKey, Lookup, Run and Serve must be set.
type Config struct {
	Machine string
	HostKey ssh.Signer
	// Lookup finds an account by the name a client gives (user, DOMAIN\user, user@domain).
	Lookup func(user string) (Account, bool)
	// Run runs the command lines.
	Run front.Runner
	// Serve carries out the file verbs of package resident for SFTP.
	Serve func(ctx context.Context, p front.Process, verb string, args map[string]any) ([]machine.Object, error)
	// CodePage is what tools print in: the machine's OEM code page.
	CodePage int
	// Forward opens connections for direct-tcpip when the machine is a bastion; nil refuses them, as
	// Windows' sshd is often set up.
	Forward func(ctx context.Context, host string, port int) (net.Conn, error)
	Log     *slog.Logger
}

// Server serves one machine.
type Server struct {
	cfg    Config
	ssh    *ssh.ServerConfig
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[net.Conn]struct{}
	closed    bool
}

// logon is kept in ssh.Permissions.
const (
	extAccount = "account"
	extNetwork = "network"
)

// New makes a server. Serve starts it.
func New(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{cfg: cfg, ctx: ctx, cancel: cancel, conns: map[net.Conn]struct{}{}}
	s.ssh = &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-OpenSSH_for_Windows_8.1",
		MaxAuthTries:  maxAuthTries,
		PasswordCallback: func(c ssh.ConnMetadata, pw []byte) (*ssh.Permissions, error) {
			a, ok := cfg.Lookup(c.User())
			if !ok || a.Password == "" || subtle.ConstantTimeCompare(pw, []byte(a.Password)) != 1 || a.refused() {
				return nil, errors.New("password refused")
			}
			// a password gives a full logon, with network credentials
			return &ssh.Permissions{Extensions: map[string]string{extAccount: a.Name}}, nil
		},
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			a, ok := cfg.Lookup(c.User())
			if !ok || a.Key == nil || subtle.ConstantTimeCompare(key.Marshal(), a.Key.Marshal()) != 1 || a.refused() {
				return nil, errors.New("key refused")
			}
			// a key does not: the machine has nothing to show to another one
			return &ssh.Permissions{Extensions: map[string]string{extAccount: a.Name, extNetwork: "yes"}}, nil
		},
	}
	s.ssh.AddHostKey(cfg.HostKey)
	return s
}

// Serve answers on l until Close.
func (s *Server) Serve(l net.Listener) {
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !s.track(c) {
				_ = c.Close()
				return
			}
			s.wg.Add(1)
			go func() {
				defer s.wg.Done()
				defer s.untrack(c)
				s.serveConn(c)
			}()
		}
	}()
}

func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) untrack(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Close stops serving, ends every process and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}

// serveConn is one TCP connection.
func (s *Server) serveConn(raw net.Conn) {
	_ = raw.SetDeadline(time.Now().Add(loginGrace))
	conn, chans, reqs, err := ssh.NewServerConn(raw, s.ssh)
	if err != nil {
		s.cfg.Log.Debug("ssh handshake failed", "machine", s.cfg.Machine, "error", err)
		return
	}
	_ = raw.SetDeadline(time.Time{})
	// what runs in the connection's sessions ends with it
	ctx, cancel := context.WithCancel(s.ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Add(1)
	go func() {
		defer wg.Done()
		for r := range reqs {
			// keepalive@openssh.com and whatever else: an answer of any kind is what the client waits for
			if r.WantReply {
				_ = r.Reply(false, nil)
			}
		}
	}()
	sem := make(chan struct{}, maxSessions)
	for nc := range chans {
		switch nc.ChannelType() {
		case "session":
			select {
			case sem <- struct{}{}:
			default:
				_ = nc.Reject(ssh.ConnectionFailed, "open failed")
				continue
			}
			ch, chReqs, err := nc.Accept()
			if err != nil {
				<-sem
				continue
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer func() { <-sem }()
				s.session(ctx, conn, ch, chReqs)
			}()
		case "direct-tcpip":
			if s.cfg.Forward == nil {
				_ = nc.Reject(ssh.Prohibited, "administratively prohibited: open failed")
				continue
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				s.forward(ctx, nc)
			}()
		default:
			_ = nc.Reject(ssh.UnknownChannelType, "unsupported channel type")
		}
	}
}

// forward connects a direct-tcpip channel.
func (s *Server) forward(ctx context.Context, nc ssh.NewChannel) {
	var to struct {
		Host   string
		Port   uint32
		Origin string
		From   uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &to); err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, "bad request")
		return
	}
	out, err := s.cfg.Forward(ctx, to.Host, int(to.Port))
	if err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, "connect failed")
		return
	}
	defer out.Close()
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(reqs)
	defer context.AfterFunc(ctx, func() { _, _ = ch.Close(), out.Close() })()
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		_, _ = io.Copy(out, ch)
		if t, ok := out.(interface{ CloseWrite() error }); ok {
			_ = t.CloseWrite()
		}
	}()
	_, _ = io.Copy(ch, out)
	_ = ch.CloseWrite()
	_, _ = ch.Close(), out.Close()
	wg.Wait()
}

// session is one session channel: one exec request or one subsystem.
func (s *Server) session(ctx context.Context, conn *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
	defer ch.Close()
	ctx, cancel := context.WithCancel(ctx)
	p := front.Process{User: conn.Permissions.Extensions[extAccount],
		Network:  conn.Permissions.Extensions[extNetwork] != "",
		CodePage: s.cfg.CodePage, Stdin: ch, Stdout: ch, Stderr: ch.Stderr(),
		Dir: `C:\Users\` + shortName(conn.Permissions.Extensions[extAccount])}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	started := false
	var signal string
	var sigMu sync.Mutex
	for r := range reqs {
		ok := false
		switch r.Type {
		case "env":
			ok = true // AcceptEnv would decide; the emulated shell has its own environment
		case "exec", "subsystem":
			var arg struct{ Value string }
			if started || ssh.Unmarshal(r.Payload, &arg) != nil || r.Type == "subsystem" && arg.Value != "sftp" {
				break
			}
			started, ok = true, true
			p.Line = arg.Value
			// before it runs: a command that ends at once would close the channel under the answer
			if r.WantReply {
				_ = r.Reply(true, nil)
				r.WantReply = false
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer ch.Close()
				if r.Type == "subsystem" {
					s.sftp(ctx, p, ch)
					return
				}
				code := s.cfg.Run(ctx, p)
				sigMu.Lock()
				name := signal
				sigMu.Unlock()
				end(ch, code, name)
			}()
		case "signal":
			var arg struct{ Name string }
			if started && ssh.Unmarshal(r.Payload, &arg) == nil {
				ok = true
				sigMu.Lock()
				signal = arg.Name
				sigMu.Unlock()
				cancel()
			}
		case "shell", "pty-req":
			// refused: see the package comment
		}
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if !ok && r.Type == "shell" {
			_, _ = fmt.Fprintf(ch.Stderr(), "%s runs single commands only: give one on the ssh command line\r\n", s.cfg.Machine)
			return
		}
	}
}

// end tells the client how the process ended and closes the channel.
func end(ch ssh.Channel, code int, signal string) {
	_ = ch.CloseWrite()
	if signal != "" {
		_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal  string
			Core    bool
			Message string
			Lang    string
		}{signal, false, "", ""}))
		return
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(code)}))
}

// shortName is the part of DOMAIN\name that names the profile.
func shortName(account string) string { return account[strings.LastIndexByte(account, '\\')+1:] }

// HostKeyLine is a known_hosts line for an address ("127.0.0.1:2222").
func HostKeyLine(address string, key ssh.PublicKey) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, "22"
	}
	if n, _ := strconv.Atoi(port); n != 22 {
		host = "[" + host + "]:" + port
	}
	return host + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}
