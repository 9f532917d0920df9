package shell

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/linux"
	"deploy/transport"
)

var (
	//go:embed scripts/facts.sh
	factsScript string
	//go:embed scripts/files.sh
	filesScript string
	//go:embed scripts/frame.sh
	frameScript string
	//go:embed scripts/batch.sh
	batchScript string
	//go:embed scripts/owner.sh
	ownerScript string
)

// grace is how long a channel may stay open after its program's end: a grandchild that lives on may
// hold it for ever.
const grace = 2 * time.Second

// Session is a machine behind a connection. It is safe for concurrent use.
type Session struct {
	session.Core
	conn  transport.Conn
	opts  Options
	state string // directory of jobs

	alive context.Context
	stop  context.CancelFunc // ends what Prefetch has under way
	once  sync.Once

	mu     sync.Mutex
	closed bool
	group  sync.WaitGroup // grows only while closed is false
}

var (
	_ node.Session = (*Session)(nil)
	_ node.Fenced  = (*Session)(nil)
)

// Open takes the machine's facts in one round trip. It owns conn from then on, also when it fails.
// A machine that is not Linux is node.ErrUnsupported; a user for whom sudo does not work is
// node.ErrAuth.
func Open(ctx context.Context, conn transport.Conn, opts Options) (*Session, error) {
	opts.Defaults()
	s := &Session{conn: conn, opts: opts}
	s.Init(opts.Options, s, true)
	s.alive, s.stop = context.WithCancel(context.Background())
	if err := s.takeFacts(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("cannot take the facts of %s: %w", opts.Node, err)
	}
	return s, nil
}

// takeFacts has the script on the command line and nothing but the password on stdin: so a wrong
// one meets the end of the stream and is not tried with something else a second time.
func (s *Session) takeFacts(ctx context.Context) error {
	mark := nonce()
	body := strings.ReplaceAll(strings.TrimSpace(factsScript), "\n", "; ")
	line := `/bin/sh -c 'nonce=` + mark +
		`; trap "printf \"%s end %s\n\" $nonce \$? >&2" EXIT; printf "%s hello %s\n" $nonce $$ >&2; echo $nonce; ` + body +
		`'`
	out, err := s.perform(ctx, order{op: "facts", line: s.elevated(line), nonce: mark,
		stdin: strings.NewReader(s.password()), limit: s.opts.Start})
	if err != nil {
		return err
	}
	fields := strings.SplitN(string(out.stdout), "\n", 9)
	if len(fields) != 9 {
		return fmt.Errorf("the answer has %d lines", len(fields))
	}
	uid, err := strconv.Atoi(fields[0])
	if err != nil {
		return fmt.Errorf("the user's number is %q", fields[0])
	}
	raw := linux.Raw{UID: uid, Machine: fields[1], Computer: fields[2], BootID: fields[3], Init: fields[4],
		Systemd: fields[5] == "yes", ID: fields[6], Release: fields[8]}
	facts, err := raw.Facts()
	if err != nil {
		return err
	}
	s.SetFacts(facts)
	switch home := fields[7]; {
	case s.opts.State != "":
		s.state = s.opts.State
	case uid == 0:
		s.state = linux.RootState
	case strings.HasPrefix(home, "/"):
		s.state = strings.TrimSuffix(home, "/") + "/" + linux.UserState
	default:
		s.state = "/nonexistent/" + linux.UserState // making it says why there can be no job
	}
	return nil
}

// elevated puts sudo before a command line. -k has it ask although it was asked a moment ago, so
// that it always reads the password's line.
func (s *Session) elevated(line string) string {
	switch {
	case !s.opts.Sudo:
		return line
	case s.opts.SudoPassword.IsZero():
		return "sudo -n -- " + line
	}
	return "sudo -k -S -p '' -- " + line
}

func (s *Session) password() string {
	if !s.opts.Sudo || s.opts.SudoPassword.IsZero() {
		return ""
	}
	return s.opts.SudoPassword.Reveal() + "\n"
}

// Mode is "direct".
func (s *Session) Mode() string { return "direct" }

// Stats counts what the session's connection sent and received.
func (s *Session) Stats() transport.Stats { return s.conn.Stats() }

// Close ends what is under way and closes the connection. Jobs go on.
func (s *Session) Close() error {
	var err error
	s.once.Do(func() {
		s.stop()
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		err = s.conn.Close()
		s.group.Wait()
	})
	return err
}

// spawn starts a goroutine that Close waits for. After Close it starts none.
func (s *Session) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.group.Go(f)
	return true
}

// order is one thing to be done on the machine.
type order struct {
	op    string
	line  string // command line for the login shell; "" is the bootstrap, which then evaluates code
	code  string
	fence *node.Fence // stands before code; nil is none
	nonce string      // of line; made here for code
	stdin io.Reader
	limit time.Duration // 0 is the session's limit of a program
	pace  chan struct{} // each token begins the limit anew; may be nil
	out   io.Writer     // takes stdout as it comes; nil collects it
}

// outcome is what an order left behind.
type outcome struct {
	code           int
	begun          bool // a program was begun: code and stderr are its own
	stdout, stderr []byte
}

// launch starts an order.
func (s *Session) launch(ctx context.Context, o order) (*remote, error) {
	line, mark := o.line, o.nonce
	stdin := o.stdin
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	if line == "" {
		line, mark = s.elevated(bootstrap), nonce()
		stdin = io.MultiReader(strings.NewReader(s.password()+frameLine(mark, o.code)), stdin)
	}
	r, err := begin(ctx, s.conn, line, mark, stdin)
	if err != nil {
		return nil, err
	}
	if !s.spawn(r.group.Wait) {
		r.close()
		return nil, &node.LinkError{Node: s.opts.Node, Sent: true, Err: errClosed}
	}
	return r, nil
}

// perform carries out an order and waits. A limit is a refusal with the id of a time limit.
func (s *Session) perform(ctx context.Context, o order) (outcome, error) {
	if err := ctx.Err(); err != nil {
		return outcome{}, err
	}
	begun := time.Now()
	out, err := s.attempt(ctx, o)
	s.opts.Log.DebugContext(ctx, "request", "node", s.opts.Node, "op", o.op, "took", time.Since(begun), "code", out.code,
		"err", err)
	return out, err
}

func (s *Session) attempt(ctx context.Context, o order) (outcome, error) {
	if o.limit == 0 {
		o.limit = s.opts.Run
	}
	r, err := s.launch(ctx, o)
	if err != nil {
		return outcome{}, err
	}
	defer r.close()
	sink := &sink{w: o.out}
	defer sink.take() // nothing more is written to o.out
	read := make(chan struct{})
	if !s.spawn(func() {
		defer close(read)
		if r.greet() == nil {
			_, _ = io.Copy(sink, r.stdout)
		}
	}) {
		return outcome{}, &node.LinkError{Node: s.opts.Node, Sent: true, Err: errClosed}
	}
	limit := time.NewTimer(o.limit)
	defer limit.Stop()
	for {
		select {
		case <-r.ended:
			s.settle(ctx, r, read)
			return s.judge(o, r, sink.take())
		case <-o.pace:
			limit.Reset(o.limit)
		case <-limit.C:
			s.reap(r)
			return outcome{}, s.refuse(o.op, linux.IDTimeout, linux.ETIMEDOUT,
				fmt.Sprintf("it did not end within %s and was stopped", o.limit))
		case <-ctx.Done():
			s.reap(r)
			return outcome{}, ctx.Err()
		}
	}
}

// settle waits for the rest of stdout after the end.
func (s *Session) settle(ctx context.Context, r *remote, read <-chan struct{}) {
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-read:
	case <-late.C:
	case <-ctx.Done():
	}
}

// judge makes an outcome of how a remote ended.
func (s *Session) judge(o order, r *remote, stdout []byte) (outcome, error) {
	pid, begun, over, code, text := r.result()
	if over {
		return outcome{code: code, begun: begun, stdout: stdout, stderr: text}, s.typed(o, begun, code, text)
	}
	late := time.AfterFunc(5*time.Second, r.close)
	defer late.Stop()
	code, err := r.proc.Wait()
	var link *node.LinkError
	switch {
	case errors.As(err, &link):
		return outcome{}, err
	case pid != 0:
		return outcome{}, &node.LinkError{Node: s.opts.Node, Sent: true, Err: errNoAnswer}
	}
	r.mu.Lock()
	banner := r.banner
	r.mu.Unlock()
	return outcome{}, s.noShell(code, text, banner)
}

// typed makes a refusal of a script's failure. What a program that was begun answers is never one.
func (s *Session) typed(o order, begun bool, code int, text []byte) error {
	if begun || code == 0 {
		return nil
	}
	return s.refusalOf(linux.Failure(o.op, code, text))
}

// noShell says why not even the shell came up. sudo says on stderr why it refuses: whatever ended
// without a word there came before it, and what it said stands on stdout.
func (s *Session) noShell(code int, text []byte, banner string) error {
	said, before := strings.TrimSpace(string(text)), strings.TrimSpace(banner)
	silent := said == ""
	if silent {
		said = cmp.Or(before, "no output")
	}
	said = said[:min(len(said), 300)]
	if s.opts.Sudo && silent && code != 127 {
		return hint.Wrap(fmt.Errorf("cannot start a shell on %s: the login shell ended with code %d before sudo was run: "+
			"%s: %w", s.opts.Node, code, said, node.ErrUnsupported),
			"check the user's login shell on the machine (getent passwd) and the files that it reads at its start")
	}
	if !s.opts.Sudo {
		return hint.Wrap(fmt.Errorf("cannot start a shell on %s: exit code %d: "+
			"%s: %w", s.opts.Node, code, said, node.ErrUnsupported),
			"log on to the machine as that user and run: sh -c true")
	}
	if code == 127 {
		return hint.Wrap(fmt.Errorf("sudo is not installed on %s: %w", s.opts.Node, node.ErrUnsupported),
			"install sudo there, or log on as root")
	}
	if s.opts.SudoPassword.IsZero() {
		return hint.Wrap(fmt.Errorf("sudo refused on %s: %s: %w", s.opts.Node, said, node.ErrAuth),
			"give the password for sudo, or allow this user sudo without one (NOPASSWD)")
	}
	return hint.Wrap(fmt.Errorf("sudo refused on %s: %s: %w", s.opts.Node, said, node.ErrAuth),
		"check the password for sudo and that this user may use sudo")
}

// reap ends what a remote runs: closing the channel alone leaves it running. A batch gets the time
// to remove its files.
func (s *Session) reap(r *remote) {
	pid, _, over, _, _ := r.result()
	if pid == 0 && !over {
		// it may have begun already, and its hello be on the way
		late := time.NewTimer(2 * time.Second)
		select {
		case <-r.ready:
		case <-late.C:
		}
		late.Stop()
		pid, _, over, _, _ = r.result()
	}
	if pid == 0 || over {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	// dash wants the --, busybox refuses it
	code := `send() { kill -s "$1" -- "-$2" || kill -s "$1" "-$2"; } 2>/dev/null; read -r line <"/proc/` +
		strconv.Itoa(pid) + `/stat" && set -- ${line##*) } && send TERM "$3" && ` +
		`{ for turn in 1 2 3 4 5; do send 0 "$3" || exit 0; sleep 0.1 || sleep 1; done; send KILL "$3"; }`
	killer, err := s.launch(ctx, order{op: "kill", code: code})
	if err != nil {
		return
	}
	defer killer.close()
	if !s.spawn(func() { _, _ = io.Copy(io.Discard, killer.stdout) }) {
		return
	}
	select {
	case <-killer.ended:
	case <-ctx.Done():
	}
}

// sink takes a stream until nobody wants it any more.
type sink struct {
	mu   sync.Mutex
	w    io.Writer
	buf  bytes.Buffer
	done bool
}

func (k *sink) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.done:
		return len(p), nil
	case k.w != nil:
		return k.w.Write(p)
	}
	return k.buf.Write(p)
}

func (k *sink) take() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.done = true
	return k.buf.Bytes()
}
