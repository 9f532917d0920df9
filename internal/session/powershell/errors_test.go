package powershell

import (
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// A full disk is the one refusal that needs no knowledge of who met it.
func TestFullDiskHasAHint(t *testing.T) {
	for code, want := range map[int64]string{0x80070070: "free space on that drive of n1, then run again",
		112: "free space on that drive of n1, then run again", 5: ""} {
		err := refusalOf("n1", "file.put C:\\a", map[string]any{"code": code, "text": "whatever the language says"})
		if got := hint.Of(err); got != want {
			t.Errorf("code %d: %q", code, got)
		}
		if have, ok := node.Code(err); !ok || have != code {
			t.Errorf("code %d became %d", code, have)
		}
	}
}
