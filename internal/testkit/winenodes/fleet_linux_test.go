package winenodes

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deploy/internal/agent/client"
	"deploy/internal/node"
)

// TestTierWineAgent: the controller places the agent by SFTP and starts it, then and the next time,
// without a PowerShell, which is not there. The agent knows the machine that it is on, and a second
// controller is told who holds it. cmd/deploy does a site's work with it.
func TestTierWineAgent(t *testing.T) {
	Tier(t)
	l, nodes, key := fleet(t, 1)
	n := nodes[0]
	dir := t.TempDir()
	must(t, l.Build(t.Context(), "deploy/cmd/deploy",
		filepath.Join(dir, client.Platform{OS: "windows", Arch: "amd64"}.FileName()), "-tags=agentonly"))
	start := func(who string) (*client.Agent, error) {
		return client.StartOnWindowsOverSSH(t.Context(), dial(t, n, key),
			client.Launch{Options: client.Options{Node: n.Name, Who: who, Site: "fleet"},
				Programs: &client.Programs{Dirs: []string{dir}}})
	}
	for again := range 2 {
		a, err := start("the tier")
		must(t, err)
		if f := a.Facts(); f.OS != "windows" || !strings.EqualFold(f.Computer, n.Name) || f.Release != node.WS2019 ||
			!f.Privileged {
			t.Errorf("%+v", f)
		}
		var busy *client.BusyError
		if again == 0 { // it takes as long as the first has for a sign of life
			must(t, a.Close())
			continue
		}
		if second, err := start("somebody else"); !errors.As(err, &busy) || busy.Who != "the tier" {
			t.Errorf("%v", err)
			if second != nil {
				_ = second.Close()
			}
		}
		must(t, a.Close())
	}
	placed, err := filepath.Glob(filepath.Join(n.dir, "up", "drive_c", "users", "*", "AppData", "Local", "deploy", "bin",
		"*"))
	if err != nil || len(placed) != 1 || !strings.HasSuffix(placed[0], ".exe") {
		t.Errorf("the program lies at %q, %v", placed, err)
	}
	// nobody else may enter where the agent keeps its record: that much Wine tells of an access list
	for _, pattern := range []string{"ProgramData/deploy", "ProgramData/deploy/agent"} {
		fi, err := os.Stat(filepath.Join(n.dir, "up", "drive_c", pattern))
		if err != nil || fi.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s: %v, %v", pattern, fi, err)
		}
	}
}
