package node

import (
	"strconv"
	"strings"
)

// Row is one typed answer. Values are nil, bool, int64, string, []byte, []any or map[string]any.
// Names are compared without case.
type Row map[string]any

func (r Row) get(name string) any {
	if v, ok := r[name]; ok {
		return v
	}
	for k, v := range r {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

// Has says that the row holds a value of that name that is not null.
func (r Row) Has(name string) bool { return r.get(name) != nil }

// String returns a value as text; null and lists are "".
func (r Row) String(name string) string {
	switch v := r.get(name).(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case []byte:
		return string(v)
	}
	return ""
}

// Int returns a value as a number; what is none is 0.
func (r Row) Int(name string) int64 {
	switch v := r.get(name).(type) {
	case int64:
		return v
	case bool:
		if v {
			return 1
		}
	case string:
		n, _ := strconv.ParseInt(strings.TrimSpace(v), 0, 64)
		return n
	}
	return 0
}

// Bool returns a value as a truth; null is false.
func (r Row) Bool(name string) bool {
	switch v := r.get(name).(type) {
	case bool:
		return v
	case int64:
		return v != 0
	case string:
		return strings.EqualFold(v, "true")
	}
	return false
}

// Bytes returns a value as bytes.
func (r Row) Bytes(name string) []byte {
	switch v := r.get(name).(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return nil
}

// Strings returns a list of text; a single text is a list of one, null is nil.
func (r Row) Strings(name string) []string {
	switch v := r.get(name).(type) {
	case string:
		return []string{v}
	case []any:
		out := make([]string, 0, len(v))
		for _, x := range v {
			if s, ok := x.(string); ok {
				out = append(out, s)
			} else if n, ok := x.(int64); ok {
				out = append(out, strconv.FormatInt(n, 10))
			}
		}
		return out
	}
	return nil
}
