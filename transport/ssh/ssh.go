// Package ssh is the SSH transport, on golang.org/x/crypto/ssh.
//
// What it takes care of, each learnt from real servers: a handshake that never ends (the library's
// own time-out covers only TCP), host certificates beside plain host keys (the algorithms to offer
// must be worked out from known_hosts), MaxStartups of a bastion (one shared bastion connection,
// few dials at once), MaxSessions (a limit of our own), sessions that end without an exit code
// (outcome unknown, never "failed") and connections that die silently (keepalive).
package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/transport"
)

// Options are the settings of a Dialer. The zero value is the user's own environment.
type Options struct {
	Home      string // where ~ leads; "" means the user's home directory
	AgentSock string // SSH_AUTH_SOCK; "" means no agent
	// MaxDials bounds the handshakes under way to one server; 0 means 8 (sshd's MaxStartups begins to
	// refuse at 10).
	MaxDials int
	// Net opens TCP connections; nil means a net.Dialer.
	Net func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dialer opens SSH connections and shares bastions between them.
type Dialer struct {
	o        Options
	mu       sync.Mutex
	bastions []*bastion
	gates    map[string]chan struct{}
}

// bastion is one shared connection to a jump host, made by the first who needs it.
type bastion struct {
	hops []transport.Target // everything that goes into the connection: nodes share it only where all of it is the same
	once sync.Once
	conn *conn
	err  error
}

// New makes a Dialer.
func New(o Options) *Dialer {
	if o.Home == "" {
		o.Home, _ = os.UserHomeDir()
	}
	if o.MaxDials <= 0 {
		o.MaxDials = 8
	}
	if o.Net == nil {
		d := &net.Dialer{KeepAlive: 30 * time.Second}
		o.Net = d.DialContext
	}
	return &Dialer{o: o, gates: map[string]chan struct{}{}}
}

var _ transport.Dialer = (*Dialer)(nil)

// Close ends the shared bastion connections.
func (d *Dialer) Close() error {
	d.mu.Lock()
	bastions := d.bastions
	d.bastions = nil
	d.mu.Unlock()
	var errs []error
	for _, b := range bastions {
		if b.conn != nil {
			errs = append(errs, b.conn.Close())
		}
	}
	return errors.Join(errs...)
}

// Dial connects and authenticates.
func (d *Dialer) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	t, err := d.effective(t)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", t.Node, err)
	}
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	dialCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	open := d.o.Net
	if t.SSH.ProxyJump != "" {
		client, err := d.bastion(dialCtx, t)
		if err != nil {
			return nil, err
		}
		open = through(client)
	}
	counter := &counter{}
	client, err := d.handshake(dialCtx, t, open, counter)
	if err != nil {
		return nil, err
	}
	return newConn(client, t, counter, client.Close), nil
}

// handshake dials with a bounded number of tries. Only a connection that broke before the server
// had said who it is is tried again: that is what sshd's MaxStartups does to the unlucky.
func (d *Dialer) handshake(ctx context.Context, t transport.Target,
	open func(context.Context, string, string) (net.Conn, error), count *counter) (*ssh.Client, error) {
	address := net.JoinHostPort(t.Address, strconv.Itoa(t.Port))
	release, err := d.gate(ctx, address)
	if err != nil {
		return nil, &node.LinkError{Node: t.Node, Err: err}
	}
	defer release()
	for try := 1; ; try++ {
		client, stage, err := d.once(ctx, t, address, open, count)
		if err == nil {
			return client, nil
		}
		if stage != stageGreeting || try == 4 || ctx.Err() != nil {
			return nil, explain(ctx, t, stage, err)
		}
		pause := time.Duration(try)*100*time.Millisecond + rand.N(200*time.Millisecond)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, explain(ctx, t, stage, err)
		}
	}
}

// gate bounds the handshakes under way to one address.
func (d *Dialer) gate(ctx context.Context, address string) (func(), error) {
	d.mu.Lock()
	g := d.gates[address]
	if g == nil {
		g = make(chan struct{}, d.o.MaxDials)
		d.gates[address] = g
	}
	d.mu.Unlock()
	select {
	case g <- struct{}{}:
		return func() { <-g }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stage is how far a handshake came, so that an error can be told for what it is without reading
// its text.
type stage int

const (
	stageTCP      stage = iota // no connection
	stageGreeting              // connected, the server has not shown its key
	stageHostKey               // its key was not accepted
	stageAuth                  // its key was accepted, logging on failed
)

func (d *Dialer) once(ctx context.Context, t transport.Target, address string,
	open func(context.Context, string, string) (net.Conn, error), count *counter) (*ssh.Client, stage, error) {
	raw, err := open(ctx, "tcp", address)
	if err != nil {
		return nil, stageTCP, err
	}
	at := stageGreeting
	keys, err := d.hostKeys(t, address)
	if err != nil {
		_ = raw.Close()
		return nil, stageHostKey, err
	}
	auth, done, err := d.authMethods(t)
	if err != nil {
		_ = raw.Close()
		return nil, stageAuth, err
	}
	defer done()
	config := &ssh.ClientConfig{
		User:              t.User,
		Auth:              auth,
		HostKeyAlgorithms: keys.algorithms,
		ClientVersion:     "SSH-2.0-deploy",
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			if err := keys.check(host, remote, key); err != nil {
				at = stageHostKey
				return err
			}
			at = stageAuth
			return nil
		},
	}
	// the library's own time-out ends with TCP: closing the connection is the only way to end a
	// handshake
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	conn, chans, reqs, err := ssh.NewClientConn(&countingConn{raw, count}, keys.name, config)
	if err != nil {
		_ = raw.Close()
		return nil, at, err
	}
	return ssh.NewClient(conn, chans, reqs), at, nil
}

func explain(ctx context.Context, t transport.Target, at stage, err error) error {
	if ctx.Err() != nil {
		return &node.LinkError{Node: t.Node, Err: fmt.Errorf("no answer in time from %s: %w", t.Address, ctx.Err())}
	}
	var link net.Error
	switch {
	case at == stageHostKey:
		return fmt.Errorf("cannot connect to %s: %w", t.Node, err)
	case at == stageAuth && !errors.As(err, &link) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF):
		// a server says that it refuses; one that is gone says nothing
		if errors.Is(err, errKey) {
			return fmt.Errorf("cannot log on to %s: %w", t.Node, err)
		}
		return hint.Wrap(fmt.Errorf("cannot log on to %s as %s: %w: %v", t.Node, t.User, node.ErrAuth, err),
			"check the credential in the site file; deploy does not try a refused password twice")
	}
	var negotiation *ssh.AlgorithmNegotiationError
	if errors.As(err, &negotiation) {
		return fmt.Errorf("cannot connect to %s: %w: %v", t.Node, node.ErrHostKey, err)
	}
	return &node.LinkError{Node: t.Node, Err: err}
}

// bastion returns the shared connection through the chain of jump hosts in t. Nodes share it where
// they would log on there with the same user, keys and trust: one node's logon is no other's.
func (d *Dialer) bastion(ctx context.Context, t transport.Target) (*ssh.Client, error) {
	fail := func(err error) error {
		return fmt.Errorf("cannot reach %s through %s: %w", t.Node, t.SSH.ProxyJump, err)
	}
	hops, err := d.hops(t)
	if err != nil {
		return nil, fail(err)
	}
	b := d.shared(hops)
	b.once.Do(func() {
		if b.conn, b.err = d.jump(ctx, hops); b.err == nil {
			b.conn.alive.Go(func() {
				_ = b.conn.client.Wait()
				d.forget(b) // the next node makes a new one: a bastion may have been started again
			})
		}
	})
	if b.err != nil {
		d.forget(b) // the next node may try again: a bastion that was down need not stay down
		return nil, fail(b.err)
	}
	return b.conn.client, nil
}

func (d *Dialer) shared(hops []transport.Target) *bastion {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.bastions {
		if reflect.DeepEqual(b.hops, hops) {
			return b
		}
	}
	b := &bastion{hops: hops}
	d.bastions = append(d.bastions, b)
	return b
}

func (d *Dialer) forget(b *bastion) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bastions = slices.DeleteFunc(d.bastions, func(o *bastion) bool { return o == b })
}

// hops are the targets of the chain of jump hosts in t. A jump host gets the node's keys and agent
// but never its password. The first one may be behind others by the SSH configuration, as with ssh;
// those after it are reached from it.
func (d *Dialer) hops(t transport.Target) ([]transport.Target, error) {
	var out []transport.Target
	for i, hop := range strings.Split(t.SSH.ProxyJump, ",") {
		hop = strings.TrimSpace(hop)
		user, host, port, err := splitHop(hop)
		if err != nil {
			return nil, err
		}
		ht := transport.Target{Node: hop, Address: host, Port: port, User: user, SSH: t.SSH}
		ht.SSH.ProxyJump, ht.SSH.HostKeyAlias, ht.SSH.Fingerprints = "", "", nil
		if ht, err = d.effective(ht); err != nil {
			return nil, err
		}
		if ht.User == "" {
			ht.User = t.User
		}
		if i > 0 {
			ht.SSH.ProxyJump = ""
		}
		out = append(out, ht)
	}
	return out, nil
}

// most is how many jump hosts may stand one behind the other: a circle in the SSH configuration
// ends there.
const most = 16

// jump connects hop by hop.
func (d *Dialer) jump(ctx context.Context, targets []transport.Target) (*conn, error) {
	open := d.o.Net
	var hops []*ssh.Client
	end := func() error {
		var errs []error
		for _, h := range slices.Backward(hops) {
			if err := h.Close(); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	// what the first one is behind comes before it
	for targets[0].SSH.ProxyJump != "" {
		before, err := d.hops(targets[0])
		if err == nil && len(before)+len(targets) > most {
			err = fmt.Errorf("more than %d jump hosts; does the SSH configuration send one through itself?", most)
		}
		if err != nil {
			return nil, err
		}
		targets = slices.Clone(targets)
		targets[0].SSH.ProxyJump = ""
		targets = append(before, targets...)
	}
	for _, ht := range targets {
		next, err := d.handshake(ctx, ht, open, &counter{})
		if err != nil {
			return nil, errors.Join(err, end())
		}
		hops = append(hops, next)
		open = through(next)
	}
	return newConn(hops[len(hops)-1], targets[len(targets)-1], &counter{}, end), nil
}

// tunnel is a connection through a jump host. The library's own waits in Read, after Close too,
// until the jump host has agreed, which one that lost its power, or still has something for a node
// that did, never does.
type tunnel struct {
	net.Conn
	in *io.PipeReader
}

func (t *tunnel) Read(p []byte) (int, error) { return t.in.Read(p) }

func (t *tunnel) Close() error {
	_ = t.in.CloseWithError(net.ErrClosed)
	return t.Conn.Close()
}

// through dials from a jump host. What copies ends with the jump host's connection at the latest.
func through(client *ssh.Client) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := client.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		in, out := io.Pipe()
		go func() {
			_, err := io.Copy(out, c)
			_ = out.CloseWithError(err)
		}()
		return &tunnel{Conn: c, in: in}, nil
	}
}

func splitHop(hop string) (user, host string, port int, err error) {
	host = hop
	if u, h, ok := strings.Cut(hop, "@"); ok {
		user, host = u, h
	}
	if h, p, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 65535 {
			return "", "", 0, fmt.Errorf("bad port in proxy jump %q", hop)
		}
		return user, h, n, nil
	}
	if host == "" {
		return "", "", 0, fmt.Errorf("bad proxy jump %q: want [user@]host[:port]", hop)
	}
	return user, strings.Trim(host, "[]"), 0, nil
}

func (d *Dialer) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(d.o.Home, rest)
	}
	return path
}
