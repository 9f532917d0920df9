// Package transport opens a byte stream to a machine and moves files. It knows nothing of steps.
// ssh and winrm below it are the two ways; local is the machine that deploy itself runs on.
package transport

import (
	"context"
	"io"
	"time"

	"deploy/internal/secret"
)

// Conn is an open, authenticated connection to one machine.
type Conn interface {
	// Start runs a command line. The machine's own shell parses it (cmd.exe on Windows, the login
	// shell on Linux), so callers send only fixed bootstraps through it and everything else over the
	// process's stdin.
	Start(ctx context.Context, commandLine string) (Process, error)
	// Files returns the file service (SFTP), or ErrUnsupported of package node when the transport has
	// none.
	Files(ctx context.Context) (Files, error)
	// Stats counts what went over the wire.
	Stats() Stats
	Close() error
}

// Process is a running command. Stdout and Stderr must both be drained.
type Process interface {
	Stdin() io.WriteCloser
	Stdout() io.Reader
	Stderr() io.Reader
	// Wait returns the exit code, or an error when it is not known (a *node.LinkError with Sent).
	Wait() (int, error)
	// Kill ends the command and frees what it held on the machine. It returns within 100 ms of ctx
	// ending.
	Kill(ctx context.Context) error
}

// Files moves whole files: to a temporary name beside the target, verified by size and SHA-256,
// then renamed.
type Files interface {
	Put(ctx context.Context, path string, r io.Reader, mode uint32) error
	Get(ctx context.Context, path string) (io.ReadCloser, error)
	// Home is the directory of the user who is logged on, in the form that paths have here.
	Home(ctx context.Context) (string, error)
	// MakeDir makes a directory and what is missing above it. One that is there is fine.
	MakeDir(ctx context.Context, path string) error
	// Remove removes a file. One that is not there is fine.
	Remove(ctx context.Context, path string) error
	Close() error
}

// Stats counts what a connection sent and received.
type Stats struct {
	Requests int64 // HTTP requests, or SSH channel writes
	Sent     int64 // bytes
	Received int64
}

// Target is everything that is needed to reach one machine. It is a value: nothing in it is shared
// between nodes.
type Target struct {
	Node      string // the name in the inventory, for errors
	Transport string // "winrm", "ssh" or "local"
	Address   string // host name or IP
	Port      int
	User      string
	Password  secret.Value
	WinRM     WinRM
	SSH       SSH
	// to be connected and authenticated; 0 means 30 s. Over WinRM also for a sign of life from a
	// machine that is silent
	Timeout time.Duration
}

// WinRM are the settings of the WinRM transport.
type WinRM struct {
	HTTPS    bool
	Auth     string // "ntlm" (default), "basic" (HTTPS only), "kerberos", "certificate"
	CACert   []byte // PEM; nil means the system's roots
	Pin      string // SHA-256 of the server's certificate, hex; instead of a CA
	CertPEM  []byte // client certificate for Auth "certificate"
	KeyPEM   secret.Value
	Envelope int // MaxEnvelopeSize to declare, bytes; 0 means 153600
}

// SSH are the settings of the SSH transport.
type SSH struct {
	KnownHosts     []string // files; empty means the user's own
	Fingerprints   []string // "SHA256:..." accepted host keys, instead of known_hosts
	HostKeyAlias   string
	AcceptNew      bool     // add an unknown host's key to the first known_hosts file; a changed key is still refused
	KeyFiles       []string // private keys
	KeyPassphrase  secret.Value
	Agent          bool   // use SSH_AUTH_SOCK
	ConfigFile     string // ssh_config to honour; "" means none
	ProxyJump      string // user@host:port, may be a comma separated chain
	KeepAlive      time.Duration
	CertificateKey string // host certificate authority line file
}

// Widener is a Process whose messages may grow once the far end is known.
type Widener interface {
	// Widen says that the far end takes messages of that many bytes. What the inventory says about
	// their size goes before it, and a far end that refuses a message for its size is believed.
	Widen(bytes int)
}

// Dialer opens connections. A Dialer is safe for concurrent use and shares bastion connections
// between its nodes.
type Dialer interface {
	// Dial connects and authenticates. It honours ctx in every stage. Wrong credentials are
	// node.ErrAuth, tried once; a wrong host identity is node.ErrHostKey; an unreachable host is a
	// *node.LinkError with Sent false.
	Dial(ctx context.Context, t Target) (Conn, error)
	Close() error
}
