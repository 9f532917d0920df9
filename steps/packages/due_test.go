package packages

import (
	"errors"
	"strings"
	"testing"

	"deploy/internal/node"
	"deploy/steps/inspect"
)

// A restart that the installation asks for is the step's; one that was due before is somebody
// else's.
func TestRestartAfterPackages(t *testing.T) {
	marks := func(d *debian, names string) {
		d.m.SetFile(inspect.RebootMark, nil)
		d.m.SetFile(inspect.RebootPackages, []byte(names))
	}
	for name, c := range map[string]struct {
		restart   string
		before    func(d *debian)
		installed func(d *debian)
		reboot    bool
		note      string
		warning   string
	}{
		"nothing is due": {restart: "when-due"},
		"due, and only told": {installed: func(d *debian) { marks(d, "chrony\n") }, warning: "a restart of node1 is due " +
			"because of this (chrony): restart it, or let the step do so with restart: when-due"},
		"due": {restart: "when-due", installed: func(d *debian) { marks(d, "chrony\n") }, reboot: true,
			note: "a restart is due: chrony"},
		"another's": {restart: "when-due", before: func(d *debian) { marks(d, "libc6\n") },
			warning: "a restart of node1 was due before this (libc6); it is left to whoever asked for it"},
		"another's and ours": {restart: "when-due", before: func(d *debian) { marks(d, "libc6\n") },
			installed: func(d *debian) { marks(d, "libc6\nchrony\n") }, reboot: true, note: "a restart is due: chrony"},
		"nothing that tells": {restart: "when-due", before: func(d *debian) { d.m.F.Distro = "fedora" }},
		"it cannot be told": {restart: "when-due", before: func(d *debian) {
			d.m.Break = func(r node.Request) error {
				if r.Verb == "file.stat" {
					return errors.New("access denied")
				}
				return nil
			}
		}, warning: "cannot tell whether a restart is due: access denied"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDebian()
			if c.before != nil {
				c.before(d)
			}
			s := &Packages{Names: []string{"chrony"}, Restart: c.restart}
			if d.m.F.Distro == "fedora" {
				m, _ := redhat()
				d.m, s.Names = m, []string{"tmux"}
			}
			diff, err := s.Check(t.Context(), d.m)
			if err != nil {
				t.Fatal(err)
			}
			if diff.Effects.Reboot != (c.restart != "") {
				t.Errorf("the plan says %+v", diff.Effects)
			}
			if c.installed != nil {
				apt := d.m.Programs["env"]
				d.m.Programs["env"] = func(argv []string) node.Result {
					r := apt(argv)
					c.installed(d)
					return r
				}
			}
			out, err := s.Apply(t.Context(), d.m, diff)
			if err != nil || out.Reboot != c.reboot || out.Note != c.note || strings.Join(out.Warnings, "\n") != c.warning {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
}

// A link that breaks while the mark is read is no answer: whether the packages are there must be
// looked at.
func TestRestartIsNotTold(t *testing.T) {
	for _, after := range []bool{false, true} {
		d := newDebian()
		s := &Packages{Names: []string{"chrony"}, Restart: "when-due"}
		diff, err := s.Check(t.Context(), d.m)
		if err != nil {
			t.Fatal(err)
		}
		d.m.Break = func(r node.Request) error {
			if r.Verb == "file.stat" && (len(d.calls) > 0) == after {
				return &node.LinkError{Node: "node1", Sent: true}
			}
			return nil
		}
		out, err := s.Apply(t.Context(), d.m, diff)
		var broken *node.LinkError
		if !errors.As(err, &broken) || out.Reboot || (d.have["chrony"] != "") != after {
			t.Errorf("after the installation %v: %+v, %v", after, out, err)
		}
	}
}
