package shape_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/yamlx"
	"deploy/internal/yamlx/shape"
)

func TestNormal(t *testing.T) {
	for kind, texts := range map[string]map[string]any{ // nil: refused
		"ipv4": {"192.0.2.1": "192.0.2.1", "0.0.0.0": "0.0.0.0", "192.0.2": nil, "192.0.2.256": nil, "::1": nil,
			"192.0.2.01": nil, "192.0.2.1/24": nil},
		"address": {"192.0.2.1": "192.0.2.1", "::1": "::1", "srv1": "srv1", "srv1.contoso.example": "srv1.contoso.example",
			"1.2.3": nil, "a b": nil, "": nil, "-a": nil},
		"cidr": {"10.0.0.1/24": "10.0.0.1/24", "10.0.0.0/32": "10.0.0.0/32", "10.0.0.1/33": nil, "10.0.0.1": nil,
			"fe80::1/64": nil},
		"hostname": {"a": "a", "a-b1": "a-b1", "a.b": nil, "a_b": nil, "-a": nil, "a-": nil,
			strings.Repeat("a", 63): strings.Repeat("a", 63), strings.Repeat("a", 64): nil},
		"domain":   {"contoso.example": "contoso.example", "contoso": nil, "a..b": nil},
		"duration": {"90s": "90s", "1h30m": "1h30m", "5": nil, "0": nil, "1us": nil, "-1s": nil, "5 minutes": nil},
		"path":     {`C:\x`: `C:\x`, `\\srv\share`: `\\srv\share`, "/x": "/x", `C:x`: nil, "x": nil, `\\srv`: nil},
		"letter":   {"q": "Q", "R:": "R", "a": nil, "B:": nil, "QQ": nil, `Q:\`: nil},
		"mac": {"00-15-5d-01-02-03": "00:15:5D:01:02:03", "00155D010203": "00:15:5D:01:02:03", "00:15:5d:01:02": nil,
			"g0:15:5d:01:02:03": nil},
		"size": {"10 GB": 10240, "10GB": 10240, "1 TB": 1 << 20, "5 MB": 5, "0 MB": nil, "1.5 GB": nil, "10": nil,
			"99999999999 GB": nil},
		"string": {"": "", "x": "x"},
	} {
		for text, want := range texts {
			got, msg, hint := shape.Normal(kind, text)
			if want == nil {
				if msg == "" || hint == "" {
					t.Errorf("%s %q: accepted as %v (%q, hint %q)", kind, text, got, msg, hint)
				}
				continue
			}
			if msg != "" || got != want {
				t.Errorf("%s %q: %v %q, wanted %v", kind, text, got, msg, want)
			}
		}
	}
}

// TestSchemaPatternsAgree: an editor never marks what the program accepts.
func TestSchemaPatternsAgree(t *testing.T) {
	samples := []string{"192.0.2.1", "10.0.0.1/24", "srv1", "srv1.contoso.example", "90s", "1h30m", `C:\x`, `\\srv\share`,
		"/x", "q", "R:", "00-15-5d-01-02-03", "10 GB", "", "a b", "5", "a_b"}
	for _, kind := range shape.Kinds() {
		if kind == "list" || kind == "map" {
			continue // these hold other values
		}
		schema := shape.Schema(shape.Of(kind, ""), "x", "x")
		pattern, _ := schema["pattern"].(string)
		if pattern == "" {
			continue
		}
		re := regexp.MustCompile(pattern)
		for _, s := range samples {
			if _, msg, _ := shape.Normal(kind, s); msg == "" && !re.MatchString(s) {
				t.Errorf("%s: the schema refuses %q", kind, s)
			}
		}
	}
}

func TestDefaults(t *testing.T) {
	inner := shape.Object("", shape.Field{Name: "on", Type: &shape.Type{Kind: "boolean", Default: true}},
		shape.Field{Name: "path", Type: shape.Of("path", "")})
	needy := shape.Object("", shape.Field{Name: "must", Type: shape.Need(shape.Text(""))})
	typ := shape.Object("", shape.Field{Name: "inner", Type: inner}, shape.Field{Name: "needy", Type: needy},
		shape.Field{Name: "list", Type: shape.ListOf(inner, "")},
		shape.Field{Name: "map", Type: shape.MapOf(inner, "")}, shape.Field{Name: "text", Type: shape.Text("")})
	for in, want := range map[string]any{
		"{}": map[string]any{"inner": map[string]any{"on": true, "path": nil}, "needy": nil,
			"list": []any{}, "map": map[string]any{}, "text": nil},
		"{list: [{on: false}]}": map[string]any{"inner": map[string]any{"on": true, "path": nil}, "needy": nil,
			"list": []any{map[string]any{"on": false, "path": nil}}, "map": map[string]any{}, "text": nil},
		"{map: {a: {}}}": map[string]any{"inner": map[string]any{"on": true, "path": nil}, "needy": nil,
			"list": []any{}, "map": map[string]any{"a": map[string]any{"on": true, "path": nil}}, "text": nil},
	} {
		doc, err := yamlx.Parse("f", []byte(in), yamlx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		check := &shape.Checker{File: "f", List: &yamlx.List{}}
		got := check.Check(doc.Root, typ)
		if d := cmp.Diff(want, got); d != "" || check.List.Len() > 0 {
			t.Errorf("%s: %v (-want +got)\n%s", in, check.List.Err(), d)
		}
	}
}
