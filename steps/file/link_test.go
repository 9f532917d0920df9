package file

import (
	"encoding/json"
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

// linked is a machine with links, which readlink and ln know and which programs that follow links
// do not see when they point to nowhere.
func linked(links map[string]string) *nodetest.Machine {
	m := nodetest.NewLinux()
	m.SetDir("/srv")
	m.Programs["readlink"] = func(argv []string) node.Result {
		if to, ok := links[argv[len(argv)-1]]; ok {
			return node.Result{Stdout: []byte(to)}
		}
		return node.Result{Code: 1}
	}
	m.Programs["ln"] = func(argv []string) node.Result {
		links[argv[len(argv)-1]] = argv[len(argv)-2]
		return node.Result{}
	}
	return m
}

// A link is shown as a link, goes or gives way to the file, and comes back as a link.
func TestLinks(t *testing.T) {
	text := "new\n"
	for name, c := range map[string]struct {
		s       *File
		to      string
		action  steps.Action
		changes int
	}{
		"taken away":             {&File{Path: "/srv/l", Absent: true}, "real", steps.Delete, 1},
		"to nowhere, taken away": {&File{Path: "/srv/l", Absent: true}, "nowhere", steps.Delete, 1},
		"replaced":               {&File{Path: "/srv/l", Content: &text}, "real", steps.Update, 2},
		"to nowhere, replaced":   {&File{Path: "/srv/l", Content: &text}, "nowhere", steps.Update, 2},
	} {
		links := map[string]string{"/srv/l": c.to}
		m := linked(links)
		if c.to == "real" { // what follows the link sees its file
			m.SetFile("/srv/l", []byte("old\n"))
		}
		d, err := c.s.Check(t.Context(), m)
		if err != nil || d.Action != c.action || len(d.Changes) != c.changes || d.Changes[0].Attr != "link" ||
			d.Changes[0].From != c.to {
			t.Errorf("%s: %+v, %v", name, d, err)
			continue
		}
		var b fileBefore
		if err := json.Unmarshal(d.Before, &b); err != nil || b.Link != c.to {
			t.Errorf("%s: %s", name, d.Before)
		}
		delete(links, "/srv/l") // rename and unlink take the link itself
		if _, err := c.s.Apply(t.Context(), m, d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d, err := c.s.Check(t.Context(), m); err != nil || d.Action != steps.NoOp {
			t.Errorf("%s, afterwards: %+v, %v", name, d, err)
		}
		if err := c.s.Undo(t.Context(), m, d.Before); err != nil || links["/srv/l"] != c.to {
			t.Errorf("%s, undo: %v, %v", name, links, err)
		}
	}
}

// A link to a file that holds what is declared is left alone.
func TestLinkToTheRightFile(t *testing.T) {
	text := "right\n"
	m := linked(map[string]string{"/srv/l": "real"})
	m.SetFile("/srv/l", []byte(text))
	if d, err := (&File{Path: "/srv/l", Content: &text}).Check(t.Context(), m); err != nil || d.Action != steps.NoOp {
		t.Errorf("%+v, %v", d, err)
	}
}
