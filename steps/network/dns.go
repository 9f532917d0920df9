package network

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// DNS sets a card's DNS servers and whether it registers its address.
type DNS struct {
	MAC      string   `json:"mac" required:"true" doc:"hardware address of the card" type:"mac" check:"compared"`
	Servers  []string `json:"servers" doc:"DNS servers in the order in which they are asked; an empty list means none, no key means any" type:"ipv4" check:"compared"`
	Register *bool    `json:"register" doc:"whether the card registers its addresses in DNS; no key means either" check:"compared"`
}

type dnsBefore struct {
	GUID    string   `json:"guid"`
	Servers []string `json:"servers"` // null: they came from DHCP
	Full    bool     `json:"full"`
	Domain  bool     `json:"domain"`
}

func dnsKind() steps.Kind {
	return steps.Kind{
		Name:    "network.dns",
		OS:      "windows",
		Summary: "Sets the DNS servers of a network card and whether it registers its addresses.",
		Doc: "On Windows. Finds the card by its hardware address and works through WMI, for the registration from 2012 on " +
			"through the module DnsClient. With register: false neither the full name nor the name " +
			"in the connection's own domain is registered. Records that were registered before stay; dns.record removes them.",
		Undo:    "Puts the recorded servers and registration back; servers that came from DHCP are taken from DHCP again.",
		Proof:   proof,
		Sources: []string{"Win32_NetworkAdapterConfiguration: SetDNSServerSearchOrder, SetDynamicDNSRegistration"},
		Calls: append(inspect.AdapterCalls(),
			node.Call{WMI: config, Method: "SetDNSServerSearchOrder", Args: []string{"DNSServerSearchOrder"},
				Props: []string{"SettingID"}, On: node.WindowsReleases()},
			node.Call{WMI: config, Method: "SetDynamicDNSRegistration",
				Args: []string{"FullDNSRegistrationEnabled", "DomainDNSRegistrationEnabled"}, Props: []string{"SettingID"},
				On: inspect.Between(node.WS2003, node.WS2008R2)},
			node.Call{Cmdlet: "Set-DnsClient", Params: []string{"InterfaceAlias", "RegisterThisConnectionsAddress",
				"UseSuffixWhenRegistering", "Confirm"}, On: inspect.From(node.WS2012)}),
		ReadForms: forms(),
		New:       func() steps.Step { return &DNS{} },
		Example:   "mac: 00:15:5D:00:01:02\nservers: []\nregister: false\n",
	}
}

// Kind names the step.
func (s *DNS) Kind() string { return "network.dns" }

// Validate looks at the data.
func (s *DNS) Validate() error {
	if s.Servers == nil && s.Register == nil {
		return steps.FieldErr("servers", "give servers or register")
	}
	return nil
}

// Reads names what Check will ask.
func (s *DNS) Reads(f node.Facts) []node.Query { return inspect.AdapterReads(f) }

// Check compares what is declared.
func (s *DNS) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := onlyWindows(r, "network.dns"); err != nil {
		return steps.Diff{}, err
	}
	a, err := inspect.AdapterByMAC(ctx, r, s.MAC)
	if err != nil {
		return steps.Diff{}, err
	}
	if err := needIP(a); err != nil {
		return steps.Diff{}, err
	}
	changes := s.changes(a)
	if len(changes) == 0 {
		return steps.NoChange(), nil
	}
	servers, err := staticServers(ctx, r, a)
	if err != nil {
		return steps.Diff{}, err
	}
	return steps.Diff{
		Action: steps.Update, Changes: changes, Via: "WMI",
		Before:  steps.MustJSON(dnsBefore{a.GUID, servers, a.FullDNS, a.DomainDNS}),
		Effects: steps.Effects{MayReboot: true},
	}, nil
}

func (s *DNS) changes(a inspect.Adapter) (changes []steps.Change) {
	if s.Servers != nil && !slices.Equal(a.DNS, s.Servers) {
		changes = append(changes, steps.Change{Attr: "servers", From: strings.Join(a.DNS, ", "),
			To: strings.Join(s.Servers, ", ")})
	}
	if s.Register != nil && (a.FullDNS != *s.Register || (a.DomainDNS && !*s.Register)) {
		changes = append(changes, steps.Change{Attr: "register", From: a.FullDNS || a.DomainDNS, To: *s.Register})
	}
	return changes
}

// staticServers returns the servers that were set by hand, or nil when they come from DHCP. WMI
// shows both alike; on a DHCP card the value NameServer tells. Source: Tcpip\Parameters\Interfaces
// registry entries (NameServer, DhcpNameServer).
func staticServers(ctx context.Context, r node.Reader, a inspect.Adapter) ([]string, error) {
	if !a.DHCP {
		return append([]string{}, a.DNS...), nil
	}
	v, found, err := inspect.RegistryValue(ctx, r,
		`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces\`+a.GUID, "NameServer")
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, nil
	}
	// the entries are parted by commas, on old releases by blanks
	list := strings.FieldsFunc(v.Text(), func(c rune) bool { return c == ',' || c == ' ' })
	if len(list) == 0 {
		return nil, nil
	}
	return list, nil
}

// Apply sets what differs.
func (s *DNS) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	a, err := inspect.AdapterByMAC(ctx, n, s.MAC)
	if err != nil {
		return steps.Outcome{}, err
	}
	var out steps.Outcome
	for _, c := range s.changes(a) {
		var reboot bool
		if c.Attr == "servers" {
			reboot, err = setServers(ctx, n, a.GUID, s.Servers)
		} else {
			reboot, err = setRegistration(ctx, n, a, *s.Register, a.DomainDNS && *s.Register)
		}
		out.Reboot = out.Reboot || reboot
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// Undo puts servers and registration back.
func (s *DNS) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b dnsBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	a, err := cardForUndo(ctx, n, b.GUID)
	if err != nil {
		return err
	}
	first, second := false, false
	if s.Servers != nil && (b.Servers == nil || !slices.Equal(a.DNS, b.Servers)) {
		if first, err = setServers(ctx, n, b.GUID, b.Servers); err != nil {
			return err
		}
	}
	if s.Register != nil && (a.FullDNS != b.Full || a.DomainDNS != b.Domain) {
		if second, err = setRegistration(ctx, n, a, b.Full, b.Domain); err != nil {
			return err
		}
	}
	return due(first || second, nil)
}

// setServers with no servers leaves the argument out, which is how the list is emptied.
func setServers(ctx context.Context, n node.Node, guid string, servers []string) (bool, error) {
	args := map[string]any{}
	if len(servers) > 0 {
		args["DNSServerSearchOrder"] = anys(servers)
	}
	return call(ctx, n, guid, "SetDNSServerSearchOrder", args)
}

// setRegistration uses the module DnsClient where there is one: later recordings of the WMI method
// lack its second argument.
func setRegistration(ctx context.Context, n node.Node, a inspect.Adapter, full, domain bool) (bool, error) {
	if !n.Facts().Release.AtLeast(node.WS2012) {
		return call(ctx, n, a.GUID, "SetDynamicDNSRegistration",
			map[string]any{"FullDNSRegistrationEnabled": full, "DomainDNSRegistrationEnabled": domain})
	}
	_, err := n.Do(ctx, node.CmdletCall{Name: "Set-DnsClient", Load: "DnsClient",
		Params: map[string]any{"InterfaceAlias": a.Name, "RegisterThisConnectionsAddress": full,
			"UseSuffixWhenRegistering": domain, "Confirm": false}})
	if err != nil {
		return false, fmt.Errorf("cannot set the DNS registration of card %s: %w", a.Name, err)
	}
	return false, nil
}
