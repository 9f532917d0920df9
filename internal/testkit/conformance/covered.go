package conformance

import (
	"slices"
	"strings"

	"deploy/internal/node"
)

// covered holds every request against the kind's declared calls for the machine's release: names,
// parameters, properties.
func covered(t reporter, c Case, rec *recorder) {
	t.Helper()
	release := rec.Facts().Release
	var calls []node.Call
	for _, call := range c.Kind.Calls {
		if slices.Contains(call.On, release) || (len(call.On) == 0 && call.Product != "") {
			calls = append(calls, call)
		}
	}
	for _, r := range rec.requests {
		text := func(name string) string { s, _ := r.Args[name].(string); return s }
		switch r.Verb {
		case "wmi.get", "wmi.call":
			class := text("ns") + ":" + text("class")
			props := append(stringsOf(r.Args["props"]), keysOf(r.Args["where"])...)
			var declared, args []string
			known, method := false, text("method") == ""
			for _, call := range calls {
				if !strings.EqualFold(call.WMI, class) {
					continue
				}
				known = true
				declared = append(declared, call.Props...)
				if text("method") != "" && strings.EqualFold(call.Method, text("method")) {
					method = true
					args = append(args, call.Args...)
				}
			}
			if !known {
				t.Errorf("%s asks for %s on %s and does not declare it", c.Kind.Name, class, release)
				continue
			}
			if !method {
				t.Errorf("%s calls %s of %s on %s and does not declare it", c.Kind.Name, text("method"), class, release)
			}
			undeclared(t, c.Kind.Name, class, "property", props, declared)
			undeclared(t, c.Kind.Name, class+"."+text("method"), "argument", keysOf(r.Args["args"]), args)
		case "wmi.set":
			properties(t, c, calls, r, release)
		case "cmdlet":
			var params, props []string
			known := false
			for _, call := range calls {
				if strings.EqualFold(call.Cmdlet, text("name")) {
					known = true
					params, props = append(params, call.Params...), append(props, call.Props...)
				}
			}
			if !known {
				t.Errorf("%s calls %s on %s and does not declare it", c.Kind.Name, text("name"), release)
				continue
			}
			undeclared(t, c.Kind.Name, text("name"), "parameter", keysOf(r.Args["params"]), params)
			undeclared(t, c.Kind.Name, text("name"), "property", stringsOf(r.Args["select"]), props)
		}
	}
	reads := node.ReadOnly(c.Kind.ReadForms)
	for _, argv := range rec.looked {
		if !reads(argv) {
			t.Errorf("%s looks with %q and declares no form that only reads", c.Kind.Name, argv)
		}
	}
	for _, argv := range rec.commands {
		own := slices.ContainsFunc(c.Programs, func(p string) bool { return strings.EqualFold(p, argv[0]) })
		declared := slices.ContainsFunc(calls,
			func(call node.Call) bool { return call.Tool != "" && strings.EqualFold(call.Tool, base(argv[0])) })
		if !own && !declared {
			t.Errorf("%s runs %s on %s and does not declare it", c.Kind.Name, argv[0], release)
		}
	}
}

// properties: what is set on an object is a declared property of the class, or a declared cluster
// property.
func properties(t reporter, c Case, calls []node.Call, r node.Request, release node.Release) {
	t.Helper()
	class, _ := r.Args["class"].(string)
	ns, _ := r.Args["ns"].(string)
	for _, name := range keysOf(r.Args["set"]) {
		last := name[strings.LastIndexByte(name, '.')+1:]
		ok := slices.ContainsFunc(calls, func(call node.Call) bool {
			return strings.EqualFold(call.Property, last) ||
				(strings.EqualFold(call.WMI, ns+":"+class) &&
					slices.ContainsFunc(call.Props, func(p string) bool { return strings.EqualFold(p, last) }))
		})
		if !ok {
			t.Errorf("%s sets %s of %s on %s and does not declare it", c.Kind.Name, name, class, release)
		}
	}
}

func undeclared(t reporter, kind, of, what string, used, declared []string) {
	t.Helper()
	for _, u := range used {
		if !slices.ContainsFunc(declared, func(d string) bool { return strings.EqualFold(d, u) }) {
			t.Errorf("%s uses %s %s of %s and does not declare it", kind, what, u, of)
		}
	}
}

func base(path string) string { return path[strings.LastIndexAny(path, `\/`)+1:] }

func stringsOf(v any) []string { return node.Row{"v": v}.Strings("v") }

func keysOf(v any) []string {
	m, _ := v.(map[string]any)
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
