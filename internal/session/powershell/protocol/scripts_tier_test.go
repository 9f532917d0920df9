package protocol

import (
	"encoding/base64"
	"encoding/binary"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"deploy/internal/testkit/pslint"
)

// sent are all scripts that reach a machine, as they reach it, with what each may do.
func sent(t *testing.T) (names []string, sources []string, rules []pslint.Script) {
	t.Helper()
	add := func(name, source string, s pslint.Script) {
		names, sources, rules = append(names, name), append(sources, source), append(rules, s)
	}
	// the bootstrap is taken out of the command line and the two runners out of the main script: that
	// is what is carried out
	_, encoded, ok := strings.Cut(CommandLine(), "-EncodedCommand ")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		t.Fatalf("the command line carries no script: %v", err)
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	add("bootstrap", string(utf16.Decode(units)), pslint.Script{Exit: true, Creates: true, Stdout: true})
	add("main", Script(), pslint.Script{})
	for _, name := range []string{"runner", "once"} {
		m := regexp.MustCompile(`(?m)^\$deploy\['` + name + `'\] = '([^']+)'$`).FindStringSubmatch(Script())
		if m == nil {
			t.Fatalf("the main script carries no %s", name)
		}
		text, err := base64.StdEncoding.DecodeString(m[1])
		if err != nil {
			t.Fatal(err)
		}
		add(name, string(text), pslint.Script{Exit: true, Stdout: true})
	}
	return names, sources, rules
}

// TestTierScripts: every script that can be sent parses without an error node in a grammar that is
// not ours, and keeps to the dialect of the oldest version it is sent to.
func TestTierScripts(t *testing.T) {
	g := pslint.Need(t)
	names, sources, rules := sent(t)
	trees, err := g.Parse(t.Context(), sources...)
	if err != nil {
		t.Fatal(err)
	}
	for i, tree := range trees {
		t.Run(names[i], func(t *testing.T) {
			for _, f := range pslint.SyntaxErrors(tree) {
				t.Error(f)
			}
			found, err := pslint.Check(tree, rules[i])
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				t.Error(f)
			}
		})
	}
}

// The files as they are written, with comments and indentation, so that a finding's line is the
// file's.
func TestTierScriptsFiles(t *testing.T) {
	g := pslint.Need(t)
	entries, err := scripts.ReadDir("scripts")
	if err != nil || len(entries) < 10 {
		t.Fatalf("%d scripts, %v", len(entries), err)
	}
	var names, sources []string
	for _, e := range entries {
		b, err := scripts.ReadFile("scripts/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		names, sources = append(names, e.Name()), append(sources, string(b))
	}
	trees, err := g.Parse(t.Context(), sources...)
	if err != nil {
		t.Fatal(err)
	}
	var functions []string
	for _, tree := range trees {
		functions = append(functions, pslint.FunctionNames(tree)...)
	}
	for i, tree := range trees {
		for _, f := range pslint.SyntaxErrors(tree) {
			t.Errorf("scripts/%s: %s", names[i], f)
		}
		// what a file may leave on the pipeline shows only in the script that it becomes part of
		s := pslint.Script{Functions: functions, Stdout: true, Exit: names[i] == "bootstrap.ps1" || names[i] == "job.ps1" ||
			names[i] == "once.ps1", Creates: names[i] == "bootstrap.ps1"}
		found, err := pslint.Check(tree, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			t.Errorf("scripts/%s: %s", names[i], f)
		}
	}
}

// TestTierScriptsNoticesDamage breaks the script's first part in many places: each must give an
// error node.
func TestTierScriptsNoticesDamage(t *testing.T) {
	g := pslint.Need(t)
	whole := part("frame")
	var broken []string
	// a brace or bracket that is missing, at twenty places all over the script
	for _, mark := range []string{"{", "}", "(", ")"} {
		for k := 1; k <= 5; k++ {
			at := strings.Index(whole[len(whole)*k/6:], mark)
			if at < 0 {
				t.Fatalf("no %q after part %d", mark, k)
			}
			at += len(whole) * k / 6
			broken = append(broken, whole[:at]+whole[at+1:])
		}
	}
	for k := 1; k <= 5; k++ { // cut in the middle of a function
		at := strings.Index(whole[len(whole)*k/6:], "\nfunction ")
		if at < 0 {
			break
		}
		at += len(whole) * k / 6
		broken = append(broken, whole[:at+1+strings.Index(whole[at+1:], "{")+1])
	}
	trees, err := g.Parse(t.Context(), broken...)
	if err != nil {
		t.Fatal(err)
	}
	for i, tree := range trees {
		if len(pslint.SyntaxErrors(tree)) == 0 {
			t.Errorf("broken script %d has no syntax error", i)
		}
	}
}
