package machine

import (
	"slices"
	"sort"
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// regPath brings a key path to the form that model.Registry uses: short root, backslashes, lower
// case. It returns "" for a path without a known root.
func regPath(key string) string {
	key = strings.Trim(strings.ReplaceAll(key, "/", `\`), `\`)
	root, rest, _ := strings.Cut(key, `\`)
	switch strings.ToUpper(strings.TrimSuffix(root, ":")) {
	case "HKLM", "HKEY_LOCAL_MACHINE":
		root = "hklm"
	case "HKCU", "HKEY_CURRENT_USER":
		root = "hkcu"
	case "HKU", "HKEY_USERS":
		root = "hku"
	case "HKCR", "HKEY_CLASSES_ROOT":
		root = "hkcr"
	default:
		return ""
	}
	for strings.Contains(rest, `\\`) {
		rest = strings.ReplaceAll(rest, `\\`, `\`)
	}
	if rest == "" {
		return root
	}
	return root + `\` + strings.ToLower(rest)
}

// spelled returns the path with its own spelling and the short root.
func spelled(key string) string {
	key = strings.Trim(strings.ReplaceAll(key, "/", `\`), `\`)
	p := regPath(key)
	_, rest, ok := strings.Cut(key, `\`)
	root, _, _ := strings.Cut(p, `\`)
	if !ok {
		return strings.ToUpper(root)
	}
	for strings.Contains(rest, `\\`) {
		rest = strings.ReplaceAll(rest, `\\`, `\`)
	}
	return strings.ToUpper(root) + `\` + rest
}

func under(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+`\`)
}

// hives calls f with the computed keys of every hive that has to do with path.
func (c *Ctx) hives(path string, f func(h *Hive, keys model.Registry)) {
	for _, h := range c.B.Hives {
		root := regPath(h.Root)
		if under(path, root) || under(root, path) {
			f(h, h.Load(c))
		}
	}
}

// RegKey returns a key, computed values over written ones, or nil.
func RegKey(c *Ctx, key string) *model.Key {
	p := regPath(key)
	if p == "" {
		return nil
	}
	out := &model.Key{Path: spelled(key), Values: map[string]*model.Value{}}
	found := !strings.Contains(p, `\`)
	if k := c.M.Registry[p]; k != nil {
		found = true
		out.Path = k.Path
		for n, v := range k.Values {
			out.Values[n] = v
		}
	} else {
		for q := range c.M.Registry {
			if under(q, p) {
				found = true
				break
			}
		}
	}
	c.hives(p, func(_ *Hive, keys model.Registry) {
		for q, k := range keys {
			if q == p {
				found = true
				for n, v := range k.Values {
					out.Values[n] = v
				}
			} else if under(q, p) {
				found = true
			}
		}
	})
	if !found {
		return nil
	}
	return out
}

// RegValue returns one value's data (string, int64, []byte, []string), or nil.
func RegValue(c *Ctx, key, name string) any {
	k := RegKey(c, key)
	if k == nil {
		return nil
	}
	v := k.Values[strings.ToLower(name)]
	if v == nil {
		return nil
	}
	return v.Data
}

// RegSubkeys lists the names of the keys right below one; ok false says that the key is not there.
func RegSubkeys(c *Ctx, key string) (names []string, ok bool) {
	p := regPath(key)
	if p == "" || RegKey(c, key) == nil {
		return nil, false
	}
	seen := map[string]string{}
	add := func(q, own string) {
		if q == p || !under(q, p) {
			return
		}
		low, _, _ := strings.Cut(q[len(p)+1:], `\`)
		name := low
		if len(own) == len(q) {
			name, _, _ = strings.Cut(own[len(p)+1:], `\`)
		}
		if old, there := seen[low]; !there || old == low {
			seen[low] = name
		}
	}
	for q, k := range c.M.Registry {
		add(q, k.Path)
	}
	c.hives(p, func(_ *Hive, keys model.Registry) {
		for q, k := range keys {
			add(q, k.Path)
		}
	})
	for _, n := range seen {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool { return strings.ToLower(names[i]) < strings.ToLower(names[j]) })
	return names, true
}

// RegSet writes a value and makes its key. Type: string expand binary dword qword multi; data is
// brought to its Go type.
func RegSet(c *Ctx, key, name, typ string, data any) error {
	p := regPath(key)
	if p == "" || !strings.Contains(p, `\`) {
		return c.HRESULT(errInvalidName)
	}
	data, ok := regData(typ, data)
	if !ok {
		return c.HRESULT(errInvalidParameter)
	}
	for _, h := range c.B.Hives {
		if h.Set != nil && under(p, regPath(h.Root)) {
			if done, err := h.Set(c, p, name, typ, data); done || err != nil {
				return err
			}
		}
	}
	put(c.M.Registry, key, name, typ, data)
	return nil
}

// put writes into a registry and makes the key with its parents.
func put(r model.Registry, key, name, typ string, data any) {
	p := regPath(key)
	if r[p] == nil {
		r[p] = &model.Key{Path: spelled(key)}
	}
	if typ == "" {
		return
	}
	if r[p].Values == nil {
		r[p].Values = map[string]*model.Value{}
	}
	r[p].Values[strings.ToLower(name)] = &model.Value{Name: name, Type: typ, Data: data}
}

// RegMakeKey makes a key without values.
func RegMakeKey(c *Ctx, key string) { put(c.M.Registry, key, "", "", nil) }

// RegDelete removes a value; absent is fine.
func RegDelete(c *Ctx, key, name string) {
	p := regPath(key)
	for _, h := range c.B.Hives {
		if h.Delete != nil && under(p, regPath(h.Root)) && h.Delete(c, p, name) {
			return
		}
	}
	if k := c.M.Registry[p]; k != nil {
		delete(k.Values, strings.ToLower(name))
		if len(k.Values) == 0 {
			k.Values = nil
		}
	}
}

// RegDeleteKey removes a key and all written keys below it; computed keys stay.
func RegDeleteKey(c *Ctx, key string) {
	p := regPath(key)
	if p == "" || !strings.Contains(p, `\`) {
		return
	}
	there := RegKey(c, p) != nil
	for q := range c.M.Registry {
		if under(q, p) {
			delete(c.M.Registry, q)
		}
	}
	// a parent is there without an entry of its own as long as something is below it, or a hive has
	// it; it does not vanish with its last child
	if i := strings.LastIndexByte(p, '\\'); there && strings.Contains(p[:i], `\`) && RegKey(c, p[:i]) == nil {
		sp := spelled(key)
		put(c.M.Registry, sp[:strings.LastIndexByte(sp, '\\')], "", "", nil)
	}
}

// regData brings data to the Go type of a registry type.
func regData(typ string, data any) (any, bool) {
	switch typ {
	case "string", "expand":
		switch d := data.(type) {
		case nil:
			return "", true
		case string:
			return d, true
		}
	case "dword":
		n, ok := toInt(data)
		if !ok || n < -1<<31 || n > 0xFFFFFFFF {
			return nil, false
		}
		return n & 0xFFFFFFFF, true
	case "qword":
		n, ok := toInt(data)
		return n, ok
	case "binary", "none":
		switch d := data.(type) {
		case []byte:
			return append([]byte{}, d...), true
		case nil:
			return []byte{}, true
		}
	case "multi":
		switch d := data.(type) {
		case nil:
			return []string{}, true
		case []string:
			return append([]string{}, d...), true
		case []any:
			return append([]string{}, stringList(d)...), true
		}
	}
	return nil, false
}

// machineKey refuses what the resident process refuses: only HKLM is served.
func machineKey(args map[string]any) error {
	if key := ArgString(args, "key"); len(key) < 5 || !strings.EqualFold(key[:5], `HKLM\`) {
		return unsupported("only keys of HKLM are served: %s", key)
	}
	return nil
}

func verbRegGet(c *Ctx, args map[string]any) ([]Object, error) {
	if err := machineKey(args); err != nil {
		return nil, err
	}
	k := RegKey(c, ArgString(args, "key"))
	if k == nil {
		return nil, notFound(errFileNotFound, c.Text(errFileNotFound))
	}
	var rows []Object
	for _, n := range sortedKeys(k.Values) {
		v := k.Values[n]
		data := v.Data
		if l, ok := data.([]string); ok {
			data = Anys(l)
		}
		typ := v.Type
		if typ == "unknown" || typ == "none" && !knowsNone(c) {
			typ = "unknown"
		}
		rows = append(rows, Object{"name": v.Name, "type": typ, "data": data})
	}
	return rows, nil
}

func verbRegKeys(c *Ctx, args map[string]any) ([]Object, error) {
	if err := machineKey(args); err != nil {
		return nil, err
	}
	names, ok := RegSubkeys(c, ArgString(args, "key"))
	if !ok {
		return nil, notFound(errFileNotFound, c.Text(errFileNotFound))
	}
	var rows []Object
	for _, n := range names {
		rows = append(rows, Object{"name": n})
	}
	return rows, nil
}

// knowsNone: .NET has a word for the type NONE from 4.0 on, which came with Windows Server 2012.
// Source: Microsoft.Win32.RegistryValueKind, .NET Framework class library.
func knowsNone(c *Ctx) bool { return c.AtLeast(node.WS2012) }

func verbRegSet(c *Ctx, args map[string]any) ([]Object, error) {
	if err := machineKey(args); err != nil {
		return nil, err
	}
	switch t := ArgString(args, "type"); {
	case slices.Contains([]string{"string", "expand", "binary", "dword", "qword", "multi"}, t):
	case t == "none" && knowsNone(c):
	default:
		return nil, unsupported("there is no value type %s", t)
	}
	return nil, RegSet(c, ArgString(args, "key"), ArgString(args, "name"), ArgString(args, "type"), Arg(args, "data"))
}

func verbRegDel(c *Ctx, args map[string]any) ([]Object, error) {
	if err := machineKey(args); err != nil {
		return nil, err
	}
	RegDelete(c, ArgString(args, "key"), ArgString(args, "name"))
	return nil, nil
}

func verbRegDelKey(c *Ctx, args map[string]any) ([]Object, error) {
	if err := machineKey(args); err != nil {
		return nil, err
	}
	key := ArgString(args, "key")
	if !strings.Contains(strings.Trim(key[5:], `\`), `\`) {
		return nil, &Fail{Code: errAccessDenied, ID: "deploy.Refused", Text: "will not delete " + key}
	}
	RegDeleteKey(c, key)
	return nil, nil
}
