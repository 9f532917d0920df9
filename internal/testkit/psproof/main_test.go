package psproof

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain is also the program that the cases run, and the stand-in for a PowerShell that the
// harness is tested with.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "proof-child" {
		os.Exit(childMain(os.Args[2]))
	}
	if os.Getenv("PSPROOF_PARROT") != "" {
		os.Exit(parrotMain())
	}
	os.Exit(m.Run())
}

func childMain(mode string) int {
	switch mode {
	case "stdin":
		b, err := io.ReadAll(os.Stdin)
		if err != nil {
			return 9
		}
		h := sha256.Sum256(b)
		fmt.Printf("%d %s", len(b), hex.EncodeToString(h[:]))
	case "flood":
		// stderr first, and more than a pipe holds: who reads stdout to its end before stderr waits for
		// ever
		fmt.Fprint(os.Stderr, strings.Repeat("e", 300_000))
		fmt.Print(strings.Repeat("o", 300_000))
		return 3
	case "deaf":
		fmt.Print("deaf")
	case "sleep":
		time.Sleep(2 * time.Minute)
	case "orphan":
		self, err := os.Executable()
		if err != nil {
			return 9
		}
		cmd := exec.Command(self, "proof-child", "linger")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return 9
		}
		fmt.Print("parent")
	case "linger":
		time.Sleep(20 * time.Second)
	}
	return 0
}

// expand fills in what is known when a process starts.
func (p *place) expand(v any) any {
	switch v := v.(type) {
	case string:
		self, _ := os.Executable()
		return strings.NewReplacer("{dir}", p.dir, "{root}", filepath.Join(p.dir, "root"), "{self}", self, "{sep dir kept}",
			filepath.Join(p.dir, "kept")).Replace(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = p.expand(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = p.expand(x)
		}
		return out
	}
	return v
}

// here makes a case that of one place.
func (p *place) here(c proofCase) proofCase {
	out := proofCase{name: c.name}
	for _, st := range c.steps {
		if st.args != nil {
			st.args, _ = p.expand(st.args).(map[string]any)
		}
		st.rows, _ = p.expand(st.rows).([]any)
		var records [][]string
		for _, r := range st.records {
			var w []string
			for _, x := range r {
				w = append(w, p.expand(x).(string))
			}
			records = append(records, w)
		}
		st.records = records
		out.steps = append(out.steps, st)
	}
	return out
}
