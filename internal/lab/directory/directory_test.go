package directory

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// world is a forest with a domain controller and a member.
func world() (*machine.Ctx, *machine.Ctx) {
	w := &model.World{Locale: "en", Machines: map[string]*model.Machine{
		"dc01": {Name: "dc01", Release: node.WS2008, Role: 5, Powered: true, Domain: "contoso.com"},
		"mbx1": {Name: "mbx1", Release: node.WS2008, Role: 3, Powered: true, Domain: "contoso.com"},
	}, Forest: &model.Forest{Domain: "contoso.com", NetBIOS: "CONTOSO"}}
	Seed(w)
	ctx := func(name string) *machine.Ctx {
		return &machine.Ctx{Context: context.Background(), W: w, M: w.Machines[name], B: Module(), Now: time.Now,
			Sleep: func(time.Duration) {}, Print: func(string) {}}
	}
	return ctx("dc01"), ctx("mbx1")
}

func args(kv ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1]
	}
	return m
}

func TestFind(t *testing.T) {
	dc, _ := world()
	for _, tc := range []struct {
		base, scope, filter string
		want                int
	}{
		{"DC=contoso,DC=com", "base", "", 1},
		{"dc=Contoso, dc=COM", "sub", "(objectClass=computer)", 2},
		{"DC=contoso,DC=com", "one", "(objectClass=container)", 2},
		{"DC=contoso,DC=com", "sub", "(&(objectClass=computer)(!(cn=DC01)))", 1},
		{"DC=contoso,DC=com", "sub", "(|(cn=dc01)(cn=mbx1)(cn=nobody))", 2},
		{"DC=contoso,DC=com", "sub", "(cn=mb*1)", 1},
		{"DC=contoso,DC=com", "sub", "(servicePrincipalName=*)", 2},
		{"DC=contoso,DC=com", "sub", "(cn=\\2a)", 0},
	} {
		rows, err := find(dc, args("base", tc.base, "scope", tc.scope, "filter", tc.filter, "attrs", []any{"cn"}))
		if err != nil || len(rows) != tc.want {
			t.Errorf("%+v: %d rows, %v", tc, len(rows), err)
		}
	}
	for _, bad := range []string{"(cn=x", "cn=x", "(&)", "(!(a=b)(c=d))", "(cn=x)y"} {
		if _, err := find(dc, args("base", "DC=contoso,DC=com", "scope", "sub", "filter", bad)); err == nil {
			t.Errorf("filter %q was accepted", bad)
		}
	}
}

func TestRootDSE(t *testing.T) {
	dc, _ := world()
	rows, err := find(dc, args("base", "", "attrs", []any{"schemaNamingContext"}))
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if got := rows[0]["schemaNamingContext"].([]any)[0]; got != "CN=Schema,CN=Configuration,DC=contoso,DC=com" {
		t.Error(got)
	}
}

func code(err error) int64 {
	var f *machine.Fail
	if errors.As(err, &f) {
		return f.Code
	}
	return 0
}

func TestObjects(t *testing.T) {
	dc, _ := world()
	dn := "CN=Microsoft MTA,CN=Users,DC=contoso,DC=com"
	if _, err := add(dc, args("dn", dn, "class", "mTA", "attrs", map[string]any{})); code(err) != 0x80072014 {
		t.Errorf("without what the class demands: %v", err)
	}
	full := map[string]any{"mTALocalDesig": "x", "transRetryMins": int64(5), "transTimeoutMins": int64(10)}
	if _, err := add(dc, args("dn", dn, "class", "mTA", "attrs", full)); err != nil {
		t.Fatal(err)
	}
	if _, err := add(dc, args("dn", dn, "class", "mTA", "attrs", full)); code(err) != 0x80071392 {
		t.Errorf("twice: %v", err)
	}
	if _, err := modify(dc, args("dn", dn, "set",
		map[string]any{"transRetryMins": int64(7), "mTALocalDesig": []any{}})); err != nil {
		t.Fatal(err)
	}
	o := Get(dc.W.Forest, dn)
	if o.Attrs["transretrymins"][0] != "7" || o.Attrs["mtalocaldesig"] != nil {
		t.Errorf("%v", o.Attrs)
	}
	if _, err := del(dc, args("dn", dn)); err != nil {
		t.Fatal(err)
	}
	if _, err := del(dc, args("dn", dn)); code(err) != 0x80072030 {
		t.Errorf("absent: %v", err)
	}
	if _, err := add(dc, args("dn", "CN=x,CN=No,DC=contoso,DC=com", "class", "container", "attrs",
		nil)); code(err) != 0x80072030 {
		t.Errorf("no parent: %v", err)
	}
}

// A member asks a domain controller: that is a second hop, which a network logon does not have.
func TestSecondHop(t *testing.T) {
	_, m := world()
	q := args("base", "DC=contoso,DC=com", "scope", "base", "filter", "")
	if _, err := find(m, q); err != nil {
		t.Errorf("a full logon: %v", err)
	}
	m.Network = true
	if _, err := find(m, q); code(err) != 0x80072020 {
		t.Errorf("a network logon: %v", err)
	}
	m.Network = false
	m.W.Machines["dc01"].Powered = false
	if _, err := find(m, q); code(err) != 0x8007203A {
		t.Errorf("no domain controller: %v", err)
	}
}

func TestDnscmd(t *testing.T) {
	dc, _ := world()
	for _, tc := range []struct {
		line string
		code int
		has  string
	}{
		{"dnscmd /enumrecords contoso.com mbx01 /type A", 9714, "DNS_ERROR_NAME_DOES_NOT_EXIST     9714    0x25F2"},
		{"dnscmd dc01 /recordadd contoso.com mbx01 A 192.0.2.21", 0, "Command completed successfully."},
		{"dnscmd /recordadd contoso.com mbx01 A 192.0.2.21", 9711, "0x25EF"},
		{"dnscmd /recordadd contoso.com mbx01.contoso.com. 600 A 192.0.2.22", 0, ""},
		{"dnscmd /enumrecords contoso.com mbx01 /type A", 0, "mbx01 3600 A\t192.0.2.21\r\n\t\t 600 A\t192.0.2.22"},
		{"dnscmd /recorddelete contoso.com mbx01 A 192.0.2.21", 1223, ""},
		{"dnscmd /recorddelete contoso.com mbx01 A 192.0.2.21 /f", 0, ""},
		{"dnscmd /recorddelete contoso.com mbx01 A 192.0.2.21 /f", 9701, "DNS_ERROR_RECORD_DOES_NOT_EXIST"},
		{"dnscmd /zoneinfo contoso.com AllowUpdate", 0, "Dword:  2 (00000002)"},
		{"dnscmd /config contoso.com /AllowUpdate 0", 0, ""},
		{"dnscmd /zoneinfo contoso.com AllowUpdate", 0, "Dword:  0 (00000000)"},
		{"dnscmd /zoneinfo nowhere.com AllowUpdate", 9601, "9601"},
		{"dnscmd /flood contoso.com", 87, ""},
	} {
		r := dnscmd(dc, strings.Fields(tc.line), nil)
		if r.Code != tc.code || !strings.Contains(r.Stdout, tc.has) {
			t.Errorf("%s: code %d\n%s", tc.line, r.Code, r.Stdout)
		}
	}
}

func TestDnsWMI(t *testing.T) {
	dc, m := world()
	class := dnsClasses()[0]
	if class.Present(m) {
		t.Error("a member has the DNS server's classes")
	}
	create := class.Static["CreateInstanceFromPropertyData"].Call
	if _, err := create(dc, nil, args("DnsServerName", "dc01", "ContainerName", "contoso.com", "OwnerName",
		"mbx01.contoso.com", "IPAddress", "192.0.2.21", "TTL", int64(600))); err != nil {
		t.Fatal(err)
	}
	list, _ := class.List(dc)
	if len(list) != 1 || list[0]["TTL"] != int64(600) || list[0]["OwnerName"] != "mbx01.contoso.com" {
		t.Fatalf("%v", list)
	}
	if _, err := class.Methods["Modify"].Call(dc, list[0],
		args("TTL", int64(900), "IPAddress", "192.0.2.23")); err != nil {
		t.Fatal(err)
	}
	if got := Records(ZoneOf(dc.W.Forest, "contoso.com"), "mbx01", "A"); len(got) != 1 || got[0].Data != "192.0.2.23" ||
		got[0].TTL != 900 {
		t.Errorf("%+v", got[0])
	}
}

func TestTimeSpan(t *testing.T) {
	for in, want := range map[string]int{"00:10:00": 600, "1.00:00:00": 86400, "01:02:03": 3723} {
		if got, err := seconds(in); err != nil || got != want {
			t.Errorf("%s: %d, %v", in, got, err)
		}
	}
	if _, err := seconds("ten"); err == nil {
		t.Error("ten")
	}
}
