package gate

import (
	"errors"
	"testing"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
	"deploy/steps/inspect"
)

func TestDocumented(t *testing.T) { conformance.Documented(t, Kinds()) }

func check(t *testing.T, s steps.Step, r node.Reader) steps.Diff {
	t.Helper()
	d, err := s.Check(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTierConformanceGate(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetDir(`C:\Reports`)
	conformance.Run(t, conformance.Case{
		Kind:    gateKind(),
		With:    map[string]any{"title": "Validate", "text": "...", "report": `C:\Reports\*.mht`, "min_size": 3},
		Open:    func(*testing.T) node.Session { return m },
		Changed: map[string][]any{"min_size": {5000}},
		Person:  func(*testing.T) { m.SetFile(`C:\Reports\Überprüfung 1.MHT`, []byte("html")) },
	})
}

func TestTierConformanceGateOfValue(t *testing.T) {
	m := nodetest.New(node.WS2008)
	conformance.Run(t, conformance.Case{
		Kind: gateKind(),
		With: map[string]any{"title": "Sign", "text": "...", "registry": map[string]any{"key": `HKLM\SOFTWARE\X`,
			"name": "Signed", "data": "yes"}},
		Open:   func(*testing.T) node.Session { return m },
		Person: func(*testing.T) { m.SetValue(`HKLM\SOFTWARE\X`, "Signed", "string", "yes") },
	})
}

func TestGateBelievesNoSignOff(t *testing.T) {
	m := nodetest.New(node.WS2008)
	s := &Gate{Title: "Validate", Report: `C:\Reports\r.mht`, Operator: "validate-cluster"}
	if g := s.Gate(); g.Argument != `C:\Reports\r.mht` {
		t.Errorf("argument %q", g.Argument)
	}
	_, err := s.Apply(t.Context(), m, check(t, s, m))
	if err == nil || hint.Of(err) == "" {
		t.Errorf("error %v", err)
	}
}

func TestGateWantsANewReport(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetFile(`C:\Reports\r.mht`, []byte("old"))
	m.SetFile(`C:\Windows\Cluster\CLUSDB`, nil)
	s := &Gate{Title: "Validate", Report: `C:\Reports\r.mht`, Newer: `C:\Windows\Cluster\CLUSDB`}
	for name, c := range map[string]struct {
		written time.Duration
		data    string
		ok      bool
	}{"older": {-time.Hour, "x", false}, "newer": {time.Hour, "x", true}, "empty": {time.Hour, "", false}} {
		f := m.Files[`c:\reports\r.mht`]
		f.Modified, f.Data = m.Files[`c:\windows\cluster\clusdb`].Modified.Add(c.written), []byte(c.data)
		if d := check(t, s, m); (d.Action == steps.NoOp) != c.ok {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestGateOfLinux(t *testing.T) {
	m := nodetest.NewLinux()
	m.SetFile("/srv/reports/Report-1.html", []byte("done"))
	for report, there := range map[string]bool{"/srv/reports/Report-*.html": true, "/srv/reports/report-1.html": false,
		"/srv/reports/*.txt": false, "/srv/none/*": false, "/*": false} {
		s := &Gate{Title: "t", Text: "t", Report: report}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		if d := check(t, s, m); (d.Action == steps.NoOp) != there {
			t.Errorf("%s: %+v", report, d)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, s := range map[string]steps.Validator{
		"without proof":      &Gate{Title: "t", Text: "t"},
		"two stars":          &Gate{Report: `C:\*\*.mht`},
		"newer than nothing": &Gate{Value: &inspect.ExpectedValue{Key: `HKLM\x`}, Newer: `C:\x`},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
