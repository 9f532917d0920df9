// Package dns holds the kind about records on a DNS server.
package dns

import "deploy/steps"

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		recordKind(),
	}
}
