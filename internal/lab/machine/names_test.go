package machine

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"deploy/internal/node"
)

// Every property, method and argument that the lab's classes have is in the documentation of the
// real ones.
func TestWMINamesAreDocumented(t *testing.T) {
	var facts struct {
		Classes map[string]struct {
			Props   []string
			Methods map[string][]string
		}
	}
	read(t, "testdata/wmi-cimv2.json", &facts)
	for _, k := range Base().Classes {
		doc, ok := facts.Classes[k.Name]
		if !ok {
			t.Errorf("class %s is in no table", k.Name)
			continue
		}
		for _, p := range k.Props {
			if !slices.Contains(doc.Props, p) {
				t.Errorf("%s has no property %s", k.Name, p)
			}
		}
		for _, set := range []map[string]Method{k.Methods, k.Static} {
			for name, m := range set {
				args, ok := doc.Methods[name]
				if !ok {
					t.Errorf("%s has no method %s", k.Name, name)
				}
				for _, a := range m.Args {
					if !slices.Contains(args, a) {
						t.Errorf("%s.%s has no argument %s (it has %v)", k.Name, name, a, args)
					}
				}
			}
		}
	}
}

// Instances hold only properties that their class has.
func TestInstancesKeepToTheirClass(t *testing.T) {
	for _, release := range []node.Release{node.WS2003, node.WS2008, node.WS2025} {
		c := newLab(t, release, "de").node1()
		makeVolume(t, c, "E1", "E:")
		for _, k := range c.B.Classes {
			list, err := k.List(c)
			if err != nil {
				t.Errorf("%s: %v", k.Name, err)
			}
			for _, o := range list {
				for p := range o {
					if !slices.Contains(k.Props, p) {
						t.Errorf("%s has an instance with %s", k.Name, p)
					}
				}
			}
		}
	}
}

// Every cmdlet and parameter is in the tables of every release on which the lab has it, aliases
// included.
func TestCmdletNamesAreDocumented(t *testing.T) {
	var facts struct{ Commands map[string][]string }
	read(t, "testdata/cmdlets.json", &facts)
	checked := 0
	for _, k := range Base().Cmdlets {
		for _, release := range node.WindowsReleases() {
			c := newLab(t, release, "en").node1()
			if !k.has(c) {
				continue
			}
			params, ok := facts.Commands[string(release)+" "+k.Name]
			if !ok {
				// PowerShell's own cmdlets are recorded for 2.0 on, on 2008 R2; ServerManager of 2016 and 2019
				// in no source
				if k.Load == "" && !release.AtLeast(node.WS2008R2) || k.Load == "ServerManager" &&
					(release == node.WS2016 || release == node.WS2019) {
					continue
				}
				t.Errorf("%s of %s is in no table", k.Name, release)
				continue
			}
			for _, p := range k.Params {
				own, _, _ := strings.Cut(p, "=")
				if k.param(c, own) == "" {
					continue // not on this release
				}
				checked++
				if !slices.Contains(params, own) {
					t.Errorf("%s of %s has no parameter %s", k.Name, release, own)
				}
			}
		}
	}
	if checked < 500 {
		t.Errorf("only %d parameters were compared", checked)
	}
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
