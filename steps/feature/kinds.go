// Package feature holds the kind that installs Windows roles and features.
package feature

import "deploy/steps"

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		kind(),
	}
}
