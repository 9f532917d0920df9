package machine

import (
	"fmt"
	"slices"
	"strings"
)

// WMI error codes. Source: WMI error constants.
const (
	wbemInvalidNamespace = 0x8004100E
	wbemInvalidClass     = 0x80041010
	wbemInvalidQuery     = 0x80041017
	wbemNotFound         = 0x80041002
	wbemNotSupported     = 0x8004100C
)

// WMIFail makes the refusal of the WMI service with one of its codes.
func WMIFail(code int64, what string) *Fail {
	return &Fail{Code: code, ID: "GetWMIManagementException", Category: "InvalidOperation",
		Type: "System.Management.ManagementException", Text: what}
}

// has says that the class exists on the machine.
func (k *Class) has(c *Ctx) bool {
	if k.Since != "" && !c.AtLeast(k.Since) {
		return false
	}
	if k.Until != "" && c.M.Release != k.Until && c.AtLeast(k.Until) {
		return false
	}
	return k.Present == nil || k.Present(c)
}

// prop returns the class's own spelling of a property that the machine's release has, or "".
func (k *Class) prop(c *Ctx, name string) string {
	for _, p := range k.Props {
		if strings.EqualFold(p, name) {
			if since, ok := k.PropSince[p]; ok && !c.AtLeast(since) {
				return ""
			}
			return p
		}
	}
	return ""
}

// class finds a class or says what is missing: the namespace or the class.
func (c *Ctx) class(ns, name string) (*Class, error) {
	ns = strings.ToLower(strings.Trim(strings.ReplaceAll(ns, "/", `\`), `\`))
	space := ns == `root\cimv2` || ns == `root\default` || ns == "root"
	for _, k := range c.B.Classes {
		if !strings.EqualFold(k.Namespace, ns) || !k.has(c) {
			continue
		}
		space = true
		if strings.EqualFold(k.Name, name) {
			return k, nil
		}
	}
	if !space {
		return nil, WMIFail(wbemInvalidNamespace, "invalid namespace "+ns)
	}
	return nil, WMIFail(wbemInvalidClass, "invalid class "+name)
}

// instances lists what matches; every property named in where must exist.
func (c *Ctx) instances(k *Class, where map[string]any) ([]Object, error) {
	for n := range where {
		if k.prop(c, n) == "" {
			return nil, WMIFail(wbemInvalidQuery, "invalid query: "+k.Name+" has no property "+n)
		}
	}
	all, err := k.List(c)
	if err != nil {
		return nil, err
	}
	var out []Object
next:
	for _, o := range all {
		for n, want := range where {
			if !Same(o[k.prop(c, n)], want) {
				continue next
			}
		}
		out = append(out, o)
	}
	return out, nil
}

// Same compares a value with one asked for, as a WQL condition does: text without case, numbers and
// truths by value.
func Same(have, want any) bool {
	if have == nil || want == nil {
		return have == nil && want == nil
	}
	if h, ok := have.(string); ok {
		return strings.EqualFold(h, fmt.Sprint(want))
	}
	if h, ok := have.(bool); ok {
		switch w := want.(type) {
		case bool:
			return h == w
		case string:
			return strings.EqualFold(w, fmt.Sprint(h))
		}
	}
	if h, ok := toInt(have); ok {
		w, ok := toInt(want)
		return ok && h == w
	}
	return false
}

func mapArg(args map[string]any, name string) map[string]any {
	m, _ := Arg(args, name).(map[string]any)
	return m
}

func verbWMIGet(c *Ctx, args map[string]any) ([]Object, error) {
	k, err := c.class(ArgString(args, "ns"), ArgString(args, "class"))
	if err != nil {
		return nil, err
	}
	props := ArgStrings(args, "props")
	for _, p := range props {
		if k.prop(c, p) == "" {
			return nil, WMIFail(wbemInvalidQuery, "invalid query: "+k.Name+" has no property "+p)
		}
	}
	if len(props) == 0 {
		for _, p := range k.Props {
			if k.prop(c, p) != "" {
				props = append(props, p)
			}
		}
	}
	list, err := c.instances(k, mapArg(args, "where"))
	if err != nil {
		return nil, err
	}
	var rows []Object
	for _, o := range list {
		row := Object{}
		for _, p := range props {
			row[p] = plain(o[k.prop(c, p)])
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// plain turns a value into what the codec carries: enumerations into numbers, objects into maps.
func plain(v any) any {
	switch v := v.(type) {
	case Enum:
		return v.Number
	case Object:
		m := make(map[string]any, len(v))
		for k, x := range v {
			if k != "" {
				m[k] = plain(x)
			}
		}
		return m
	case map[string]any:
		return plain(Object(v))
	case []string:
		return Anys(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plain(x)
		}
		return out
	case int:
		return int64(v)
	case uint32:
		return int64(v)
	}
	return v
}

func verbWMICall(c *Ctx, args map[string]any) ([]Object, error) {
	k, err := c.class(ArgString(args, "ns"), ArgString(args, "class"))
	if err != nil {
		return nil, err
	}
	where := mapArg(args, "where")
	methods := k.Methods
	var inst Object
	if len(where) == 0 {
		methods = k.Static
	} else {
		list, err := c.instances(k, where)
		if err != nil {
			return nil, err
		}
		switch len(list) {
		case 0:
			return nil, WMIFail(wbemNotFound, "not found: "+k.Name)
		case 1:
			inst = list[0]
		default:
			return nil, ambiguous(len(list), k.Name)
		}
	}
	for name, m := range methods {
		if !strings.EqualFold(name, ArgString(args, "method")) {
			continue
		}
		given, err := methodArgs(m, mapArg(args, "args"))
		if err != nil {
			return nil, err
		}
		out, err := m.Call(c, inst, given)
		if err != nil {
			return nil, err
		}
		row := Object{}
		for n, v := range out {
			row[n] = plain(v)
		}
		if len(row) == 0 { // a method without a result
			row["ReturnValue"] = int64(0)
		}
		return []Object{row}, nil
	}
	return nil, unsupported("%s has no method %s", k.Name, ArgString(args, "method"))
}

// ambiguous is the resident process's own refusal to guess which instance was meant.
func ambiguous(n int, class string) *Fail {
	return &Fail{Code: errInvalidParameter, ID: "deploy.Ambiguous",
		Text: fmt.Sprintf("%d instances of %s match", n, class)}
}

// methodArgs brings argument names to their own spelling; one that the method does not have is
// refused.
func methodArgs(m Method, args map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for n, v := range args {
		i := slices.IndexFunc(m.Args, func(a string) bool { return strings.EqualFold(a, n) })
		if i < 0 {
			return nil, unsupported("the method has no argument %s", n)
		}
		out[m.Args[i]] = v
	}
	return out, nil
}

func verbWMISet(c *Ctx, args map[string]any) ([]Object, error) {
	k, err := c.class(ArgString(args, "ns"), ArgString(args, "class"))
	if err != nil {
		return nil, err
	}
	list, err := c.instances(k, mapArg(args, "where"))
	if err != nil {
		return nil, err
	}
	switch {
	case len(list) == 0:
		return nil, WMIFail(wbemNotFound, "not found: "+k.Name)
	case len(list) > 1:
		return nil, ambiguous(len(list), k.Name)
	case k.Put == nil:
		return nil, WMIFail(wbemNotSupported, k.Name+" cannot be written")
	}
	set := mapArg(args, "set")
	named := map[string]any{}
	for n, v := range set {
		first, rest, dotted := strings.Cut(n, ".")
		p := k.prop(c, first)
		if p == "" {
			return nil, WMIFail(wbemNotFound, k.Name+" has no property "+first)
		}
		if dotted {
			p += "." + rest
		}
		named[p] = v
	}
	return nil, k.Put(c, list[0], named)
}
