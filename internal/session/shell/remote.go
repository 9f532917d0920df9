package shell

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"deploy/internal/node"
	"deploy/internal/session/linux"
	"deploy/transport"
)

// bootstrap is what the login shell starts. It holds nothing that csh or fish takes apart
// differently: no !, no backslash, one line. Lines before the one that is meant are a password that
// sudo did not ask for.
const bootstrap = `/bin/sh -c 'while IFS= read -r x; do case $x in :deploy*) eval "${x#:deploy}"; exit; esac; done; exit 99'`

// mark is how the line begins that the bootstrap evaluates.
const mark = ":deploy"

// remote is a shell at work on the machine.
type remote struct {
	proc   transport.Process
	nonce  string
	stdout *bufio.Reader

	mu     sync.Mutex
	begun  bool
	pid    int
	code   int
	over   bool         // the end was said, with code
	text   bytes.Buffer // stderr since hello, or since run
	banner string       // stdout before the shell was up

	ready chan struct{} // closed at run, or with ended
	ended chan struct{} // closed when the end was said or stderr ended
	group sync.WaitGroup
}

func nonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}

// frameLine makes the line to be evaluated: the markers around code, which must be one line itself.
func frameLine(nonce, code string) string {
	return mark + ` nonce=` + nonce +
		`; n=$(printf "\nx"); n=${n%x}; trap 'printf "%s end %s\n" "$nonce" "$?" >&2' EXIT; ` +
		`printf "%s hello %s\n" "$nonce" "$$" >&2; printf "%s\n" "$nonce"; ` + surroundings + code + "\n"
}

// surroundings are the environment of everything that runs.
const surroundings = `umask 022; unset LANG LANGUAGE CDPATH ENV BASH_ENV TMPDIR; LC_ALL=C.UTF-8; PATH="${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"; export LC_ALL PATH; `

// codeOf makes one line of a script, to be evaluated in place, with its arguments as $1, $2, ...
func codeOf(s linux.Script) (string, error) {
	line, err := linux.Line(append([]string{s.Text}, s.Args...))
	if err != nil {
		return "", err
	}
	return "set -- " + line + `; text=$1; shift; eval "$text"`, nil
}

// fenceCode makes one line that ends the shell when the machine's owner record does not fit, and
// goes on else. dir is where the records are.
func fenceCode(f *node.Fence, dir string) (string, error) {
	if f == nil {
		return "", nil
	}
	code, err := codeOf(linux.Script{Text: ownerScript + "fence \"$@\"\n", Args: []string{dir, f.Site, f.Journal,
		strconv.FormatInt(f.Epoch, 10), f.Run, f.Record}})
	return code + "; ", err
}

// begin starts a command line and feeds it. Everything that the remote needs is released by close.
func begin(ctx context.Context, conn transport.Conn, commandLine, nonce string, stdin io.Reader) (*remote, error) {
	proc, err := conn.Start(ctx, commandLine)
	if err != nil {
		return nil, err
	}
	r := &remote{proc: proc, nonce: nonce, stdout: bufio.NewReaderSize(proc.Stdout(), 64<<10), ready: make(chan struct{}),
		ended: make(chan struct{})}
	r.group.Add(2)
	go func() {
		defer r.group.Done()
		_, _ = io.Copy(proc.Stdin(), stdin) // a program that does not read to the end is no failure
		_ = proc.Stdin().Close()
	}()
	go r.listen()
	return r, nil
}

// listen reads stderr: the markers, and what the program says between them.
func (r *remote) listen() {
	defer r.group.Done()
	defer close(r.ended)
	var buf bytes.Buffer
	piece := make([]byte, 32<<10)
	isReady := false
	ready := func() {
		if !isReady {
			isReady = true
			close(r.ready)
		}
	}
	defer ready()
	from := 0
	for {
		n, err := r.proc.Stderr().Read(piece)
		buf.Write(piece[:n])
		for r.step(&buf, &from) {
			r.mu.Lock()
			run, over := r.begun, r.over
			r.mu.Unlock()
			if run {
				ready()
			}
			if over {
				return
			}
		}
		if err != nil {
			r.mu.Lock()
			r.text = buf
			r.mu.Unlock()
			return
		}
	}
}

// step takes one marker out of buf and says whether there was one. from is where the next one may
// begin.
func (r *remote) step(buf *bytes.Buffer, from *int) bool {
	data := buf.Bytes()
	at := bytes.Index(data[*from:], []byte(r.nonce+" "))
	if at < 0 {
		*from = max(0, len(data)-len(r.nonce))
		return false
	}
	at += *from
	length := bytes.IndexByte(data[at:], '\n')
	if length < 0 {
		*from = at
		return false
	}
	word, value, _ := strings.Cut(string(data[at+len(r.nonce)+1:at+length]), " ")
	number, err := strconv.Atoi(value)
	rest := at + length + 1
	*from = rest
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case word == "hello" && err == nil && r.pid == 0:
		r.pid = number
	case word == "run" && value == "" && r.pid != 0 && !r.begun:
		r.begun = true
	case word == "end" && err == nil && r.pid != 0:
		r.code, r.over = number, true
		r.text.Write(data[:at])
		return true
	default:
		return true // not a marker of ours: the program's own text
	}
	// what stands before hello is a banner, what stands before run is nobody's
	buf.Next(rest)
	*from = 0
	return true
}

// greet reads stdout up to the marker; what stands before it is a banner. It fails when the stream
// ends before.
func (r *remote) greet() error {
	const most = 300 // bytes that are kept of what a machine says before the shell is up
	for {
		line, err := r.stdout.ReadString('\n')
		if strings.HasSuffix(line, r.nonce+"\n") {
			return nil
		}
		r.mu.Lock()
		if room := most - len(r.banner); room > 0 {
			r.banner += line[:min(len(line), room)]
		}
		r.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// result is how the remote stands: the process of the shell (0 before hello), whether the program
// was begun, whether the end was said.
func (r *remote) result() (pid int, begun, over bool, code int, text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pid, r.begun, r.over, r.code, bytes.Clone(r.text.Bytes())
}

// close frees the channel.
func (r *remote) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = r.proc.Kill(ctx)
}

var (
	errNoAnswer = errors.New("the shell on the machine ended before it said how")
	errClosed   = errors.New("the session is closed")
)
