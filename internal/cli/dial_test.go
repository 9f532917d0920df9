package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deploy/internal/agent/client"
	"deploy/internal/node"
	"deploy/steps/all"
	"deploy/transport"
)

// bareWindows is a Windows machine behind SSH that has neither an agent nor PowerShell nor SFTP. It
// is its own dialer.
type bareWindows struct {
	version string // what ver prints
	mu      sync.Mutex
	lines   []string
}

func (b *bareWindows) Dial(context.Context, transport.Target) (transport.Conn, error) { return b, nil }
func (b *bareWindows) Close() error                                                   { return nil }
func (b *bareWindows) Stats() transport.Stats                                         { return transport.Stats{} }
func (b *bareWindows) ServerVersion() string {
	return "SSH-2.0-OpenSSH_for_Windows_9.5"
}

func (b *bareWindows) Files(context.Context) (transport.Files, error) {
	return nil, node.ErrUnsupported
}

func (b *bareWindows) Start(_ context.Context, line string) (transport.Process, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	word, _, _ := strings.Cut(line, " ")
	b.lines = append(b.lines, word)
	if word == "cmd.exe" {
		return ended{strings.NewReader("\r\nMicrosoft Windows [Version " + b.version + "]\r\nAMD64\r\n"), 0}, nil
	}
	return ended{strings.NewReader(""), 9009}, nil
}

// ended is a process that has ended.
type ended struct {
	out  io.Reader
	code int
}

type nowhere struct{ io.Writer }

func (nowhere) Close() error { return nil }

func (p ended) Stdin() io.WriteCloser      { return nowhere{io.Discard} }
func (p ended) Stdout() io.Reader          { return p.out }
func (p ended) Stderr() io.Reader          { return strings.NewReader("") }
func (p ended) Wait() (int, error)         { return p.code, nil }
func (p ended) Kill(context.Context) error { return nil }

// What is tried on a Windows machine over SSH, in which order, and what is told when all of it
// fails.
func TestDialWindowsOverSSH(t *testing.T) {
	agents := t.TempDir()
	program := client.Platform{OS: "windows", Arch: "amd64"}.FileName()
	if err := os.WriteFile(filepath.Join(agents, program), []byte("a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	const agent, ask, shell = "agent", "cmd.exe", "powershell.exe"
	for _, c := range []struct {
		name, agent, version string
		tried                []string
		says                 []string
	}{
		{"new", "auto", "10.0.20348.1", []string{agent, ask, shell},
			[]string{"cannot place the agent on srv1 over SFTP", "cannot start PowerShell on srv1"}},
		{"strange", "always", "of the day", []string{agent, ask, shell},
			[]string{"cannot tell which release srv1 has", "cannot start PowerShell on srv1"}},
		{"old", "auto", "6.1.7601", []string{agent, ask, shell}, []string{"cannot start PowerShell on srv1"}},
		{"old, always", "always", "6.1.7601", []string{agent, ask},
			[]string{"with agent: always: no agent for Windows Server 2008 R2"}},
		{"never", "never", "10.0.20348.1", []string{shell}, []string{"cannot start PowerShell on srv1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			site := filepath.Join(dir, "site.yaml")
			err := errors.Join(os.WriteFile(site, []byte("site: s\nplaybook: ./playbook.yaml\ncredentials: {them: {username: "+
				"me, password: {env: PW}}}\n"+
				"inventory: {nodes: [{name: srv1, address: 192.0.2.1, transport: ssh, credential: them, agent: "+c.agent+
				", roles: [r]}]}\n"), 0o600),
				os.WriteFile(filepath.Join(dir, "playbook.yaml"), []byte("playbook: p\nroles: {r: {}}\nphases:\n  - id: one\n   "+
					" steps:\n      - {id: s, uses: directory, on: role.r, with: {path: 'C:\\x'}}\n"), 0o600))
			if err != nil {
				t.Fatal(err)
			}
			b := &bareWindows{version: c.version}
			var out, errOut bytes.Buffer
			a := &App{Registry: all.Kinds(), Dialers: map[string]transport.Dialer{"ssh": b},
				Programs: &client.Programs{Dirs: []string{agents}}, Version: func() string { return "test" },
				Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut, Now: time.Now, Exit: func(int) {},
				Env:      func(name string) string { return map[string]string{"PW": "Correct-Horse"}[name] },
				Terminal: func() (int, bool) { return 0, false }}
			if code := a.Run(t.Context(), []string{"plan", site}); code != ExitError {
				t.Errorf("exit %d\n%s", code, out.String())
			}
			for i, line := range b.lines {
				if strings.Contains(line, `\deploy-`) {
					b.lines[i] = agent
				}
				b.lines[i] = strings.ToLower(b.lines[i])
			}
			if !slices.Equal(b.lines, c.tried) {
				t.Errorf("tried %q", b.lines)
			}
			for _, w := range c.says {
				if !strings.Contains(out.String(), w) || !strings.Contains(errOut.String(), w) {
					t.Errorf("it does not say %q:\n%s\n%s", w, out.String(), errOut.String())
				}
			}
			if strings.Contains(out.String()+errOut.String(), "Correct-Horse") {
				t.Error("a password was printed")
			}
		})
	}
}
