// Package network holds the kinds that set up network cards. Cards are known by their hardware address: names and numbers differ between machines and languages.
package network

import "deploy/steps"

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		adapterKind(),
		addressKind(),
		dnsKind(),
		netbiosKind(),
		bindingKind(),
	}
}
