package shape

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"deploy/internal/nearest"
	"deploy/internal/yamlx"
)

// Checker checks nodes of one file against types and collects the mistakes.
type Checker struct {
	File        string
	List        *yamlx.List
	Nodes       []string // names that the kind "node" allows; nil allows every host name
	Credentials []string // names that the kind "credential" allows; nil allows every name
	// Sparse leaves keys that are not given out of the answer, where no key and an empty list mean
	// different things.
	Sparse bool
}

// Check returns n as plain data with defaults filled in and values in their normal form. What is
// wrong goes to the list, and the value is then nil. An absent value (nil or empty) gives
// t.Absent().
func (c *Checker) Check(n *yamlx.Node, t *Type) any {
	if n.IsNull() {
		return t.Absent()
	}
	if t.Or != nil && fits(n, t.Or) && !fits(n, t) {
		return c.Check(n, t.Or)
	}
	switch t.Kind {
	case "any", "":
		return n.Plain()
	case "object":
		return c.object(n, t)
	case "map":
		return c.mapping(n, t)
	case "list":
		return c.list(n, t)
	}
	return c.scalar(n, t)
}

// either is the first text that says something.
func either(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func fits(n *yamlx.Node, t *Type) bool {
	switch t.Kind {
	case "object", "map":
		return n.Kind == yamlx.Map
	case "list":
		return n.Kind == yamlx.Seq
	case "any":
		return true
	}
	if n.Kind != yamlx.Scalar {
		return false
	}
	switch n.Value.(type) {
	case bool:
		return t.Kind == "boolean"
	case string:
		return wants(t.Kind) == "text"
	}
	return t.Kind == "integer" || t.Kind == "number"
}

// wrong reports a value of the wrong form.
func (c *Checker) wrong(n *yamlx.Node, t *Type) any {
	hint := t.Instead
	if t.Refusal != "" && n.Kind == yamlx.Scalar {
		c.List.AtKey(c.File, n, hint, "%s", t.Refusal)
		return nil
	}
	if hint == "" && wants(t.Kind) == "text" && n.Kind == yamlx.Scalar && !t.Hidden {
		hint = fmt.Sprintf("put it in quotes: %q", n.Raw)
	}
	c.List.At(c.File, n, either(hint, t.Doc, "write "+wants(t.Kind)), "must be %s, is %s", wants(t.Kind), n.What())
	return nil
}

func wants(kind string) string {
	switch kind {
	case "object", "map":
		return "a map"
	case "list":
		return "a list"
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "boolean":
		return "true or false"
	}
	return "text"
}

func (c *Checker) object(n *yamlx.Node, t *Type) any {
	if n.Kind != yamlx.Map {
		return c.wrong(n, t)
	}
	out := map[string]any{}
	for i, key := range n.Keys {
		if t.Field(key) == nil {
			c.Unknown(n.Items[i], "key", key, t.FieldNames())
		}
	}
	given := 0
	for _, f := range t.Fields {
		v := n.Get(f.Name)
		if v.IsNull() && f.Type.Required {
			hint := either(f.Type.Doc, "add "+f.Name+":")
			if v != nil {
				c.List.AtKey(c.File, v, hint, "%q has no value", f.Name)
			} else {
				line, col := n.Pos()
				c.List.Add(&yamlx.Error{File: c.File, Line: line, Col: col, Missing: f.Name, Hint: hint,
					Msg: fmt.Sprintf("%q is missing here", f.Name)})
			}
			continue
		}
		if v != nil && v.IsNull() {
			// lines that are all remarks leave a key without a value: nobody means "empty" by that
			c.List.AtKey(c.File, v, "write a value, or remove the key", "%q has no value", f.Name)
			continue
		}
		if v != nil {
			given++
		} else if c.Sparse {
			continue
		}
		out[f.Name] = c.Check(v, f.Type)
	}
	if t.OneKey && given != 1 {
		c.List.At(c.File, n, either(t.Instead, "remove all but one"), "give exactly one of %s",
			strings.Join(t.FieldNames(), ", "))
	}
	return out
}

// Unknown reports a key or name that is not in known, with the nearest one as a hint.
func (c *Checker) Unknown(n *yamlx.Node, what, got string, known []string) {
	c.List.AtKey(c.File, n, Suggest(got, known), "unknown %s %q", what, Clip(got))
}

// Suggest makes the hint for an unknown word: the nearest one, or all of them.
func Suggest(got string, known []string) string {
	if near := nearest.Of(got, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return "remove it: nothing is allowed here"
	}
	all := strings.Join(known, ", ")
	if len(known) > 24 {
		all = strings.Join(known[:24], ", ") + " ..."
	}
	return "known: " + all
}

// Clip shortens a text for a message.
func Clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "..."
	}
	return s
}

func (c *Checker) mapping(n *yamlx.Node, t *Type) any {
	if n.Kind != yamlx.Map {
		return c.wrong(n, t)
	}
	out := map[string]any{}
	for i, key := range n.Keys {
		if t.KeyKind != "" {
			if _, msg, hint := c.normal(t.KeyKind, key); msg != "" {
				c.List.AtKey(c.File, n.Items[i], hint, "%q %s", Clip(key), msg)
			}
		}
		out[key] = c.Check(n.Items[i], t.Of)
	}
	return out
}

func (c *Checker) list(n *yamlx.Node, t *Type) any {
	if n.Kind != yamlx.Seq {
		return c.wrong(n, t)
	}
	out := make([]any, 0, len(n.Items))
	for _, item := range n.Items {
		if item.IsNull() {
			c.List.At(c.File, item, "remove the dash or write a value after it", "an empty item in a list")
			continue
		}
		out = append(out, c.Check(item, t.Of))
	}
	if len(n.Items) < t.MinItems {
		c.List.At(c.File, n, either(t.Doc, "add more"), "needs at least %d, has %d", t.MinItems, len(n.Items))
	}
	if t.MaxItems > 0 && len(n.Items) > t.MaxItems {
		c.List.At(c.File, n, either(t.Doc, "remove some"), "allows at most %d, has %d", t.MaxItems, len(n.Items))
	}
	if t.Unique != "" {
		c.unique(n, t, out)
	}
	return out
}

func (c *Checker) unique(n *yamlx.Node, t *Type, values []any) {
	if len(values) != len(n.Items) {
		return
	}
	seen := map[string]int{}
	for i, v := range values {
		at := n.Items[i]
		if t.Unique != "true" {
			m, _ := v.(map[string]any)
			v, at = m[t.Unique], at.Get(t.Unique)
		}
		if v == nil || at == nil {
			continue
		}
		key := strings.ToLower(fmt.Sprint(v)) // names, letters and serials on Windows have no case
		if first, ok := seen[key]; ok {
			c.List.At(c.File, at, fmt.Sprintf("item %d of the list has it already", first+1), "duplicate value %q",
				Clip(fmt.Sprint(v)))
			continue
		}
		seen[key] = i
	}
}

func (c *Checker) scalar(n *yamlx.Node, t *Type) any {
	if n.Kind != yamlx.Scalar {
		return c.wrong(n, t)
	}
	text, isText := n.Value.(string)
	switch t.Kind {
	case "boolean":
		if _, ok := n.Value.(bool); !ok {
			return c.wrong(n, t)
		}
		return n.Value
	case "integer", "number":
		return c.number(n, t)
	case "size":
		if _, ok := n.Value.(int); ok {
			c.List.At(c.File, n, fmt.Sprintf("write the unit: %q", n.Raw+" GB"), "a size needs a unit")
			return nil
		}
	}
	if !isText {
		return c.wrong(n, t)
	}
	show := func() string {
		if t.Hidden {
			return "the value"
		}
		return fmt.Sprintf("%q", Clip(text))
	}
	if t.Filled && text == "" {
		c.List.At(c.File, n, either(t.Doc, "write a value"), "must not be empty")
		return nil
	}
	if len(t.Enum) > 0 && !slices.Contains(t.Enum, text) {
		c.List.At(c.File, n, Suggest(text, t.Enum), "%s is not one of %s", show(), strings.Join(t.Enum, ", "))
		return nil
	}
	value, msg, hint := c.normal(t.Kind, text)
	if msg != "" {
		c.List.At(c.File, n, hint, "%s %s", show(), msg)
		return nil
	}
	if t.Pattern != "" {
		re, err := regexp.Compile(t.Pattern) // playbooks check theirs when they are read
		if err == nil && !re.MatchString(text) {
			c.List.At(c.File, n, either(t.Means, t.Doc, "write a text that matches the pattern"), "%s does not match %s", show(),
				t.Pattern)
			return nil
		}
	}
	return value
}

func (c *Checker) number(n *yamlx.Node, t *Type) any {
	var f float64
	var out any
	switch v := n.Value.(type) {
	case int:
		f, out = float64(v), v
		if t.Kind == "number" {
			out = f
		}
	case float64:
		if t.Kind == "integer" {
			return c.wrong(n, t)
		}
		f, out = v, v
	default:
		return c.wrong(n, t)
	}
	if t.Min != nil && f < *t.Min || t.Max != nil && f > *t.Max {
		c.List.At(c.File, n, either(t.Doc, "write a number that is "+between(t.Min, t.Max)), "%s is not %s", n.Raw,
			between(t.Min, t.Max))
		return nil
	}
	return out
}

func between(low, high *float64) string {
	switch {
	case low != nil && high != nil:
		return fmt.Sprintf("between %g and %g", *low, *high)
	case low != nil:
		return fmt.Sprintf("%g or more", *low)
	}
	return fmt.Sprintf("%g or less", *high)
}
