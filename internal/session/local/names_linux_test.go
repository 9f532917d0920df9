package local

import (
	"testing"
	"time"
)

// Names are remembered for a moment, and no longer once the machine's accounts have changed.
func TestNames(t *testing.T) {
	var n names
	ask := func(what, want string) {
		t.Helper()
		if user, group := n.of(0, 0); user != want || group != want {
			t.Errorf("%s: %s, %s, want %s", what, user, group, want)
		}
	}
	ask("at first", "root")
	n.users[0], n.groups[0] = "kept", "kept"
	ask("again", "kept")
	n.mark[1].size++
	ask("after a change of the accounts", "root")
	n.users[0], n.groups[0] = "kept", "kept"
	n.until = time.Now().Add(-time.Second)
	ask("later", "root")
	if user, _ := n.of(4_000_000_000, 0); user != "4000000000" {
		t.Errorf("a number without a name is %q", user)
	}
}
