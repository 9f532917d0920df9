package machine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

func netCmdlets() []*Cmdlet {
	r2 := node.WS2012R2
	mk := func(load, name string, run func(c *Ctx, p map[string]any) ([]Object, error), params ...string) *Cmdlet {
		return &Cmdlet{Name: name, Load: load, Since: node.WS2012, Params: params, Run: run}
	}
	list := []*Cmdlet{
		mk("NetAdapter", "Get-NetAdapter", getNetAdapter, "Name", "InterfaceAlias=Name", "ifAlias=Name",
			"InterfaceDescription", "ifDesc=InterfaceDescription", "InterfaceIndex", "Physical", "IncludeHidden"),
		mk("NetAdapter", "Rename-NetAdapter", renameNetAdapter, "Name", "InterfaceAlias=Name", "ifAlias=Name",
			"InterfaceDescription", "NewName", "PassThru", "Confirm"),
		mk("NetTCPIP", "Get-NetIPInterface", getIPInterface, "InterfaceAlias", "InterfaceIndex", "AddressFamily", "Dhcp"),
		mk("NetTCPIP", "Set-NetIPInterface", setIPInterface, "InterfaceAlias", "InterfaceIndex", "AddressFamily",
			"InterfaceMetric", "AutomaticMetric", "Dhcp", "PassThru", "Confirm"),
		mk("NetTCPIP", "Get-NetIPAddress", getIPAddress, "IPAddress", "InterfaceAlias", "InterfaceIndex", "AddressFamily",
			"PrefixLength", "PrefixOrigin"),
		mk("NetTCPIP", "New-NetIPAddress", newIPAddress, "IPAddress", "InterfaceAlias", "InterfaceIndex", "AddressFamily",
			"PrefixLength", "DefaultGateway", "Confirm"),
		mk("NetTCPIP", "Remove-NetIPAddress", removeIPAddress, "IPAddress", "InterfaceAlias", "InterfaceIndex",
			"AddressFamily", "PrefixLength", "DefaultGateway", "PassThru", "Confirm"),
		mk("DnsClient", "Get-DnsClient", getDNSClient, "InterfaceAlias", "InterfaceIndex"),
		mk("DnsClient", "Set-DnsClient", setDNSClient, "InterfaceAlias", "InterfaceIndex", "RegisterThisConnectionsAddress",
			"UseSuffixWhenRegistering", "PassThru", "Confirm"),
		mk("DnsClient", "Get-DnsClientServerAddress", getDNSServers, "InterfaceAlias", "InterfaceIndex", "AddressFamily",
			"Family=AddressFamily"),
		mk("DnsClient", "Set-DnsClientServerAddress", setDNSServers, "InterfaceAlias", "InterfaceIndex", "ServerAddresses",
			"Addresses=ServerAddresses", "ResetServerAddresses", "ResetAddresses=ResetServerAddresses", "PassThru", "Confirm"),
	}
	for _, k := range list {
		if k.Load == "NetTCPIP" {
			k.Params = append(k.Params, "ifAlias=InterfaceAlias", "ifIndex=InterfaceIndex")
			k.ParamSince = map[string]node.Release{"ifAlias": r2, "ifIndex": r2}
		}
	}
	return list
}

// systemError is how the network cmdlets report a Win32 code: "Windows System Error
// <code>,<cmdlet>".
func systemError(c *Ctx, code int, cmdlet string) error {
	category := "InvalidArgument"
	if code == errFileNotFound || code == 1168 {
		category = "ObjectNotFound"
	}
	return PSFail(fmt.Sprintf("Windows System Error %d,%s", code, cmdlet), category,
		"Microsoft.Management.Infrastructure.CimException", 0x80131500, c.Text(code))
}

// cards finds cards by a name parameter (with patterns) and InterfaceIndex; none of them lists all.
func cards(c *Ctx, p map[string]any, nameKey, cmdlet string) ([]*model.Adapter, error) {
	match := func(key string, have func(a *model.Adapter) string) ([]*model.Adapter, error) {
		var out []*model.Adapter
		for _, want := range ArgStrings(p, key) {
			n := len(out)
			for _, a := range c.M.Adapters {
				if matchAny([]string{want}, have(a)) {
					out = append(out, a)
				}
			}
			if len(out) == n && !strings.Contains(want, "*") {
				return nil, notFoundBy(c, key, want, cmdlet)
			}
		}
		return out, nil
	}
	switch {
	case HasArg(p, nameKey):
		return match(nameKey, func(a *model.Adapter) string { return a.Name })
	case HasArg(p, "InterfaceIndex"):
		return match("InterfaceIndex", func(a *model.Adapter) string { return fmt.Sprint(interfaceIndex(a)) })
	case HasArg(p, "InterfaceDescription"):
		return match("InterfaceDescription", func(a *model.Adapter) string { return a.Desc })
	}
	return c.M.Adapters, nil
}

// oneCard finds the card that a changing cmdlet must be told.
func oneCard(c *Ctx, p map[string]any, cmdlet string) (*model.Adapter, error) {
	if !HasArg(p, "InterfaceAlias") && !HasArg(p, "InterfaceIndex") {
		return nil, missingParameter(c, "InterfaceAlias", cmdlet)
	}
	list, err := cards(c, p, "InterfaceAlias", cmdlet)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, notFoundBy(c, "InterfaceAlias", ArgString(p, "InterfaceAlias"), cmdlet)
	}
	return list[0], nil
}

func getNetAdapter(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := cards(c, p, "Name", "Get-NetAdapter")
	if err != nil {
		return nil, err
	}
	var out []Object
	for _, a := range list {
		if ArgBool(p, "Physical") && a.Team {
			continue
		}
		out = append(out, netAdapterObject(a))
	}
	return out, nil
}

func netAdapterObject(a *model.Adapter) Object {
	status, media := "Up", Enum{1, "Connected"}
	if a.LinkDown {
		status, media = "Disconnected", Enum{2, "Disconnected"}
	}
	return Object{"": "MSFT_NetAdapter", "Name": a.Name, "InterfaceAlias": a.Name, "ifAlias": a.Name,
		"InterfaceDescription": a.Desc, "ifDesc": a.Desc, "InterfaceIndex": interfaceIndex(a), "ifIndex": interfaceIndex(a),
		"InterfaceGuid": a.GUID, "MacAddress": strings.ReplaceAll(a.MAC, ":", "-"),
		"PermanentAddress": strings.ReplaceAll(a.MAC, ":", ""), "Status": status, "MediaConnectionState": media,
		"LinkSpeed": "1 Gbps",
		"Virtual":   a.Team, "HardwareInterface": !a.Team, "PnPDeviceID": pnpID(a), "InterfaceType": int64(6)}
}

func renameNetAdapter(c *Ctx, p map[string]any) ([]Object, error) {
	const name = "Rename-NetAdapter"
	list, err := cards(c, p, "Name", name)
	if err != nil {
		return nil, err
	}
	to := ArgString(p, "NewName")
	if to == "" || len(list) != 1 {
		return nil, missingParameter(c, "Name, NewName", name)
	}
	if other := AdapterByName(c.M, to); other != nil && other != list[0] {
		return nil, systemError(c, errExists, name)
	}
	if strings.ContainsAny(to, `\/:*?"<>|`) {
		return nil, systemError(c, errInvalidName, name)
	}
	list[0].Name = to
	return nil, nil
}

func family(p map[string]any) (v4, v6 bool) {
	if !HasArg(p, "AddressFamily") {
		return true, true
	}
	for _, f := range ArgStrings(p, "AddressFamily") {
		v4 = v4 || strings.EqualFold(f, "IPv4") || f == "2"
		v6 = v6 || strings.EqualFold(f, "IPv6") || f == "23"
	}
	return v4, v6
}

func onOff(on bool) Enum {
	if on {
		return Enum{1, "Enabled"}
	}
	return Enum{0, "Disabled"}
}

func getIPInterface(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := cards(c, p, "InterfaceAlias", "Get-NetIPInterface")
	if err != nil {
		return nil, err
	}
	v4, v6 := family(p)
	var out []Object
	one := func(alias string, index int64, fam Enum, metric int64, automatic, dhcp, up bool) {
		state := Enum{0, "Disconnected"}
		if up {
			state = Enum{1, "Connected"}
		}
		if HasArg(p, "Dhcp") && !strings.EqualFold(ArgString(p, "Dhcp"), onOff(dhcp).Name) {
			return
		}
		out = append(out, Object{"": "MSFT_NetIPInterface", "InterfaceAlias": alias, "ifAlias": alias,
			"InterfaceIndex": index, "ifIndex": index, "AddressFamily": fam, "InterfaceMetric": metric,
			"AutomaticMetric": onOff(automatic), "Dhcp": onOff(dhcp), "ConnectionState": state, "NlMtu": int64(1500)})
	}
	f4, f6 := Enum{2, "IPv4"}, Enum{23, "IPv6"}
	for _, a := range list {
		if v6 && a.IPv6 {
			one(a.Name, interfaceIndex(a), f6, automaticMetric(c), true, true, !a.LinkDown)
		}
		if v4 {
			one(a.Name, interfaceIndex(a), f4, interfaceMetric(c, a), a.Metric == 0, a.DHCP, !a.LinkDown)
		}
	}
	if !HasArg(p, "InterfaceAlias") && !HasArg(p, "InterfaceIndex") {
		if v6 {
			one("Loopback Pseudo-Interface 1", 1, f6, 75, true, false, true)
		}
		if v4 {
			one("Loopback Pseudo-Interface 1", 1, f4, 75, true, false, true)
		}
	}
	return out, nil
}

func automaticMetric(c *Ctx) int64 { return interfaceMetric(c, &model.Adapter{}) }

func setIPInterface(c *Ctx, p map[string]any) ([]Object, error) {
	const name = "Set-NetIPInterface"
	if !HasArg(p, "InterfaceAlias") && !HasArg(p, "InterfaceIndex") {
		return nil, missingParameter(c, "InterfaceAlias", name)
	}
	list, err := cards(c, p, "InterfaceAlias", name)
	if err != nil {
		return nil, err
	}
	v4, _ := family(p)
	metric, given := ArgInt(p, "InterfaceMetric")
	if given && (metric < 0 || metric > 9999) {
		return nil, systemError(c, errInvalidParameter, name)
	}
	for _, a := range list {
		if !v4 {
			continue // only IPv4 settings are kept here
		}
		switch auto := ArgString(p, "AutomaticMetric"); {
		case strings.EqualFold(auto, "Enabled") || auto == "1":
			a.Metric = 0
		case given:
			a.Metric = int(metric)
		case strings.EqualFold(auto, "Disabled") || auto == "0":
			a.Metric = int(interfaceMetric(c, a))
		}
		switch dhcp := ArgString(p, "Dhcp"); {
		case strings.EqualFold(dhcp, "Enabled") || dhcp == "1":
			setDHCP(a)
		case strings.EqualFold(dhcp, "Disabled") || dhcp == "0":
			a.DHCP = false
		}
	}
	return nil, nil
}

func getIPAddress(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := cards(c, p, "InterfaceAlias", "Get-NetIPAddress")
	if err != nil {
		return nil, err
	}
	v4, v6 := family(p)
	var out []Object
	for _, a := range list {
		if a.LinkDown {
			continue
		}
		all := slices.Clone(a.Addresses)
		if a.IPv6 {
			all = append(all, linkLocal(a)+"/64")
		}
		for _, s := range all {
			pre, err := netip.ParsePrefix(s)
			if err != nil || pre.Addr().Is4() && !v4 || pre.Addr().Is6() && !v6 {
				continue
			}
			o := addressObject(a, pre)
			if HasArg(p, "IPAddress") && !containsFold(ArgStrings(p, "IPAddress"), o["IPAddress"].(string)) ||
				HasArg(p, "PrefixLength") && ArgString(p, "PrefixLength") != fmt.Sprint(pre.Bits()) ||
				HasArg(p, "PrefixOrigin") && !strings.EqualFold(ArgString(p, "PrefixOrigin"), o["PrefixOrigin"].(Enum).Name) {
				continue
			}
			out = append(out, o)
		}
	}
	if len(out) == 0 && HasArg(p, "IPAddress") {
		return nil, notFoundBy(c, "IPAddress", ArgString(p, "IPAddress"), "Get-NetIPAddress")
	}
	return out, nil
}

func addressObject(a *model.Adapter, p netip.Prefix) Object {
	fam, prefix, suffix, ip := Enum{2, "IPv4"}, Enum{1, "Manual"}, Enum{1, "Manual"}, p.Addr().String()
	switch {
	case p.Addr().Is6():
		fam, prefix, suffix = Enum{23, "IPv6"}, Enum{2, "WellKnown"}, Enum{4, "Link"}
		ip += fmt.Sprintf("%%%d", interfaceIndex(a))
	case a.DHCP && p.Addr().IsLinkLocalUnicast():
		prefix, suffix = Enum{2, "WellKnown"}, Enum{4, "Link"}
	case a.DHCP:
		prefix, suffix = Enum{3, "Dhcp"}, Enum{3, "Dhcp"}
	}
	return Object{"": ip, "IPAddress": ip, "PrefixLength": int64(p.Bits()), "InterfaceAlias": a.Name,
		"InterfaceIndex": interfaceIndex(a), "AddressFamily": fam, "PrefixOrigin": prefix,
		"SuffixOrigin": suffix, "AddressState": Enum{4, "Preferred"}, "SkipAsSource": false, "Type": Enum{1, "Unicast"}}
}

func newIPAddress(c *Ctx, p map[string]any) ([]Object, error) {
	const name = "New-NetIPAddress"
	a, err := oneCard(c, p, name)
	if err != nil {
		return nil, err
	}
	ip := ArgString(p, "IPAddress")
	bits, ok := ArgInt(p, "PrefixLength")
	if !ok {
		bits = 32
	}
	if !unicast(ip) || bits < 1 || bits > 32 {
		return nil, systemError(c, errInvalidParameter, name)
	}
	if slices.ContainsFunc(a.Addresses, func(s string) bool { return strings.HasPrefix(s, ip+"/") }) {
		return nil, systemError(c, 5010, name)
	}
	gateway := ArgString(p, "DefaultGateway")
	if gateway != "" && len(a.Gateways) > 0 {
		return nil, PSFail("Windows System Error 87,"+name, "InvalidArgument",
			"Microsoft.Management.Infrastructure.CimException", 0x80131500, c.Text(errInvalidParameter))
	}
	if a.DHCP { // a fixed address switches the lease off
		a.DHCP, a.Addresses = false, nil
	}
	pre := netip.PrefixFrom(netip.MustParseAddr(ip), int(bits))
	a.Addresses = append(a.Addresses, pre.String())
	if gateway != "" {
		setGateways(a, []string{gateway})
	}
	return []Object{addressObject(a, pre)}, nil
}

func removeIPAddress(c *Ctx, p map[string]any) ([]Object, error) {
	const name = "Remove-NetIPAddress"
	list, err := cards(c, p, "InterfaceAlias", name)
	if err != nil {
		return nil, err
	}
	found := false
	for _, a := range list {
		kept := a.Addresses[:0:0]
		for _, s := range a.Addresses {
			ip, bits, _ := strings.Cut(s, "/")
			if (!HasArg(p, "IPAddress") || containsFold(ArgStrings(p, "IPAddress"), ip)) &&
				(!HasArg(p, "PrefixLength") || ArgString(p, "PrefixLength") == bits) {
				found = true
				continue
			}
			kept = append(kept, s)
		}
		a.Addresses = kept
		if g := ArgString(p, "DefaultGateway"); g != "" {
			a.Gateways = slices.DeleteFunc(a.Gateways, func(s string) bool { return s == g })
		}
	}
	if !found && HasArg(p, "IPAddress") {
		return nil, notFoundBy(c, "IPAddress", ArgString(p, "IPAddress"), name)
	}
	return nil, nil
}

func getDNSClient(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := cards(c, p, "InterfaceAlias", "Get-DnsClient")
	if err != nil {
		return nil, err
	}
	var out []Object
	for _, a := range list {
		out = append(out, Object{"": "MSFT_DNSClient", "InterfaceAlias": a.Name, "InterfaceIndex": interfaceIndex(a),
			"RegisterThisConnectionsAddress": a.FullReg, "UseSuffixWhenRegistering": a.DomainReg,
			"ConnectionSpecificSuffix": ""})
	}
	return out, nil
}

func setDNSClient(c *Ctx, p map[string]any) ([]Object, error) {
	a, err := oneCard(c, p, "Set-DnsClient")
	if err != nil {
		return nil, err
	}
	if HasArg(p, "RegisterThisConnectionsAddress") {
		a.FullReg = ArgBool(p, "RegisterThisConnectionsAddress")
	}
	if HasArg(p, "UseSuffixWhenRegistering") {
		a.DomainReg = ArgBool(p, "UseSuffixWhenRegistering")
	}
	return nil, nil
}

func getDNSServers(c *Ctx, p map[string]any) ([]Object, error) {
	list, err := cards(c, p, "InterfaceAlias", "Get-DnsClientServerAddress")
	if err != nil {
		return nil, err
	}
	v4, v6 := family(p)
	var out []Object
	for _, a := range list {
		if v4 {
			out = append(out, Object{"": "MSFT_DNSClientServerAddress", "InterfaceAlias": a.Name,
				"InterfaceIndex": interfaceIndex(a), "AddressFamily": int64(2), "ServerAddresses": Anys(a.DNS)})
		}
		if v6 {
			out = append(out, Object{"": "MSFT_DNSClientServerAddress", "InterfaceAlias": a.Name,
				"InterfaceIndex": interfaceIndex(a), "AddressFamily": int64(23), "ServerAddresses": []any{}})
		}
	}
	return out, nil
}

func setDNSServers(c *Ctx, p map[string]any) ([]Object, error) {
	const name = "Set-DnsClientServerAddress"
	a, err := oneCard(c, p, name)
	if err != nil {
		return nil, err
	}
	switch {
	case ArgBool(p, "ResetServerAddresses"):
		a.DNS = nil
	case HasArg(p, "ServerAddresses"):
		if setDNS(a, ArgStrings(p, "ServerAddresses")) != 0 {
			return nil, PSFail("InvalidArgument,"+name, "InvalidArgument", "Microsoft.Management.Infrastructure.CimException",
				0x80131500, c.Text(errInvalidParameter))
		}
	default:
		return nil, missingParameter(c, "ServerAddresses", name)
	}
	return nil, nil
}
