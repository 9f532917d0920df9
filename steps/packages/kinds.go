// Package packages holds the kinds that install software: setup programs of Windows, packages of
// Linux distributions.
package packages

import "deploy/steps"

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		kind(),
		linuxKind(),
	}
}
