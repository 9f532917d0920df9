package local

import (
	"os"
	"path/filepath"
	"testing"

	"deploy/internal/session"
	"deploy/internal/testkit/nodetest"
)

func TestOwnerAndFence(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	s, err := Open(t.Context(), Options{Options: session.Options{Node: "n1"}, State: filepath.Join(root, "deploy",
		"jobs")})
	must(t, err)
	defer s.Close()
	nodetest.OwnerContract(t, s, func(name string) string { return filepath.Join(dir, name) }, []string{"true"})
	if _, err := os.Stat(filepath.Join(root, "deploy", "owner")); !os.IsNotExist(err) {
		t.Errorf("the directory of owner records stays: %v", err)
	}
}
