package protocol

import (
	"encoding/base64"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// maxDepth bounds nesting, so that a hostile far end cannot exhaust the stack.
const maxDepth = 32

// Encode writes a value. It accepts nil, bool, int, int64, string, []byte, []any, []string,
// map[string]any.
func Encode(v any) (string, error) {
	var b strings.Builder
	if err := encode(&b, v, 0); err != nil {
		return "", err
	}
	return b.String(), nil
}

func encode(b *strings.Builder, v any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("cannot encode a value nested deeper than %d", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		b.WriteByte('n')
	case bool:
		if v {
			b.WriteByte('t')
		} else {
			b.WriteByte('f')
		}
	case int:
		fmt.Fprintf(b, "i%d;", v)
	case int64:
		fmt.Fprintf(b, "i%d;", v)
	case uint32:
		fmt.Fprintf(b, "i%d;", v)
	case string:
		b.WriteString("s" + base64.StdEncoding.EncodeToString([]byte(v)) + ";")
	case []byte:
		b.WriteString("d" + base64.StdEncoding.EncodeToString(v) + ";")
	case []string:
		fmt.Fprintf(b, "a%d:", len(v))
		for _, x := range v {
			if err := encode(b, x, depth+1); err != nil {
				return err
			}
		}
	case []any:
		fmt.Fprintf(b, "a%d:", len(v))
		for _, x := range v {
			if err := encode(b, x, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		fmt.Fprintf(b, "o%d:", len(v))
		for _, k := range keys {
			if err := encode(b, k, depth+1); err != nil {
				return err
			}
			if err := encode(b, v[k], depth+1); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("cannot encode a %T", v)
	}
	return nil
}

// Decode reads one value that fills the whole of s.
func Decode(s string) (any, error) {
	d := decoder{s: s}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if d.i != len(s) {
		return nil, fmt.Errorf("cannot decode: %d bytes behind the value", len(s)-d.i)
	}
	return v, nil
}

type decoder struct {
	s string
	i int
}

func (d *decoder) until(end byte) (string, error) {
	j := strings.IndexByte(d.s[d.i:], end)
	if j < 0 {
		return "", fmt.Errorf("cannot decode: no %q after offset %d", end, d.i)
	}
	out := d.s[d.i : d.i+j]
	d.i += j + 1
	return out, nil
}

func (d *decoder) count() (int, error) {
	t, err := d.until(':')
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(t)
	// each element takes at least one byte, so a larger count is a lie
	if err != nil || n < 0 || n > len(d.s)-d.i {
		return 0, fmt.Errorf("cannot decode: bad count %q", t)
	}
	return n, nil
}

func (d *decoder) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("cannot decode a value nested deeper than %d", maxDepth)
	}
	if d.i >= len(d.s) {
		return nil, fmt.Errorf("cannot decode: value cut short")
	}
	c := d.s[d.i]
	d.i++
	switch c {
	case 'n':
		return nil, nil
	case 't':
		return true, nil
	case 'f':
		return false, nil
	case 'i':
		t, err := d.until(';')
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseInt(t, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("cannot decode number %q", t)
		}
		return n, nil
	case 's', 'd':
		t, err := d.until(';')
		if err != nil {
			return nil, err
		}
		b, err := base64.StdEncoding.DecodeString(t)
		if err != nil {
			return nil, fmt.Errorf("cannot decode base64: %w", err)
		}
		if c == 's' {
			return string(b), nil
		}
		return b, nil
	case 'a':
		n, err := d.count()
		if err != nil {
			return nil, err
		}
		list := make([]any, 0, n)
		for range n {
			v, err := d.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case 'o':
		n, err := d.count()
		if err != nil {
			return nil, err
		}
		m := make(map[string]any, n)
		for range n {
			k, err := d.value(depth + 1)
			if err != nil {
				return nil, err
			}
			key, ok := k.(string)
			if !ok {
				return nil, fmt.Errorf("cannot decode: key is a %T", k)
			}
			if m[key], err = d.value(depth + 1); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return nil, fmt.Errorf("cannot decode: unknown mark %q", c)
}
