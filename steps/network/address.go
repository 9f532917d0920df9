package network

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Address gives a network card its static addresses, or DHCP.
type Address struct {
	MAC       string   `json:"mac" required:"true" doc:"hardware address of the card" type:"mac" check:"compared"`
	Addresses []string `json:"addresses" doc:"static IPv4 addresses with prefix length, like 192.0.2.11/24; the set that the card shall have" type:"cidr" check:"compared"`
	Gateway   string   `json:"gateway,omitempty" doc:"default gateway; when it is not given, the card's gateways are left as they are" type:"ipv4" check:"compared"`
	NoGateway bool     `json:"no_gateway,omitempty" doc:"the card shall have no default gateway, as a private network wants it" check:"compared"`
	DHCP      bool     `json:"dhcp" doc:"take the address from DHCP; excludes addresses and gateway" check:"compared"`
}

type addressBefore struct {
	GUID      string   `json:"guid"`
	DHCP      bool     `json:"dhcp"`
	Addresses []string `json:"addresses"`
	Gateways  []string `json:"gateways"`
}

func addressKind() steps.Kind {
	return steps.Kind{
		Name:    "network.address",
		OS:      "windows",
		Summary: "Gives a network card its static addresses and gateway, or DHCP.",
		Doc: "On Windows. Finds the card by its hardware address and sets IPv4 through WMI. IPv6 addresses are not looked " +
			"at, and on a member of a running " +
			"failover cluster neither are surplus IPv4 addresses, which are the cluster's. " +
			"When the card carries deploy's own session, the link breaks at the change and is taken up again at the new " +
			"address only if the site names that one. " +
			"Removing a default gateway is done by netsh, since WMI cannot take an empty list.",
		Undo:  "Puts the recorded addresses, gateways and DHCP back.",
		Proof: proof,
		Sources: []string{"Win32_NetworkAdapterConfiguration: EnableStatic, EnableDHCP, SetGateways",
			"netsh interface ip set address"},
		Calls: append(inspect.AdapterCalls(),
			node.Call{WMI: config, Method: "EnableStatic", Args: []string{"IPAddress", "SubnetMask"},
				Props: []string{"SettingID"}, On: node.WindowsReleases()},
			node.Call{WMI: config, Method: "SetGateways", Args: []string{"DefaultIPGateway"}, Props: []string{"SettingID"},
				On: node.WindowsReleases()},
			node.Call{WMI: config, Method: "EnableDHCP", Props: []string{"SettingID"}, On: node.WindowsReleases()},
			node.Call{Tool: "netsh.exe", On: node.WindowsReleases(),
				Source: "netsh interface ip set address gateway=none, Windows Server command reference"}),
		ReadForms: forms(),
		New:       func() steps.Step { return &Address{} },
		Example:   "mac: 00:15:5D:00:01:01\naddresses: [192.0.2.11/24]\ngateway: 192.0.2.1\n",
	}
}

// Kind names the step.
func (s *Address) Kind() string { return "network.address" }

// Validate looks at the data.
func (s *Address) Validate() error {
	if s.DHCP {
		if len(s.Addresses) > 0 || s.Gateway != "" || s.NoGateway {
			return steps.FieldErr("dhcp", "excludes addresses and gateway")
		}
		return nil
	}
	if len(s.Addresses) == 0 {
		return steps.FieldErr("addresses", "give at least one address, or dhcp: true")
	}
	inside := false
	gw, gwErr := netip.ParseAddr(s.Gateway)
	for i, text := range s.Addresses {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Bits() == 0 {
			return &steps.FieldError{Path: []string{"addresses", fmt.Sprintf("[%d]", i)},
				Msg: fmt.Sprintf("%q has no prefix length that a card can have", text)}
		}
		inside = inside || p.Contains(gw)
	}
	if s.Gateway != "" {
		switch {
		case s.NoGateway:
			return steps.FieldErr("no_gateway", "excludes gateway")
		case gwErr != nil || !gw.Is4():
			return steps.FieldErr("gateway", "%q is not an IPv4 address", s.Gateway)
		case !inside:
			return steps.FieldErr("gateway", "%s is in none of the networks of addresses", s.Gateway)
		}
	}
	return nil
}

// Reads names what Check will ask.
func (s *Address) Reads(f node.Facts) []node.Query { return inspect.AdapterReads(f) }

// Check compares DHCP, the set of IPv4 addresses, and the gateway when one is declared.
func (s *Address) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := onlyWindows(r, "network.address"); err != nil {
		return steps.Diff{}, err
	}
	a, err := inspect.AdapterByMAC(ctx, r, s.MAC)
	if err != nil {
		return steps.Diff{}, err
	}
	if err := needIP(a); err != nil {
		return steps.Diff{}, err
	}
	have := texts(a.Addresses)
	slices.Sort(have)
	var changes []steps.Change
	if a.DHCP != s.DHCP {
		changes = append(changes, steps.Change{Attr: "dhcp", From: a.DHCP, To: s.DHCP})
	}
	if !s.DHCP {
		same, err := s.same(ctx, r, have)
		if err != nil {
			return steps.Diff{}, err
		}
		if !same {
			changes = append(changes, steps.Change{Attr: "addresses", From: have, To: s.Addresses})
		}
		if want, declared := s.gateways(); declared && !sameSet(a.Gateways, want) {
			changes = append(changes, steps.Change{Attr: "gateway", From: strings.Join(a.Gateways, ", "),
				To: strings.Join(want, ", ")})
		}
	}
	if len(changes) == 0 {
		return steps.NoChange(), nil
	}
	return steps.Diff{
		Action: steps.Update, Changes: changes, Via: "WMI",
		Before:  steps.MustJSON(addressBefore{a.GUID, a.DHCP, have, a.Gateways}),
		Effects: steps.Effects{Interrupts: "connections over card " + a.Name, MayReboot: true},
	}, nil
}

// same compares the addresses as sets. On a member of a running cluster, surplus ones are taken for
// those of the cluster's resources, which come and go with their groups and must not be removed.
func (s *Address) same(ctx context.Context, r node.Reader, have []string) (bool, error) {
	if sameSet(have, s.Addresses) {
		return true, nil
	}
	for _, want := range s.Addresses {
		if !slices.Contains(have, want) {
			return false, nil
		}
	}
	return inspect.ClusterMember(ctx, r)
}

func (s *Address) gateways() (want []string, declared bool) {
	if s.NoGateway {
		return nil, true
	}
	if s.Gateway == "" {
		return nil, false
	}
	return []string{s.Gateway}, true
}

// Apply sets the addresses, then the gateway.
func (s *Address) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	a, err := inspect.AdapterByMAC(ctx, n, s.MAC)
	if err != nil {
		return steps.Outcome{}, err
	}
	want, declared := s.gateways()
	if !declared && !s.DHCP {
		want = a.Gateways
	}
	addresses := s.Addresses
	if same, err := s.same(ctx, n, texts(a.Addresses)); err != nil {
		return steps.Outcome{}, err
	} else if same {
		addresses = texts(a.Addresses) // also those of the cluster
	}
	reboot, err := setAddress(ctx, n, a, s.DHCP, addresses, want)
	return steps.Outcome{Reboot: reboot}, err
}

// Undo puts the recorded addresses back.
func (s *Address) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b addressBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	a, err := cardForUndo(ctx, n, b.GUID)
	if err != nil {
		return err
	}
	if !b.DHCP && len(b.Addresses) == 0 {
		return fmt.Errorf("cannot put card %s back: it had neither DHCP nor an address", b.GUID)
	}
	if a.DHCP && b.DHCP {
		return nil
	}
	var theirs []string
	for _, x := range texts(a.Addresses) {
		if !slices.Contains(s.Addresses, x) && !slices.Contains(b.Addresses, x) {
			theirs = append(theirs, x)
		}
	}
	if member, err := inspect.ClusterMember(ctx, n); err != nil {
		return err
	} else if member && len(theirs) > 0 {
		return steps.Left(fmt.Sprintf("card %s holds %s, which a resource of the cluster may have brought", a.Name,
			strings.Join(theirs, ", ")))
	}
	gateways := b.Gateways
	if _, declared := s.gateways(); !declared && !s.DHCP && !b.DHCP {
		gateways = a.Gateways
	}
	return due(setAddress(ctx, n, a, b.DHCP, b.Addresses, gateways))
}

// setAddress brings card a to the wish with as few changes as can be.
func setAddress(ctx context.Context, n node.Node, a inspect.Adapter, dhcp bool, addresses,
	gateways []string) (reboot bool, err error) {
	if dhcp {
		return call(ctx, n, a.GUID, "EnableDHCP", nil)
	}
	if a.DHCP || !sameSet(texts(a.Addresses), addresses) {
		var ips, masks []any
		for _, text := range addresses {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				return false, fmt.Errorf("cannot read address %q: %w", text, err)
			}
			ips, masks = append(ips, p.Addr().String()), append(masks, inspect.Mask(p.Bits()))
		}
		if reboot, err = call(ctx, n, a.GUID, "EnableStatic",
			map[string]any{"IPAddress": ips, "SubnetMask": masks}); err != nil {
			return reboot, err
		}
	}
	// what EnableStatic leaves of a DHCP gateway differs between releases, so look again before
	// judging
	now, err := cardForUndo(ctx, n, a.GUID)
	if err != nil || sameSet(now.Gateways, gateways) {
		return reboot, err
	}
	if len(gateways) == 0 {
		return reboot, clearGateway(ctx, n, now, addresses)
	}
	again, err := call(ctx, n, a.GUID, "SetGateways", map[string]any{"DefaultIPGateway": anys(gateways)})
	return reboot || again, err
}

// clearGateway takes the gateways off by setting the first address anew with gateway=none.
func clearGateway(ctx context.Context, n node.Node, a inspect.Adapter, addresses []string) error {
	p, err := netip.ParsePrefix(addresses[0])
	if err != nil {
		return fmt.Errorf("cannot read address %q: %w", addresses[0], err)
	}
	res, err := n.Run(ctx, node.Cmd{Argv: []string{"netsh.exe", "interface", "ip", "set", "address", "name=" + a.Name,
		"source=static",
		"addr=" + p.Addr().String(), "mask=" + inspect.Mask(p.Bits()), "gateway=none"}})
	if err != nil {
		return fmt.Errorf("cannot clear the gateway of card %s: %w", a.Name, err)
	}
	if res.Code != 0 {
		return fmt.Errorf("cannot clear the gateway of card %s: %w", a.Name,
			&node.CodeError{Op: "netsh interface ip set address", Code: int64(res.Code),
				Text: strings.TrimSpace(string(res.Stdout))})
	}
	if len(addresses) == 1 {
		return nil
	}
	// netsh has replaced the whole list by the first address: the others come back the same way as
	// they were set
	var ips, masks []any
	for _, text := range addresses {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("cannot read address %q: %w", text, err)
		}
		ips, masks = append(ips, p.Addr().String()), append(masks, inspect.Mask(p.Bits()))
	}
	_, err = call(ctx, n, a.GUID, "EnableStatic", map[string]any{"IPAddress": ips, "SubnetMask": masks})
	return err
}

func texts(list []netip.Prefix) []string {
	out := make([]string, 0, len(list))
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
