package machine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// AdapterByName finds a card by its connection name, without case; nil says none.
func AdapterByName(m *model.Machine, name string) *model.Adapter {
	return findAdapter(m, func(a *model.Adapter) bool { return strings.EqualFold(a.Name, name) })
}

// AdapterByGUID finds a card by its GUID, with or without braces.
func AdapterByGUID(m *model.Machine, guid string) *model.Adapter {
	guid = "{" + strings.Trim(guid, "{}") + "}"
	return findAdapter(m, func(a *model.Adapter) bool { return strings.EqualFold(a.GUID, guid) })
}

// AdapterInSubnet finds the card that has an address in the same network as a CIDR or an address
// ("10.10.10.0/24", "10.10.10.9").
func AdapterInSubnet(m *model.Machine, network string) *model.Adapter {
	want, err := netip.ParsePrefix(network)
	if err != nil {
		ip, err := netip.ParseAddr(network)
		if err != nil {
			return nil
		}
		want = netip.PrefixFrom(ip, ip.BitLen())
	}
	return findAdapter(m, func(a *model.Adapter) bool {
		return slices.ContainsFunc(a.Addresses, func(s string) bool {
			p, err := netip.ParsePrefix(s)
			return err == nil && p.Masked().Overlaps(want)
		})
	})
}

func findAdapter(m *model.Machine, match func(*model.Adapter) bool) *model.Adapter {
	for _, a := range m.Adapters {
		if match(a) {
			return a
		}
	}
	return nil
}

// interfaceIndex is the number that the interface has for NetTCPIP, netsh and WMI's InterfaceIndex.
func interfaceIndex(a *model.Adapter) int64 { return int64(a.Index + 4) }

// mask writes a prefix length as a dotted mask.
func mask(bits int) string {
	n := uint32(0)
	if bits > 0 {
		n = ^uint32(0) << (32 - bits)
	}
	return fmt.Sprintf("%d.%d.%d.%d", n>>24, n>>16&255, n>>8&255, n&255)
}

// maskBits reads a dotted mask; -1 says that it is none.
func maskBits(s string) int {
	ip, err := netip.ParseAddr(s)
	if err != nil || !ip.Is4() {
		return -1
	}
	b := ip.As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	for i := 0; i <= 32; i++ {
		if mask(i) == fmt.Sprintf("%d.%d.%d.%d", n>>24, n>>16&255, n>>8&255, n&255) {
			return i
		}
	}
	return -1
}

// ipv4 lists the addresses and dotted masks of a card.
func ipv4(a *model.Adapter) (addresses, masks []string) {
	for _, s := range a.Addresses {
		if p, err := netip.ParsePrefix(s); err == nil && p.Addr().Is4() {
			addresses, masks = append(addresses, p.Addr().String()), append(masks, mask(p.Bits()))
		}
	}
	return addresses, masks
}

// linkLocal is the IPv6 address that a card always has on 2008 and later: EUI-64 of its MAC
// address, so that it never changes.
func linkLocal(a *model.Adapter) string {
	var b [6]int
	_, _ = fmt.Sscanf(a.MAC, "%X:%X:%X:%X:%X:%X", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5])
	ip := netip.AddrFrom16([16]byte{0xfe, 0x80, 8: byte(b[0] ^ 2), 9: byte(b[1]), 10: byte(b[2]), 11: 0xff, 12: 0xfe,
		13: byte(b[3]), 14: byte(b[4]), 15: byte(b[5])})
	return ip.String()
}

// ipEnabled says that TCP/IP is bound and the link is up: what WMI calls IPEnabled.
func ipEnabled(a *model.Adapter) bool { return !a.LinkDown }

// unicast says that an address can be a host's.
func unicast(s string) bool {
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Is4() && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLoopback() && s != "255.255.255.255"
}

// setStatic gives a card fixed IPv4 addresses. The result is a code of
// Win32_NetworkAdapterConfiguration: 0, 66 mask, 70 address, 84. Source: windows.md 5.4.
func setStatic(a *model.Adapter, addresses, masks []string) int64 {
	if !ipEnabled(a) {
		return 84
	}
	if len(addresses) == 0 || len(addresses) != len(masks) {
		return 68
	}
	var list []string
	for i, ip := range addresses {
		if !unicast(ip) {
			return 70
		}
		bits := maskBits(masks[i])
		if bits < 1 || bits > 32 {
			return 66
		}
		list = append(list, fmt.Sprintf("%s/%d", ip, bits))
	}
	a.DHCP, a.Addresses = false, list
	return 0
}

// setDHCP gives the addresses up and takes what a network without a DHCP server gives. Gateways go
// with them.
func setDHCP(a *model.Adapter) int64 {
	if !ipEnabled(a) {
		return 84
	}
	if !a.DHCP {
		a.DHCP, a.Addresses, a.Gateways = true, []string{apipa(a)}, nil
	}
	return 0
}

func setGateways(a *model.Adapter, list []string) int64 {
	if !ipEnabled(a) {
		return 84
	}
	if len(list) > 5 {
		return 69
	}
	own, _ := ipv4(a)
	var keep []string
	for _, g := range list {
		if !unicast(g) {
			return 71
		}
		// the card's own address as its gateway is the old way to have none
		if !slices.Contains(own, g) && !slices.Contains(keep, g) {
			keep = append(keep, g)
		}
	}
	a.Gateways = keep
	return 0
}

func setDNS(a *model.Adapter, list []string) int64 {
	if !ipEnabled(a) {
		return 84
	}
	var keep []string
	for _, d := range list {
		if !unicast(d) {
			return 70
		}
		keep = append(keep, d)
	}
	a.DNS = keep
	return 0
}

// interfaceMetric is the effective metric: the one set, or Windows' choice for a fast card.
func interfaceMetric(c *Ctx, a *model.Adapter) int64 {
	if a.Metric != 0 {
		return int64(a.Metric)
	}
	switch {
	case c.AtLeast(node.WS2016):
		return 15
	case c.AtLeast(node.WS2008):
		return 10
	}
	return 20
}

const networkClass = `{4D36E972-E325-11CE-BFC1-08002BE10318}`

// adapterHives are the registry's views of the cards: connection names, TCP/IP settings, NetBIOS
// over TCP/IP. Source: windows.md 5.1 to 5.3; the per-interface value names beside those named
// there are the documented Tcpip parameters.
func adapterHives() []*Hive {
	const (
		connections = `HKLM\SYSTEM\CurrentControlSet\Control\Network\` + networkClass
		classes     = `HKLM\SYSTEM\CurrentControlSet\Control\Class\` + networkClass
		interfaces  = tcpipParameters + `\Interfaces`
		netbios     = `HKLM\SYSTEM\CurrentControlSet\Services\NetBT\Parameters\Interfaces`
	)
	each := func(f func(c *Ctx, r model.Registry, a *model.Adapter)) func(c *Ctx) model.Registry {
		return func(c *Ctx) model.Registry {
			r := model.Registry{}
			for _, a := range c.M.Adapters {
				f(c, r, a)
			}
			return r
		}
	}
	return []*Hive{
		{Root: connections, Load: each(func(_ *Ctx, r model.Registry, a *model.Adapter) {
			k := connections + `\` + a.GUID + `\Connection`
			put(r, k, "Name", "string", a.Name)
			put(r, k, "PnpInstanceID", "string", pnpID(a))
		}), Set: func(c *Ctx, key, name, _ string, data any) (bool, error) {
			if a := adapterOfKey(c, key, connections); a != nil && strings.HasSuffix(key, `\connection`) &&
				strings.EqualFold(name, "Name") {
				if s, ok := data.(string); ok && s != "" {
					a.Name = s
				}
				return true, nil
			}
			return false, nil
		}},
		{Root: classes, Load: each(func(_ *Ctx, r model.Registry, a *model.Adapter) {
			k := fmt.Sprintf(`%s\%04d`, classes, a.Index)
			put(r, k, "NetCfgInstanceId", "string", a.GUID)
			put(r, k, "DriverDesc", "string", a.Desc)
		})},
		{Root: interfaces, Load: each(loadInterface(interfaces)), Set: setInterface(interfaces),
			Delete: deleteInterface(interfaces)},
		{Root: netbios, Load: each(func(_ *Ctx, r model.Registry, a *model.Adapter) {
			put(r, netbios+`\Tcpip_`+a.GUID, "NetbiosOptions", "dword", int64(a.Netbios))
		}), Set: func(c *Ctx, key, name, _ string, data any) (bool, error) {
			n, number := data.(int64)
			if a := adapterOfKey(c, key, netbios); a != nil && number && n >= 0 && n <= 2 &&
				strings.EqualFold(name, "NetbiosOptions") {
				a.Netbios = int(n)
				return true, nil
			}
			return false, nil
		}, Delete: func(c *Ctx, key, name string) bool {
			a := adapterOfKey(c, key, netbios)
			if a == nil || !strings.EqualFold(name, "NetbiosOptions") {
				return false
			}
			a.Netbios = 0
			return true
		}},
	}
}

func pnpID(a *model.Adapter) string {
	return fmt.Sprintf(`PCI\VEN_8086&DEV_100E\%s`, strings.ReplaceAll(a.MAC, ":", ""))
}

// adapterOfKey finds the card whose GUID stands right below root in a lower-case key path.
func adapterOfKey(c *Ctx, key, root string) *model.Adapter {
	rest, ok := strings.CutPrefix(key, regPath(root)+`\`)
	if !ok {
		return nil
	}
	first, _, _ := strings.Cut(rest, `\`)
	return AdapterByGUID(c.M, strings.TrimPrefix(first, "tcpip_"))
}

func loadInterface(root string) func(c *Ctx, r model.Registry, a *model.Adapter) {
	return func(c *Ctx, r model.Registry, a *model.Adapter) {
		k := root + `\` + a.GUID
		ips, masks := ipv4(a)
		dhcp := int64(0)
		if a.DHCP {
			dhcp = 1
			put(r, k, "DhcpIPAddress", "string", strings.Join(ips, ","))
			ips, masks = nil, nil
		}
		put(r, k, "EnableDHCP", "dword", dhcp)
		put(r, k, "IPAddress", "multi", append([]string{}, ips...))
		put(r, k, "SubnetMask", "multi", append([]string{}, masks...))
		put(r, k, "DefaultGateway", "multi", append([]string{}, a.Gateways...))
		put(r, k, "NameServer", "string", strings.Join(a.DNS, ","))
		if a.Metric != 0 {
			put(r, k, "InterfaceMetric", "dword", int64(a.Metric))
		}
		full, domain := int64(0), int64(0)
		if a.FullReg {
			full = 1
		}
		if a.DomainReg {
			domain = 1
		}
		if c.AtLeast(node.WS2008) {
			put(r, k, "RegistrationEnabled", "dword", full)
		} else {
			put(r, k, "DisableDynamicUpdate", "dword", 1-full)
		}
		put(r, k, "RegisterAdapterName", "dword", domain)
	}
}

// setInterface takes writes of the registration values and the metric; addresses written to the
// registry are not in force until a restart, so they are stored and nothing more.
func setInterface(root string) func(c *Ctx, key, name, typ string, data any) (bool, error) {
	return func(c *Ctx, key, name, _ string, data any) (bool, error) {
		a := adapterOfKey(c, key, root)
		n, number := data.(int64)
		if a == nil || !number {
			return false, nil
		}
		switch strings.ToLower(name) {
		case "registrationenabled":
			a.FullReg = n != 0
		case "disabledynamicupdate":
			a.FullReg = n == 0
		case "registeradaptername":
			a.DomainReg = n != 0
		case "interfacemetric":
			a.Metric = int(n)
		default:
			return false, nil
		}
		return true, nil
	}
}

func deleteInterface(root string) func(c *Ctx, key, name string) bool {
	return func(c *Ctx, key, name string) bool {
		a := adapterOfKey(c, key, root)
		if a == nil {
			return false
		}
		switch strings.ToLower(name) {
		case "registrationenabled", "disabledynamicupdate":
			a.FullReg = true
		case "interfacemetric":
			a.Metric = 0
		default:
			return false
		}
		return true
	}
}
