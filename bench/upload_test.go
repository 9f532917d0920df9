package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/session"
	"deploy/internal/session/powershell"
	"deploy/transport"
	"deploy/transport/winrm"
)

// BenchmarkUpload: a file of twelve megabytes, the size of an agent, put in place through the
// resident process: a program, which packs to half, and noise, which does not pack at all. MB/s
// counts the file's own bytes. sent/byte is what that costs on the wire. Windows Server 2008 takes
// envelopes of 150 KiB, 2019 of 500.
func BenchmarkUpload(b *testing.B) {
	const size = 12 << 20
	var seed [32]byte
	noise := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(noise)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil || len(program) < size {
		b.Fatalf("%d bytes of a program, %v", len(program), err)
	}
	for _, c := range []struct {
		release, kind string
		ms            int
	}{
		{"2008", "program", 0}, {"2008", "program", 5}, {"2008", "noise", 0}, {"2008", "noise", 5},
		{"2019", "program", 0}, {"2019", "program", 5}, {"2019", "noise", 0}, {"2019", "noise", 5},
	} {
		content := map[string][]byte{"program": program[:size], "noise": noise}[c.kind]
		b.Run(fmt.Sprintf("%s/%s/latency=%dms", c.release, c.kind, c.ms), func(b *testing.B) {
			f := startOn(b, c.release, 1, 1, time.Duration(c.ms)*time.Millisecond)
			host, port, err := net.SplitHostPort(f.at["n0"].HTTP)
			if err != nil {
				b.Fatal(err)
			}
			n, err := strconv.Atoi(port)
			if err != nil {
				b.Fatal(err)
			}
			conn, err := winrm.New(winrm.Options{}).Dial(b.Context(),
				transport.Target{Node: "n0", Transport: "winrm", Address: host, Port: n,
					User: `CONTOSO\bench`, Password: secret.New(password)})
			if err != nil {
				b.Fatal(err)
			}
			s, err := powershell.Open(b.Context(), conn, powershell.Options{Options: session.Options{Node: "n0"}})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			before := conn.Stats()
			b.SetBytes(size)
			b.ResetTimer()
			for range b.N {
				if err := s.Write(b.Context(), `C:\agent.exe`, bytes.NewReader(content), node.WriteOptions{}); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			after := conn.Stats()
			b.ReportMetric(float64(after.Requests-before.Requests)/float64(b.N), "req/file")
			b.ReportMetric(float64(after.Sent-before.Sent)/float64(b.N)/size, "sent/byte")
		})
	}
}
