package service

import (
	"errors"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

const class = `root\cimv2:Win32_Service`

// machine has one service that runs and starts by itself, delayed.
func machine() *nodetest.Machine {
	m := nodetest.New(node.WS2008)
	row := node.Row{"Name": "MSExchangeIS", "StartMode": "Auto", "State": "Running"}
	m.SetClass(class, row)
	key := (&Service{Name: "MSExchangeIS"}).key()
	m.SetValue(key, "DelayedAutostart", "dword", int64(1))
	m.SetMethod(class, "ChangeStartMode", func(row node.Row, args map[string]any) (node.Row, error) {
		word, ok := map[any]string{"Automatic": "Auto", "Manual": "Manual", "Disabled": "Disabled"}[args["StartMode"]]
		if !ok {
			return node.Row{"ReturnValue": int64(21)}, nil
		}
		row["StartMode"] = word
		return node.Row{"ReturnValue": int64(0)}, nil
	})
	// stopping takes a while: the state is pending at the first look
	m.SetMethod(class, "StopService", func(row node.Row, _ map[string]any) (node.Row, error) {
		row["State"] = "Stop Pending"
		looks := 0
		m.Break = func(r node.Request) error {
			if looks++; r.Verb == "wmi.get" && looks > 2 {
				row["State"] = "Stopped"
			}
			return nil
		}
		return node.Row{"ReturnValue": int64(0)}, nil
	})
	m.SetMethod(class, "StartService", func(row node.Row, _ map[string]any) (node.Row, error) {
		m.Break = nil
		row["State"] = "Running"
		return node.Row{"ReturnValue": int64(0)}, nil
	})
	m.Programs["sc.exe"] = func(argv []string) node.Result {
		delayed := map[string]int64{"delayed-auto": 1, "auto": 0}
		if len(argv) != 5 || argv[1] != "config" || argv[3] != "start=" {
			return node.Result{Code: 87}
		}
		row["StartMode"] = "Auto"
		m.SetValue(key, "DelayedAutostart", "dword", delayed[argv[4]])
		return node.Result{}
	}
	return m
}

func TestTierConformanceAgainstScript(t *testing.T) {
	for name, with := range map[string]map[string]any{
		"disabled and stopped": {"name": "MSExchangeIS", "start": "disabled", "state": "stopped"},
		"manual":               {"name": "MSExchangeIS", "start": "manual"},
		"not delayed":          {"name": "MSExchangeIS", "start": "auto"},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine()
			conformance.Run(t, conformance.Case{Kind: kind(), With: with, Open: func(*testing.T) node.Session { return m }})
		})
	}
}

func TestStopThatOthersForbid(t *testing.T) {
	m := machine()
	m.SetMethod(class, "StopService",
		func(node.Row, map[string]any) (node.Row, error) { return node.Row{"ReturnValue": int64(3)}, nil })
	s := &Service{Name: "MSExchangeIS", State: "stopped"}
	d, err := s.Check(t.Context(), m)
	if err != nil || d.Effects.Interrupts != "MSExchangeIS" {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := s.Apply(t.Context(), m, d); err == nil || hint.Of(err) == "" {
		t.Errorf("error %v", err)
	}
}

func TestServiceThatIsNotThereYet(t *testing.T) {
	var until *steps.UntilError
	_, err := (&Service{Name: "Nope", Start: "manual", Until: "exchange"}).Check(t.Context(), machine())
	if !errors.As(err, &until) || until.Tag != "exchange" {
		t.Errorf("error %v", err)
	}
	_, err = (&Service{Name: "Nope", Start: "manual"}).Check(t.Context(), machine())
	if err == nil || errors.As(err, &until) {
		t.Errorf("error %v", err)
	}
}

func TestDelayedStartOn2003(t *testing.T) {
	m := machine()
	m.F.Release = node.WS2003
	if _, err := (&Service{Name: "MSExchangeIS", Start: "delayed"}).Check(t.Context(), m); err == nil {
		t.Error("2003 has no delayed start, and no error came")
	}
}

func TestValidate(t *testing.T) {
	for _, s := range []*Service{{Name: "x"}, {Name: "x", Start: "disabled", State: "running"}} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// What the step declares and found right already is not its work: an undo leaves it as it is by
// then.
func TestUndoTakesBackWhatWasChanged(t *testing.T) {
	m := machine()
	s := &Service{Name: "MSExchangeIS", Start: "manual", State: "running"}
	d, err := s.Check(t.Context(), m)
	if err != nil || len(d.Changes) != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := s.Apply(t.Context(), m, d); err != nil {
		t.Fatal(err)
	}
	m.Classes[strings.ToLower(class)][0]["State"] = "Stopped"
	if err := s.Undo(t.Context(), m, d.Before); err != nil {
		t.Fatal(err)
	}
	if now, err := s.read(t.Context(), m); err != nil || now.Start != "delayed" || now.Running {
		t.Errorf("%+v, %v", now, err)
	}

	u := running("enabled")
	l, _ := linuxMachine(u)
	s = &Service{Name: "chrony", Start: "manual", State: "running"}
	if d, err = s.Check(t.Context(), l); err != nil || len(d.Changes) != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := s.Apply(t.Context(), l, d); err != nil {
		t.Fatal(err)
	}
	u.active = "inactive" // the node has started again, where nothing starts it
	if err := s.Undo(t.Context(), l, d.Before); err != nil {
		t.Fatal(err)
	}
	if u.file != "enabled" || u.active != "inactive" {
		t.Errorf("%+v", u)
	}
}
