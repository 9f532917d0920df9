package inspect

import (
	"context"
	"strings"

	"deploy/internal/node"
)

// ExpectedValue is a registry value that a step looks for.
type ExpectedValue struct {
	Key    string `json:"key" required:"true" doc:"key, begins with HKLM\\" pattern:"^[Hh][Kk][Ll][Mm]\\\\" means:"begin it with HKLM\\" check:"compared"`
	Name   string `json:"name" doc:"value name; no name and no data means the key itself" check:"compared"`
	Data   string `json:"data" doc:"what the value must be, as text; no key means that it must exist" check:"compared"`
	Absent bool   `json:"absent,omitempty" doc:"it must not be there" check:"compared"`
}

// Holds says whether the value is the declared one, and what was found, for people.
func (v *ExpectedValue) Holds(ctx context.Context, r node.Reader) (ok bool, found string, err error) {
	if v.Name == "" && v.Data == "" {
		_, there, err := RegistryKey(ctx, r, v.Key)
		return there != v.Absent, There(there), err
	}
	val, there, err := RegistryValue(ctx, r, v.Key, v.Name)
	if err != nil {
		return false, "", err
	}
	if !there {
		return v.Absent, There(false), nil
	}
	same := v.Data == "" || strings.EqualFold(val.Text(), v.Data)
	return same != v.Absent, val.Text(), nil
}

// Label names the value for people.
func (v *ExpectedValue) Label() string {
	if v.Name == "" {
		return v.Key
	}
	return v.Key + `\` + v.Name
}

// Wish is the declared state for people.
func (v *ExpectedValue) Wish() string {
	w := "there"
	if v.Data != "" {
		w = v.Data
	}
	if v.Absent {
		return "not " + w
	}
	return w
}

// There is the word for something that exists or does not.
func There(there bool) string {
	if there {
		return "there"
	}
	return "not there"
}
