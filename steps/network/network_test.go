package network

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
	"deploy/steps/inspect"
)

const (
	pub, priv   = "00:15:5D:00:01:01", "00:15:5D:00:01:02"
	gPub, gPriv = "{AAAAAAAA-0000-0000-0000-000000000001}", "{BBBBBBBB-0000-0000-0000-000000000002}"
	cards       = `root\cimv2:Win32_NetworkAdapter`
	settings    = `root\cimv2:Win32_NetworkAdapterConfiguration`
)

// machine is a French 2008 R2 with two cards, a miniport without a connection, and the cluster's
// hidden adapter bound first.
func machine() *nodetest.Machine {
	m := nodetest.New(node.WS2008R2)
	card := func(index int64, mac string, name any) node.Row {
		return node.Row{"Index": index, "MACAddress": mac, "NetConnectionID": name}
	}
	m.SetClass(cards, card(1, "50:50:54:50:30:30", nil), card(7, pub, "Connexion au réseau local"),
		card(8, priv, "Connexion au réseau local 2"))
	setting := func(index int64, mac, guid string, ip, mask []any) node.Row {
		return node.Row{"Index": index, "MACAddress": mac, "SettingID": guid, "IPEnabled": true, "DHCPEnabled": false,
			"IPAddress": ip, "IPSubnet": mask,
			"DefaultIPGateway": nil, "DNSServerSearchOrder": nil, "FullDNSRegistrationEnabled": true,
			"DomainDNSRegistrationEnabled": false, "TcpipNetbiosOptions": int64(0)}
	}
	m.SetClass(settings, setting(1, "50:50:54:50:30:30", "{C}", nil, nil),
		setting(7, pub, gPub, []any{"192.0.2.11", "fe80::1"}, []any{"255.255.255.0", "64"}),
		setting(8, priv, gPriv, []any{"10.10.10.10"}, []any{"255.255.255.0"}))
	m.SetValue(linkage, "Bind", "multi", []any{`\Device\{CCCCCCCC-0000-0000-0000-00000000C1A5}`, `\Device\` + gPriv,
		`\Device\` + strings.ToLower(gPub)})
	return m
}

func answer(m *nodetest.Machine, method string, code int64, change func(row node.Row, args map[string]any)) {
	m.SetMethod(settings, method, func(row node.Row, args map[string]any) (node.Row, error) {
		if code <= 1 {
			change(row, args)
		}
		return node.Row{"ReturnValue": code}, nil
	})
}

func check(t *testing.T, s steps.Step, r node.Reader) steps.Diff {
	t.Helper()
	d, err := s.Check(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The IPv6 address beside the wished one is nobody's business, and the mask is part of the wish.
func TestAddressComparesIPv4Only(t *testing.T) {
	m := machine()
	if d := check(t, &Address{MAC: pub, Addresses: []string{"192.0.2.11/24"}}, m); d.Action != steps.NoOp {
		t.Errorf("same address: %+v", d)
	}
	if d := check(t, &Address{MAC: pub, Addresses: []string{"192.0.2.11/25"}}, m); d.Action != steps.Update {
		t.Errorf("other mask: %+v", d)
	}
}

// The cluster's own addresses stand beside the machine's on the node that owns them.
func TestAddressesOfTheClusterAreLeft(t *testing.T) {
	m := machine()
	row := m.Classes[strings.ToLower(settings)][1]
	row["IPAddress"], row["IPSubnet"] = []any{"192.0.2.11", "192.0.2.20"}, []any{"255.255.255.0", "255.255.255.0"}
	s := &Address{MAC: pub, Addresses: []string{"192.0.2.11/24"}, Gateway: "192.0.2.1"}
	if d := check(t, s, m); len(d.Changes) != 2 {
		t.Errorf("no cluster: %+v", d.Changes)
	}
	m.SetKey(`HKLM\Cluster`)
	d := check(t, s, m)
	if len(d.Changes) != 1 || d.Changes[0].Attr != "gateway" {
		t.Errorf("cluster: %+v", d.Changes)
	}
	answer(m, "SetGateways", 0, func(row node.Row,
		args map[string]any) {
		row["DefaultIPGateway"] = args["DefaultIPGateway"]
	})
	if _, err := s.Apply(t.Context(), m, d); err != nil {
		t.Fatal(err)
	}
	if m.Asked("wmi.call", "EnableStatic") != 0 {
		t.Error("the cluster's address was taken away")
	}
}

func TestReturnValueOneAsksForARestart(t *testing.T) {
	m := machine()
	answer(m, "EnableStatic", 1, func(row node.Row, args map[string]any) {
		row["IPAddress"], row["IPSubnet"] = args["IPAddress"], args["SubnetMask"]
	})
	s := &Address{MAC: pub, Addresses: []string{"192.0.2.12/26"}}
	out, err := s.Apply(t.Context(), m, check(t, s, m))
	if err != nil || !out.Reboot {
		t.Fatalf("outcome %+v, %v", out, err)
	}
	if d := check(t, s, m); d.Action != steps.NoOp {
		t.Errorf("after apply: %+v", d)
	}
}

func TestOtherReturnValuesAreTypedErrors(t *testing.T) {
	m := machine()
	answer(m, "EnableStatic", 70, nil)
	s := &Address{MAC: pub, Addresses: []string{"192.0.2.12/24"}}
	_, err := s.Apply(t.Context(), m, check(t, s, m))
	if code, ok := node.Code(err); !ok || code != 70 || hint.Of(err) == "" {
		t.Fatalf("error %v, hint %q", err, hint.Of(err))
	}
}

func TestUnpluggedCardIsNotAbsent(t *testing.T) {
	m := machine()
	m.Classes[strings.ToLower(settings)][2]["IPEnabled"] = false
	m.Classes[strings.ToLower(settings)][2]["TcpipNetbiosOptions"] = nil
	if _, err := (&Address{MAC: priv, Addresses: []string{"10.10.10.10/24"}}).Check(t.Context(), m); err == nil {
		t.Error("the address of a card without TCP/IP cannot be told, and no error came")
	}
	// NetBIOS of such a card stands in the registry
	conformance.Run(t, conformance.Case{Kind: netbiosKind(), With: map[string]any{"mac": priv, "mode": "disabled"},
		Open: func(*testing.T) node.Session { return m }})
	if m.Asked("wmi.call", "SetTcpipNetbios") != 0 {
		t.Error("WMI was asked though it refuses such a card")
	}
}

func TestCardIsFoundByAddressNotByName(t *testing.T) {
	m := machine()
	_, err := (&Adapter{MAC: "00-15-5D-FF-FF-FF", Name: "Public"}).Check(t.Context(), m)
	if err == nil || errors.Is(err, node.ErrNotFound) || !strings.Contains(hint.Of(err), pub) {
		t.Errorf("error %v, hint %q", err, hint.Of(err))
	}
	// a team has its member's address: the one with IP counts
	rows := m.Classes[strings.ToLower(cards)]
	m.SetClass(cards, append(rows, node.Row{"Index": int64(9), "MACAddress": pub, "NetConnectionID": "Team"})...)
	conf := m.Classes[strings.ToLower(settings)]
	m.SetClass(settings, append(conf, node.Row{"Index": int64(9), "MACAddress": pub, "SettingID": "{T}",
		"IPEnabled": false, "DHCPEnabled": false, "IPAddress": nil, "IPSubnet": nil,
		"DefaultIPGateway": nil, "DNSServerSearchOrder": nil, "FullDNSRegistrationEnabled": nil,
		"DomainDNSRegistrationEnabled": nil, "TcpipNetbiosOptions": nil})...)
	a, err := inspect.AdapterByMAC(t.Context(), m, pub)
	if err != nil || a.Index != 7 {
		t.Errorf("found %+v, %v", a, err)
	}
}

func TestNameOfAnotherCardIsRefused(t *testing.T) {
	_, err := (&Adapter{MAC: pub, Name: "CONNEXION AU RÉSEAU LOCAL 2"}).Check(t.Context(), machine())
	if err == nil || hint.Of(err) == "" {
		t.Errorf("error %v", err)
	}
}

func TestBindingLeavesTheClustersAdapterFirst(t *testing.T) {
	m := machine()
	conformance.Run(t, conformance.Case{Kind: bindingKind(), With: map[string]any{"order": []any{pub, priv}},
		Open: func(*testing.T) node.Session { return m }})
	s := &Binding{Order: []string{pub, priv}}
	out, err := s.Apply(t.Context(), m, check(t, s, m))
	if err != nil || !out.Reboot {
		t.Fatalf("outcome %+v, %v", out, err)
	}
	got, err := readBind(t.Context(), m)
	if want := []string{`\Device\{CCCCCCCC-0000-0000-0000-00000000C1A5}`, `\Device\` + strings.ToLower(gPub),
		`\Device\` + gPriv}; err != nil || !slices.Equal(got, want) {
		t.Errorf("bound %q, %v", got, err)
	}
}

// A card that someone added between apply and undo keeps its place.
func TestBindingUndoKeepsNewCards(t *testing.T) {
	m := machine()
	s := &Binding{Order: []string{pub, priv}}
	d := check(t, s, m)
	if _, err := s.Apply(t.Context(), m, d); err != nil {
		t.Fatal(err)
	}
	now, _ := readBind(t.Context(), m)
	m.SetValue(linkage, "Bind", "multi", anys(append([]string{`\Device\{NEW}`}, now...)))
	if err := s.Undo(t.Context(), m, d.Before); !errors.Is(err, steps.ErrRebootDue) {
		t.Fatal(err)
	}
	got, _ := readBind(t.Context(), m)
	if got[0] != `\Device\{NEW}` || guidOf(got[2]) != gPriv || !strings.EqualFold(guidOf(got[3]), gPub) {
		t.Errorf("bound %q", got)
	}
}

func TestMetricsFrom2016(t *testing.T) {
	m := machine()
	m.F.Release = node.WS2022
	for i, row := range m.Classes[strings.ToLower(settings)] {
		row["InterfaceIndex"] = int64(10 + i)
	}
	metrics := map[int64]node.Row{
		11: {"InterfaceIndex": int64(11), "InterfaceMetric": int64(25), "AutomaticMetric": int64(1)},
		12: {"InterfaceIndex": int64(12), "InterfaceMetric": int64(15), "AutomaticMetric": int64(0)},
	}
	m.Cmdlets["get-netipinterface"] = func(map[string]any) ([]node.Row,
		error) {
		return []node.Row{metrics[11], metrics[12]}, nil
	}
	m.Cmdlets["set-netipinterface"] = func(p map[string]any) ([]node.Row, error) {
		row := metrics[p["InterfaceIndex"].(int64)]
		if p["AutomaticMetric"] == "Enabled" {
			row["AutomaticMetric"], row["InterfaceMetric"] = int64(1), int64(25)
		} else {
			row["AutomaticMetric"], row["InterfaceMetric"] = int64(0), p["InterfaceMetric"]
		}
		return nil, nil
	}
	conformance.Run(t, conformance.Case{Kind: bindingKind(), With: map[string]any{"order": []any{pub, priv}},
		Open: func(*testing.T) node.Session { return m }})
}

// On a DHCP card, servers set by hand stand in NameServer; those of the lease must not be written
// back as if they did.
func TestDNSUndoTellsLeaseFromSetting(t *testing.T) {
	for name, static := range map[string]string{"lease": "", "by hand": "192.0.2.7,192.0.2.8"} {
		t.Run(name, func(t *testing.T) {
			m := machine()
			row := m.Classes[strings.ToLower(settings)][1]
			row["DHCPEnabled"], row["DNSServerSearchOrder"] = true, []any{"192.0.2.7", "192.0.2.8"}
			m.SetValue(`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces\`+gPub, "NameServer", "string",
				static)
			var sent []any
			answer(m, "SetDNSServerSearchOrder", 0, func(row node.Row, args map[string]any) {
				sent = append(sent, args["DNSServerSearchOrder"])
				row["DNSServerSearchOrder"] = args["DNSServerSearchOrder"]
			})
			s := &DNS{MAC: pub, Servers: []string{"192.0.2.5"}}
			d := check(t, s, m)
			if _, err := s.Apply(t.Context(), m, d); err != nil {
				t.Fatal(err)
			}
			if err := s.Undo(t.Context(), m, d.Before); err != nil {
				t.Fatal(err)
			}
			if got := len(node.Row{"x": sent[1]}.Strings("x")); (static == "") != (got == 0) {
				t.Errorf("undo sent %v", sent[1])
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for name, s := range map[string]steps.Validator{
		"gateway outside":     &Address{MAC: pub, Addresses: []string{"192.0.2.11/24"}, Gateway: "198.51.100.1"},
		"dhcp and address":    &Address{MAC: pub, DHCP: true, Addresses: []string{"192.0.2.11/24"}},
		"nothing declared":    &DNS{MAC: pub},
		"name with backslash": &Adapter{MAC: pub, Name: `a\b`},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMasks(t *testing.T) {
	for mask, bits := range map[string]int{"255.255.255.0": 24, "0.0.0.0": 0, "255.255.255.255": 32, "255.255.252.0": 22} {
		if got, ok := inspect.MaskBits(mask); !ok || got != bits || inspect.Mask(bits) != mask {
			t.Errorf("%s: %d %t, back %s", mask, got, ok, inspect.Mask(bits))
		}
	}
	if _, ok := inspect.MaskBits("255.0.255.0"); ok {
		t.Error("a mask with a hole was taken")
	}
}
