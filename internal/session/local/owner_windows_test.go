package local

import (
	"errors"
	"path/filepath"
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
)

func TestOwnerAndFence(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{State: filepath.Join(t.TempDir(), "jobs")})
	nodetest.OwnerContract(t, s, func(name string) string { return filepath.Join(dir, name) },
		[]string{"cmd.exe", "/c", "echo", "x"})
	if _, err := s.Query(t.Context(), node.RegistryKeys{Key: `HKLM\SOFTWARE\deploy\Owner`}); !errors.Is(err, node.ErrNotFound) {
		t.Errorf("the key of owner records stays: %v", err)
	}
}
