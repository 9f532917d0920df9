package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
)

// savedFile is a saved plan that has something in every part, as the bytes of its file.
func savedFile(t *testing.T, g *rig) []byte {
	t.Helper()
	p, err := MakePlan(context.Background(), g.o)
	if err != nil {
		t.Fatal(err)
	}
	p.SitePath = "site.yaml"
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := p.Save(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever is edited in a saved plan, wherever it stands, the plan is refused: the lists at the top
// and the machines as well as the diffs.
func TestEveryEditOfASavedPlanIsRefused(t *testing.T) {
	g := newRig(t, "p: a@n1+n2:old b:noop,reboot / q: c:gives=x,reboot d:until=x f:final g:gate h:probe")
	g.o.Selection = Selection{Only: []string{"p", "q"}, Exclude: []string{"role.none"}}
	g.o.Program.Roles = map[string][]string{"none": nil}
	raw := savedFile(t, g)
	refused := func(what string, data []byte) {
		t.Helper()
		if _, err := parsePlan("plan.json", data); err == nil {
			t.Errorf("accepted: %s", what)
		} else if hint.Of(err) == "" || len(err.Error()) > 300 {
			t.Errorf("%s is refused without a hint, or in %d bytes", what, len(err.Error()))
		}
	}
	var plan any
	if err := json.Unmarshal(raw, &plan); err != nil {
		t.Fatal(err)
	}
	edits := 0
	var walk func(place string, v any, set func(any))
	walk = func(place string, v any, set func(any)) {
		for _, other := range []any{nil, "tampered", -1, false, []any{}, removed{}} {
			if reflect.DeepEqual(other, v) {
				continue
			}
			set(other)
			b, err := json.Marshal(plan)
			set(v)
			if err != nil {
				t.Fatal(err)
			}
			edits++
			refused(fmt.Sprintf("%s = %v", place, other), b)
		}
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(place+"/"+k, x, func(n any) {
					if _, gone := n.(removed); gone {
						delete(v, k)
						return
					}
					v[k] = n
				})
			}
			v["surplus"] = 1
			b, _ := json.Marshal(plan)
			delete(v, "surplus")
			refused(place+" with one key more", b)
		case []any:
			for i, x := range v {
				walk(fmt.Sprint(place, "/", i), x, func(n any) {
					if _, gone := n.(removed); gone {
						n = nil
					}
					v[i] = n
				})
			}
		case string:
			set(v + " ")
			b, _ := json.Marshal(plan)
			set(v)
			refused(place+" with a blank more", b)
		}
	}
	m := plan.(map[string]any)
	for k, v := range m {
		walk(k, v, func(n any) {
			if _, gone := n.(removed); gone {
				delete(m, k)
				return
			}
			m[k] = n
		})
	}
	if edits < 600 {
		t.Errorf("only %d edits were tried", edits)
	}
	for _, n := range []int{0, 1, len(raw) / 3, len(raw) / 2, len(raw) - 3} {
		refused(fmt.Sprintf("the first %d bytes", n), raw[:n])
	}
	var wide []byte
	for _, u := range utf16.Encode([]rune(string(raw))) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for what, data := range map[string][]byte{
		"null": []byte("null"), "a list": []byte("[]"), "an empty object": []byte("{}"),
		"deep lists":       bytes.Repeat([]byte("["), 100_000),
		"deep objects":     bytes.Repeat([]byte(`{"a":`), 100_000),
		"two plans":        append(bytes.Clone(raw), raw...),
		"a key twice":      bytes.Replace(raw, []byte("{"), []byte(`{"site": "other",`), 1),
		"a digest twice":   bytes.Replace(raw, []byte("{"), []byte(`{"digest": "other",`), 1),
		"an odd spelling":  bytes.Replace(raw, []byte(`"site":`), []byte(`"SITE":`), 1),
		"deep in the plan": bytes.Replace(raw, []byte("{"), append([]byte(`{"x":`), deep(5000)...), 1),
		"UTF-16":           wide,
	} {
		refused(what, data)
	}
	// spaces are nobody's statement
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		t.Fatal(err)
	}
	if _, err := parsePlan("plan.json", compact.Bytes()); err != nil {
		t.Errorf("the plan without spaces: %v", err)
	}
}

type removed struct{}

func deep(n int) []byte {
	return []byte(strings.Repeat("[", n) + strings.Repeat("]", n) + ",")
}

// A plan is for the machines that it has seen: another one that answers under the same name is
// refused, though its diffs are the same.
func TestSavedPlanIsForItsMachines(t *testing.T) {
	for _, c := range []struct {
		name  string
		other func(f *node.Facts)
		want  string
	}{
		{"name", func(f *node.Facts) { f.Computer = "other" }, "computer name other, was n1"},
		{"system", func(f *node.Facts) { f.OS, f.Release = "linux", node.Linux },
			"system linux, was windows, release linux, was 2008"},
		{"build", func(f *node.Facts) { f.Build = 7 }, "build 7, was 0"},
		{"processor", func(f *node.Facts) { f.Arch = "arm64" }, "processor arm64, was none"},
		{"domain", func(f *node.Facts) { f.Domain = "x.test" }, "domain x.test, was none"},
		{"another boot, and another spelling", func(f *node.Facts) { f.BootID, f.Computer = "9", "N1" }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, "p: a@n1+n2")
			path := filepath.Join(t.TempDir(), "plan.json")
			if err := os.WriteFile(path, savedFile(t, g), 0o600); err != nil {
				t.Fatal(err)
			}
			p, err := LoadPlan(path)
			if err != nil {
				t.Fatal(err)
			}
			dial := g.o.Dial
			g.o.Dial = func(ctx context.Context, name string, b Position) (Executor, error) {
				ex, err := dial(ctx, name, b)
				if name == "n1" && err == nil {
					f := ex.Facts()
					c.other(&f)
					ex = posing{ex, f}
				}
				return ex, err
			}
			_, err = Apply(context.Background(), g.o, p)
			var se *StaleError
			switch {
			case c.want == "":
				if err != nil {
					t.Error(err)
				}
			case !errors.As(err, &se) || len(se.Moved) != 1 || se.Moved[0] != "another machine answers as n1: "+c.want:
				t.Errorf("got %v", err)
			case len(g.m.entries) > 0:
				t.Error("something was written")
			}
		})
	}
}

// posing answers with other facts.
type posing struct {
	Executor
	facts node.Facts
}

func (p posing) Facts() node.Facts { return p.facts }

// A refusal is a list, one line for each difference, in the words of the plan, and no longer than a
// person reads.
func TestStaleIsAList(t *testing.T) {
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("a%02d", i))
	}
	g := newRig(t, "p: "+strings.Join(names, " ")+" m:gives=x w:until=x")
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(path, savedFile(t, g), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := LoadPlan(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range names {
		g.w.values["n1/"+n] = strings.Repeat("long\n", 200)
		if i < 3 {
			g.w.values["n1/"+n] = "new"
		}
	}
	g.w.values["n1/x"] = "here"
	_, err = Apply(context.Background(), g.o, p)
	lines := strings.Split(text(err), "\n")
	if len(lines) != 22 || lines[0] != "the saved plan is out of date:" || lines[21] != "and 11 more" ||
		lines[1] != `p/a00@n1 was create (value: "" -> new), is now unchanged` {
		t.Errorf("it says\n%s", text(err))
	}
	for _, l := range lines {
		if len(l) > 320 {
			t.Errorf("a line of %d characters", len(l))
		}
	}
	var se *StaleError
	if !errors.As(err, &se) || se.Moved[30] != `p/w@n1 was unknown until p/m@n1, is now create (value: "" -> new)` {
		t.Errorf("it lists %q", se.Moved)
	}
	if got := told(steps.Diff{Action: steps.Unknown, Until: "x", Waits: []string{"a", "b", "c"}}); got !=
		"unknown until a, b and 1 more" {
		t.Error(got)
	}
}
