package machine

import (
	"fmt"
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// netClasses are the cards and their TCP/IP settings. One pseudo adapter without a connection is
// always there, as on every real machine: WAN Miniport, Index 1, no MAC address, no
// NetConnectionID.
func netClasses() []*Class {
	v08 := node.WS2008
	return []*Class{
		{Namespace: cimv2, Name: "Win32_NetworkAdapter",
			Props: []string{"AdapterType", "AdapterTypeID", "Availability", "Caption", "ConfigManagerErrorCode",
				"CreationClassName", "Description", "DeviceID", "GUID", "Index", "Installed",
				"InterfaceIndex", "MACAddress", "Manufacturer", "Name", "NetConnectionID", "NetConnectionStatus", "NetEnabled",
				"PhysicalAdapter", "PNPDeviceID", "ProductName",
				"ServiceName", "Speed", "SystemName", "TimeOfLastReset"},
			PropSince: map[string]node.Release{"GUID": v08, "NetEnabled": v08, "PhysicalAdapter": v08, "InterfaceIndex": v08},
			List:      func(c *Ctx) ([]Object, error) { return listAdapters(c), nil },
			Methods: map[string]Method{
				"Enable":  {Call: func(c *Ctx, o Object, _ map[string]any) (Object, error) { return enableAdapter(c, o, true) }},
				"Disable": {Call: func(c *Ctx, o Object, _ map[string]any) (Object, error) { return enableAdapter(c, o, false) }},
			}},
		{Namespace: cimv2, Name: "Win32_NetworkAdapterConfiguration",
			Props: []string{"Caption", "DatabasePath", "DefaultIPGateway", "Description", "DHCPEnabled", "DHCPServer",
				"DNSDomain", "DNSDomainSuffixSearchOrder",
				"DNSEnabledForWINSResolution", "DNSHostName", "DNSServerSearchOrder", "DomainDNSRegistrationEnabled",
				"FullDNSRegistrationEnabled", "GatewayCostMetric", "Index", "InterfaceIndex",
				"IPAddress", "IPConnectionMetric", "IPEnabled", "IPSubnet", "MACAddress", "MTU", "ServiceName", "SettingID",
				"TcpipNetbiosOptions", "WINSEnableLMHostsLookup",
				"WINSPrimaryServer", "WINSSecondaryServer"},
			PropSince: map[string]node.Release{"InterfaceIndex": v08},
			List:      func(c *Ctx) ([]Object, error) { return listConfigurations(c), nil },
			Methods:   configurationMethods()},
	}
}

func listAdapters(c *Ctx) []Object {
	host := strings.ToUpper(c.M.Name)
	out := []Object{{"AdapterType": nil, "Availability": int64(3), "Caption": "[00000001] WAN Miniport (L2TP)",
		"CreationClassName": "Win32_NetworkAdapter", "Description": "WAN Miniport (L2TP)",
		"DeviceID": "1", "Index": int64(1), "Installed": true, "InterfaceIndex": int64(2), "Manufacturer": "Microsoft",
		"Name": "WAN Miniport (L2TP)", "PhysicalAdapter": false,
		"ProductName": "WAN Miniport (L2TP)", "ServiceName": "Rasl2tp", "SystemName": host}}
	for _, a := range c.M.Adapters {
		status := int64(2) // connected
		if a.LinkDown {
			status = 7 // media disconnected
		}
		out = append(out, Object{"AdapterType": "Ethernet 802.3", "AdapterTypeID": int64(0), "Availability": int64(3),
			"Caption": fmt.Sprintf("[%08d] %s", a.Index, a.Desc), "ConfigManagerErrorCode": int64(0),
			"CreationClassName": "Win32_NetworkAdapter", "Description": a.Desc, "DeviceID": fmt.Sprint(a.Index), "GUID": a.GUID,
			"Index": int64(a.Index), "Installed": true,
			"InterfaceIndex": interfaceIndex(a), "MACAddress": a.MAC, "Manufacturer": "Intel", "Name": a.Desc,
			"NetConnectionID": a.Name, "NetConnectionStatus": status, "NetEnabled": !a.LinkDown,
			"PhysicalAdapter": !a.Team, "PNPDeviceID": pnpID(a), "ProductName": a.Desc, "ServiceName": "E1G60",
			"Speed": int64(1000000000), "SystemName": host, "TimeOfLastReset": cimTime(c.M.Booted)})
	}
	return out
}

func enableAdapter(c *Ctx, o Object, on bool) (Object, error) {
	if !c.AtLeast(node.WS2008) {
		return nil, unsupported("Win32_NetworkAdapter has no such method")
	}
	if a := adapterOf(c, o); a != nil {
		a.LinkDown = !on
		return done()
	}
	return Object{"ReturnValue": int64(1)}, nil
}

// adapterOf finds the card of an instance by its Index.
func adapterOf(c *Ctx, o Object) *model.Adapter {
	n, _ := o["Index"].(int64)
	return findAdapter(c.M, func(a *model.Adapter) bool { return int64(a.Index) == n })
}

func nullable(list []string) any {
	if len(list) == 0 {
		return nil
	}
	return Anys(list)
}

func listConfigurations(c *Ctx) []Object {
	out := []Object{{"Caption": "[00000001] WAN Miniport (L2TP)", "DHCPEnabled": false,
		"Description": "WAN Miniport (L2TP)", "Index": int64(1), "InterfaceIndex": int64(2), "IPEnabled": false,
		"ServiceName": "Rasl2tp", "SettingID": "{1C5D8F2A-0E3C-4B55-9B0D-000000000001}"}}
	for _, a := range c.M.Adapters {
		o := Object{"Caption": fmt.Sprintf("[%08d] %s", a.Index, a.Desc), "Description": a.Desc, "DHCPEnabled": a.DHCP,
			"Index": int64(a.Index), "InterfaceIndex": interfaceIndex(a),
			"IPEnabled": ipEnabled(a), "MACAddress": a.MAC, "ServiceName": "E1G60", "SettingID": a.GUID}
		if ipEnabled(a) {
			ips, masks := ipv4(a)
			if a.Tentative {
				if _, late := c.W.Strike("address-late", c.M.Name, nil); late {
					ips, masks = nil, nil
				} else {
					a.Tentative = false
				}
			}
			if a.IPv6 {
				ips, masks = append(ips, linkLocal(a)), append(masks, "64")
			}
			costs := []any(nil)
			for range a.Gateways {
				costs = append(costs, int64(256))
			}
			var gateways any
			if len(a.Gateways) > 0 {
				gateways = Anys(a.Gateways)
				o["GatewayCostMetric"] = costs
			}
			for k, v := range map[string]any{"IPAddress": nullable(ips), "IPSubnet": nullable(masks),
				"DefaultIPGateway": gateways, "DNSServerSearchOrder": nullable(a.DNS),
				"DNSHostName": c.M.Name, "DNSDomain": nil, "DNSDomainSuffixSearchOrder": nullable(nonEmpty(c.M.Domain)),
				"DNSEnabledForWINSResolution": false,
				"FullDNSRegistrationEnabled":  a.FullReg, "DomainDNSRegistrationEnabled": a.DomainReg,
				"TcpipNetbiosOptions": int64(a.Netbios), "IPConnectionMetric": interfaceMetric(c, a),
				"WINSEnableLMHostsLookup": true, "DatabasePath": `%SystemRoot%\System32\drivers\etc`} {
				o[k] = v
			}
		}
		out = append(out, o)
	}
	return out
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// configurationMethods are the documented setters. They answer the codes of windows.md 5.4; a card
// without TCP/IP gives 84.
func configurationMethods() map[string]Method {
	with := func(f func(c *Ctx, a *model.Adapter, args map[string]any) int64) func(c *Ctx, o Object,
		args map[string]any) (Object, error) {
		return func(c *Ctx, o Object, args map[string]any) (Object, error) {
			a := adapterOf(c, o)
			if a == nil || !ipEnabled(a) {
				return Object{"ReturnValue": int64(84)}, nil
			}
			return Object{"ReturnValue": f(c, a, args)}, nil
		}
	}
	return map[string]Method{
		"EnableStatic": {Args: []string{"IPAddress", "SubnetMask"},
			Call: with(func(c *Ctx, a *model.Adapter, args map[string]any) int64 {
				a.Tentative = c.W.Has("address-late", c.M.Name)
				return setStatic(a, ArgStrings(args, "IPAddress"), ArgStrings(args, "SubnetMask"))
			})},
		"EnableDHCP": {Call: with(func(_ *Ctx, a *model.Adapter, _ map[string]any) int64 { return setDHCP(a) })},
		"SetGateways": {Args: []string{"DefaultIPGateway", "GatewayCostMetric"},
			Call: with(func(_ *Ctx, a *model.Adapter, args map[string]any) int64 {
				return setGateways(a, ArgStrings(args, "DefaultIPGateway"))
			})},
		"SetDNSServerSearchOrder": {Args: []string{"DNSServerSearchOrder"},
			Call: with(func(_ *Ctx, a *model.Adapter, args map[string]any) int64 {
				return setDNS(a, ArgStrings(args, "DNSServerSearchOrder"))
			})},
		"SetDynamicDNSRegistration": {Args: []string{"FullDNSRegistrationEnabled", "DomainDNSRegistrationEnabled"},
			Call: with(func(_ *Ctx, a *model.Adapter, args map[string]any) int64 {
				if !HasArg(args, "FullDNSRegistrationEnabled") {
					return 68
				}
				full, domain := ArgBool(args, "FullDNSRegistrationEnabled"), ArgBool(args, "DomainDNSRegistrationEnabled")
				if domain && !full {
					return 68
				}
				a.FullReg = full
				if HasArg(args, "DomainDNSRegistrationEnabled") || !full {
					a.DomainReg = domain
				}
				return 0
			})},
		"SetTcpipNetbios": {Args: []string{"TcpipNetbiosOptions"},
			Call: with(func(_ *Ctx, a *model.Adapter, args map[string]any) int64 {
				n, ok := ArgInt(args, "TcpipNetbiosOptions")
				if !ok || n < 0 || n > 2 {
					return 68
				}
				a.Netbios = int(n)
				return 0
			})},
		"SetIPConnectionMetric": {Args: []string{"IPConnectionMetric"},
			Call: with(func(_ *Ctx, a *model.Adapter, args map[string]any) int64 {
				n, ok := ArgInt(args, "IPConnectionMetric")
				if !ok || n < 0 || n > 9999 {
					return 68
				}
				a.Metric = int(n)
				return 0
			})},
		"RenewDHCPLease": {Call: with(func(_ *Ctx, a *model.Adapter, _ map[string]any) int64 {
			if !a.DHCP {
				return 82
			}
			return 0
		})},
	}
}
