package packages

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
)

// act checks and applies a step and returns what the undo needs.
func act(t *testing.T, n node.Node, s steps.Step) steps.Diff {
	t.Helper()
	d, err := s.Check(t.Context(), n)
	if err != nil || d.Action == steps.NoOp {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := s.Apply(t.Context(), n, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// left wants an undo to be left for this reason.
func left(t *testing.T, err error, why string) {
	t.Helper()
	var l *steps.LeftError
	if !errors.As(err, &l) || l.Why != why {
		t.Errorf("%v, want left: %s", err, why)
	}
}

func names(have map[string]string) string { return strings.Join(slices.Sorted(maps.Keys(have)), " ") }

// restored wants the look after an undo to show what the act's changes say was there.
func restored(t *testing.T, n node.Node, s steps.Step, d steps.Diff) {
	t.Helper()
	now, err := s.Check(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range d.Changes {
		i := slices.IndexFunc(now.Changes, func(x steps.Change) bool { return x.Attr == c.Attr })
		if i < 0 || now.Changes[i].From != c.From {
			t.Errorf("%s was %v, and now the changes are %+v", c.Attr, c.From, now.Changes)
		}
	}
}

// Without package lists nothing can be foreseen; undo still takes what came along, and only that.
// That the lists are known by then breaks no comparison.
func TestUndoOfWhatWasNotForeseen(t *testing.T) {
	d := newDebian()
	d.stale = true
	s := &Packages{Names: []string{"chrony"}, Refresh: true}
	diff := act(t, d.m, s)
	if len(diff.Changes) != 1 || len(diff.Warnings) != 1 {
		t.Errorf("%+v", diff)
	}
	if err := s.Undo(t.Context(), d.m, diff.Before); err != nil {
		t.Fatal(err)
	}
	if got := names(d.have); got != "base tzdata" {
		t.Errorf("left: %v", got)
	}
	restored(t, d.m, s, diff)
}

// Old lists foresee less than what comes when they are fresh.
func TestUndoOfWhatOldListsDidNotForesee(t *testing.T) {
	d := newDebian()
	s := &Packages{Names: []string{"chrony"}, Refresh: true}
	diff, err := s.Check(t.Context(), d.m)
	if err != nil {
		t.Fatal(err)
	}
	d.needs["libcap"], d.versions["libnew"] = []string{"libnew"}, []string{"1"} // the fresh lists say so
	if _, err := s.Apply(t.Context(), d.m, diff); err != nil || d.have["libnew"] == "" {
		t.Fatal(d.have, err)
	}
	remv := d.m.Programs["apt-get"]
	d.m.Programs["apt-get"] = func(argv []string) node.Result {
		res := remv(argv)
		if slices.Contains(argv, "--auto-remove") {
			res.Stdout = append(res.Stdout, "Remv libnew [1]\n"...)
		}
		return res
	}
	if err := s.Undo(t.Context(), d.m, diff.Before); err != nil {
		t.Fatal(err)
	}
	if got := names(d.have); got != "base tzdata" {
		t.Errorf("left: %v", got)
	}
}

// Fresh lists may know that another package would be removed. That stops the step; the next plan
// shows it, and the undo of what is done then brings it back.
func TestWhatFreshListsWouldRemove(t *testing.T) {
	for name, stale := range map[string]bool{"no lists": true, "old lists": false} {
		d := newDebian()
		d.stale = stale
		d.have["oldconf"] = "1"
		s := &Packages{Names: []string{"addon"}, Refresh: true}
		diff, err := s.Check(t.Context(), d.m)
		if err != nil {
			t.Fatal(err)
		}
		d.conflict = map[string]string{"addon": "oldconf"}
		before := names(d.have)
		if _, err = s.Apply(t.Context(), d.m, diff); err == nil || !strings.Contains(err.Error(), "would remove oldconf") ||
			hint.Of(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if names(d.have) != before {
			t.Errorf("%s: %v", name, d.have)
		}
		if diff, err = s.Check(t.Context(), d.m); err != nil ||
			!slices.Contains(diff.Changes, steps.Change{Attr: "oldconf (must go too)", From: "1", To: nil}) {
			t.Errorf("%s: %+v, %v", name, diff.Changes, err)
		}
		if out, err := s.Apply(t.Context(), d.m, diff); err != nil || len(out.Warnings) != 1 ||
			!strings.Contains(out.Warnings[0], "oldconf 1 was removed") {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
		if d.have["addon"] == "" || d.have["oldconf"] != "" {
			t.Errorf("%s: %v", name, d.have)
		}
		if err := s.Undo(t.Context(), d.m, diff.Before); err != nil || names(d.have) != before {
			t.Errorf("%s: %v, %v", name, d.have, err)
		}
		restored(t, d.m, s, diff)
	}
}

// What was removed does not come back over something that came later.
func TestUndoDoesNotPushOutWhatCameLater(t *testing.T) {
	d := newDebian()
	d.have["oldconf"] = "1"
	s := &Packages{Names: []string{"oldconf"}, Absent: true}
	diff := act(t, d.m, s)
	d.have["addon"], d.conflict = "1", map[string]string{"addon": "oldconf"}
	left(t, s.Undo(t.Context(), d.m, diff.Before), "cannot put oldconf:amd64=1 back: addon, which came later, would go")
	if d.have["addon"] == "" || d.have["oldconf"] != "" {
		t.Errorf("%v", d.have)
	}
}

// What others installed later keeps what it needs; the rest goes.
func TestUndoSparesWhatOthersNeed(t *testing.T) {
	for name, c := range map[string]struct{ needs, why, have string }{
		"the package itself": {"chrony", "cannot remove chrony: addon, which came later, would go with it; " +
			"cannot remove libcap: addon, which came later, would go with it", "addon base chrony libcap tzdata"},
		"what came along": {"libcap", "cannot remove libcap: addon, which came later, would go with it",
			"addon base libcap tzdata"},
	} {
		d := newDebian()
		s := &Packages{Names: []string{"chrony"}}
		diff := act(t, d.m, s)
		d.have["addon"], d.needs["addon"] = "1", []string{c.needs}
		for range 2 {
			left(t, s.Undo(t.Context(), d.m, diff.Before), c.why)
			if got := names(d.have); got != c.have {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
}

// dnf removes what needs a package along with it, so it is asked before.
func TestUndoSparesWhatOthersNeedOnFedora(t *testing.T) {
	m, have, calls := redhatNeeding(map[string]string{"appx": "libx", "appy": "appx"})
	s := &Packages{Names: []string{"libx", "tmux"}}
	d := act(t, m, s)
	have["appx"], have["appy"] = "0:1-1", "0:1-1"
	left(t, s.Undo(t.Context(), m, d.Before), "cannot remove libx: appx, appy, which came later, would go with it")
	if got := names(have); got != "appx appy bash chrony libx" {
		t.Errorf("left: %s", got)
	}
	delete(have, "appx")
	if err := s.Undo(t.Context(), m, d.Before); err != nil || have["libx"] != "" || have["appy"] == "" {
		t.Errorf("%v, %v", have, err)
	}
	*calls = nil
	have["libx"] = "0:3.2-1.el9"
	dnf := m.Programs["dnf"]
	m.Programs["dnf"] = func(argv []string) node.Result {
		if slices.Contains(argv, "repoquery") {
			return node.Result{Code: 1}
		}
		return dnf(argv)
	}
	if err := s.Undo(t.Context(), m, d.Before); err == nil || hint.Of(err) == "" || have["libx"] == "" {
		t.Errorf("dnf cannot tell what would go, and libx is %q: %v", have["libx"], err)
	}
}

// On Fedora a plan shows what a removal takes along.
func TestRemovalShowsWhatGoesOnFedora(t *testing.T) {
	m, have, _ := redhatNeeding(map[string]string{"appx": "libx"})
	have["libx"], have["appx"] = "0:3.2-1.el9", "0:1-1"
	d, err := (&Packages{Names: []string{"libx"}, Absent: true}).Check(t.Context(), m)
	want := steps.Change{Attr: "appx (must go too)", From: "0:1-1", To: nil}
	if err != nil || !slices.Contains(d.Changes, want) {
		t.Errorf("%+v, %v", d.Changes, err)
	}
}

// A package that is half installed has files on the disk: it is not "absent", neither for an
// install nor for an undo.
func TestHalfInstalled(t *testing.T) {
	for _, status := range []string{"iF", "iU", "iH", "iW", "it", "iHR"} {
		d := newDebian()
		d.versions["solo"] = []string{"1"}
		s := &Packages{Names: []string{"solo"}}
		diff, err := s.Check(t.Context(), d.m)
		if err != nil {
			t.Fatal(err)
		}
		// the act was cut off here
		d.half = map[string]string{"solo": status}
		now, err := s.Check(t.Context(), d.m)
		if err != nil || now.Action == steps.NoOp || now.Changes[0].From != "1, half installed ("+status+")" {
			t.Errorf("%s: %+v, %v", status, now, err)
		}
		if err := s.Undo(t.Context(), d.m, diff.Before); err != nil || len(d.half) > 0 {
			t.Errorf("%s: %v, %v", status, d.half, err)
		}
		restored(t, d.m, s, diff)

		// others left it so: it is finished, and an undo cannot break it again
		d.half = map[string]string{"solo": status}
		diff = act(t, d.m, s)
		left(t, s.Undo(t.Context(), d.m, diff.Before), "solo was half installed before ("+status+")")
		if d.have["solo"] == "" {
			t.Errorf("%s: %v", status, d.have)
		}
	}
}

// An installation that was cut off is finished before one of ours, and before an undo; another
// dpkg at work is waited for.
func TestInterruptedDpkg(t *testing.T) {
	d := newDebian()
	d.half = map[string]string{"theirs": "iU"}
	d.interrupt(true)
	d.locked = 2
	s := &Packages{Names: []string{"addon"}}
	diff := act(t, d.m, s)
	if len(diff.Warnings) != 1 || d.have["addon"] == "" || d.have["theirs"] == "" {
		t.Errorf("%+v, %v", diff, d.have)
	}
	d.interrupt(true)
	if err := s.Undo(t.Context(), d.m, diff.Before); err != nil || d.have["addon"] != "" {
		t.Errorf("%v, %v", d.have, err)
	}
	finishes := 0
	for _, c := range d.calls {
		if strings.Contains(c, "dpkg") && strings.HasSuffix(c, "--configure -a") {
			finishes++
		}
	}
	if finishes != 4 {
		t.Errorf("%d in %s", finishes, strings.Join(d.calls, "\n"))
	}

	d = newDebian() // one that cannot be finished stops the step
	d.interrupt(true)
	d.m.Programs["env"] = func([]string) node.Result { return node.Result{Code: 1} }
	if _, err := s.Apply(t.Context(), d.m, steps.Diff{}); err == nil || hint.Of(err) == "" {
		t.Error(fmt.Sprint(err))
	}
}
