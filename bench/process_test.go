package bench

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deploy/internal/lab"
	"deploy/internal/secret"
	"deploy/inventory"
)

// highWater reads a process' VmHWM in KiB; 0 when it has ended.
func highWater(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	var kib int64
	_, _ = fmt.Sscan(rest, &kib)
	return kib
}

// BenchmarkController: the program itself, in a process of its own, plans fifty machines with forty
// steps each. peak-MiB is the most memory that the process held.
func BenchmarkController(b *testing.B) {
	bin := filepath.Join(b.TempDir(), "deploy")
	if out, err := exec.Command("go", "build", "-o", bin, "deploy/cmd/deploy").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, nodes := range []int{1, 50} {
		b.Run(map[int]string{1: "1x40", 50: "50x40"}[nodes], func(b *testing.B) {
			file := site(b, "2008", nodes, 40)
			s, err := inventory.Load(file)
			if err != nil {
				b.Fatal(err)
			}
			l, err := lab.Start(b.Context(),
				lab.Config{Site: s, Dir: filepath.Join(filepath.Dir(file), ".deploy", "bench", "lab", "machines"),
					Accounts: []lab.Account{{User: `CONTOSO\bench`, Password: secret.New(password)}},
					Log:      slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			var peak int64
			for b.Loop() {
				cmd := exec.Command(bin, "plan", "--lab", file)
				cmd.Env = append(os.Environ(), "BENCH_PASSWORD="+password)
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				// the process' own high-water mark; what wait tells would hold this process' memory from before
				// the exec
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				for running := true; running; {
					select {
					case err := <-ended:
						var exit *exec.ExitError
						if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 2) {
							b.Fatal(err)
						}
						running = false
					case <-time.After(2 * time.Millisecond):
						peak = max(peak, highWater(cmd.Process.Pid))
					}
				}
			}
			b.ReportMetric(float64(peak)/1024, "peak-MiB")
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Second), "s/plan")
		})
	}
}
