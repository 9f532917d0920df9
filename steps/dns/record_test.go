package dns

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

const aType = namespace + ":" + class

// old is a 2003 with the DNS WMI provider and dnscmd.
func old() *nodetest.Machine {
	m := nodetest.New(node.WS2003)
	row := func(owner, ip string, ttl int64) node.Row {
		return node.Row{"ContainerName": "contoso.com", "OwnerName": owner, "IPAddress": ip, "TTL": ttl}
	}
	m.SetClass(aType, row("NODE1.contoso.com", "192.0.2.11", 1200), row("node1.contoso.com", "10.10.10.10", 1200),
		row("other.contoso.com", "192.0.2.50", 1200))
	m.SetMethod(aType, "CreateInstanceFromPropertyData", func(_ node.Row, args map[string]any) (node.Row, error) {
		ttl, given := args["TTL"].(int64)
		if !given {
			ttl = 3600
		}
		m.SetClass(aType, append(m.Classes[strings.ToLower(aType)],
			row(args["OwnerName"].(string), args["IPAddress"].(string), ttl))...)
		return node.Row{}, nil // a void method: no ReturnValue
	})
	m.SetMethod(aType, "Modify", func(row node.Row, args map[string]any) (node.Row, error) {
		row["TTL"] = args["TTL"]
		return node.Row{}, nil
	})
	m.Programs["dnscmd.exe"] = func(argv []string) node.Result {
		if len(argv) != 7 || argv[1] != "/recorddelete" || argv[6] != "/f" {
			return node.Result{Code: 87}
		}
		rows := m.Classes[strings.ToLower(aType)]
		left := slices.DeleteFunc(slices.Clone(rows), func(r node.Row) bool {
			return strings.EqualFold(r.String("OwnerName"), argv[3]+"."+argv[2]) && r.String("IPAddress") == argv[5]
		})
		m.SetClass(aType, left...)
		if len(left) == len(rows) {
			return node.Result{Code: codeNoRecord}
		}
		return node.Result{}
	}
	return m
}

func TestTierConformanceAgainstScript(t *testing.T) {
	for name, with := range map[string]map[string]any{
		"new":      {"zone": "contoso.com", "name": "mbx01", "data": []any{"192.0.2.21"}, "ttl": 600},
		"one of 2": {"zone": "contoso.com", "name": "node1", "data": []any{"192.0.2.11"}},
		"ttl":      {"zone": "contoso.com", "name": "node1", "data": []any{"192.0.2.11", "10.10.10.10"}, "ttl": 60},
		"absent":   {"zone": "contoso.com", "name": "node1", "absent": true},
	} {
		t.Run(name, func(t *testing.T) {
			m := old()
			conformance.Run(t, conformance.Case{Kind: recordKind(), With: with,
				Open: func(*testing.T) node.Session { return m }})
			if !slices.ContainsFunc(m.Classes[strings.ToLower(aType)],
				func(r node.Row) bool { return r.String("IPAddress") == "192.0.2.50" }) {
				t.Error("the record of another name has gone")
			}
		})
	}
}

// The name must not be without an address at any moment: clients ask all the time.
func TestAddsBeforeItRemoves(t *testing.T) {
	m := old()
	s := &Record{Zone: "contoso.com", Name: "node1", Type: "A", Data: []string{"192.0.2.99"}}
	if _, err := s.Apply(t.Context(), m, steps.Diff{}); err != nil {
		t.Fatal(err)
	}
	var verbs []string
	for _, r := range m.Log() {
		if r.Verb == "wmi.call" || r.Verb == "run" {
			verbs = append(verbs, r.Verb)
		}
	}
	if !slices.Equal(verbs, []string{"wmi.call", "run", "run"}) {
		t.Errorf("acts in the order %v", verbs)
	}
}

func TestMissingZoneIsNotAnEmptyName(t *testing.T) {
	m := nodetest.New(node.WS2016)
	m.Cmdlets["get-dnsserverresourcerecord"] = func(map[string]any) ([]node.Row, error) {
		return nil, errors.Join(node.ErrNotFound, &node.CodeError{Op: "cmdlet", Code: codeNoZone})
	}
	s := &Record{Zone: "nowhere.com", Name: "a", Type: "A", Data: []string{"192.0.2.1"}}
	if d, err := s.Check(t.Context(), m); err == nil {
		t.Errorf("%+v", d)
	}
	m.Cmdlets["get-dnsserverresourcerecord"] = func(map[string]any) ([]node.Row, error) {
		return nil, errors.Join(node.ErrNotFound, &node.CodeError{Op: "cmdlet", Code: codeNoName})
	}
	if d, err := s.Check(t.Context(), m); err != nil || d.Action != steps.Create {
		t.Errorf("%+v, %v", d, err)
	}
}

// TotalSeconds is a floating-point number in .NET, and some languages write it with a comma.
func TestSeconds(t *testing.T) {
	for _, v := range []any{int64(600), "600", "600,0", "600.0"} {
		if n, err := wholeSeconds(node.Row{"x": v}, "x"); err != nil || n != 600 {
			t.Errorf("%v: %d, %v", v, n, err)
		}
	}
	if _, err := wholeSeconds(node.Row{"x": "00:10:00"}, "x"); err == nil {
		t.Error("a time span was taken for a number")
	}
	if got := timeSpan(90061); got != "1.01:01:01" {
		t.Error(got)
	}
}

func TestValidate(t *testing.T) {
	for name, s := range map[string]*Record{
		"full name":       {Zone: "c.com", Name: "a.c.com.", Data: []string{"192.0.2.1"}},
		"no data":         {Zone: "c.com", Name: "a"},
		"absent with ttl": {Zone: "c.com", Name: "a", Absent: true, TTL: 1},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every attribute is named once, in words that can be compared after an undo; records that the step
// is not about are in none.
func TestChangesOfRecords(t *testing.T) {
	for name, c := range map[string]struct {
		s        Record
		from, to any
	}{
		"moves":  {Record{Data: []string{"192.0.2.99"}}, "10.10.10.10 (1200 s), 192.0.2.11 (1200 s)", "192.0.2.99"},
		"absent": {Record{Absent: true}, "10.10.10.10 (1200 s), 192.0.2.11 (1200 s)", nil},
		"one":    {Record{Absent: true, Data: []string{"10.10.10.10"}}, "10.10.10.10 (1200 s)", nil},
	} {
		c.s.Zone, c.s.Name, c.s.Type = "contoso.com", "node1", "A"
		d, err := c.s.Check(t.Context(), old())
		if err != nil || len(d.Changes) != 1 || d.Changes[0].From != c.from || d.Changes[0].To != c.to {
			t.Errorf("%s: %+v, %v", name, d.Changes, err)
		}
	}
}

// An address that others gave the name since is none of the step's.
func TestUndoKeepsRecordsOfOthers(t *testing.T) {
	m := old()
	s := &Record{Zone: "contoso.com", Name: "node1", Type: "A", Absent: true, Data: []string{"10.10.10.10"}}
	d, err := s.Check(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), m, d); err != nil {
		t.Fatal(err)
	}
	m.SetClass(aType, append(m.Classes[strings.ToLower(aType)], node.Row{"ContainerName": "contoso.com",
		"OwnerName": "node1.contoso.com", "IPAddress": "192.0.2.77", "TTL": int64(5)})...)
	if err := s.Undo(t.Context(), m, d.Before); err != nil {
		t.Fatal(err)
	}
	have, err := s.read(t.Context(), m)
	if err != nil || len(have) != 3 {
		t.Errorf("%v, %v", have, err)
	}
}
