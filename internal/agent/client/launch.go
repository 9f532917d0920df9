package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"deploy/internal/agent/wire"
	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/transport"
)

// Launch says how an agent comes to a node.
type Launch struct {
	Options
	Programs     *Programs
	Sudo         bool         // start it as root
	SudoPassword secret.Value // for sudo; zero: it must ask for none
	Fetch        Fetch        // lets the node get the program by itself

	tell func(note string) // hears what a person should know of how the program came
}

// ErrCannotPlace: the node cannot carry an agent, so steps must run from here. What wraps it says
// why.
var ErrCannotPlace = errors.New("the node cannot run an agent")

// Start finds or places the agent on a Linux machine behind conn, starts it and joins it. conn
// stays the caller's until Start has succeeded; then the Agent closes it. A machine that cannot
// carry one is ErrCannotPlace.
func Start(ctx context.Context, conn transport.Conn, l Launch) (*Agent, error) {
	l.defaults()
	var notes []string
	l.tell = func(note string) { notes = append(notes, note) }
	l.Digest = func(p Platform) string {
		if prog, err := l.Programs.Find(p); err == nil {
			return prog.Digest
		}
		return "" // it was not placed by us: then its name is not ours either, and starter has not found it
	}
	for placed := false; ; placed = true {
		a, missing, err := l.try(ctx, conn)
		if err != nil || a != nil {
			if a != nil {
				a.notes = notes
			}
			return a, err
		}
		if placed {
			return nil, hint.Wrap(fmt.Errorf("cannot place the agent on %s: it was copied but does not run: %w", l.Node,
				ErrCannotPlace), mayRun)
		}
		if err := l.place(ctx, conn, missing); err != nil {
			return nil, err
		}
	}
}

// prompt is what sudo asks with. It asks again after a wrong password, and whatever we said next
// would count as another try.
const prompt = "deploy-asks-for-sudo:"

// missingWord begins the line of a node that has no agent; its system and machine follow.
const missingWord = "deploy-agent-missing "

// directory is where programs are placed, in the words of the node's shell.
const directory = `"${XDG_CACHE_HOME:-$HOME/.cache}/deploy"`

// starter is the command line that starts the agent, or tells what is missing. Every shell that
// people log on with reads it alike.
func (l Launch) starter() string {
	var cases strings.Builder
	for _, p := range linuxPlatforms() {
		if prog, err := l.Programs.Find(p); err == nil {
			fmt.Fprintf(&cases, "%s) p=$d/%s;; ", unameOf(p), prog.Name())
		}
	}
	return `/bin/sh -c 'd=` + directory + `; p=; m=$(uname -sm); case "$m" in ` + cases.String() +
		`esac; if [ -n "$p" ] && [ -x "$p" ]; then exec ` + l.sudo() + `"$p" agent; fi; echo "` + missingWord + `$m"'`
}

// sudo is what stands before a command that root runs.
func (l Launch) sudo() string {
	switch {
	case l.Sudo && !l.SudoPassword.IsZero():
		// -k: a password that sudo remembers must not leave ours in the agent's ear; the agent passes
		// over it all the same
		return `sudo -k -S -p "` + prompt + `" -- `
	case l.Sudo:
		return "sudo -n -- "
	}
	return ""
}

// unameOf is a shell pattern for what uname says of a platform.
func unameOf(p Platform) string {
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[p.Arch]
	return `"Linux ` + machine + `"`
}

func platformOf(uname string) (Platform, bool) {
	for _, p := range linuxPlatforms() {
		if `"`+uname+`"` == unameOf(p) {
			return p, true
		}
	}
	return Platform{}, false
}

// try starts what is there. missing is what the node says of itself when there is none.
func (l Launch) try(ctx context.Context, conn transport.Conn) (a *Agent, missing string, err error) {
	proc, err := conn.Start(ctx, l.starter())
	if err != nil {
		return nil, "", fmt.Errorf("cannot start the agent on %s: %w", l.Node, err)
	}
	s := newStream(proc)
	if l.Sudo && !l.SudoPassword.IsZero() {
		if err := l.sayPassword(ctx, s); err != nil {
			return nil, "", errors.Join(err, s.Close())
		}
	}
	c, err := attach(ctx, s, l.Options)
	if err == nil {
		return &Agent{c: c, why: "over ssh", after: conn.Close}, "", nil
	}
	var greet *greetError
	if !errors.As(err, &greet) {
		return nil, "", errors.Join(err, s.Close())
	}
	if _, rest, ok := strings.Cut(greet.alien, missingWord); ok {
		uname, _, _ := strings.Cut(rest, "\n")
		return nil, strings.TrimSpace(uname), s.Close()
	}
	return nil, "", l.explain(ctx, s, greet)
}

// sayPassword gives sudo its password, once, and waits for what comes of it: whatever else was said
// meanwhile would be taken for another try, and a row of wrong ones locks accounts.
func (l Launch) sayPassword(ctx context.Context, s *stream) error {
	if _, err := io.WriteString(s.proc.Stdin(), l.SudoPassword.Reveal()+"\n"); err != nil {
		return &node.LinkError{Node: l.Node, Err: err}
	}
	spoke := make(chan struct{})
	go func() {
		defer close(spoke)
		_, _ = s.out.Peek(1) // its error comes again to whoever reads next
	}()
	late := time.NewTimer(wire.Silence)
	defer late.Stop()
	var err error
	select {
	case <-spoke:
		return nil
	case <-s.again:
		err = hint.Wrap(fmt.Errorf("cannot work on %s as root: sudo rejected the credential's password: %w", l.Node,
			node.ErrAuth),
			"check the credential in the site file; deploy does not try a refused password twice")
	case <-late.C:
		err = fmt.Errorf("cannot start the agent on %s: sudo did not answer within %s", l.Node, wire.Silence)
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = s.Close()
	<-spoke
	return err
}

// ended waits for the end of what was started and is no agent. An error says that its end is not
// known.
func (l Launch) ended(ctx context.Context, s *stream) (code int, said string, err error) {
	late := time.AfterFunc(2*time.Second, func() { _ = s.Close() })
	defer late.Stop()
	code, err = s.proc.Wait()
	_ = s.Close()
	var link *node.LinkError
	switch {
	case ctx.Err() != nil:
		return 0, "", fmt.Errorf("cannot start the agent on %s: %w", l.Node, ctx.Err())
	case errors.As(err, &link):
		return 0, "", &node.LinkError{Node: l.Node, Err: fmt.Errorf("cannot start the agent: %w", link.Err)}
	case err != nil:
		return 0, "", fmt.Errorf("cannot start the agent on %s: %w", l.Node, err)
	}
	return code, s.said(), nil
}

// explain makes an error of an agent that did not come up.
func (l Launch) explain(ctx context.Context, s *stream, err *greetError) error {
	code, said, eerr := l.ended(ctx, s)
	switch {
	case eerr != nil:
		return eerr
	case l.Sudo && s.silent():
		// sudo says on stderr why it refuses; whatever ended here without a word there came before it
		words := strings.TrimSpace(err.alien)
		if words == "" {
			words = said
		}
		return hint.Wrap(fmt.Errorf("cannot start the agent on %s: the login shell ended with code %d before sudo was run: "+
			"%s: %w", l.Node, code, words, node.ErrUnsupported), loginShell)
	case l.Sudo && code == 1 && !strings.Contains(said, wire.Magic):
		// sudo's own refusals end with 1 (sudo(8), exit value)
		return hint.Wrap(fmt.Errorf("cannot start the agent on %s as root: sudo ended with code 1: %s: %w", l.Node, said,
			node.ErrAuth),
			"allow this user to run programs as root with sudo, without a password or with the credential's password")
	case code == 126 || code == 127:
		return hint.Wrap(fmt.Errorf("cannot start the agent on %s: exit code %d: %s: %w", l.Node, code, said, ErrCannotPlace),
			mayRun)
	case code == wire.ExitNoDisk:
		return l.noDisk(said)
	}
	return fmt.Errorf("cannot start the agent on %s: it ended with code %d: %s: %w", l.Node, code, said, err.err)
}

// loginShell is for people whose machine lets the user in and gives no shell.
const loginShell = "check the user's login shell on the machine (getent passwd) and the files that it reads at its " +
	"start"

// mayRun is for people whose machine has the program and does not start it.
const mayRun = "check that the user's home directory is not mounted noexec and that the agent is built for this machine"

// noDisk is the error of an agent that found no place to write down what it does.
func (l Launch) noDisk(said string) error {
	return hint.Wrap(fmt.Errorf("cannot start the agent on %s: %s: %w", l.Node, strings.TrimPrefix(said, "error: "),
		ErrCannotPlace),
		"free space on that disk of "+l.Node+", or make it writable")
}

// stream is a process as a Stream.
type stream struct {
	proc  transport.Process
	out   *bufio.Reader
	once  sync.Once
	drain sync.WaitGroup

	again chan struct{} // closed when sudo asks a second time

	mu   sync.Mutex
	text strings.Builder // of stderr
}

func newStream(proc transport.Process) *stream {
	s := &stream{proc: proc, out: bufio.NewReader(proc.Stdout()), again: make(chan struct{})}
	s.drain.Go(s.keepErrors)
	return s
}

// silent says that nothing stood on stderr.
func (s *stream) silent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(s.text.String()) == ""
}

func (s *stream) Read(p []byte) (int, error) {
	return s.out.Read(p)
}

func (s *stream) Write(p []byte) (int, error) { return s.proc.Stdin().Write(p) }

// Close lets the process go; an agent's worker outlives it.
func (s *stream) Close() error {
	var err error
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		err = s.proc.Kill(ctx)
		// a process that ignores its end keeps the stream of its errors open: no more is wanted of it
		drained := make(chan struct{})
		go func() { s.drain.Wait(); close(drained) }()
		select {
		case <-drained:
		case <-ctx.Done():
		}
	})
	return err
}

// keepErrors keeps the beginning of what the process says beside its answers.
func (s *stream) keepErrors() {
	const most = 2000
	b := make([]byte, 4096)
	asked := false
	for {
		n, err := s.proc.Stderr().Read(b)
		s.mu.Lock()
		if room := most - s.text.Len(); room > 0 {
			s.text.Write(b[:min(n, room)])
		}
		twice := strings.Count(s.text.String(), prompt) > 1
		s.mu.Unlock()
		if twice && !asked {
			asked = true
			close(s.again)
		}
		if err != nil {
			return
		}
	}
}

func (s *stream) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(strings.Fields(strings.ReplaceAll(s.text.String(), prompt, "")), " ")
	if text == "" {
		return "no output"
	}
	return text
}
