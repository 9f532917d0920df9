package failover

import (
	"fmt"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

const serviceName = "ClusSvc"

// States of resources and services that this package sets.
const (
	stateOnline         = 2
	stateOffline        = 3
	stateFailed         = 4
	stateOnlinePending  = 129
	stateOfflinePending = 130

	svcStopped = 1
	svcPending = 2
	svcRunning = 4
)

// service returns the Cluster service of m, or nil.
func service(m *model.Machine) *model.Service {
	for _, s := range m.Services {
		if strings.EqualFold(s.Name, serviceName) {
			return s
		}
	}
	return nil
}

// ensureService makes the Cluster service as the feature brings it: disabled until the machine is
// in a cluster.
func ensureService(m *model.Machine) *model.Service {
	if s := service(m); s != nil {
		return s
	}
	s := &model.Service{Name: serviceName, Display: serviceDisplay(m.Locale), Start: 4, State: svcStopped, Kind: 16,
		Account: "LocalSystem", Path: `C:\Windows\Cluster\clussvc.exe -s`}
	if m.Services == nil {
		m.Services = map[string]*model.Service{}
	}
	m.Services[strings.ToLower(serviceName)] = s
	return s
}

func serviceDisplay(locale string) string {
	switch locale {
	case "fr":
		return "Service de cluster"
	case "de":
		return "Clusterdienst"
	case "ja":
		return "クラスター サービス"
	}
	return "Cluster Service"
}

// onFeature follows the feature: the service comes and goes with it.
func (f *Family) onFeature(c *machine.Ctx, id string, installed bool) {
	if !strings.EqualFold(id, "Failover-Clustering") {
		return
	}
	if installed {
		ensureService(c.M)
		return
	}
	for k, s := range c.M.Services {
		if strings.EqualFold(s.Name, serviceName) {
			delete(c.M.Services, k)
		}
	}
	f.Settle(c)
}

// Membership is kept on the machine itself as well, as the real configuration is: a node that was
// evicted while it was off still believes that it is a member until it is cleaned.
const extraKey = "failover"

func memberOf(m *model.Machine) string { return m.Extra[extraKey]["cluster"] }

func setMember(m *model.Machine, id string) {
	if id == "" {
		delete(m.Extra, extraKey)
		return
	}
	if m.Extra == nil {
		m.Extra = map[string]map[string]string{}
	}
	m.Extra[extraKey] = map[string]string{"cluster": id}
}

// enroll makes m's service that of a member: started now and at every start.
func enroll(m *model.Machine, cl *model.Cluster) {
	s := ensureService(m)
	s.Start, s.State = 2, svcRunning
	setMember(m, cl.ID)
}

// clean takes the cluster's configuration off m, as forced clean-up does.
func clean(m *model.Machine) {
	setMember(m, "")
	if s := service(m); s != nil {
		s.State = svcStopped
		s.Start = 4
	}
}

// guid makes an id that no world makes twice.
func guid(w *model.World) string {
	n := w.Next()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", uint32(n*2654435761), n&0xffff, n>>4&0xfff, n>>8&0xfff, n)
}
