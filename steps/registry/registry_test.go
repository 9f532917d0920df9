package registry

import (
	"errors"
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

const key = `HKLM\SOFTWARE\Vendor\Product`

func TestTierConformanceAgainstScript(t *testing.T) {
	for name, with := range map[string]map[string]any{
		"new":     {"key": key + `\Sub\Deeper`, "name": "A", "data": "x"},
		"changed": {"key": key, "name": "number", "type": "dword", "data": float64(2)},
		"retyped": {"key": key, "name": "Number", "type": "string", "data": "1"},
		"absent":  {"key": key, "name": "Number", "absent": true},
	} {
		t.Run(name, func(t *testing.T) {
			m := nodetest.New(node.WS2008)
			m.SetValue(key, "Number", "dword", int64(1))
			conformance.Run(t, conformance.Case{Kind: kind(), With: with, Open: func(*testing.T) node.Session { return m }})
		})
	}
}

// PowerShell hands out a large dword as a negative number.
func TestLargeDword(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetValue(key, "N", "dword", int64(-1))
	d, err := (&Registry{Key: key, Name: "N", Data: float64(4294967295)}).Check(t.Context(), m)
	if err != nil || d.Action != steps.NoOp {
		t.Errorf("%+v, %v", d, err)
	}
}

// A step without a type keeps the type that is there.
func TestTypeIsKept(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetValue(key, "P", "expand", `%TEMP%`)
	s := &Registry{Key: key, Name: "P", Data: `%TMP%`}
	d, err := s.Check(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), m, d); err != nil {
		t.Fatal(err)
	}
	if got := m.Registry[`hklm\software\vendor\product`]["p"]; got.Type != "expand" || got.Data != `%TMP%` {
		t.Errorf("now %+v", got)
	}
}

// What others put below a key that the step made stays, and so does the key.
func TestUndoKeepsWhatOthersMade(t *testing.T) {
	m := nodetest.New(node.WS2008)
	s := &Registry{Key: key + `\Made`, Name: "A", Data: "x"}
	d, err := s.Check(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), m, d); err != nil {
		t.Fatal(err)
	}
	m.SetValue(key, "B", "string", "theirs")
	if err := s.Undo(t.Context(), m, d.Before); err != nil {
		t.Fatal(err)
	}
	if m.Registry[`hklm\software\vendor\product`] == nil || m.Registry[`hklm\software\vendor\product\made`] != nil {
		t.Error("undo removed too much or too little")
	}
}

func TestCannotTell(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.Break = func(node.Request) error { return &node.CodeError{Op: "reg.get", Code: 5} }
	if d, err := (&Registry{Key: key, Name: "A", Data: "x"}).Check(t.Context(), m); err == nil {
		t.Errorf("access denied was taken for %+v", d)
	}
}

func TestValidate(t *testing.T) {
	for name, s := range map[string]*Registry{
		"nothing to do":   {Key: key},
		"too large":       {Key: key, Type: "dword", Data: float64(1 << 33)},
		"not hexadecimal": {Key: key, Type: "binary", Data: "xyz"},
		"text as number":  {Key: key, Type: "dword", Data: "many"},
		"absent and data": {Key: key, Data: "x", Absent: true},
		"empty in multi":  {Key: key, Data: []any{"a", ""}},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
