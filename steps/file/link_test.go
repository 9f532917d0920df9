package file

import (
	"encoding/json"
	"testing"

	"deploy/internal/hint"
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

// A link that shall not be there is shown as a link, goes, and comes back as a link.
func TestLinkThatShallNotBeThere(t *testing.T) {
	for _, to := range []string{"real", "nowhere"} {
		links := map[string]string{"/srv/l": to}
		m := linked(links)
		if to == "real" { // what follows the link sees its file
			m.SetFile("/srv/l", []byte("old\n"))
		}
		s := &File{Path: "/srv/l", Absent: true}
		d, err := s.Check(t.Context(), m)
		if err != nil || d.Action != steps.Delete || len(d.Changes) != 1 || d.Changes[0].Attr != "link" ||
			d.Changes[0].From != to {
			t.Errorf("%s: %+v, %v", to, d, err)
			continue
		}
		var b fileBefore
		if err := json.Unmarshal(d.Before, &b); err != nil || b.Link != to {
			t.Errorf("%s: %s", to, d.Before)
		}
		delete(links, "/srv/l") // unlink takes the link itself
		if _, err := s.Apply(t.Context(), m, d); err != nil {
			t.Errorf("%s: %v", to, err)
		}
		if d, err := s.Check(t.Context(), m); err != nil || d.Action != steps.NoOp {
			t.Errorf("%s, afterwards: %+v, %v", to, d, err)
		}
		if err := s.Undo(t.Context(), m, d.Before); err != nil || links["/srv/l"] != to {
			t.Errorf("%s, undo: %v, %v", to, links, err)
		}
	}
}

// Content goes to the file behind a link, which the plan says; a link to nowhere is an error.
func TestContentBehindALink(t *testing.T) {
	text := "new\n"
	s := &File{Path: "/srv/l", Content: &text}
	for to, want := range map[string]string{"real": "/srv/l is a link: the file that is changed is real",
		"/run/x/resolv.conf": "/srv/l is a link: the file that is changed is /run/x/resolv.conf, which is gone after a " +
			"restart"} {
		m := linked(map[string]string{"/srv/l": to})
		m.SetFile("/srv/l", []byte("old\n"))
		d, err := s.Check(t.Context(), m)
		if err != nil || d.Action != steps.Update || len(d.Warnings) != 1 || d.Warnings[0] != want {
			t.Errorf("%s: %+v, %v", to, d, err)
		}
		m.SetFile("/srv/l", []byte(text))
		if d, err := s.Check(t.Context(), m); err != nil || d.Action != steps.NoOp {
			t.Errorf("%s, as declared: %+v, %v", to, d, err)
		}
	}
	if _, err := s.Check(t.Context(), linked(map[string]string{"/srv/l": "nowhere"})); err == nil || hint.Of(err) == "" {
		t.Errorf("a link to nowhere: %v", err)
	}
}
