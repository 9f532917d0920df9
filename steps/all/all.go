// Package all is the one list of the kinds of steps that deploy has.
package all

import (
	"deploy/steps"
	"deploy/steps/account"
	"deploy/steps/assert"
	"deploy/steps/cluster"
	"deploy/steps/command"
	"deploy/steps/dns"
	"deploy/steps/exchange"
	"deploy/steps/feature"
	"deploy/steps/file"
	"deploy/steps/gate"
	"deploy/steps/network"
	"deploy/steps/packages"
	"deploy/steps/registry"
	"deploy/steps/service"
	"deploy/steps/storage"
	"deploy/steps/system"
)

// Kinds makes the registry of every kind.
func Kinds() *steps.Registry {
	return steps.NewRegistry(account.Kinds(), cluster.Kinds(), dns.Kinds(), exchange.Kinds(), feature.Kinds(),
		file.Kinds(), assert.Kinds(), command.Kinds(), gate.Kinds(),
		network.Kinds(), packages.Kinds(), registry.Kinds(), service.Kinds(), storage.Kinds(), system.Kinds())
}
