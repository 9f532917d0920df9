package dns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Record is the set of DNS records of one name and type in a zone of the DNS server that the step
// runs on.
type Record struct {
	Zone   string   `json:"zone" required:"true" doc:"zone, like contoso.com" type:"domain" check:"compared"`
	Name   string   `json:"name" required:"true" doc:"name relative to the zone, @ for its root" check:"compared"`
	Type   string   `json:"type" enum:"A" doc:"record type" check:"compared"`
	Data   []string `json:"data" doc:"the addresses that the name shall have, all of them; with absent: those that it shall not have, none meaning any" type:"ipv4" unique:"true" check:"compared"`
	TTL    int      `json:"ttl" doc:"time to live in seconds; 0 leaves it" min:"0" check:"compared"`
	Absent bool     `json:"absent,omitempty" doc:"the records shall not be there" check:"compared"`
}

// entry is one record. TTL 0 means that any will do.
type entry struct {
	Data string `json:"data"`
	TTL  int64  `json:"ttl"`
}

func (e entry) String() string { return fmt.Sprintf("%s (%d s)", e.Data, e.TTL) }

type before struct {
	Records []entry `json:"records"`
}

const (
	namespace = `root\MicrosoftDNS`
	class     = "MicrosoftDNS_AType"
	module    = "DnsServer"
	// Source: DNS server error codes.
	codeNoZone   = 9601
	codeNoRecord = 9701
	codeNoName   = 9714
)

var (
	recordProps  = []string{"ContainerName", "OwnerName", "IPAddress", "TTL"}
	recordSelect = []string{"HostName", "TimeToLive.TotalSeconds", "RecordData.IPv4Address.IPAddressToString"}
)

func recordKind() steps.Kind {
	old, newer := inspect.Between(node.WS2003, node.WS2008R2), inspect.From(node.WS2012)
	aType := namespace + ":" + class
	const source = "DNS WMI provider, MicrosoftDNS_AType class"
	return steps.Kind{
		Name:    "dns.record",
		OS:      "windows",
		Summary: "Sets the addresses of a name in a DNS zone.",
		Doc: "Runs on the DNS server itself. The records of the name are compared as a set with those wished: surplus " +
			"ones are removed, " +
			"missing ones added, and the time to live is set where one is given. Up to Windows Server 2008 R2 it works " +
			"through WMI " +
			"and dnscmd, later through the module DnsServer. The zone must exist.",
		Undo:    "Brings the name back to the recorded addresses and times to live.",
		Proof:   "unit-tested on a scripted machine; played in the lab; names of the module checked against recorded tables",
		Sources: []string{source, "dnscmd /recorddelete", "DnsServer module"},
		Calls: []node.Call{
			{WMI: aType, Props: recordProps, On: old, Source: source},
			{WMI: aType, Method: "CreateInstanceFromPropertyData", Args: []string{"DnsServerName", "ContainerName", "OwnerName",
				"RecordClass", "TTL", "IPAddress"}, On: old, Source: source},
			{WMI: aType, Props: recordProps, Method: "Modify", Args: []string{"TTL", "IPAddress"}, On: old, Source: source},
			{Tool: "dnscmd.exe", On: old, Source: "dnscmd /recorddelete, Windows Server command reference"},
			{Cmdlet: "Get-DnsServerResourceRecord", Params: []string{"ZoneName", "Name", "RRType", "Node"}, Props: recordSelect,
				On: newer},
			{Cmdlet: "Add-DnsServerResourceRecordA", Params: []string{"ZoneName", "Name", "IPv4Address", "TimeToLive",
				"Confirm"}, On: newer},
			{Cmdlet: "Remove-DnsServerResourceRecord", Params: []string{"ZoneName", "Name", "RRType", "RecordData", "Force",
				"Confirm"}, On: newer},
		},
		ReadForms: forms(),
		New:       func() steps.Step { return &Record{Type: "A"} },
		Example:   "zone: contoso.com\nname: mbx01\ndata: [192.0.2.21]\nttl: 600\n",
	}
}

// Kind names the step.
func (s *Record) Kind() string { return "dns.record" }

// Validate looks at the data.
func (s *Record) Validate() error {
	if strings.HasSuffix(s.Name, ".") || strings.EqualFold(s.Name, s.Zone) {
		return steps.FieldErr("name", "%q must be relative to the zone; its root is @", s.Name)
	}
	if !s.Absent && len(s.Data) == 0 {
		return steps.FieldErr("data", "give one address at least, or absent: true")
	}
	if s.Absent && s.TTL != 0 {
		return steps.FieldErr("ttl", "has no meaning with absent")
	}
	return nil
}

func modern(f node.Facts) bool { return f.Release.AtLeast(node.WS2012) }

func (s *Record) owner() string {
	if s.Name == "@" {
		return s.Zone
	}
	return s.Name + "." + s.Zone
}

func (s *Record) query(f node.Facts) node.Query {
	if modern(f) {
		return node.Cmdlet{Name: "Get-DnsServerResourceRecord", Load: module, Select: recordSelect,
			Params: map[string]any{"ZoneName": s.Zone, "Name": s.Name, "RRType": s.Type, "Node": true}}
	}
	return node.WMI{Namespace: namespace, Class: class, Props: recordProps,
		Where: map[string]any{"ContainerName": s.Zone, "OwnerName": s.owner()}}
}

// Reads names what Check will ask.
func (s *Record) Reads(f node.Facts) []node.Query { return []node.Query{s.query(f)} }

// read lists the records of the name. A zone that is not there cannot be told from an empty name on
// old releases; adding fails then.
func (s *Record) read(ctx context.Context, r node.Reader) ([]entry, error) {
	rows, err := r.Query(ctx, s.query(r.Facts()))
	if code, ok := node.Code(err); ok && code == codeNoZone {
		return nil, hint.Wrap(fmt.Errorf("cannot find zone %s: %w", s.Zone, err),
			"the step must run on a DNS server that holds the zone")
	}
	if err != nil && !errors.Is(err, node.ErrNotFound) {
		return nil, fmt.Errorf("cannot read the records of %s: %w", s.owner(), err)
	}
	var out []entry
	for _, row := range rows {
		e := entry{Data: row.String("IPAddress"), TTL: row.Int("TTL")}
		if modern(r.Facts()) {
			if h := row.String("HostName"); h != "" && !strings.EqualFold(h, s.Name) {
				continue
			}
			e.Data = row.String("RecordData.IPv4Address.IPAddressToString")
			if e.TTL, err = wholeSeconds(row, "TimeToLive.TotalSeconds"); err != nil {
				return nil, fmt.Errorf("cannot read the records of %s: %w", s.owner(), err)
			}
		}
		if _, err := netip.ParseAddr(e.Data); err != nil {
			return nil, fmt.Errorf("cannot read the records of %s: %q is not an address", s.owner(), e.Data)
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.Data, b.Data) })
	return out, nil
}

// wholeSeconds reads a number that may come with decimals, as .NET gives TimeSpan.TotalSeconds.
func wholeSeconds(row node.Row, name string) (int64, error) {
	if n, ok := row[name].(int64); ok {
		return n, nil
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(row.String(name), ",", "."), 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of seconds", row.String(name))
	}
	return int64(f), nil
}

// want is what the name shall have, given what it has.
func (s *Record) want(have []entry) []entry {
	var out []entry
	if !s.Absent {
		for _, d := range s.Data {
			out = append(out, entry{d, int64(s.TTL)})
		}
		return out
	}
	for _, e := range have {
		if len(s.Data) > 0 && !slices.Contains(s.Data, e.Data) {
			out = append(out, e)
		}
	}
	return out
}

// delta says what must go, come, and change its time to live.
func delta(have, want []entry) (gone, fresh, changed []entry) {
	find := func(list []entry, data string) (entry, bool) {
		i := slices.IndexFunc(list, func(e entry) bool { return e.Data == data })
		if i < 0 {
			return entry{}, false
		}
		return list[i], true
	}
	for _, e := range have {
		if _, ok := find(want, e.Data); !ok {
			gone = append(gone, e)
		}
	}
	for _, e := range want {
		switch h, ok := find(have, e.Data); {
		case !ok:
			fresh = append(fresh, e)
		case e.TTL != 0 && e.TTL != h.TTL:
			changed = append(changed, e)
		}
	}
	return gone, fresh, changed
}

// about are the records that the step is about: with absent, those that it does not want.
func (s *Record) about(have []entry) []entry {
	if !s.Absent || len(s.Data) == 0 {
		return have
	}
	return slices.DeleteFunc(slices.Clone(have), func(e entry) bool { return !slices.Contains(s.Data, e.Data) })
}

// shown words records for people; nil for none.
func shown(list []entry) any {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		if e.TTL == 0 {
			out = append(out, e.Data)
		} else {
			out = append(out, e.String())
		}
	}
	return strings.Join(out, ", ")
}

// Check compares the records.
func (s *Record) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	have, err := s.read(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	gone, fresh, changed := delta(have, s.want(have))
	if len(gone)+len(fresh)+len(changed) == 0 {
		return steps.NoChange(), nil
	}
	d := steps.Diff{Action: steps.Update, Before: steps.MustJSON(before{have}), Via: "dnscmd and WMI"}
	if modern(r.Facts()) {
		d.Via = module
	}
	switch {
	case len(have) == 0:
		d.Action = steps.Create
	case len(gone) == len(have) && len(fresh) == 0:
		d.Action = steps.Delete
	}
	if len(gone)+len(fresh) > 0 {
		d.Changes = append(d.Changes, steps.Change{Attr: s.owner(), From: shown(s.about(have)),
			To: shown(s.about(s.want(have)))})
	}
	for _, e := range changed {
		i := slices.IndexFunc(have, func(h entry) bool { return h.Data == e.Data })
		d.Changes = append(d.Changes, steps.Change{Attr: s.owner() + " ttl of " + e.Data, From: have[i].TTL, To: e.TTL})
	}
	return d, nil
}

// Apply brings the name to the wish.
func (s *Record) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	have, err := s.read(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	return steps.Outcome{}, s.bring(ctx, n, have, s.want(have))
}

// Undo brings the name back to what was recorded.
func (s *Record) Undo(ctx context.Context, n node.Node, recorded json.RawMessage) error {
	var b before
	if err := json.Unmarshal(recorded, &b); err != nil {
		return fmt.Errorf("cannot read the recorded records: %w", err)
	}
	have, err := s.read(ctx, n)
	if err != nil {
		return err
	}
	want := b.Records
	if s.Absent { // then records that others have added since are none of the step's
		want = slices.Clone(have)
		for _, e := range b.Records {
			if !slices.ContainsFunc(have, func(h entry) bool { return h.Data == e.Data }) {
				want = append(want, e)
			}
		}
	}
	return s.bring(ctx, n, have, want)
}

// bring adds before it removes, so that the name never has no address at all.
func (s *Record) bring(ctx context.Context, n node.Node, have, want []entry) error {
	gone, fresh, changed := delta(have, want)
	for _, e := range fresh {
		if err := s.add(ctx, n, e); err != nil {
			return err
		}
	}
	for _, e := range changed {
		if err := s.setTTL(ctx, n, e); err != nil {
			return err
		}
	}
	for _, e := range gone {
		if err := s.remove(ctx, n, e); err != nil {
			return err
		}
	}
	return nil
}

func (s *Record) add(ctx context.Context, n node.Node, e entry) error {
	var a node.Action
	if modern(n.Facts()) {
		params := map[string]any{"ZoneName": s.Zone, "Name": s.Name, "IPv4Address": []any{e.Data}, "Confirm": false}
		if e.TTL != 0 {
			params["TimeToLive"] = timeSpan(e.TTL)
		}
		a = node.CmdletCall{Name: "Add-DnsServerResourceRecordA", Load: module, Params: params}
	} else {
		f := n.Facts()
		server := f.Computer
		if f.Domain != "" {
			server += "." + f.Domain
		}
		args := map[string]any{"DnsServerName": server, "ContainerName": s.Zone, "OwnerName": s.owner(),
			"RecordClass": int64(1), "IPAddress": e.Data}
		if e.TTL != 0 {
			args["TTL"] = e.TTL
		}
		a = node.WMICall{Namespace: namespace, Class: class, Method: "CreateInstanceFromPropertyData", Args: args}
	}
	if err := do(ctx, n, a); err != nil {
		return fmt.Errorf("cannot add %s to %s: %w", e.Data, s.owner(), err)
	}
	return nil
}

// setTTL goes through WMI, or through a second record where there is only the module: its Set-
// cmdlet wants live objects.
func (s *Record) setTTL(ctx context.Context, n node.Node, e entry) error {
	if modern(n.Facts()) {
		if err := s.remove(ctx, n, e); err != nil {
			return err
		}
		return s.add(ctx, n, e)
	}
	err := do(ctx, n, node.WMICall{Namespace: namespace, Class: class, Method: "Modify",
		Where: map[string]any{"ContainerName": s.Zone, "OwnerName": s.owner(), "IPAddress": e.Data},
		Args:  map[string]any{"TTL": e.TTL, "IPAddress": e.Data}})
	if err != nil {
		return fmt.Errorf("cannot set the time to live of %s: %w", s.owner(), err)
	}
	return nil
}

// remove names the address: without one, every record of the name would go.
func (s *Record) remove(ctx context.Context, n node.Node, e entry) error {
	if modern(n.Facts()) {
		err := do(ctx, n, node.CmdletCall{Name: "Remove-DnsServerResourceRecord", Load: module,
			Params: map[string]any{"ZoneName": s.Zone, "Name": s.Name, "RRType": s.Type, "RecordData": []any{e.Data},
				"Force": true, "Confirm": false}})
		if err != nil && !errors.Is(err, node.ErrNotFound) {
			return fmt.Errorf("cannot remove %s from %s: %w", e.Data, s.owner(), err)
		}
		return nil
	}
	res, err := n.Run(ctx, node.Cmd{Argv: []string{"dnscmd.exe", "/recorddelete", s.Zone, s.Name, s.Type, e.Data, "/f"}})
	if err != nil {
		return fmt.Errorf("cannot remove %s from %s: %w", e.Data, s.owner(), err)
	}
	if res.Code != 0 && res.Code != codeNoRecord && res.Code != codeNoName {
		return fmt.Errorf("cannot remove %s from %s: %w", e.Data, s.owner(),
			&node.CodeError{Op: "dnscmd /recorddelete", Code: int64(res.Code)})
	}
	return nil
}

func do(ctx context.Context, n node.Node, a node.Action) error {
	rows, err := n.Do(ctx, a)
	if err != nil {
		return err
	}
	if len(rows) > 0 && rows[0].Int("ReturnValue") != 0 {
		return &node.CodeError{Op: "DNS server", Code: rows[0].Int("ReturnValue")}
	}
	return nil
}

// timeSpan writes seconds in the form that PowerShell reads as a TimeSpan in every language:
// d.hh:mm:ss.
func timeSpan(seconds int64) string {
	return fmt.Sprintf("%d.%02d:%02d:%02d", seconds/86400, seconds/3600%24, seconds/60%60, seconds%60)
}
