package file

import (
	"errors"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

func linuxMachine() *nodetest.Machine {
	m := nodetest.NewLinux()
	m.SetFile("/etc/a", []byte("a"))
	m.Own("/etc/a", 0o640, "root", "adm")
	m.SetDir("/srv/x")
	m.Own("/srv/x", 0o1777, "www", "www")
	m.Programs["getent"] = func(argv []string) node.Result {
		switch strings.Join(argv[1:], " ") {
		case "passwd 0", "group 0":
			return node.Result{Stdout: []byte("root:x:0:0::/:/bin/sh\n")}
		case "passwd 4242", "group 4242":
			return node.Result{Code: 2}
		}
		return node.Result{Code: 1}
	}
	return m
}

func TestTierConformanceLinuxAgainstScript(t *testing.T) {
	for name, c := range map[string]struct {
		kind steps.Kind
		with map[string]any
	}{
		"content and mode": {fileKind(), map[string]any{"path": "/etc/a", "content": "b", "mode": "0600", "owner": "root",
			"group": "root"}},
		"mode alone":       {fileKind(), map[string]any{"path": "/etc/a", "content": "a", "mode": "0600"}},
		"no rights at all": {fileKind(), map[string]any{"path": "/etc/a", "content": "b", "mode": "0000"}},
		"owner by number":  {fileKind(), map[string]any{"path": "/etc/a", "content": "a", "owner": "4242"}},
		"new": {fileKind(), map[string]any{"path": "/etc/new", "content": "", "mode": "4755",
			"owner": "www"}},
		"absent":           {fileKind(), map[string]any{"path": "/etc/a", "absent": true}},
		"new directory":    {directoryKind(), map[string]any{"path": "/srv/y/z", "mode": "0750", "group": "www"}},
		"directory's mode": {directoryKind(), map[string]any{"path": "/srv/x", "mode": "0755", "owner": "4242"}},
		"template": {templateKind(), map[string]any{"path": "/etc/a", "text": "{{ .node.hostname }}",
			"mode": "0600"}},
		"template, new": {templateKind(), map[string]any{"path": "/etc/new", "text": "x\n", "crlf": true}},
		"template, mode only": {templateKind(),
			map[string]any{"path": "/etc/a", "text": "{{ .values.a }}", "values": map[string]any{"a": "a"}, "owner": "www"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := linuxMachine()
			before := *m.Files["/etc/a"]
			conformance.Run(t, conformance.Case{Kind: c.kind, With: c.with, Open: func(*testing.T) node.Session { return m }})
			if after := m.Files["/etc/a"]; after.Mode != before.Mode || after.Owner != before.Owner ||
				after.Group != before.Group || string(after.Data) != "a" {
				t.Errorf("%+v is not %+v", after, before)
			}
		})
	}
}

// A number that has a name is the same owner.
func TestOwnerByNumber(t *testing.T) {
	a := "a"
	d, err := (&File{Path: "/etc/a", Content: &a, Access: Access{Owner: "0"}}).Check(t.Context(), linuxMachine())
	if err != nil || d.Action != steps.NoOp {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := (&File{Path: "/etc/a", Content: &a, Access: Access{Owner: "77"}}).Check(t.Context(),
		linuxMachine()); err == nil {
		t.Errorf("getent could not tell, and the answer is %+v", d)
	}
}

// What is not declared stays: a file that is replaced keeps its owner.
func TestReplacedFileKeepsItsOwner(t *testing.T) {
	m, b := linuxMachine(), "b"
	s := &File{Path: "/etc/a", Content: &b, Access: Access{Mode: "0644"}}
	d, err := s.Check(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), m, d); err != nil {
		t.Fatal(err)
	}
	if f := m.Files["/etc/a"]; f.Mode != 0o644 || f.Owner != "root" || f.Group != "adm" {
		t.Errorf("%+v", f)
	}
}

func TestOtherSystemsKeys(t *testing.T) {
	text := ""
	for name, s := range map[string]steps.Validator{
		"mode of Windows":  &File{Path: `C:\x`, Content: &text, Access: Access{Mode: "0644"}},
		"owner of Windows": &Directory{Path: `C:\x`, Access: Access{Owner: "root"}},
		"acl of Linux":     &Directory{Path: "/x", ACL: []ACE{{SID: "BA", Rights: "full"}}},
		"decimal mode":     &File{Path: "/x", Content: &text, Access: Access{Mode: "42"}},
		"mode of eight":    &Directory{Path: "/x", Access: Access{Mode: "0888"}},
		"mode of no file":  &File{Path: "/x", Absent: true, Access: Access{Group: "adm"}},
		"not a template":   &Template{Path: "/x", Text: "{{ .node.hostname "},
		"no such function": &Template{Path: "/x", Text: `{{ readFile "/etc/shadow" }}`},
		"misspelt fact":    &Template{Path: "/x", Text: "{{ .node.hostnam }}"},
		"misspelt value": &Template{Path: "/x", Text: "{{ if .values.a }}{{ $.values.b }}{{ end }}",
			Values: map[string]any{"a": 1}},
		"misspelt in else": &Template{Path: "/x", Text: "{{ range .values.a }}{{ .anything }}{{ else }}{{ .nodes }}{{ " +
			"end }}", Values: map[string]any{"a": 1}},
		"template's windows": &Template{Path: `C:\x`, Text: "x", Access: Access{Mode: "0644"}},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := nodetest.New(node.WS2008)
	if _, err := (&File{Path: "/x", Content: &text, Access: Access{Mode: "0644"}}).Check(t.Context(), m); err == nil ||
		hint.Of(err) == "" {
		t.Errorf("a mode on Windows: %v", err)
	}
	if _, err := (&Directory{Path: "/x", Access: Access{Group: "g"}}).Check(t.Context(), m); err == nil {
		t.Error("a group on Windows, and no error came")
	}
}

func TestTemplateText(t *testing.T) {
	for text, want := range map[string]string{
		"{{ .node.hostname }} {{ .node.distro }} {{ .node.version }} {{ .node.arch }}":         "node1 debian 12 amd64",
		"{{ .values.n }} {{ .values.f }}":                                                      "12000000 1.5",
		"{{ range $i, $s := .values.list }}{{ if $i }},{{ end }}{{ $s }}{{ end }}":             "a,7",
		`{{ join .values.list " " | upper }}{{ if eq .node.os "linux" }}!{{ end }}`:            "A 7!",
		`{{ with (index .values.map "k") }}{{ .x }}{{ end }}{{ printf "%q" (lower "A") }}`:     `1"a"`,
		`{{ define "d" }}[{{ . }}]{{ end }}{{ template "d" .values.n }}{{ .node.init | len }}`: "[12000000]7",
	} {
		step, err := templateKind().Decode(map[string]any{"path": "/x", "text": text,
			"values": map[string]any{"n": 12000000, "f": 1.5, "list": []any{"a", 7},
				"map": map[string]any{"k": map[string]any{"x": 1}}}})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		f, err := step.(*Template).file(linuxMachine().F)
		if err != nil || *f.Content != want {
			t.Errorf("%s: %v, %v", text, f, err)
		}
	}
}

func TestTemplateThatCannotBeFilledIn(t *testing.T) {
	for name, text := range map[string]string{
		"missing in a loop": "{{ range .values.l }}{{ .nothing }}{{ end }}",
		"without end":       `{{ define "d" }}x{{ template "d" . }}{{ end }}{{ template "d" . }}`,
		"too long":          `{{ range 100000000 }}0123456789{{ end }}`,
		"wrong type":        "{{ join .values.s \",\" }}",
	} {
		s := &Template{Path: "/x", Text: text, Values: map[string]any{"l": []any{map[string]any{}}, "s": "text"}}
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d, err := s.Check(t.Context(), linuxMachine()); err == nil || hint.Of(err) == "" {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}
