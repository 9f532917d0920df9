// Package bench measures what a run costs on the wire: requests, time per step at added latency, a
// plan of many nodes, memory. The machines are the lab's, behind real WinRM with sealed NTLM on
// loopback. bench/results holds the figures.
package bench

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"deploy/internal/engine"
	"deploy/internal/journal"
	"deploy/internal/lab"
	"deploy/internal/secret"
	"deploy/internal/session"
	"deploy/internal/session/powershell"
	"deploy/inventory"
	"deploy/playbooks"
	"deploy/steps"
	"deploy/steps/all"
	"deploy/transport"
	"deploy/transport/winrm"
)

const password = "Bench-Mark-1"

// site writes a site of that many Windows machines, whose playbook has one phase of that many
// registry steps.
func site(tb testing.TB, release string, nodes, count int) string {
	tb.Helper()
	dir := tb.TempDir()
	var b strings.Builder
	b.WriteString("playbook: bench\ntitle: Bench\ndescription: Many small steps.\nroles: {server: {min: 1, max: " +
		"500}}\nphases:\n  - id: values\n    title: Values\n    steps:\n")
	for i := range count {
		fmt.Fprintf(&b, "      - {id: v%d, title: A value, uses: registry, on: role.server, with: {key: "+
			"'HKLM\\SOFTWARE\\K%d', name: v, type: dword, data: '%d'}}\n", i, i, i)
	}
	write(tb, filepath.Join(dir, "bench.yaml"), b.String())
	b.Reset()
	b.WriteString("site: bench\nplaybook: ./bench.yaml\ncredentials:\n  admin: {username: 'CONTOSO\\bench', password: " +
		"{env: BENCH_PASSWORD}}\n" +
		"inventory:\n  defaults: {transport: winrm, credential: admin, winrm: {scheme: http}}\n  nodes:\n")
	for i := range nodes {
		fmt.Fprintf(&b, "    - {name: n%d, address: 192.0.2.%d, roles: [server]}\n", i, i+1)
	}
	b.WriteString("lab:\n  os: '" + release + "'\n  domain: contoso.com\n  machines:\n")
	for i := range nodes {
		fmt.Fprintf(&b, "    n%d: {adapters: [{mac: '00:15:5D:01:%02X:%02X'}]}\n", i, i/250, i%250)
	}
	file := filepath.Join(dir, "site.yaml")
	write(tb, file, b.String())
	return file
}

func write(tb testing.TB, file, text string) {
	tb.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// fleet is a lab with a way to reach it that counts.
type fleet struct {
	tb      testing.TB
	program *steps.Program
	at      map[string]lab.Endpoint
	mu      sync.Mutex
	conns   []transport.Conn
	dir     string
}

func start(tb testing.TB, nodes, count int, latency time.Duration) *fleet {
	tb.Helper()
	return startOn(tb, "2008", nodes, count, latency)
}

func startOn(tb testing.TB, release string, nodes, count int, latency time.Duration) *fleet {
	tb.Helper()
	s, err := inventory.Load(site(tb, release, nodes, count))
	if err != nil {
		tb.Fatal(err)
	}
	book, err := playbooks.Load(s)
	if err != nil {
		tb.Fatal(err)
	}
	program, _, err := book.Compile(s, all.Kinds())
	if err != nil {
		tb.Fatal(err)
	}
	l, err := lab.Start(tb.Context(), lab.Config{Site: s, Dir: filepath.Join(tb.TempDir(), "lab"), Latency: latency,
		Longest:  time.Millisecond,
		Accounts: []lab.Account{{User: `CONTOSO\bench`, Password: secret.New(password)}}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return &fleet{tb: tb, program: program, at: l.Endpoints(), dir: tb.TempDir()}
}

func (f *fleet) dial(ctx context.Context, name string, _ engine.Position) (engine.Executor, error) {
	host, port, err := net.SplitHostPort(f.at[name].HTTP)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	conn, err := winrm.New(winrm.Options{}).Dial(ctx, transport.Target{Node: name, Transport: "winrm", Address: host,
		Port: n, User: `CONTOSO\bench`,
		Password: secret.New(password)})
	if err != nil {
		return nil, err
	}
	s, err := powershell.Open(ctx, conn, powershell.Options{Options: session.Options{Node: name}})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.conns = append(f.conns, conn)
	f.mu.Unlock()
	return engine.Direct(s, "bench"), nil
}

// requests sums up and forgets.
func (f *fleet) requests() (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		n += c.Stats().Requests
	}
	f.conns = nil
	return n
}

func (f *fleet) options(j journal.Journal) engine.Options {
	return engine.Options{Program: f.program, Journal: j, Dial: f.dial, Version: "bench", Parallel: 50,
		Approve: func(context.Context, engine.Approval) (bool, error) { return true, nil }}
}

// BenchmarkPhase: one node, one phase of forty steps, at added latency; a first run that changes
// everything and one that changes nothing. handshake-req are the requests of a session that does
// nothing.
func BenchmarkPhase(b *testing.B) {
	const count = 40
	for _, ms := range []int{0, 5, 30} {
		for _, kind := range []string{"first", "no-change"} {
			b.Run(fmt.Sprintf("%s/latency=%dms", kind, ms), func(b *testing.B) {
				var requests int64
				var session int64
				for b.Loop() {
					b.StopTimer()
					f := start(b, 1, count, time.Duration(ms)*time.Millisecond)
					j, err := journal.Open(f.dir, journal.OpenOptions{})
					if err != nil {
						b.Fatal(err)
					}
					if kind == "no-change" {
						if _, err := engine.Apply(b.Context(), f.options(j), nil); err != nil {
							b.Fatal(err)
						}
					}
					f.requests()
					e, err := f.dial(b.Context(), "n0", engine.Position{})
					if err != nil {
						b.Fatal(err)
					}
					_ = e.Close()
					session += f.requests()
					b.StartTimer()
					if _, err := engine.Apply(b.Context(), f.options(j), nil); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					requests += f.requests()
					_ = j.Close()
					b.StartTimer()
				}
				b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/count, "ms/step")
				b.ReportMetric(float64(requests-session)/float64(b.N), "req/phase")
				b.ReportMetric(float64(session)/float64(b.N), "handshake-req")
			})
		}
	}
}

// BenchmarkPlan: a plan of fifty nodes with forty steps each, from connecting to the answer.
func BenchmarkPlan(b *testing.B) {
	for _, ms := range []int{0, 5} {
		b.Run(fmt.Sprintf("50x40/latency=%dms", ms), func(b *testing.B) {
			f := start(b, 50, 40, time.Duration(ms)*time.Millisecond)
			for b.Loop() {
				if _, err := engine.MakePlan(b.Context(), f.options(nil)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(f.requests())/float64(b.N)/50, "req/node")
		})
	}
}
