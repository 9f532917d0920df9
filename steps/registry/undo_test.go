package registry

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

// through takes a diff the way that an engine does: through its journal.
func through(t *testing.T, d steps.Diff) steps.Diff {
	t.Helper()
	var out steps.Diff
	if err := json.Unmarshal(steps.MustJSON(d), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Whatever a value held is written back, though a step could not ask for it.
func TestUndoWritesBackWhatWasThere(t *testing.T) {
	for name, v := range map[string]nodetest.Value{
		"empty entries":     {Type: "multi", Data: []any{"a", "", "b", ""}},
		"no entries":        {Type: "multi", Data: []any{}},
		"one empty entry":   {Type: "multi", Data: []any{""}},
		"none":              {Type: "none", Data: []byte{1, 0, 255}},
		"none, empty":       {Type: "none", Data: []byte{}},
		"another type":      {Type: "type-8", Data: []byte{9}},
		"large qword":       {Type: "qword", Data: int64(1<<63 - 1)},
		"negative qword":    {Type: "qword", Data: int64(-1 << 63)},
		"binary":            {Type: "binary", Data: []byte("\x00\xff")},
		"empty text":        {Type: "expand", Data: ""},
		"text of many ways": {Type: "string", Data: "é 世 😀 \t\r\n"},
	} {
		for _, step := range []*Registry{{Key: key, Name: "v", Absent: true}, {Key: key, Name: "v", Data: "ours"},
			{Key: key, Name: "v", Type: "dword", Data: float64(7)}} {
			m := nodetest.New(node.WS2022)
			m.SetValue(key, "v", v.Type, v.Data)
			d, err := step.Check(t.Context(), m)
			if err != nil || d.Effects.PointOfNoReturn != "" {
				t.Fatalf("%s: %+v, %v", name, d.Effects, err)
			}
			if _, err := step.Apply(t.Context(), m, d); err != nil {
				t.Fatal(err)
			}
			journalled := through(t, d)
			if err := step.Undo(t.Context(), m, journalled.Before); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			got := m.Registry[strings.ToLower(key)]["v"]
			if got.Type != v.Type || !cmp.Equal(got.Data, v.Data) {
				t.Errorf("%s: %+v became %+v", name, v, got)
			}
			again, err := step.Check(t.Context(), m)
			if diff := cmp.Diff(journalled.Changes, through(t, again).Changes); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", name, err, diff)
			}
		}
	}
}

// A number that JSON's readers round can still be told from its neighbour.
func TestLargeNumbersAreComparable(t *testing.T) {
	from := func(n int64) string {
		m := nodetest.New(node.WS2022)
		m.SetValue(key, "v", "qword", n)
		d, err := (&Registry{Key: key, Name: "v", Absent: true}).Check(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		return string(steps.MustJSON(through(t, d).Changes))
	}
	if a, b := from(1<<53+1), from(1<<53+2); a == b {
		t.Errorf("%s, %s", a, b)
	}
}

// What could not be written back bit for bit is a point of no return in the plan.
func TestWhatCannotBeWrittenBack(t *testing.T) {
	for name, v := range map[string]nodetest.Value{
		"unknown type":       {Type: "unknown", Data: nil},
		"no UTF-16":          {Type: "string", Data: "a\uFFFD"},
		"no UTF-16 in lists": {Type: "multi", Data: []any{"a", "\uFFFD"}},
		"a zero":             {Type: "string", Data: "a\x00b"},
	} {
		for _, step := range []*Registry{{Key: key, Name: "v", Absent: true}, {Key: key, Name: "v", Data: "ours"}} {
			m := nodetest.New(node.WS2008)
			m.SetValue(key, "v", v.Type, v.Data)
			if d, err := step.Check(t.Context(), m); err != nil || d.Effects.PointOfNoReturn == "" {
				t.Errorf("%s: %+v, %v", name, d.Effects, err)
			}
		}
	}
}

// The lab's machines keep such values as real ones do: .NET before 4.0 has no word for the type
// NONE.
func TestOddValuesInTheLab(t *testing.T) {
	for release, back := range map[node.Release]bool{node.WS2008: false, node.WS2022: true} {
		b := conformance.NewBench(t, release, "en")
		path := strings.ToLower(key)
		reg := b.World.Machine(conformance.Node1).Registry
		s := b.Session(t, conformance.Node1)
		if _, err := s.Do(t.Context(), node.RegistrySet{Key: key, Name: "list", Type: "multi",
			Data: []any{"a", "", "b"}}); err != nil {
			t.Fatal(err)
		}
		reg[path].Values["none"] = &model.Value{Name: "none", Type: "none", Data: []byte{1, 2}}
		reg[path].Values["odd"] = &model.Value{Name: "odd", Type: "unknown"}
		for name, restorable := range map[string]bool{"list": true, "none": back, "odd": false} {
			was := *reg[path].Values[name]
			step := &Registry{Key: key, Name: name, Data: "ours"}
			d, err := step.Check(t.Context(), s)
			if err != nil || (d.Effects.PointOfNoReturn == "") != restorable {
				t.Errorf("%s on %s: %+v, %v", name, release, d.Effects, err)
				continue
			}
			if _, err := step.Apply(t.Context(), s, d); err != nil {
				t.Fatal(err)
			}
			if !restorable {
				continue
			}
			if err := step.Undo(t.Context(), s, through(t, d).Before); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&was, reg[path].Values[name]); diff != "" {
				t.Errorf("%s on %s:\n%s", name, release, diff)
			}
		}
	}
}
