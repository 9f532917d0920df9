package inspect

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// MAC brings a hardware address to the form in which WMI gives it, 00:15:5D:00:00:01. It returns ""
// for what is none.
func MAC(s string) string {
	s = strings.ToUpper(strings.NewReplacer(":", "", "-", "", ".", "", " ", "").Replace(s))
	if len(s) != 12 || strings.Trim(s, "0123456789ABCDEF") != "" {
		return ""
	}
	parts := make([]string, 0, 6)
	for i := 0; i < 12; i += 2 {
		parts = append(parts, s[i:i+2])
	}
	return strings.Join(parts, ":")
}

// Adapter is a network card with its IP settings, joined from Win32_NetworkAdapter and
// Win32_NetworkAdapterConfiguration.
type Adapter struct {
	MAC        string
	Name       string // connection name
	GUID       string // {…}, the setting id
	Index      int64  // WMI index
	Interface  int64  // interface index; only from 2016 on, where it is asked for
	IPEnabled  bool
	DHCP       bool
	Addresses  []netip.Prefix // IPv4 only
	Gateways   []string       // IPv4 only
	DNS        []string
	FullDNS    bool // registers its addresses
	DomainDNS  bool
	Netbios    int64 // 0 default 1 enabled 2 disabled
	HasNetbios bool
}

// Reaches says whether an IPv4 address is in the network of one of the card's own.
func (a Adapter) Reaches(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(a.Addresses, func(p netip.Prefix) bool { return p.Contains(ip) })
}

var adapterProps = []string{"Index", "MACAddress", "NetConnectionID"}
var settingProps = []string{"Index", "MACAddress", "SettingID", "IPEnabled", "DHCPEnabled", "IPAddress", "IPSubnet",
	"DefaultIPGateway",
	"DNSServerSearchOrder", "FullDNSRegistrationEnabled", "DomainDNSRegistrationEnabled", "TcpipNetbiosOptions"}

// interfaces says whether the interface index is asked for: the property came with Windows Vista
// and is needed from 2016 only.
func interfaces(r node.Release) bool { return r.AtLeast(node.WS2016) }

// AdapterReads are the queries of Adapters. They are the same for every kind, so that a phase asks
// once.
func AdapterReads(f node.Facts) []node.Query {
	props := settingProps
	if interfaces(f.Release) {
		props = append(append([]string{}, props...), "InterfaceIndex")
	}
	return []node.Query{
		node.WMI{Namespace: CIMv2, Class: "Win32_NetworkAdapter", Props: adapterProps},
		node.WMI{Namespace: CIMv2, Class: "Win32_NetworkAdapterConfiguration", Props: props},
	}
}

// AdapterCalls declares AdapterReads.
func AdapterCalls() []node.Call {
	all := node.WindowsReleases()
	return []node.Call{
		{WMI: CIMv2 + ":Win32_NetworkAdapter", Props: adapterProps, On: all},
		{WMI: CIMv2 + ":Win32_NetworkAdapterConfiguration", Props: settingProps, On: all},
		{WMI: CIMv2 + ":Win32_NetworkAdapterConfiguration", Props: []string{"InterfaceIndex"}, On: From(node.WS2016)},
	}
}

// Adapters lists the network cards that have a connection, in WMI's order.
func Adapters(ctx context.Context, r node.Reader) ([]Adapter, error) {
	reads := AdapterReads(r.Facts())
	cards, err := r.Query(ctx, reads[0])
	if err != nil {
		return nil, fmt.Errorf("cannot list the network cards: %w", err)
	}
	settings, err := r.Query(ctx, reads[1])
	if err != nil {
		return nil, fmt.Errorf("cannot read the IP settings of the network cards: %w", err)
	}
	var out []Adapter
	for _, c := range cards {
		if !c.Has("NetConnectionID") || MAC(c.String("MACAddress")) == "" {
			continue // miniports, tunnels
		}
		for _, s := range settings {
			if s.Int("Index") == c.Int("Index") {
				out = append(out, joined(c, s))
				break
			}
		}
	}
	return out, nil
}

func joined(c, s node.Row) Adapter {
	a := Adapter{
		MAC: MAC(c.String("MACAddress")), Name: c.String("NetConnectionID"), GUID: s.String("SettingID"),
		Index:     c.Int("Index"),
		Interface: s.Int("InterfaceIndex"), IPEnabled: s.Bool("IPEnabled"), DHCP: s.Bool("DHCPEnabled"),
		DNS:     s.Strings("DNSServerSearchOrder"),
		FullDNS: s.Bool("FullDNSRegistrationEnabled"), DomainDNS: s.Bool("DomainDNSRegistrationEnabled"),
		Netbios: s.Int("TcpipNetbiosOptions"), HasNetbios: s.Has("TcpipNetbiosOptions"),
	}
	masks := s.Strings("IPSubnet")
	for i, text := range s.Strings("IPAddress") {
		ip, err := netip.ParseAddr(text)
		if err != nil || !ip.Is4() || i >= len(masks) {
			continue
		}
		if bits, ok := MaskBits(masks[i]); ok {
			a.Addresses = append(a.Addresses, netip.PrefixFrom(ip, bits))
		}
	}
	for _, g := range s.Strings("DefaultIPGateway") {
		if ip, err := netip.ParseAddr(g); err == nil && ip.Is4() {
			a.Gateways = append(a.Gateways, ip.String())
		}
	}
	return a
}

// physicalQuery asks which cards are hardware. The property came with Windows Vista.
func physicalQuery() node.Query {
	return node.WMI{Namespace: CIMv2, Class: "Win32_NetworkAdapter",
		Props: []string{"MACAddress", "NetConnectionID", "PhysicalAdapter"}}
}

// PhysicalReads are the queries of Logical.
func PhysicalReads(f node.Facts) []node.Query {
	if !f.Release.AtLeast(node.WS2008) {
		return nil
	}
	return []node.Query{physicalQuery()}
}

// PhysicalCalls declares PhysicalReads.
func PhysicalCalls() []node.Call {
	return []node.Call{{WMI: CIMv2 + ":Win32_NetworkAdapter",
		Props: []string{"MACAddress", "NetConnectionID", "PhysicalAdapter"}, On: From(node.WS2008)}}
}

// Logical returns the connection names of the cards with that hardware address which a driver only
// pretends: a team, a switch's port. A team and its members may share an address: then it is the
// team's. No card with that address is an error. Source: Win32_NetworkAdapter.PhysicalAdapter.
func Logical(ctx context.Context, r node.Reader, mac string) ([]string, error) {
	if release := r.Facts().Release; !release.AtLeast(node.WS2008) {
		return nil, hint.Wrap(fmt.Errorf("cannot tell whether card %s is a team: Windows Server %s does not say which "+
			"cards are hardware", mac, release), "look at the card's own program on the node")
	}
	cards, err := r.Query(ctx, physicalQuery())
	if err != nil {
		return nil, fmt.Errorf("cannot list the network cards: %w", err)
	}
	var out []string
	found := false
	for _, c := range cards {
		if !c.Has("NetConnectionID") || MAC(c.String("MACAddress")) != MAC(mac) {
			continue
		}
		found = true
		if c.Has("PhysicalAdapter") && !c.Bool("PhysicalAdapter") {
			out = append(out, c.String("NetConnectionID"))
		}
	}
	if !found {
		return nil, fmt.Errorf("cannot find a network card with the address %s", mac)
	}
	return out, nil
}

// AdapterByMAC returns the one card with that hardware address. A team and its members may share
// one: then the card that has IP counts.
func AdapterByMAC(ctx context.Context, r node.Reader, mac string) (Adapter, error) {
	all, err := Adapters(ctx, r)
	if err != nil {
		return Adapter{}, err
	}
	return ByMAC(all, mac)
}

// ByMAC picks one card of all.
func ByMAC(all []Adapter, mac string) (Adapter, error) {
	var hits []Adapter
	var known []string
	for _, a := range all {
		known = append(known, a.MAC+" "+a.Name)
		if a.MAC == MAC(mac) {
			hits = append(hits, a)
		}
	}
	if len(hits) > 1 {
		var ip []Adapter
		for _, a := range hits {
			if a.IPEnabled {
				ip = append(ip, a)
			}
		}
		if len(ip) == 1 {
			hits = ip
		}
	}
	switch len(hits) {
	case 1:
		return hits[0], nil
	case 0:
		return Adapter{}, hint.Wrap(fmt.Errorf("cannot find a network card with address %s", MAC(mac)),
			"the machine has "+strings.Join(known, ", ")+"; take the address of one of them")
	}
	return Adapter{}, hint.Wrap(fmt.Errorf("cannot tell which network card is meant: %d have the address %s", len(hits),
		MAC(mac)),
		"cards of a team share an address; name a card outside the team, or give the members addresses of their own")
}

// ByGUID picks the card with a setting id.
func ByGUID(all []Adapter, guid string) (Adapter, bool) {
	for _, a := range all {
		if strings.EqualFold(a.GUID, guid) {
			return a, true
		}
	}
	return Adapter{}, false
}

// MaskBits turns 255.255.255.0 into 24.
func MaskBits(mask string) (int, bool) {
	ip, err := netip.ParseAddr(mask)
	if err != nil || !ip.Is4() {
		return 0, false
	}
	b := ip.As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	bits := 0
	for n&0x80000000 != 0 {
		bits++
		n <<= 1
	}
	return bits, n == 0
}

// Mask turns 24 into 255.255.255.0.
func Mask(bits int) string {
	n := uint32(0xFFFFFFFF) << (32 - bits)
	if bits == 0 {
		n = 0
	}
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
}
