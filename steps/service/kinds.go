// Package service holds the kind about Windows services.
package service

import "deploy/steps"

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		kind(),
	}
}
