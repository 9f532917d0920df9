// Package file holds the kinds about files, directories and settings in XML files.
package file

import "deploy/steps"

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		fileKind(),
		directoryKind(),
		xmlKind(),
	}
}
