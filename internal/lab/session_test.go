package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/session"
	"deploy/internal/session/powershell"
	"deploy/inventory"
	"deploy/transport"
	"deploy/transport/ssh"
	"deploy/transport/winrm"
)

// ways are the ways that deploy itself takes to a machine.
func ways() []string { return []string{"http ntlm", "https ntlm", "https basic", "ssh"} }

// target says how to reach a machine of the lab.
func target(t testing.TB, e Endpoint, way string) (transport.Dialer, transport.Target) {
	t.Helper()
	at := map[string]string{"http ntlm": e.HTTP, "https ntlm": e.HTTPS, "https basic": e.HTTPS, "ssh": e.SSH}[way]
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	to := transport.Target{Node: "n1", Transport: "winrm", Address: host, Port: n, User: `CONTOSO\deploy`,
		Password: secret.New(testPassword), Timeout: 10 * time.Second}
	switch way {
	case "ssh":
		to.Transport = "ssh"
		to.SSH.Fingerprints = []string{e.HostKey}
		d := ssh.New(ssh.Options{})
		t.Cleanup(func() { d.Close() })
		return d, to
	case "http ntlm":
		to.WinRM = transport.WinRM{Auth: "ntlm"}
	case "https ntlm":
		to.WinRM = transport.WinRM{HTTPS: true, Auth: "ntlm", CACert: e.CA}
	case "https basic":
		to.WinRM = transport.WinRM{HTTPS: true, Auth: "basic", CACert: e.CA}
	}
	return winrm.New(winrm.Options{}), to
}

func open(t testing.TB, ctx context.Context, e Endpoint, way string) (*powershell.Session, transport.Conn, error) {
	t.Helper()
	d, to := target(t, e, way)
	c, err := d.Dial(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	s, err := powershell.Open(ctx, c,
		powershell.Options{Options: session.Options{Node: "n1", Credentials: map[string]node.Credential{"admin": {User: `CONTOSO\deploy`, Password: secret.New(testPassword)}}}})
	return s, c, err
}

// TestSession: the whole of deploy's own way to a machine, over every transport.
func TestSession(t *testing.T) {
	l := startLab(t, testConfig(t))
	for _, way := range ways() {
		t.Run(way, func(t *testing.T) {
			s, _, err := open(t, t.Context(), l.Endpoints()["n1"], way)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if f := s.Facts(); f.Release != node.WS2008 || !strings.EqualFold(f.Computer, "n1") || f.PowerShell != "2.0" {
				t.Errorf("%+v", f)
			}
			key := `HKLM\SOFTWARE\` + way
			if _, err := s.Do(t.Context(), node.RegistrySet{Key: key, Name: "n", Type: "dword", Data: int64(7)}); err != nil {
				t.Fatal(err)
			}
			rows, err := s.Query(t.Context(), node.Registry{Key: key})
			if err != nil || len(rows) != 1 || rows[0].Int("data") != 7 {
				t.Errorf("%v %v", rows, err)
			}
			if _, err := s.Query(t.Context(), node.Registry{Key: key + `\none`}); !errors.Is(err, node.ErrNotFound) {
				t.Errorf("a missing key: %v", err)
			}
			id := "job-" + strings.ReplaceAll(way, " ", "-")
			if err := s.StartJob(t.Context(), id,
				node.Cmd{Argv: []string{"cmd.exe", "/c", "echo", "done"}, As: "admin"}); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				j, err := s.Job(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if j.Phase == node.JobDone {
					if j.Code != 0 || j.Output != "done\r\n" {
						t.Errorf("%+v", j)
					}
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the job does not end")
				}
			}
		})
	}
}

// TestEveryRelease: every release in every language is delivered, is reached, keeps its state over
// a stop, and is the same after it.
func TestEveryRelease(t *testing.T) {
	locales := []string{"en", "fr", "de", "ja"}
	for i, release := range node.WindowsReleases() {
		t.Run(string(release), func(t *testing.T) {
			cfg := testConfig(t)
			clusterSite(&cfg)
			cfg.Module = nil
			cfg.Site.Lab.OS, cfg.Site.Lab.Locale = string(release), locales[i%len(locales)]
			l := startLab(t, cfg)
			for _, way := range []string{"http ntlm", "ssh"} {
				s, _, err := open(t, t.Context(), l.Endpoints()["n1"], way)
				if err != nil {
					t.Fatal(err)
				}
				if f := s.Facts(); f.Release != release {
					t.Errorf("%s: %+v", way, f)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			before, err := l.Show()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			after, err := startLab(t, cfg).Show()
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("a stop changed the machines: %v", err)
			}
		})
	}
}

// TestLogonRefusedEverywhere: a wrong password is known as one, by every way.
func TestLogonRefusedEverywhere(t *testing.T) {
	l := startLab(t, testConfig(t))
	for _, way := range ways() {
		d, to := target(t, l.Endpoints()["n1"], way)
		to.Password = secret.New("wrong")
		if _, err := d.Dial(t.Context(), to); !errors.Is(err, node.ErrAuth) {
			t.Errorf("%s: %v", way, err)
		}
	}
}

// TestLostEverywhere: a link that is cut under a request is "outcome unknown" by every way.
func TestLostEverywhere(t *testing.T) {
	faults := map[string]string{}
	for _, way := range ways() {
		faults[way] = "node-lost:machine=n1,at=3"
	}
	faults["http ntlm"] = "winrm-restarts:machine=n1,at=3"
	for way, fault := range faults {
		t.Run(way, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.Faults = []string{fault}
			l := startLab(t, cfg)
			s, _, err := open(t, t.Context(), l.Endpoints()["n1"], way) // the facts are the first request
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := s.Query(ctx, node.RegistryKeys{Key: `HKLM\SOFTWARE`}); err != nil {
				t.Fatal(err)
			}
			_, err = s.Do(ctx, node.RegistrySet{Key: `HKLM\SOFTWARE\x`, Name: "n", Type: "string", Data: "v"})
			var link *node.LinkError
			if !errors.As(err, &link) || !link.Sent {
				t.Errorf("%v", err)
			}
		})
	}
}

// BenchmarkQueries measures one query after the other, and 40 in one batch, with added latency; it
// reports requests on the wire.
func BenchmarkQueries(b *testing.B) {
	for _, way := range []string{"http ntlm", "ssh"} {
		for _, ms := range []int{0, 5, 30} {
			for _, batch := range []int{1, 40} {
				b.Run(fmt.Sprintf("%s/%dms/%d", way, ms, batch), func(b *testing.B) {
					cfg := testConfig(b)
					cfg.Latency = time.Duration(ms) * time.Millisecond
					l, err := Start(b.Context(), cfg)
					if err != nil {
						b.Fatal(err)
					}
					defer l.Close()
					s, c, err := open(b, b.Context(), l.Endpoints()["n1"], way)
					if err != nil {
						b.Fatal(err)
					}
					defer s.Close()
					before := c.Stats().Requests
					for b.Loop() {
						var qs []node.Query
						for i := range batch {
							qs = append(qs, node.Registry{Key: fmt.Sprintf(`HKLM\SOFTWARE\k%d`, i)})
						}
						if batch > 1 {
							if err := s.Prefetch(b.Context(), qs); err != nil {
								b.Fatal(err)
							}
						}
						for _, q := range qs {
							if _, err := s.Query(b.Context(), q); err != nil && !errors.Is(err, node.ErrNotFound) {
								b.Fatal(err)
							}
						}
					}
					b.ReportMetric(float64(c.Stats().Requests-before)/float64(b.N), "requests/op")
				})
			}
		}
	}
}

// BenchmarkFiftyMachines asks 50 machines 40 things each, from the first connection on.
func BenchmarkFiftyMachines(b *testing.B) {
	for _, way := range []string{"http ntlm", "ssh"} {
		b.Run(way, func(b *testing.B) {
			cfg := testConfig(b)
			cfg.Site.Nodes, cfg.Site.Lab.Disks = nil, nil
			for i := range 50 {
				cfg.Site.Nodes = append(cfg.Site.Nodes,
					inventory.Node{Name: fmt.Sprintf("m%02d", i), Address: fmt.Sprintf("192.0.2.%d", 10+i)})
			}
			cfg.Latency = 5 * time.Millisecond
			l, err := Start(b.Context(), cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			for b.Loop() {
				var g errgroup.Group
				for _, e := range l.Endpoints() {
					g.Go(func() error {
						s, _, err := open(b, b.Context(), e, way)
						if err != nil {
							return err
						}
						defer s.Close()
						var qs []node.Query
						for i := range 40 {
							qs = append(qs, node.Registry{Key: fmt.Sprintf(`HKLM\SOFTWARE\k%d`, i)})
						}
						return s.Prefetch(b.Context(), qs)
					})
				}
				if err := g.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
