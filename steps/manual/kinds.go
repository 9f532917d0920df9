// Package manual holds what people do or say themselves: gates, probes, and commands of their own.
package manual

import (
	"context"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		gateKind(),
		probeKind(),
		commandKind(),
	}
}

// Value is a registry value that is looked for.
type Value struct {
	Key    string `json:"key" required:"true" doc:"key, begins with HKLM\\"`
	Name   string `json:"name" doc:"value name; no name and no data means the key itself"`
	Data   string `json:"data" doc:"what the value must be, as text; no key means that it must exist"`
	Absent bool   `json:"absent,omitempty" doc:"it must not be there"`
}

func (v *Value) validate(key string) error {
	if v != nil && !strings.HasPrefix(strings.ToUpper(v.Key), `HKLM\`) {
		return &steps.FieldError{Path: []string{key, "key"}, Msg: `must begin with HKLM\`}
	}
	return nil
}

// holds says whether the value is the declared one, and what was found, for people.
func (v *Value) holds(ctx context.Context, r node.Reader) (ok bool, found string, err error) {
	if v.Name == "" && v.Data == "" {
		_, there, err := inspect.RegistryKey(ctx, r, v.Key)
		return there != v.Absent, thereWord(there), err
	}
	val, there, err := inspect.RegistryValue(ctx, r, v.Key, v.Name)
	if err != nil {
		return false, "", err
	}
	if !there {
		return v.Absent, thereWord(false), nil
	}
	same := v.Data == "" || strings.EqualFold(val.Text(), v.Data)
	return same != v.Absent, val.Text(), nil
}

func (v *Value) label() string {
	if v.Name == "" {
		return v.Key
	}
	return v.Key + `\` + v.Name
}

func (v *Value) wish() string {
	w := "there"
	if v.Data != "" {
		w = v.Data
	}
	if v.Absent {
		return "not " + w
	}
	return w
}

func thereWord(there bool) string {
	if there {
		return "there"
	}
	return "not there"
}
