package all

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"deploy/internal/node"
	"deploy/internal/yamlx/shape"
	"deploy/steps"
)

// TestFieldsAreDeclared: every field of every kind, nested ones too, says how Check treats it and
// why where that is not by comparing; and what its tags say is of the type system.
func TestFieldsAreDeclared(t *testing.T) {
	kinds := Kinds()
	classes := []steps.Class{steps.Compared, steps.Fixed, steps.Unreadable, steps.Instruction}
	used := map[string]bool{}
	fields, unreadable := 0, 0
	for _, name := range kinds.Names() {
		k, _ := kinds.Get(name)
		steps.Leaves(k.Fields(), func(path string, f steps.Field) {
			fields++
			at := name + "." + path
			if !slices.Contains(classes, f.Class) {
				t.Errorf("%s: check:%q is no class: a field says how Check treats it", at, f.Class)
			}
			switch f.Class {
			case steps.Unreadable:
				unreadable++
				if f.Why == "" {
					t.Errorf("%s is unreadable and does not say why", at)
				}
			case steps.Instruction:
				used[f.Why] = true
				if f.Why == "" {
					t.Errorf("%s is an instruction without a reason of the closed list", at)
				}
			}
			leaf := f.Shape
			for leaf.Of != nil {
				leaf = leaf.Of
			}
			if !slices.Contains(shape.Kinds(), leaf.Kind) {
				t.Errorf("%s: %q is no type", at, leaf.Kind)
			}
			if _, err := regexp.Compile(leaf.Pattern); err != nil {
				t.Errorf("%s: %v", at, err)
			}
		})
	}
	for key, why := range steps.Instructions() {
		if !used[why] {
			t.Errorf("no field is an instruction for the reason %s", key)
		}
	}
	if unreadable*20 > fields {
		t.Errorf("%d of %d fields are unreadable, which is more than 5 %%", unreadable, fields)
	}
	t.Logf("%d fields, %d unreadable", fields, unreadable)
}

// TestSystems: a kind whose calls are all on one system is for that system, and says so.
func TestSystems(t *testing.T) {
	for _, name := range Kinds().Names() {
		k, _ := Kinds().Get(name)
		on := map[string]bool{}
		for _, c := range k.Calls {
			for _, r := range c.On {
				on[map[bool]string{true: "linux", false: "windows"}[r == node.Linux]] = true
			}
		}
		if k.OS != "" && k.OS != "windows" && k.OS != "linux" {
			t.Errorf("%s is for %q", name, k.OS)
		}
		if k.OS != "" && on[map[string]string{"windows": "linux", "linux": "windows"}[k.OS]] {
			t.Errorf("%s is for %s and makes calls on the other", name, k.OS)
		}
	}
	for name, os := range map[string]string{"feature": "windows", "registry": "windows", "storage.disk": "windows",
		"sysctl": "linux", "package": "windows", "packages": "linux", "file": ""} {
		if k, _ := Kinds().Get(name); k.OS != os {
			t.Errorf("%s is for %q, not %q", name, k.OS, os)
		}
	}
	dir, _ := Kinds().Get("directory")
	if n := dir.Needs(map[string]any{"path": `C:\farm`}); len(n) != 1 || n[0].OS != "windows" {
		t.Errorf("%+v", n)
	}
}

// TestTypesRefuse: what a type says needs no Validate, and the error names the place.
func TestTypesRefuse(t *testing.T) {
	const mac = "00:15:5D:00:00:01"
	for _, c := range []struct {
		kind  string
		with  map[string]any
		place string
	}{
		{"user", map[string]any{"name": "ops", "uid": -1}, "uid"},
		{"user", map[string]any{"name": "ops", "comment": "a:b"}, "comment"},
		{"group", map[string]any{"name": "web", "gid": -1}, "gid"},
		{"probe", map[string]any{"message": "m", "releases": []any{"2003", "2010"}}, "releases[1]"},
		{"probe", map[string]any{"message": "m", "free_letter": "EE"}, "free_letter"},
		{"probe", map[string]any{"message": "m", "plain_adapters": []any{"x"}}, "plain_adapters[0]"},
		{"probe", map[string]any{"message": "m", "listens": 65536}, "listens"},
		{"dns.record", map[string]any{"zone": "c.com", "name": "a", "data": []any{"::1"}}, "data[0]"},
		{"dns.record", map[string]any{"zone": "c.com", "name": "a", "data": []any{"192.0.2.1", "192.0.2.1"}}, "data[1]"},
		{"file", map[string]any{"path": "a.txt", "content": "x"}, "path"},
		{"file", map[string]any{"path": "/a", "content": "x", "mode": "0689"}, "mode"},
		{"gate", map[string]any{"title": "t", "text": "t", "registry": map[string]any{"key": `HKCU\x`}}, "registry.key"},
		{"network.netbios", map[string]any{"mac": "00:15", "mode": "enabled"}, "mac"},
		{"network.address", map[string]any{"mac": mac, "addresses": []any{"192.0.2.11"}}, "addresses[0]"},
		{"network.dns", map[string]any{"mac": mac, "servers": []any{"192.0.2.5", "dc1"}}, "servers[1]"},
		{"network.binding", map[string]any{"order": []any{mac}}, "order"},
		{"network.binding", map[string]any{"order": []any{mac, "00-15-5d-00-00-01"}}, "order[1]"},
		{"network.hosts", map[string]any{"entries": []any{map[string]any{"address": "192.0.2.1", "names": []any{}}}},
			"entries[0].names"},
		{"package", map[string]any{"path": "x.msi", "product_code": "8E5233E1"}, "product_code"},
		{"package", map[string]any{"path": "x.msi", "detect": map[string]any{"key": `HKCU\x`}}, "detect.key"},
		{"registry", map[string]any{"key": `HKCU\x`, "data": "x"}, "key"},
		{"registry", map[string]any{"key": `HKLM\x\`, "data": "x"}, "key"},
		{"sysctl", map[string]any{"key": "a.b", "value": "1\n2"}, "value"},
		{"feature", map[string]any{"names": []any{}}, "names"},
		{"feature", map[string]any{"names": []any{"Failover Clustering"}}, "names[0]"},
		{"storage.letter", map[string]any{"serial": "S", "letter": "EE"}, "letter"},
		{"storage.volume", map[string]any{"serial": "S", "letter": "E", "label": "a/b"}, "label"},
		{"storage.volume", map[string]any{"serial": "S", "letter": "E", "label": "x\"\r\nclean"}, "label"},
		{"storage.volume", map[string]any{"serial": "S", "letter": "E", "label": strings.Repeat("x", 33)}, "label"},
		{"cluster.create", map[string]any{"name": "1st", "node": "n1", "addresses": []any{"192.0.2.20"}, "as": "a"}, "name"},
		{"cluster.create", map[string]any{"name": "c", "node": "n1", "addresses": []any{"192.0.2.256"}, "as": "a"},
			"addresses[0]"},
		{"exchange.cms", map[string]any{"name": "m", "address": "192.0.2.21", "data_path": `mbx`, "disks": []any{"L"},
			"setup": `D:\s.com`, "as": "a"}, "data_path"},
		{"exchange.install", map[string]any{"roles": []any{"Mailbocks"}, "setup": `D:\s.com`, "as": "a"}, "roles[0]"},
		{"exchange.databasepath", map[string]any{"server": "m", "path": `E:\x.db`, "as": "a"}, "path"},
		{"command", map[string]any{"check": []any{"true"}, "apply": []any{"true"}, "as": 5}, "as"},
		{"user", map[string]any{}, "name"},
	} {
		k, ok := Kinds().Get(c.kind)
		if !ok {
			t.Fatalf("no kind %s", c.kind)
		}
		_, err := k.Decode(c.with)
		var fe *steps.FieldError
		if !errors.As(err, &fe) || !strings.HasPrefix(fe.Error(), c.place+": ") {
			t.Errorf("%s %v: %v, want an error at %s", c.kind, c.with, err, c.place)
		}
	}
}

// TestNormalForm: a kind sees the normal form of a text, whatever way it was written.
func TestNormalForm(t *testing.T) {
	k, _ := Kinds().Get("storage.letter")
	s, err := k.Decode(map[string]any{"serial": "S", "letter": "q:"})
	if err != nil {
		t.Fatal(err)
	}
	if raw := string(steps.MustJSON(s)); raw != `{"serial":"S","letter":"Q"}` {
		t.Error(raw)
	}
	if got := k.Values("letter", map[string]any{"serial": "S", "letter": "q:"}); len(got) != 1 || got[0].Text != "q:" ||
		got[0].Path[0] != "letter" {
		t.Errorf("%+v", got)
	}
}
