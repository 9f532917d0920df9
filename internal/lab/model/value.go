package model

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// UnmarshalJSON reads a value back with the Go type that its registry type has, so that a world
// that was saved and loaded is the same world: a dword is an int64, never a float64, and binary
// data is bytes, never base64 text.
func (v *Value) UnmarshalJSON(b []byte) error {
	var raw struct {
		Name string          `json:"name"`
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	v.Name, v.Type, v.Data = raw.Name, raw.Type, nil
	if len(raw.Data) == 0 || string(raw.Data) == "null" {
		return nil
	}
	var err error
	switch raw.Type {
	case "dword", "qword":
		var n int64
		err = json.Unmarshal(raw.Data, &n)
		v.Data = n
	case "binary", "none", "unknown":
		var d []byte
		err = json.Unmarshal(raw.Data, &d)
		v.Data = d
	case "multi":
		var l []string
		err = json.Unmarshal(raw.Data, &l)
		v.Data = l
	default:
		var s string
		err = json.Unmarshal(raw.Data, &s)
		v.Data = s
	}
	if err != nil {
		return fmt.Errorf("cannot read registry value %q of type %s: %w", raw.Name, raw.Type, err)
	}
	return nil
}

// Props are properties of any type that keep whole numbers as int64 over JSON. A map[string]any can
// be assigned to it.
type Props map[string]any

// UnmarshalJSON reads whole numbers as int64; a number with a fraction is a float64. Lists of text
// stay []any.
func (p *Props) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return err
	}
	*p, _ = whole(m).(map[string]any)
	return nil
}

func whole(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		for k, x := range v {
			v[k] = whole(x)
		}
		return v
	case []any:
		for i, x := range v {
			v[i] = whole(x)
		}
		return v
	}
	return v
}

// Partition returns a partition by its number, or nil.
func (d *SharedDisk) Partition(number int) *Partition {
	for _, p := range d.Partitions {
		if p.Number == number {
			return p
		}
	}
	return nil
}
