package pslint

import (
	"os"
	"os/exec"
	"testing"
)

// Need returns the grammar for a test. Without Node or npm the test is skipped by name, and fails
// where CI is set. The packages are downloaded once, into the user's cache folder.
func Need(t testing.TB) *Grammar {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not on the path; scripts/test-deps installs it", program)
			}
			t.Skipf("%s is not on the path; scripts/test-deps installs it", program)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	g, err := Install(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
