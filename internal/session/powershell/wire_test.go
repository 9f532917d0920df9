package powershell_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"deploy/internal/lab"
	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/session"
	"deploy/internal/session/powershell"
	"deploy/inventory"
	"deploy/transport"
	"deploy/transport/winrm"
)

// overWinRM opens a session on an emulated machine over sealed NTLM.
func overWinRM(t testing.TB, latency time.Duration) (*powershell.Session, func() int64) {
	t.Helper()
	return overWinRMTo(t, "2008", latency, func(c transport.Conn) transport.Conn { return c })
}

func overWinRMTo(t testing.TB, release string, latency time.Duration,
	through func(transport.Conn) transport.Conn) (*powershell.Session, func() int64) {
	t.Helper()
	l, err := lab.Start(context.Background(), lab.Config{
		Site: &inventory.Site{Name: "wire", Path: filepath.Join(t.TempDir(), "site.yaml"),
			Nodes: []inventory.Node{{Name: "n1", Address: "192.0.2.11"}},
			Lab:   inventory.Lab{OS: release, Domain: "contoso.com"}},
		Dir:      filepath.Join(t.TempDir(), "lab"),
		Accounts: []lab.Account{{User: `CONTOSO\deploy`, Password: secret.New("Secret-1")}}, Latency: latency,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	host, port, err := net.SplitHostPort(l.Endpoints()["n1"].HTTP)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	c, err := winrm.New(winrm.Options{}).Dial(context.Background(),
		transport.Target{Node: "n1", Address: host, Port: n, User: `CONTOSO\deploy`, Password: secret.New("Secret-1")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := powershell.Open(context.Background(), through(c), powershell.Options{Options: session.Options{Node: "n1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, func() int64 { return c.Stats().Requests }
}

// hasty widens its processes at once, whatever the machine takes.
type hasty struct{ transport.Conn }

func (h hasty) Start(ctx context.Context, line string) (transport.Process, error) {
	p, err := h.Conn.Start(ctx, line)
	if w, ok := p.(transport.Widener); ok {
		w.Widen(500 << 10)
	}
	return p, err
}

// TestLargeEnvelopes: a file arrives whole with envelopes of either size, and also when the machine
// takes less than was thought.
func TestLargeEnvelopes(t *testing.T) {
	same := func(c transport.Conn) transport.Conn { return c }
	noise := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	content := append(bytes.Repeat([]byte("text that packs well\n"), 50_000), noise...)
	sum := sha256.Sum256(content)
	requests := map[string]int64{}
	for name, c := range map[string]struct {
		release string
		through func(transport.Conn) transport.Conn
	}{
		"old": {"2008", same}, "new": {"2019", same},
		"refused": {"2008", func(c transport.Conn) transport.Conn { return hasty{c} }},
	} {
		s, count := overWinRMTo(t, c.release, 0, c.through)
		before := count()
		if err := s.Write(t.Context(), `C:\big`, bytes.NewReader(content), node.WriteOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		requests[name] = count() - before
		rows, err := s.Query(t.Context(), node.FileHash{Path: `C:\big`})
		if err != nil || len(rows) != 1 || rows[0].String("sha256") != hex.EncodeToString(sum[:]) ||
			rows[0].Int("size") != int64(len(content)) {
			t.Errorf("%s: %v, %v", name, rows, err)
		}
	}
	// 4.2 MB of frames: 37 Sends of 113 KB or 12 of 375
	if requests["new"] >= requests["old"] {
		t.Errorf("requests: %v", requests)
	}
	t.Log(requests)
}

func batch(n int) []node.Query {
	qs := make([]node.Query, n)
	for i := range qs {
		qs[i] = node.Registry{Key: fmt.Sprintf(`HKLM\SOFTWARE\K%d`, i)} // absent, which is an answer too
	}
	return qs
}

func ask(t testing.TB, s *powershell.Session, qs []node.Query) {
	t.Helper()
	for _, q := range qs {
		if _, err := s.Query(context.Background(), q); err != nil && !errors.Is(err, node.ErrNotFound) {
			t.Fatal(err)
		}
	}
}

// TestRequestsOnTheWire holds the cost of a session to what was promised: the answers of a batch
// cost a request for each time the machine had some ready, and the batch itself costs one.
func TestRequestsOnTheWire(t *testing.T) {
	s, requests := overWinRM(t, 0)
	// two logons of two requests, Create, Command, Send, and a Receive for what had been said each
	// time
	opened := requests()
	if opened > 12 {
		t.Errorf("opening took %d requests", opened)
	}
	const verbs = 50
	for range verbs {
		ask(t, s, []node.Query{node.Registry{Key: `HKLM\SOFTWARE`}})
	}
	lockstep := requests() - opened
	// a Send and a Receive for each
	if lockstep > 2*verbs+2 {
		t.Errorf("%d verbs one after the other took %d requests", verbs, lockstep)
	}
	before := requests()
	qs := batch(40)
	if err := s.Prefetch(t.Context(), qs); err != nil {
		t.Fatal(err)
	}
	ask(t, s, qs)
	batched := requests() - before
	// one Send; the Receives depend on how the machine's answers fall together, but never reach one
	// for each query
	if batched > 25 {
		t.Errorf("a batch of 40 took %d requests", batched)
	}
	t.Logf("opening %d, %d verbs in lockstep %d, a batch of 40 %d requests", opened, verbs, lockstep, batched)
}

func BenchmarkLockstep(b *testing.B) {
	for _, ms := range []int{0, 5, 30} {
		b.Run(fmt.Sprintf("%dms", ms), func(b *testing.B) {
			s, requests := overWinRM(b, time.Duration(ms)*time.Millisecond)
			before := requests()
			b.ResetTimer()
			for range b.N {
				ask(b, s, []node.Query{node.Registry{Key: `HKLM\SOFTWARE`}})
			}
			b.ReportMetric(float64(requests()-before)/float64(b.N), "requests/verb")
		})
	}
}

func BenchmarkBatchOf40(b *testing.B) {
	for _, ms := range []int{0, 5, 30} {
		b.Run(fmt.Sprintf("%dms", ms), func(b *testing.B) {
			s, requests := overWinRM(b, time.Duration(ms)*time.Millisecond)
			qs := batch(40)
			before := requests()
			b.ResetTimer()
			for range b.N {
				if err := s.Prefetch(context.Background(), qs); err != nil {
					b.Fatal(err)
				}
				ask(b, s, qs)
			}
			b.ReportMetric(float64(requests()-before)/float64(b.N), "requests/batch")
		})
	}
}
