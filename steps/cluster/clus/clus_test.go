package clus

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

// What cluster.exe prints: a heading in any language, a row of dashes, lines; a long name pushes
// its line to the right.
const groupsText = "Liste des groupes :\r\n\r\nGroupe               N\u0153ud            \u00c9tat\r\n" +
	"-------------------- --------------- ------\r\n" +
	"Cluster Group        NODE1           Online\r\n" +
	"A group whose name overflows NODE2           Partially Online\r\n"

func TestTextGroups(t *testing.T) {
	m := nodetest.New(node.WS2003)
	m.Programs["cluster.exe"] = func([]string) node.Result { return node.Result{Stdout: []byte(groupsText)} }
	got, err := textView{m}.Groups(t.Context())
	want := []Group{{Name: "Cluster Group", Owner: "NODE1", State: GroupOnline},
		{Name: "A group whose name overflows", Owner: "NODE2", State: GroupPartial}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A word of state that is not known is not taken for anything.
func TestTextRefusesUnknownWords(t *testing.T) {
	m := nodetest.New(node.WS2003)
	m.Programs["cluster.exe"] = func([]string) node.Result {
		return node.Result{Stdout: []byte(strings.ReplaceAll(groupsText, "Online", "En ligne"))}
	}
	if got, err := (textView{m}).Groups(t.Context()); err == nil {
		t.Errorf("took %+v", got)
	}
}

func TestTextProperties(t *testing.T) {
	m := nodetest.New(node.WS2003)
	m.Programs["cluster.exe"] = func(argv []string) node.Result {
		if argv[len(argv)-1] != "/priv" {
			return node.Result{Code: 5007}
		}
		return node.Result{Stdout: []byte("Listing private properties for 'Disk Q: old':\r\n\r\n" +
			"T  Resource             Name                           Value\r\n" +
			"-- -------------------- ------------------------------ -----------------------\r\n" +
			"D  Disk Q: old          Signature                      2748 (0xabc)\r\n" +
			"S  Disk Q: old          Drive                          Q: is it\r\n")}
	}
	row, err := textView{m}.Properties(t.Context(), Object{Resource: "Disk Q: old", Private: true},
		[]string{"signature", "Drive", "Other"})
	if err != nil || row.Int("signature") != 2748 || row.String("Drive") != "Q: is it" || row.Has("Other") {
		t.Errorf("%+v, %v", row, err)
	}
	if _, err := (textView{m}).Properties(t.Context(), Object{Resource: "gone"}, []string{"x"}); !errors.Is(err,
		node.ErrNotFound) {
		t.Errorf("5007 is %v", err)
	}
}

func TestReferences(t *testing.T) {
	for ref, want := range map[string]map[string]string{
		`\\N1\root\MSCluster:MSCluster_Resource.Name="a \"b\" \\c"`: {"name": `a "b" \c`},
		`MSCluster_Resource.Id="1-2",Name="x.y:z"`:                  {"id": "1-2", "name": "x.y:z"},
		`MSCluster_Cluster=@`:                                       {},
		`broken.Name="`:                                             {"name": ""},
	} {
		if got := refKeys(ref); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", ref, got)
		}
	}
}

func FuzzReferences(f *testing.F) {
	f.Add(`\\N\root\MSCluster:C.Name="a\"",Id="b"`)
	f.Fuzz(func(_ *testing.T, s string) { refKeys(s) })
}

func TestTerms(t *testing.T) {
	for expr, want := range map[string][]string{
		"":                           nil,
		"[A]":                        {"A"},
		"([A]) and ([or B])":         {"A", "or B"},
		"([A] and [B]) and ([C: d])": {"A", "B", "C: d"},
	} {
		if got, err := terms("r", expr); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", expr, got, err)
		}
	}
	for _, expr := range []string{"[A] or [B]", "([A]) and ([B] OR [C])", "[A"} {
		if got, err := terms("r", expr); err == nil {
			t.Errorf("%q: %v", expr, got)
		}
	}
}

// Data stay arguments of their own, whatever they hold.
func TestExeArguments(t *testing.T) {
	for _, c := range []struct {
		change Change
		want   string
	}{
		{Change{Op: SetProperties, Values: map[string]any{"B": int64(10), "A": `x y`}}, "/prop|A=x y:STRING|B=10:DWORD"},
		{Change{Op: SetProperties, Of: Object{Resource: "n & m", Private: true},
			Values: map[string]any{"HostRecordTTL": int64(600)}}, "resource|n & m|/priv|HostRecordTTL=600:DWORD"},
		{Change{Op: SetProperties, Of: Object{Group: "g"}, Values: map[string]any{"FailbackWindowEnd": int64(-1)}},
			"group|g|/prop|FailbackWindowEnd=4294967295:DWORD"},
		{Change{Op: MoveGroup, Name: "g", To: "N2"}, "group|g|/moveto:N2|/wait:60"},
		{Change{Op: CreateResource, Name: "r", Type: TypeName, To: "g"}, "resource|r|/create|/group:g|/type:Network Name"},
		{Change{Op: PreferOwners, Name: "g", List: []string{"A", "B"}}, "group|g|/setowners:A,B"},
	} {
		got := exeArgs(c.change)
		if len(got) != 1 || strings.Join(got[0], "|") != c.want {
			t.Errorf("%s: %v", c.change.Op, got)
		}
	}
}

// Every change is known to both ways: one that is not would be lost in silence.
func TestEveryChangeHasBothWays(t *testing.T) {
	for _, op := range []Op{RenameNetwork, SetNetworkRole, SetProperties, CreateGroup, DeleteGroup, MoveGroup, GroupUp,
		CreateResource, DeleteResource,
		RenameResource, MoveResource, ResourceUp, ResourceDown, AddDependency, DropDependency, AddOwner, DropOwner,
		PreferOwners} {
		if len(exeArgs(Change{Op: op})) == 0 {
			t.Errorf("cluster.exe does not know %q", op)
		}
		if moduleAction(Change{Op: op}) == nil {
			t.Errorf("the module does not know %q", op)
		}
	}
}

// 5024 says that a property is stored and takes effect later: that is no failure. Any other code
// is.
func TestStoredPropertiesAreNoFailure(t *testing.T) {
	for code, bad := range map[int]bool{0: false, 5024: false, 5023: true} {
		m := nodetest.New(node.WS2008)
		m.Programs["cluster.exe"] = func([]string) node.Result { return node.Result{Code: code} }
		err := HandOf(m.F).Do(t.Context(), m, Change{Op: SetProperties, Values: map[string]any{"A": int64(1)}})
		if (err != nil) != bad {
			t.Errorf("%d: %v", code, err)
		}
	}
	if err := (&exeHand{}).Do(t.Context(), nodetest.New(node.WS2008), Change{Op: CreateGroup, Name: "g"}); err == nil {
		t.Error("a missing program was taken for success")
	}
}

func TestFormedHasThreeAnswers(t *testing.T) {
	for _, c := range []struct {
		rows   []node.Row
		formed bool
		fails  bool
	}{
		{nil, false, false},
		{[]node.Row{{"Name": "ClusSvc", "State": "Stopped", "StartMode": "Disabled"}}, false, false},
		{[]node.Row{{"Name": "ClusSvc", "State": "Running", "StartMode": "Auto"}}, true, false},
		{[]node.Row{{"Name": "ClusSvc", "State": "Stopped", "StartMode": "Auto"}}, false, true},
	} {
		m := nodetest.New(node.WS2008)
		m.SetClass(`root\cimv2:Win32_Service`, c.rows...)
		formed, err := Formed(t.Context(), m)
		if formed != c.formed || (err != nil) != c.fails {
			t.Errorf("%v: %v, %v", c.rows, formed, err)
		}
		if _, err := Open(t.Context(), m); !c.formed && !c.fails {
			var until *steps.UntilError
			if !errors.As(err, &until) || until.Tag != "cluster/member:node1" {
				t.Errorf("%v: open says %v", c.rows, err)
			}
		}
	}
}

func TestSubnet(t *testing.T) {
	if got := (Network{Address: "10.10.10.0",
		Mask: "255.255.255.128"}).Subnet(); got != netip.MustParsePrefix("10.10.10.0/25") {
		t.Error(got)
	}
	if got := (Network{Address: "", Mask: ""}).Subnet(); got.IsValid() {
		t.Error(got)
	}
}

func TestUntil(t *testing.T) {
	n := 0
	if err := Until(t.Context(), time.Minute, "x",
		func(context.Context) (bool, error) { n++; return n == 2, &node.CodeError{Code: 1722} }); err != nil || n != 2 {
		t.Errorf("an answer that will pass ended the wait: %d, %v", n, err)
	}
	boom := errors.New("boom")
	if err := Until(t.Context(), time.Minute, "x",
		func(context.Context) (bool, error) { return false, boom }); !errors.Is(err, boom) {
		t.Errorf("%v", err)
	}
	if err := Until(t.Context(), 10*time.Millisecond, "x",
		func(context.Context) (bool, error) { return false, nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// A service that starts is no failure yet, and one that is stopped is.
func TestFormedSettles(t *testing.T) {
	for state, want := range map[string]bool{"Start Pending": true, "Stopped": false} {
		m := nodetest.New(node.WS2008)
		m.SetClass(`root\cimv2:Win32_Service`, node.Row{"Name": "ClusSvc", "State": state, "StartMode": "Auto"})
		_, err := Formed(t.Context(), m)
		var s *steps.SettlingError
		if errors.As(err, &s) != want {
			t.Errorf("%s: %v", state, err)
		}
	}
}

// Over a link that broke nobody will answer, however long one waits.
func TestWaitsEndWithTheLink(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.Break = func(node.Request) error { return &node.LinkError{Node: "node1", Sent: true, Err: errors.New("cut")} }
	for what, wait := range map[string]func() error{
		"formed": func() error { return WaitCluster(t.Context(), m) },
		"gone":   func() error { return WaitGone(t.Context(), m, time.Minute) },
	} {
		var link *node.LinkError
		if err := wait(); !errors.As(err, &link) || !link.Sent {
			t.Errorf("%s: %v", what, err)
		}
	}
}
