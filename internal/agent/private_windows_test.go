package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

// TestPrivate: a directory is made with what is missing above it, is the agent's, and may be there
// already; what is no directory of its own is refused. What the list does with others is judged on
// Windows only.
func TestPrivate(t *testing.T) {
	root := filepath.Join(t.TempDir(), "deploy", "agent")
	for range 2 {
		if err := private(root); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	err := private(filepath.Join(root, "file"))
	if err == nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("a file as the directory: %v", err)
	}
}

// TestOwners: who may own the agent's directories.
func TestOwners(t *testing.T) {
	for text, want := range map[string]bool{
		"S-1-5-18": true, "S-1-5-32-544": true, trustedInstaller: true,
		"S-1-5-32-545": false, "S-1-5-21-1-2-3-1001": false, "S-1-1-0": false, "S-1-5-19": false,
	} {
		sid, err := windows.StringToSid(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := trusted(sid); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := trusted(user.User.Sid); err != nil || !got {
		t.Errorf("the user: %v, %v", got, err)
	}
}
