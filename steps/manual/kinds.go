// Package manual holds what people do or say themselves: gates, probes, and commands of their own.
package manual

import "deploy/steps"

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		gateKind(),
		probeKind(),
		commandKind(),
	}
}
