package registry

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Registry is one registry value, there or not there.
type Registry struct {
	Key    string `json:"key" required:"true" doc:"key, begins with HKLM\\" pattern:"^[Hh][Kk][Ll][Mm]\\\\(.*[^\\\\])$" means:"begin it with HKLM\\ and do not end it with a backslash" check:"compared"`
	Name   string `json:"name" doc:"value name; no name means the default value" check:"compared"`
	Type   string `json:"type" enum:"string|expand|binary|dword|qword|multi" doc:"type of the value; no key means what fits the data: string, dword, multi" check:"compared"`
	Data   any    `json:"data" doc:"text, a number, a list of text (multi), or bytes in hexadecimal (binary)" check:"compared"`
	Absent bool   `json:"absent,omitempty" doc:"the value shall not be there" check:"compared"`
}

// before holds the value as it was. Data is in the form that the step's own data has.
type before struct {
	Found bool   `json:"found"`
	Type  string `json:"type,omitempty"`
	Data  any    `json:"data,omitempty"`
	Made  string `json:"made,omitempty"` // topmost key that writing the value makes
}

func kind() steps.Kind {
	return steps.Kind{
		Name:    "registry",
		OS:      "windows",
		Summary: "Sets or removes one registry value.",
		Doc: "Compares type and data as Windows keeps them and writes the value, making its key when needed. " +
			"Keys on a 64-bit system are those that 64-bit programs see. It never removes a key that it did not make. " +
			"A value that could not be written back bit for bit is a point of no return: one of a type that the session " +
			"cannot write, or with text that is no UTF-16.",
		Undo: "Puts the recorded value back with its type, whatever it holds, or removes it, and removes the keys that " +
			"writing it had made as far as they are empty.",
		Proof:     "unit-tested on a scripted machine; played in the lab for every release",
		Sources:   []string{"registry value types, Windows documentation"},
		ReadForms: forms(),
		New:       func() steps.Step { return &Registry{} },
		Example: "key: HKLM\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters\nname: KeepAliveTime\ntype: " +
			"dword\ndata: 300000\n",
	}
}

// Kind names the step.
func (s *Registry) Kind() string { return "registry" }

// Validate looks at the data.
func (s *Registry) Validate() error {
	if s.Absent {
		if s.Data != nil || s.Type != "" {
			return steps.FieldErr("absent", "excludes type and data")
		}
		return nil
	}
	if s.Data == nil {
		return steps.FieldErr("data", "is required unless absent is true")
	}
	if _, _, err := s.want(""); err != nil {
		return &steps.FieldError{Path: []string{"data"}, Msg: err.Error()}
	}
	return nil
}

// want returns the value in the codec's types. A step without a type keeps that of the value found,
// where the data fit it.
func (s *Registry) want(found string) (typ string, data any, err error) {
	typ = s.Type
	if typ == "" {
		typ = found
		if data, err := toData(typ, s.Data); typ != "" && err == nil {
			return typ, data, nil
		}
		switch s.Data.(type) {
		case string:
			typ = "string"
		case []any:
			typ = "multi"
		default:
			typ = "dword"
		}
	}
	data, err = toData(typ, s.Data)
	return typ, data, err
}

// toData turns YAML's or JSON's value into what the wire carries for a registry type.
func toData(typ string, v any) (any, error) {
	switch typ {
	case "string", "expand":
		if t, ok := v.(string); ok {
			return t, nil
		}
	case "dword", "qword":
		n, ok := number(v)
		if !ok {
			break
		}
		if typ == "dword" {
			if n < -1<<31 || n >= 1<<32 {
				return nil, fmt.Errorf("%d does not fit a dword", n)
			}
			return int64(uint32(n)), nil
		}
		return n, nil
	case "multi":
		switch list := v.(type) {
		case []string:
			v := make([]any, len(list))
			for i, t := range list {
				v[i] = t
			}
			return v, nil
		case []any:
			for _, x := range list {
				if t, ok := x.(string); !ok || t == "" {
					return nil, errors.New("a multi value holds text that is not empty")
				}
			}
			return list, nil
		}
	case "binary":
		switch b := v.(type) {
		case []byte:
			return b, nil
		case string:
			raw, err := hex.DecodeString(strings.NewReplacer(" ", "", ",", "", ":", "").Replace(b))
			if err != nil {
				return nil, fmt.Errorf("%q is not hexadecimal", b)
			}
			return raw, nil
		}
	}
	return nil, fmt.Errorf("%v does not fit type %s", v, typ)
}

func number(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	case float64:
		return int64(n), n == float64(int64(n))
	case string:
		i, err := strconv.ParseInt(n, 0, 64)
		return i, err == nil
	}
	return 0, false
}

// plain is toData's other way: what can stand in JSON without losing anything.
func plain(v any) any {
	if b, ok := v.([]byte); ok {
		return hex.EncodeToString(b)
	}
	return v
}

// exact is plain for a Before: a number goes as text, since JSON's readers may round a large one.
func exact(v any) any {
	if n, ok := v.(int64); ok {
		return strconv.FormatInt(n, 10)
	}
	return plain(v)
}

// shown is plain for a Change: a number is text only where JSON's readers would round it.
func shown(v any) any {
	const largest = 1 << 53
	if n, ok := v.(int64); ok && (n > largest || n < -largest) {
		return exact(v)
	}
	return plain(v)
}

// recordedData is exact's other way. It takes what Windows keeps, which is more than a step may ask
// for: empty texts in a list, the type NONE, types that have a number alone.
func recordedData(typ string, v any) (any, error) {
	switch {
	case typ == "multi":
		list, ok := v.([]any)
		if !ok && v != nil {
			break
		}
		for _, x := range list {
			if _, ok := x.(string); !ok {
				return nil, fmt.Errorf("%v does not fit type %s", v, typ)
			}
		}
		return append([]any{}, list...), nil
	case isRaw(typ):
		if v == nil {
			return []byte{}, nil
		}
		if text, ok := v.(string); ok {
			return toData("binary", text)
		}
	default:
		return toData(typ, v)
	}
	return nil, fmt.Errorf("%v does not fit type %s", v, typ)
}

// isRaw says that a type's data are bytes.
func isRaw(typ string) bool {
	return typ == "binary" || typ == "none" || strings.HasPrefix(typ, "type-")
}

// lost tells why a value that is to be overwritten or removed could not be written back bit for
// bit, or "". The letter U+FFFD stands where text was read that is no UTF-16.
func (s *Registry) lost(v inspect.Value) string {
	text := v.Text()
	switch {
	case !isRaw(v.Type) && !slices.Contains([]string{"string", "expand", "dword", "qword", "multi"}, v.Type):
		return fmt.Sprintf("value %s has a type that cannot be written back from here (%s)", s.label(), v.Type)
	case !isRaw(v.Type) && strings.ContainsAny(text, "\x00\uFFFD"):
		return fmt.Sprintf("value %s holds text that cannot be written back bit for bit", s.label())
	}
	return ""
}

func equal(a, b any) bool {
	x, errX := json.Marshal(plain(a))
	y, errY := json.Marshal(plain(b))
	return errX == nil && errY == nil && string(x) == string(y)
}

// Reads names what Check will ask.
func (s *Registry) Reads(node.Facts) []node.Query { return []node.Query{node.Registry{Key: s.Key}} }

// Check compares the value.
func (s *Registry) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	values, there, err := inspect.RegistryKey(ctx, r, s.Key)
	if err != nil {
		return steps.Diff{}, err
	}
	v, found := inspect.Value{}, false
	for _, x := range values {
		if strings.EqualFold(x.Name, s.Name) {
			v, found = x, true
		}
	}
	if s.Absent {
		if !found {
			return steps.NoChange(), nil
		}
		return steps.Diff{
			Action: steps.Delete, Changes: []steps.Change{{Attr: s.label(), From: shown(v.Data), To: nil},
				{Attr: "type", From: v.Type, To: nil}},
			Before: steps.MustJSON(before{Found: true, Type: v.Type, Data: exact(v.Data)}), Via: "registry",
			Effects: steps.Effects{PointOfNoReturn: s.lost(v)},
		}, nil
	}
	typ, data, err := s.want(v.Type)
	if err != nil {
		return steps.Diff{}, fmt.Errorf("cannot compare %s: %w", s.label(), err)
	}
	if !found {
		made := ""
		if !there {
			if made, err = topmostMissing(ctx, r, s.Key); err != nil {
				return steps.Diff{}, err
			}
		}
		return steps.Diff{
			Action: steps.Create, Changes: []steps.Change{{Attr: s.label(), From: nil, To: shown(data)}},
			Before: steps.MustJSON(before{Made: made}), Via: "registry",
		}, nil
	}
	have := v.Data
	if n, ok := have.(int64); ok && v.Type == "dword" {
		have = int64(uint32(n)) // PowerShell gives large numbers as negative ones
	}
	if v.Type == typ && equal(have, data) {
		return steps.NoChange(), nil
	}
	changes := []steps.Change{}
	if !equal(have, data) {
		changes = append(changes, steps.Change{Attr: s.label(), From: shown(have), To: shown(data)})
	}
	if v.Type != typ {
		changes = append(changes, steps.Change{Attr: "type", From: v.Type, To: typ})
	}
	return steps.Diff{
		Action: steps.Update, Changes: changes,
		Before: steps.MustJSON(before{Found: true, Type: v.Type, Data: exact(v.Data)}), Via: "registry",
		Effects: steps.Effects{PointOfNoReturn: s.lost(v)},
	}, nil
}

func (s *Registry) label() string {
	if s.Name == "" {
		return "(default)"
	}
	return s.Name
}

// Apply writes or removes the value.
func (s *Registry) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	if s.Absent {
		return steps.Outcome{}, s.do(ctx, n, node.RegistryDelete{Key: s.Key, Name: s.Name})
	}
	found := ""
	if s.Type == "" { // only then does what is there decide
		v, _, err := inspect.RegistryValue(ctx, n, s.Key, s.Name)
		if err != nil {
			return steps.Outcome{}, err
		}
		found = v.Type
	}
	typ, data, err := s.want(found)
	if err != nil {
		return steps.Outcome{}, err
	}
	return steps.Outcome{}, s.do(ctx, n, node.RegistrySet{Key: s.Key, Name: s.Name, Type: typ, Data: data})
}

func (s *Registry) do(ctx context.Context, n node.Node, a node.Action) error {
	if _, err := n.Do(ctx, a); err != nil {
		return fmt.Errorf("cannot change registry value %s of %s: %w", s.label(), s.Key, err)
	}
	return nil
}

// Undo puts the recorded value back.
func (s *Registry) Undo(ctx context.Context, n node.Node, recorded json.RawMessage) error {
	var b before
	if err := json.Unmarshal(recorded, &b); err != nil {
		return fmt.Errorf("cannot read the recorded value: %w", err)
	}
	if b.Found {
		data, err := recordedData(b.Type, b.Data)
		if err != nil {
			return fmt.Errorf("cannot put registry value %s back: %w", s.label(), err)
		}
		return s.do(ctx, n, node.RegistrySet{Key: s.Key, Name: s.Name, Type: b.Type, Data: data})
	}
	if err := s.do(ctx, n, node.RegistryDelete{Key: s.Key, Name: s.Name}); err != nil {
		return err
	}
	if b.Made == "" {
		return nil
	}
	for key := s.Key; len(key) >= len(b.Made); key = parent(key) {
		empty, err := isEmpty(ctx, n, key)
		if err != nil || !empty {
			return err
		}
		if err := s.do(ctx, n, node.RegistryDeleteKey{Key: key}); err != nil {
			return err
		}
	}
	return nil
}

func parent(key string) string {
	i := strings.LastIndexByte(key, '\\')
	if i < 0 {
		return ""
	}
	return key[:i]
}

// topmostMissing returns the highest key on the way to key, which is missing, that does not exist.
func topmostMissing(ctx context.Context, r node.Reader, key string) (string, error) {
	missing := key
	for key = parent(key); strings.Contains(key, `\`); key = parent(key) {
		_, found, err := inspect.RegistryKey(ctx, r, key)
		if err != nil {
			return "", err
		}
		if found {
			break
		}
		missing = key
	}
	return missing, nil
}

// isEmpty says that a key has neither values nor subkeys. A key that is gone is not empty: there is
// nothing to remove.
func isEmpty(ctx context.Context, r node.Reader, key string) (bool, error) {
	values, found, err := inspect.RegistryKey(ctx, r, key)
	if err != nil || !found || len(values) > 0 {
		return false, err
	}
	subs, err := r.Query(ctx, node.RegistryKeys{Key: key})
	if errors.Is(err, node.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read registry key %s: %w", key, err)
	}
	return len(subs) == 0, nil
}
