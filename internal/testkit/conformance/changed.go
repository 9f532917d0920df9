package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"deploy/internal/node"
	"deploy/internal/yamlx/shape"
	"deploy/steps"
)

// change changes every field of a step that was just done, one at a time, and looks again. A field
// that Check compares, or that is fixed, must not be called unchanged; an instruction must. A field
// that the case does not declare is declared; the value that the machine has already is no change.
// What was seen is written down by kind and release.
func change(t reporter, c Case, s node.Session) {
	t.Helper()
	var seen []string
	steps.Leaves(c.Kind.Fields(), func(path string, f steps.Field) {
		_, declared := get(c.With, strings.Split(path, "."))
		for _, with := range changed(c, path, f) {
			step, err := c.Kind.Decode(with)
			if err != nil || reflect.DeepEqual(with, c.With) {
				continue // no data of the kind; another case, or its override, has the field
			}
			d, err := step.Check(t.Context(), readerOnly{s})
			why := judge(f, s.Facts(), d, err)
			if why == "" {
				seen = append(seen, path)
				return
			}
			must := declared && !undeclares(f, with, path) && !nothing(c.With, path)
			if must || c.Changed[path] != nil || f.Class == steps.Instruction {
				t.Errorf("%s.%s: %s with %s", c.Kind.Name, path, why, short(with))
				return
			}
		}
	})
	if err := note(c.Kind.Name, s.Facts().Release, seen); err != nil {
		t.Fatalf("%v", err)
	}
}

// undeclares says that the change of a field is the same as leaving it out.
func undeclares(f steps.Field, with map[string]any, path string) bool {
	v, _ := get(with, strings.Split(path, "."))
	return v == false && f.Shape.Kind == "boolean" && !f.Optional
}

// nothing says that the field belongs to something that shall not be there: another such thing is
// not there either.
func nothing(with map[string]any, path string) bool {
	parts := strings.Split(path, ".")
	for i := range parts {
		absent, _ := get(with, append(slices.Clone(parts[:i]), "absent"))
		state, _ := get(with, append(slices.Clone(parts[:i]), "state"))
		if absent == true || state == "absent" {
			return true
		}
	}
	return false
}

// judge says what is wrong with the answer to a changed field.
func judge(f steps.Field, on node.Facts, d steps.Diff, err error) string {
	unchanged := err == nil && d.Action == steps.NoOp
	same := unchanged && len(d.Warnings) == 0
	switch f.Class {
	case steps.Compared:
		if same {
			return "it is compared, and a change is called unchanged"
		}
	case steps.Fixed:
		var fixed *steps.FixedError
		if !errors.As(err, &fixed) {
			return fmt.Sprintf("it is fixed, and a change is no FixedError: %s, %v", d.Action, err)
		}
	case steps.Instruction:
		if !unchanged {
			return fmt.Sprintf("it is an instruction, and a change is seen: %s, %v", d.Action, err)
		}
	case steps.Unreadable:
		concerned := len(f.On) == 0 || slices.Contains(f.On, on.OS) || slices.Contains(f.On, string(on.Release))
		if same && !concerned {
			return "it is readable on " + string(on.Release) + ", and a change is called unchanged"
		}
	}
	return ""
}

// Instead is a changed value that needs other keys changed along with it; nil leaves a key out.
type Instead map[string]any

// more are values that no type makes: texts with a form of their own, and wishes that exclude
// others.
func more() map[string][]any {
	return map[string][]any{
		"directory.acl[].sid": {"S-1-5-19"},
		"file.absent": {Instead{"content": nil, "base64": nil, "crlf": nil, "encoding": nil,
			"absent": true}},
		"file.base64":                           {"AAED"},
		"package.product_code":                  {"{00000000-0000-0000-0000-000000000001}"},
		"registry.absent":                       {Instead{"data": nil, "type": nil, "absent": true}},
		"cluster.quorum.disk":                   {DiskA, DiskB},
		"cluster.quorum.share":                  {`\\dc1\other`},
		"cluster.quorum.model":                  {Instead{"model": "node-majority", "disk": nil, "share": nil}},
		"cluster.owner.resource":                {Instead{"group": nil, "resource": "changed"}},
		"cluster.move.disk":                     {Instead{"group": nil, "disk": "CHANGED"}},
		"cluster.create.mask":                   {Instead{"mask": "255.255.0.0", "connection": "changed"}},
		"cluster.create.connection":             {Instead{"mask": "255.255.255.0", "connection": "changed"}},
		"exchange.cms.data_path":                {`E:\changed`},
		"exchange.move.nodes":                   {[]any{Node2, Node1}},
		"exchange.move.owner":                   {Node2},
		"exchange.storagegrouppath.system_path": {`E:\changed`},
		"exchange.prepare.what":                 {"domain"},
		"exchange.databasepath.path":            {`E:\changed\x.edb`},
	}
}

// changed makes the data of the case with another value of one field: that of the case's override,
// or values made by type.
func changed(c Case, path string, f steps.Field) []map[string]any {
	values := c.Changed[path]
	if values == nil {
		old, declared := get(c.With, strings.Split(path, "."))
		if !declared {
			old = f.Default
		}
		values = append(others(f.Shape, old), more()[c.Kind.Name+"."+path]...)
	}
	var out []map[string]any
	for _, v := range values {
		with := copyOf(c.With)
		if instead, ok := v.(Instead); ok {
			for key, v := range instead {
				if with[key] = v; v == nil {
					delete(with, key)
				}
			}
			out = append(out, with)
			continue
		}
		if put(with, strings.Split(path, "."), v) {
			out = append(out, with)
		}
	}
	return out
}

// others are values of a type that differ from old, which may be nil.
func others(t *shape.Type, old any) []any {
	switch t.Kind {
	case "list":
		list, _ := old.([]any)
		if len(list) == 0 {
			return wrap(others(t.Of, nil))
		}
		var out []any
		for _, v := range others(t.Of, list[0]) {
			out = append(out, append([]any{v}, list[1:]...))
		}
		return out
	case "map":
		m, _ := old.(map[string]any)
		var out []any
		for k := range m {
			for _, v := range others(t.Of, m[k]) {
				n := copyOf(m)
				n[k] = v
				out = append(out, n)
			}
		}
		return out
	case "boolean":
		b, _ := old.(bool)
		return []any{!b}
	case "integer", "number":
		n, _ := old.(int)
		return []any{n + 1, n - 1, n + 100}
	}
	if len(t.Enum) > 0 {
		var out []any
		for _, e := range t.Enum {
			if e != old {
				out = append(out, e)
			}
		}
		return out
	}
	text, isText := old.(string)
	switch t.Kind {
	case "ipv4", "address":
		return []any{"192.0.2.199"}
	case "cidr":
		return []any{"198.51.100.0/24", "192.0.2.199/24"}
	case "mac":
		return []any{"00:15:5D:FF:FF:01"}
	case "letter":
		return []any{"Y"}
	case "hostname":
		return []any{"changed", "0604"}
	case "domain":
		return []any{"changed.example"}
	case "credential":
		return []any{OtherCredential}
	case "path":
		if strings.HasPrefix(text, "/") {
			return []any{"/changed"}
		}
		return []any{`C:\changed`, "/changed"}
	case "any":
		if n, ok := old.(int); ok {
			return []any{n + 1}
		}
	}
	if isText && text != "" {
		return []any{text + "x", "changed", "x" + text, "0604"}
	}
	return []any{"changed"}
}

func wrap(list []any) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = []any{v}
	}
	return out
}

// get reads a path like "acl[].sid", of the first element of a list.
func get(in any, path []string) (any, bool) {
	if len(path) == 0 {
		return in, true
	}
	m, _ := in.(map[string]any)
	key, list := strings.CutSuffix(path[0], "[]")
	v, ok := m[key]
	if l, isList := v.([]any); list && isList && len(l) > 0 {
		v = l[0]
	}
	if !ok {
		return nil, false
	}
	return get(v, path[1:])
}

// put sets a path; false when what should hold it is not there.
func put(in map[string]any, path []string, v any) bool {
	key, list := strings.CutSuffix(path[0], "[]")
	if len(path) == 1 {
		in[key] = v
		return true
	}
	below := in[key]
	if l, isList := below.([]any); list && isList && len(l) > 0 {
		below = l[0]
	}
	m, ok := below.(map[string]any)
	return ok && put(m, path[1:], v)
}

func copyOf(m map[string]any) map[string]any { return deep(m).(map[string]any) }

func deep(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = deep(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = deep(x)
		}
		return out
	}
	return v
}

func short(with map[string]any) string {
	b, err := json.Marshal(with)
	if err != nil {
		return fmt.Sprint(with)
	}
	return string(b)
}

// note adds the fields to what was seen of a kind on a release.
func note(kind string, release node.Release, fields []string) error {
	dir := os.Getenv(shared)
	if dir == "" {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, "fields:"+kind+"@"+string(release)),
		os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for _, name := range fields {
		if _, err := fmt.Fprintln(f, name); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}
