package hint

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestAllAndSplit(t *testing.T) {
	a, b := Wrap(errors.New("a"), "try a"), Wrap(errors.New("b"), "try b")
	sentinel := errors.New("broken")
	for _, c := range []struct {
		name         string
		err          error
		hints, parts []string
	}{
		{"none", nil, nil, nil},
		{"plain", errors.New("a"), nil, []string{"a"}},
		{"one", fmt.Errorf("x: %w", a), []string{"try a"}, []string{"x: a"}},
		{"the outermost of a chain", Wrap(a, "rather this"), []string{"rather this"}, []string{"a"}},
		{"joined", errors.Join(a, b), []string{"try a", "try b"}, []string{"a", "b"}},
		{"the same twice", errors.Join(a, fmt.Errorf("y: %w", a)), []string{"try a"}, []string{"a", "y: a"}},
		{"nested", errors.Join(errors.Join(a), b, errors.New("c")), []string{"try a", "try b"}, []string{"a", "b", "c"}},
		{"joined of one", errors.Join(a), []string{"try a"}, []string{"a"}},
		{"a hint for all", Wrap(errors.Join(a, b), "look"), []string{"look", "try a", "try b"}, []string{"a", "b"}},
		{"two in one sentence", fmt.Errorf("%w: %w", sentinel, a), []string{"try a"}, []string{"broken: a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := All(c.err); !slices.Equal(got, c.hints) {
				t.Errorf("hints %q", got)
			}
			var parts []string
			for _, p := range Split(c.err) {
				parts = append(parts, p.Error())
			}
			if !slices.Equal(parts, c.parts) {
				t.Errorf("parts %q", parts)
			}
		})
	}
}
