// Package service holds the kind about services of Windows and units of systemd.
package service

import "deploy/steps"

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		kind(),
	}
}
