package linux

import "testing"

func TestTakeBack(t *testing.T) {
	for name, c := range map[string]struct{ before, after, now, want string }{
		"nobody else":            {"a\nb", "a\nb\nc\n", "a\nb\nc\n", "a\nb"},
		"done already":           {"a\nb", "a\nb\nc\n", "a\nb", "a\nb"},
		"added, others too":      {"a\nb\n", "a\nb\nc\n", "x\na\nb\nc\nd\n", "x\na\nb\nd\n"},
		"removed, others too":    {"a\nb\nc\n", "a\nc\n", "a\nc\nd\n", "a\nb\nc\nd\n"},
		"first removed":          {"a\nb\n", "b\n", "b\nd\n", "a\nb\nd\n"},
		"replaced":               {"a\nb 1\nc\n", "a\nb 2\nc\n", "a\nb 2\nc\nd\n", "a\nb 1\nc\nd\n"},
		"anchor gone":            {"a\nb\n", "a\n", "d\n", "d\nb\n"},
		"others took it already": {"a\n", "a\nc\n", "a\nd\n", "a\nd\n"},
		"others emptied it":      {"", "c\n", "", ""},
		"equal lines":            {"a\na\n", "a\na\na\n", "a\na\na\nx\n", "a\na\nx\n"},
	} {
		got := TakeBack(c.before, c.after, c.now)
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if again := TakeBack(c.before, c.after, got); again != got {
			t.Errorf("%s: a second time gives %q", name, again)
		}
	}
}
