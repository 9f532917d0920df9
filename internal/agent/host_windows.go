package agent

import (
	"bufio"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/windows"
)

// Windows has sockets with a name in the file system only from 2019 on, and Wine has none; so the
// worker listens on loopback and asks for a word that stands in a file which only its owner may
// read.

func addressFile(root string) string { return filepath.Join(root, "address") }

func dial(root string) (net.Conn, error) {
	b, err := os.ReadFile(addressFile(root))
	if err != nil {
		return nil, err
	}
	address, word, ok := strings.Cut(strings.TrimSpace(string(b)), " ")
	if !ok {
		return nil, errors.New("the worker's address cannot be read")
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintln(c, word); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

type guarded struct {
	net.Listener
	word string
	root string
}

func listen(root string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	g := &guarded{l, hex.EncodeToString(b[:]), root}
	temp := addressFile(root) + ".new"
	if err := os.WriteFile(temp, []byte(l.Addr().String()+" "+g.word+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := os.Rename(temp, addressFile(root)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return g, nil
}

// Accept passes over whoever does not know the word.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		return &knock{Conn: c, r: bufio.NewReader(c), word: g.word}, nil
	}
}

// Close takes the address back with the listener.
func (g *guarded) Close() error {
	err := g.Listener.Close()
	_ = os.Remove(addressFile(g.root))
	return err
}

// knock reads the word before anything else, in the goroutine of whoever reads first, so that a
// silent stranger holds up nobody.
type knock struct {
	net.Conn
	r     *bufio.Reader
	word  string
	known bool
}

func (k *knock) Read(p []byte) (int, error) {
	if !k.known {
		line, err := k.r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if subtle.ConstantTimeCompare([]byte(strings.TrimSpace(line)), []byte(k.word)) != 1 {
			return 0, errors.New("connection refused: wrong handshake")
		}
		k.known = true
	}
	return k.r.Read(p)
}

// CloseWrite ends one direction.
func (k *knock) CloseWrite() error {
	if t, ok := k.Conn.(*net.TCPConn); ok {
		return t.CloseWrite()
	}
	return k.Conn.Close()
}

// Root is where the agent lives: below ProgramData for an administrator, else below the user's
// local data.
func Root() (string, error) {
	is, err := administrator()
	if err != nil {
		return "", err
	}
	base := os.Getenv("LOCALAPPDATA")
	if is || base == "" {
		base = os.Getenv("ProgramData")
	}
	if base == "" {
		return "", errors.New("cannot find a directory for the agent: neither LOCALAPPDATA nor ProgramData is set")
	}
	return filepath.Join(base, "deploy", "agent"), nil
}

func diskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

func diskReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

// Spawn starts a worker outside of the login's job, whose end would end it. Where breaking away is
// refused it is started inside.
func Spawn(program, root string, log *os.File) error {
	start := func(flags uint32) error {
		cmd := exec.Command(program, "agent", "--worker", "--root", root)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: flags, HideWindow: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		return cmd.Process.Release()
	}
	const alone = windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS
	if err := start(alone | windows.CREATE_BREAKAWAY_FROM_JOB); err == nil {
		return nil
	}
	return start(alone)
}
