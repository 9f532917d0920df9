package winenodes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Lab is a prepared Wine with the tier's own programs over it.
type Lab struct {
	base
	dir  string // everything that this use makes
	side string // the tier's own program, built for Windows
	over string // the layer with the loud programs
}

// Tier skips the test outside of the tier, and where there is no root. In CI nothing may be
// skipped: the tier counts that as a failure.
func Tier(t testing.TB) {
	t.Helper()
	if os.Getenv("DEPLOY_TIER") != "wine" {
		t.Skip("belongs to the tier wine: make test-wine")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, for namespaces and a changed root")
	}
	for _, p := range []string{"mmdebstrap", "unshare", "nsenter", "chroot", "wixl"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip("needs " + p + ": run scripts/test-deps")
		}
	}
}

// Open prepares Wine. dir is an empty directory for what the lab makes, which the caller removes
// after it.
func Open(ctx context.Context, dir string) (*Lab, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	b, err := prepare(ctx, cache)
	if err != nil {
		return nil, err
	}
	l := &Lab{base: b, dir: dir, side: filepath.Join(dir, "side.exe"), over: filepath.Join(dir, "over")}
	if err := l.Build(ctx, "deploy/internal/testkit/winenodes/side", l.side); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	return l, l.cover()
}

// Build builds one of the project's programs for Windows. flags go before the package.
func (l *Lab) Build(ctx context.Context, pkg, to string, flags ...string) error {
	args := append(append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", to}, flags...), pkg)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if err := runQuietly(cmd); err != nil {
		return fmt.Errorf("cannot build %s for Windows: %w", pkg, err)
	}
	return os.Chmod(to, 0o755)
}

// cover makes the layer in which a loud program stands over each that only pretends.
func (l *Lab) cover() error {
	system := filepath.Join(l.over, "drive_c", "windows", "system32")
	if err := os.MkdirAll(system, 0o755); err != nil {
		return err
	}
	for _, name := range loud() {
		to := filepath.Join(system, strings.ReplaceAll(name, `\`, "/")+".exe")
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Link(l.side, to); err != nil {
			return err
		}
	}
	if err := os.Link(l.side, filepath.Join(l.over, "drive_c", "side.exe")); err != nil {
		return err
	}
	// a directory of a layer hides the owner of the one below it
	return filepath.WalkDir(l.over, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, userID, userID))
	})
}

// Once makes a command that runs one Windows program over a fresh prefix, which is gone when it
// ends. program is a path on this machine; dir is the directory it runs in, at or below source,
// which it can read as drive Z:.
func (l *Lab) Once(ctx context.Context, source, dir, program string, env []string, args ...string) (*exec.Cmd, error) {
	upper, err := os.MkdirTemp(l.dir, "once-")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chmod(upper, 0o755), makeUpper(upper)); err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(source, dir)
	if err != nil {
		return nil, err
	}
	v := view{base: l.base, prefix: l.base.prefix, upper: upper, layers: []string{l.over},
		binds: map[string]string{"source": source, "bin-under-test": filepath.Dir(program)}}
	argv := append([]string{wineLoader, "/bin-under-test/" + filepath.Base(program)}, args...)
	return v.command(ctx, filepath.Join("/source", rel), env, argv...), nil
}
