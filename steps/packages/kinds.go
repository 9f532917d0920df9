// Package packages holds the kind that runs installers.
package packages

import "deploy/steps"

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		kind(),
	}
}
