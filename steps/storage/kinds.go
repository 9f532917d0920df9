// Package storage holds the kinds that make shared disks usable. A disk is known by its serial number; its disk number is a result of a scan.
package storage

import "deploy/steps"

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		diskKind(),
		volumeKind(),
		letterKind(),
	}
}
