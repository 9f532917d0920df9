package task

import (
	"fmt"
	"strings"

	"deploy/steps"
)

// Describe tells a diff in one line: "update (mode: 3 -> 2, owner: nothing -> SYSTEM)".
func Describe(d steps.Diff) string {
	var parts []string
	for _, c := range d.Changes {
		parts = append(parts, fmt.Sprintf("%s: %s -> %s", c.Attr, value(c.From), value(c.To)))
	}
	s := string(d.Action)
	if d.Action == steps.Unknown {
		s += " until " + d.Until
	}
	if len(parts) > 0 {
		s += " (" + strings.Join(parts, ", ") + ")"
	}
	return s
}

func value(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		if v == "" {
			return `""`
		}
		return v
	}
	return fmt.Sprint(v)
}
