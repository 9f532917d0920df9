package directory

import (
	"fmt"
	"strings"

	"deploy/internal/lab/model"
)

// matcher says whether an object fits a filter.
type matcher func(*model.Object) bool

// parseFilter reads an LDAP filter (RFC 4515) of the forms (&..)(|..)(!..), equality with * as a
// wildcard, and presence. The empty filter fits everything.
func parseFilter(s string) (matcher, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return func(*model.Object) bool { return true }, nil
	}
	m, rest, err := parseOne(s, 0)
	if err != nil {
		return nil, err
	}
	if rest != "" {
		return nil, fmt.Errorf("text behind the filter: %q", rest)
	}
	return m, nil
}

const deepest = 20

func parseOne(s string, depth int) (matcher, string, error) {
	if depth > deepest || !strings.HasPrefix(s, "(") {
		return nil, "", fmt.Errorf("bad filter at %q", s)
	}
	s = s[1:]
	if s == "" {
		return nil, "", fmt.Errorf("filter cut short")
	}
	switch s[0] {
	case '&', '|', '!':
		op := s[0]
		s = s[1:]
		var list []matcher
		for strings.HasPrefix(s, "(") {
			m, rest, err := parseOne(s, depth+1)
			if err != nil {
				return nil, "", err
			}
			list, s = append(list, m), rest
		}
		if !strings.HasPrefix(s, ")") || len(list) == 0 || (op == '!' && len(list) != 1) {
			return nil, "", fmt.Errorf("bad filter at %q", s)
		}
		return combine(op, list), s[1:], nil
	}
	end := strings.IndexByte(s, ')')
	if end < 0 {
		return nil, "", fmt.Errorf("filter cut short")
	}
	name, want, ok := strings.Cut(s[:end], "=")
	if !ok || name == "" {
		return nil, "", fmt.Errorf("bad filter at %q", s)
	}
	name = strings.ToLower(strings.TrimSpace(name))
	return func(o *model.Object) bool {
		for _, v := range all(o)[name] {
			if want == "*" || like(strings.ToLower(v), strings.ToLower(unescape(want))) {
				return true
			}
		}
		return false
	}, s[end+1:], nil
}

func combine(op byte, list []matcher) matcher {
	return func(o *model.Object) bool {
		for _, m := range list {
			switch hit := m(o); {
			case op == '!':
				return !hit
			case op == '&' && !hit:
				return false
			case op == '|' && hit:
				return true
			}
		}
		return op == '&'
	}
}

// unescape turns \28 \29 \5c into their characters; \2a stays a literal star by a mark that no name
// holds.
func unescape(s string) string {
	return strings.NewReplacer(`\28`, "(", `\29`, ")", `\5c`, `\`, `\5C`, `\`, `\2a`, "\x00", `\2A`, "\x00").Replace(s)
}

// like compares with * as a wildcard.
func like(v, pattern string) bool {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], "\x00", "*")
	}
	if len(parts) == 1 {
		return v == parts[0]
	}
	if !strings.HasPrefix(v, parts[0]) {
		return false
	}
	v = v[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(v, p)
		if i < 0 {
			return false
		}
		v = v[i+len(p):]
	}
	return strings.HasSuffix(v, parts[len(parts)-1])
}
