package cli

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"deploy/internal/engine"
	"deploy/internal/hint"
	"deploy/internal/secret"
	"deploy/inventory"
)

func TestPrintError(t *testing.T) {
	_, misspelt := inventory.Parse("s.yaml", []byte("sit: x\nplaybok: y\n"))
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"one", hint.Wrap(errors.New("no"), "try"), "error: no\nhint: try\n"},
		{"several nodes", errors.Join(hint.Wrap(errors.New("n1: no"), "try"), hint.Wrap(errors.New("n2: no"), "try"),
			hint.Wrap(errors.New("n3: off"), "switch on")),
			"error: n1: no\nerror: n2: no\nerror: n3: off\nhint: try\nhint: switch on\n"},
		{"a text of two lines", errors.Join(errors.New("n1: tool said\nso"), errors.New("n2: no")),
			"error: n1: tool said\n  so\nerror: n2: no\n"},
		{"a secret", errors.New("logon with Correct-Horse"), "error: logon with [secret]\n"},
		{"places in a file", misspelt, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			a := &App{Stderr: &out}
			a.redact.Add(secret.New("Correct-Horse"))
			a.printError(c.err)
			if c.want != "" && out.String() != c.want {
				t.Errorf("got %q", out.String())
			}
			if c.want == "" && (!strings.HasPrefix(out.String(), "s.yaml:1:1: ") || strings.Contains(out.String(), "error:") ||
				strings.Contains(out.String(), "\nhint:")) {
				t.Errorf("a place must begin its line, and brings its own hint: %q", out.String())
			}
		})
	}
}

// A person's no is told without the word error; beside a failure it is one of the errors.
func TestDeclined(t *testing.T) {
	no := hint.Wrap(fmt.Errorf("p/a@n1 was %w: it is forever", engine.ErrDeclined), "run again")
	var e *exitError
	if err := declined(no); !errors.As(err, &e) || e.code != ExitError ||
		e.text != "p/a@n1 was declined: it is forever\nhint: run again" {
		t.Errorf("got %v", err)
	}
	if err := declined(errors.Join(no, errors.New("no disk"))); errors.As(err, &e) {
		t.Errorf("a failure is hidden: %v", err)
	}
	if declined(nil) != nil {
		t.Error("nothing became an error")
	}
}

func TestAgain(t *testing.T) {
	f := runFlags{siteFlags: siteFlags{lab: true, state: "my state"}, approve: true,
		Selection: engine.Selection{Only: []string{"a", "b"}, Nodes: []string{"n1"}, Exclude: []string{"role.web"},
			Tasks: []string{"p/*"}}}
	if got, want := f.again("apply", "it's here.yaml"),
		`deploy apply --lab --auto-approve --state-dir 'my state' --phase a,b --node n1 --exclude role.web --task 'p/*' 'it'\''s here.yaml'`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := (runFlags{}).again("resume", "/a/site.yaml"); got != "deploy resume /a/site.yaml" {
		t.Error(got)
	}
}

// The path of a site that a plan keeps must lead there whichever of both paths was relative.
func TestSeenFrom(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	for _, c := range []struct{ plan, site string }{
		{"p.json", "site.yaml"}, {"plans/p.json", "sites/site.yaml"},
		{filepath.Join(here, "plans", "p.json"), "site.yaml"}, {"p.json", filepath.Join(here, "site.yaml")},
		{"/p.json", "site.yaml"},
	} {
		got, err := seenFrom(c.plan, c.site)
		if err != nil {
			t.Fatal(err)
		}
		abs := func(p string) string {
			p, err := filepath.Abs(p)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		if leads := filepath.Join(filepath.Dir(abs(c.plan)), got); leads != abs(c.site) {
			t.Errorf("%v: %s leads to %s", c, got, leads)
		}
	}
}
