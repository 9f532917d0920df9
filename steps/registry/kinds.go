// Package registry holds the kind about registry values.
package registry

import "deploy/steps"

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		kind(),
	}
}
