package directory

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// DNS status codes, documented with dnscmd.
const (
	dnsZoneMissing   = 9601
	dnsRecordMissing = 9701
	dnsRecordExists  = 9711
	dnsNameMissing   = 9714
)

const defaultTTL = 3600 // seconds; the zone's minimum in a new zone

// ZoneOf returns a zone by name, or nil.
func ZoneOf(f *model.Forest, name string) *model.Zone { return f.Zones[strings.ToLower(name)] }

// Records returns a name's records of one type ("" is all), in the order in which they were made.
func Records(z *model.Zone, name, typ string) []*model.Record {
	var out []*model.Record
	for _, r := range z.Records {
		if strings.EqualFold(r.Name, name) && (typ == "" || strings.EqualFold(r.Type, typ)) {
			out = append(out, r)
		}
	}
	return out
}

// addRecord adds and answers 9711 for one that is there.
func addRecord(z *model.Zone, r model.Record) int64 {
	for _, have := range Records(z, r.Name, r.Type) {
		if have.Data == r.Data {
			return dnsRecordExists
		}
	}
	z.Records = append(z.Records, &r)
	return 0
}

// removeRecords removes what fits and says how many; data "" fits all.
func removeRecords(z *model.Zone, name, typ, data string) int {
	kept, n := z.Records[:0:0], 0
	for _, r := range z.Records {
		if strings.EqualFold(r.Name, name) && strings.EqualFold(r.Type, typ) && (data == "" || r.Data == data) {
			n++
			continue
		}
		kept = append(kept, r)
	}
	z.Records = kept
	return n
}

// relative turns an owner name (FQDN with or without the final dot, or a label) into a name of the
// zone.
func relative(owner string, z *model.Zone) string {
	o := strings.TrimSuffix(owner, ".")
	if o == "" || strings.EqualFold(o, z.Name) {
		return "@"
	}
	if len(o) > len(z.Name)+1 && strings.EqualFold(o[len(o)-len(z.Name)-1:], "."+z.Name) {
		return o[:len(o)-len(z.Name)-1]
	}
	return o
}

func fqdn(r *model.Record, z *model.Zone) string {
	if r.Name == "@" {
		return z.Name
	}
	return r.Name + "." + z.Name
}

func dnsClasses() []*machine.Class {
	record := []string{"ContainerName", "DnsServerName", "DomainName", "OwnerName", "RecordClass", "RecordData",
		"TextRepresentation", "Timestamp", "TTL"}
	return []*machine.Class{
		{
			Namespace: `root\MicrosoftDNS`, Name: "MicrosoftDNS_AType", Props: append([]string{"IPAddress"}, record...),
			Present: isDNS,
			List: func(c *machine.Ctx) ([]machine.Object, error) {
				var out []machine.Object
				for _, name := range zoneNames(c.W.Forest) {
					z := c.W.Forest.Zones[name]
					for _, r := range z.Records {
						if r.Type == "A" {
							out = append(out, aType(c, z, r))
						}
					}
				}
				return out, nil
			},
			Methods: map[string]machine.Method{"Modify": {Args: []string{"TTL", "IPAddress"}, Call: modifyA}},
			Static: map[string]machine.Method{"CreateInstanceFromPropertyData": {
				Args: []string{"DnsServerName", "ContainerName", "OwnerName", "RecordClass", "TTL", "IPAddress"}, Call: createA}},
		},
		{
			Namespace: `root\MicrosoftDNS`, Name: "MicrosoftDNS_Zone", Present: isDNS,
			Props: []string{"Name", "ContainerName", "DnsServerName", "AllowUpdate", "ZoneType", "DsIntegrated", "Reverse"},
			List: func(c *machine.Ctx) ([]machine.Object, error) {
				var out []machine.Object
				for _, name := range zoneNames(c.W.Forest) {
					z := c.W.Forest.Zones[name]
					out = append(out, machine.Object{"Name": z.Name, "ContainerName": z.Name, "DnsServerName": dcName(c),
						"AllowUpdate": int64(z.DynamicUpdate), "ZoneType": int64(1), "DsIntegrated": true, "Reverse": false})
				}
				return out, nil
			},
			Put: func(c *machine.Ctx, inst machine.Object, set map[string]any) error {
				z := ZoneOf(c.W.Forest, fmt.Sprint(inst["Name"]))
				n, ok := machine.ArgInt(set, "AllowUpdate")
				if z == nil || !ok || n < 0 || n > 2 || len(set) != 1 {
					return &machine.Fail{Code: 0x80041008, ID: "SetWMIManagementException", Text: "WBEM_E_INVALID_PARAMETER"}
				}
				z.DynamicUpdate = int(n)
				return nil
			},
		},
	}
}

func zoneNames(f *model.Forest) []string {
	var out []string
	for n := range f.Zones {
		out = append(out, n)
	}
	// maps have no order; answers must
	for i := range out {
		for j := i + 1; j < len(out); j++ {
			if out[j] < out[i] {
				out[i], out[j] = out[j], out[i]
			}
		}
	}
	return out
}

func aType(c *machine.Ctx, z *model.Zone, r *model.Record) machine.Object {
	owner := fqdn(r, z)
	return machine.Object{"ContainerName": z.Name, "DnsServerName": dcName(c), "DomainName": z.Name, "OwnerName": owner,
		"RecordClass": int64(1),
		"RecordData":  r.Data, "IPAddress": r.Data, "TextRepresentation": fmt.Sprintf("%s IN A %s", owner, r.Data),
		"Timestamp": int64(0), "TTL": int64(r.TTL)}
}

func wmiFail(code int64) *machine.Fail {
	return &machine.Fail{Code: code, ID: "InvokeMethodGetOutParam", Category: "NotSpecified",
		Type: "System.Management.ManagementException", Text: fmt.Sprintf("0x%08X", code)}
}

func createA(c *machine.Ctx, _ machine.Object, args map[string]any) (machine.Object, error) {
	z := ZoneOf(c.W.Forest, machine.ArgString(args, "ContainerName"))
	if z == nil {
		return nil, wmiFail(0x80041002) // WBEM_E_NOT_FOUND
	}
	ip, err := netip.ParseAddr(machine.ArgString(args, "IPAddress"))
	if err != nil || !ip.Is4() {
		return nil, wmiFail(0x80041008)
	}
	ttl := int64(defaultTTL)
	if n, ok := machine.ArgInt(args, "TTL"); ok {
		ttl = n
	}
	if code := addRecord(z, model.Record{Name: relative(machine.ArgString(args, "OwnerName"), z), Type: "A",
		Data: ip.String(), TTL: int(ttl)}); code != 0 {
		return nil, wmiFail(0x80041019) // WBEM_E_ALREADY_EXISTS
	}
	return machine.Object{"ReturnValue": int64(0)}, nil
}

func modifyA(c *machine.Ctx, inst machine.Object, args map[string]any) (machine.Object, error) {
	z := ZoneOf(c.W.Forest, fmt.Sprint(inst["ContainerName"]))
	if z == nil {
		return nil, wmiFail(0x80041002)
	}
	for _, r := range Records(z, relative(fmt.Sprint(inst["OwnerName"]), z), "A") {
		if r.Data != inst["IPAddress"] {
			continue
		}
		if n, ok := machine.ArgInt(args, "TTL"); ok {
			r.TTL = int(n)
		}
		if machine.HasArg(args, "IPAddress") {
			ip, err := netip.ParseAddr(machine.ArgString(args, "IPAddress"))
			if err != nil {
				return nil, wmiFail(0x80041008)
			}
			r.Data = ip.String()
		}
		return machine.Object{"ReturnValue": int64(0)}, nil
	}
	return nil, wmiFail(0x80041002)
}

// cimFail is how a CIM cmdlet of the module DnsServer refuses.
func cimFail(code int64, cmdlet, category string) *machine.Fail {
	return &machine.Fail{Code: code, ID: fmt.Sprintf("WIN32 %d,%s", code, cmdlet), Category: category,
		Type: "Microsoft.Management.Infrastructure.CimException", Text: fmt.Sprintf("WIN32 %d", code)}
}

func dnsCmdlets() []*machine.Cmdlet {
	common := []string{"ComputerName", "CimSession", "ThrottleLimit", "AsJob"}
	with := func(own ...string) []string { return append(own, common...) }
	zone := func(c *machine.Ctx, p map[string]any, key, cmdlet string) (*model.Zone, error) {
		if z := ZoneOf(c.W.Forest, machine.ArgString(p, key)); z != nil {
			return z, nil
		}
		return nil, cimFail(dnsZoneMissing, cmdlet, "ObjectNotFound")
	}
	return []*machine.Cmdlet{
		{Name: "Get-DnsServerResourceRecord", Load: "DnsServer", Since: node.WS2012, Present: isDNS,
			Params: with("ZoneName", "Name", "RRType", "Node"),
			Run: func(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
				z, err := zone(c, p, "ZoneName", "Get-DnsServerResourceRecord")
				if err != nil {
					return nil, err
				}
				var out []machine.Object
				for _, r := range z.Records {
					if (machine.HasArg(p, "Name") && !strings.EqualFold(r.Name, relative(machine.ArgString(p, "Name"), z))) ||
						(machine.HasArg(p, "RRType") && !strings.EqualFold(r.Type, machine.ArgString(p, "RRType"))) {
						continue
					}
					ttl := time.Duration(r.TTL) * time.Second
					out = append(out, machine.Object{"HostName": r.Name, "RecordType": r.Type,
						"TimeToLive": machine.Object{"": span(ttl), "TotalSeconds": int64(r.TTL)},
						"RecordData": machine.Object{"": "DnsServerResourceRecordA",
							"IPv4Address": machine.Object{"": r.Data, "IPAddressToString": r.Data}}})
				}
				if len(out) == 0 && machine.HasArg(p, "Name") {
					return nil, cimFail(dnsNameMissing, "Get-DnsServerResourceRecord", "ObjectNotFound")
				}
				return out, nil
			}},
		{Name: "Add-DnsServerResourceRecordA", Load: "DnsServer", Since: node.WS2012, Present: isDNS,
			Params: with("ZoneName", "Name", "IPv4Address", "TimeToLive", "AllowUpdateAny", "CreatePtr", "AgeRecord", "PassThru",
				"Confirm", "WhatIf"),
			Run: func(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
				z, err := zone(c, p, "ZoneName", "Add-DnsServerResourceRecordA")
				if err != nil {
					return nil, err
				}
				ttl := defaultTTL
				if machine.HasArg(p, "TimeToLive") {
					if ttl, err = seconds(machine.ArgString(p, "TimeToLive")); err != nil {
						return nil, machine.PSFail("ParameterArgumentTransformationError,Add-DnsServerResourceRecordA", "InvalidData",
							"System.Management.Automation.ParameterBindingArgumentTransformationException", 0x80131501, err.Error())
					}
				}
				for _, ip := range machine.ArgStrings(p, "IPv4Address") {
					if code := addRecord(z, model.Record{Name: relative(machine.ArgString(p, "Name"), z), Type: "A", Data: ip,
						TTL: ttl}); code != 0 {
						return nil, cimFail(code, "Add-DnsServerResourceRecordA", "ResourceExists")
					}
				}
				return nil, nil
			}},
		{Name: "Remove-DnsServerResourceRecord", Load: "DnsServer", Since: node.WS2012, Present: isDNS,
			Params: with("ZoneName", "Name", "RRType", "RecordData", "InputObject", "Force", "PassThru", "Confirm", "WhatIf"),
			Run: func(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
				z, err := zone(c, p, "ZoneName", "Remove-DnsServerResourceRecord")
				if err != nil {
					return nil, err
				}
				data := machine.ArgStrings(p, "RecordData")
				if len(data) == 0 {
					data = []string{""} // all records of the name, as documented
				}
				n := 0
				for _, d := range data {
					n += removeRecords(z, relative(machine.ArgString(p, "Name"), z), machine.ArgString(p, "RRType"), d)
				}
				if n == 0 {
					return nil, cimFail(dnsNameMissing, "Remove-DnsServerResourceRecord", "ObjectNotFound")
				}
				return nil, nil
			}},
		{Name: "Get-DnsServerZone", Load: "DnsServer", Since: node.WS2012, Present: isDNS, Params: with("Name"),
			Run: func(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
				names := machine.ArgStrings(p, "Name")
				if len(names) == 0 {
					names = zoneNames(c.W.Forest)
				}
				var out []machine.Object
				for _, n := range names {
					z := ZoneOf(c.W.Forest, n)
					if z == nil {
						return nil, cimFail(dnsZoneMissing, "Get-DnsServerZone", "ObjectNotFound")
					}
					out = append(out, machine.Object{"ZoneName": z.Name, "ZoneType": "Primary", "IsDsIntegrated": true,
						"IsReverseLookupZone": false, "DynamicUpdate": updateWord(z.DynamicUpdate)})
				}
				return out, nil
			}},
		{Name: "Set-DnsServerPrimaryZone", Load: "DnsServer", Since: node.WS2012, Present: isDNS,
			Params: with("Name=ZoneName", "DynamicUpdate", "SecureSecondaries", "Notify", "NotifyServers", "SecondaryServers",
				"ReplicationScope", "ZoneFile", "PassThru", "Confirm", "WhatIf"),
			Run: func(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
				z, err := zone(c, p, "Name", "Set-DnsServerPrimaryZone")
				if err != nil {
					return nil, err
				}
				for n, w := range []string{"None", "NonsecureAndSecure", "Secure"} {
					if strings.EqualFold(w, machine.ArgString(p, "DynamicUpdate")) {
						z.DynamicUpdate = n
					}
				}
				return nil, nil
			}},
	}
}

func updateWord(n int) string { return []string{"None", "NonsecureAndSecure", "Secure"}[n] }

func span(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

// seconds reads a TimeSpan of the form [d.]hh:mm:ss.
func seconds(s string) (int, error) {
	days := 0
	if d, rest, ok := strings.Cut(s, "."); ok {
		n, err := strconv.Atoi(d)
		if err != nil {
			return 0, fmt.Errorf("%q is no time span", s)
		}
		days, s = n, rest
	}
	var h, m, sec int
	if n, err := fmt.Sscanf(s, "%d:%d:%d", &h, &m, &sec); n != 3 || err != nil {
		return 0, fmt.Errorf("%q is no time span", s)
	}
	return ((days*24+h)*60+m)*60 + sec, nil
}
