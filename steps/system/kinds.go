// Package system holds the kinds about the kernel of a Linux machine: its settings and its mounts.
package system

import (
	"encoding/json"
	"fmt"

	"deploy/steps"
)

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		mountKind(),
		sysctlKind(),
	}
}

func decode(before json.RawMessage, into any) error {
	if err := json.Unmarshal(before, into); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	return nil
}
