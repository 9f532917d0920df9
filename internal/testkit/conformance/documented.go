package conformance

import (
	"encoding/json"
	"reflect"
	"testing"

	"gopkg.in/yaml.v3"

	"deploy/steps"
)

// Documented checks that every kind says what the reference needs, that its example is a working
// one, and that a step survives the way through the plan's JSON.
func Documented(t *testing.T, kinds []steps.Kind) {
	t.Helper()
	for _, k := range kinds {
		for what, text := range map[string]string{"summary": k.Summary, "doc": k.Doc, "undo": k.Undo, "proof": k.Proof,
			"example": k.Example} {
			if text == "" {
				t.Errorf("%s has no %s", k.Name, what)
			}
		}
		if len(attributes()[k.Name]) == 0 {
			t.Errorf("%s: attributes.go does not say which attributes its changes name", k.Name)
		}
		for _, f := range k.Fields() {
			undocumented(t, k.Name, f)
		}
		for _, c := range k.Calls {
			if len(c.On) == 0 && c.Product == "" {
				t.Errorf("%s declares a call of %s%s%s%s on no release", k.Name, c.Cmdlet, c.WMI, c.Property, c.Tool)
			}
			if c.Tool != "" && c.Source == "" {
				t.Errorf("%s runs %s and names no source", k.Name, c.Tool)
			}
		}
		var with map[string]any
		if err := yaml.Unmarshal([]byte(k.Example), &with); err != nil {
			t.Errorf("the example of %s is not YAML: %v", k.Name, err)
			continue
		}
		step, err := k.Decode(with)
		if err != nil {
			t.Errorf("the example of %s does not work: %v", k.Name, err)
			continue
		}
		raw, err := json.Marshal(step)
		if err != nil {
			t.Errorf("%s does not go into JSON: %v", k.Name, err)
			continue
		}
		again := k.New()
		if err := json.Unmarshal(raw, again); err != nil || !reflect.DeepEqual(step, again) {
			t.Errorf("%s is not the same behind JSON: %+v, %v", k.Name, again, err)
		}
	}
}

func undocumented(t *testing.T, kind string, f steps.Field) {
	t.Helper()
	if f.Doc == "" {
		t.Errorf("%s does not document %s", kind, f.Name)
	}
	for _, sub := range f.Fields {
		undocumented(t, kind+"."+f.Name, sub)
	}
}
