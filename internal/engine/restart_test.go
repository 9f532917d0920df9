package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"deploy/internal/journal"
)

// lostCase is an act whose answer is lost: the task's flags, the marks that the machine keeps of a
// restart that is due, and the story from there on.
type lostCase struct{ name, flags, marks, want string }

// cutAndKilled plays each case twice: the link breaks, and the controller is killed.
func cutAndKilled(t *testing.T, cases []lostCase, play func(t *testing.T, tc lostCase, killed bool)) {
	t.Helper()
	for _, tc := range cases {
		t.Run("cut, "+tc.name, func(t *testing.T) { play(t, tc, false) })
		t.Run("killed, "+tc.name, func(t *testing.T) { play(t, tc, true) })
	}
}

// TestRestartOfALostAnswer: the link breaks between an act and its answer, or the controller is
// killed there. Whether a restart is due, the machine is asked; where it cannot tell, a person is.
func TestRestartOfALostAnswer(t *testing.T) {
	const restarts = "begin:a@n1 apply:a@n1 lost:a@n1 reboot:a@n1 restart:n1 rebooted:a@n1 done:a@n1 checkpoint:p"
	const unknown = "begin:a@n1 apply:a@n1 lost:a@n1 restart-unknown:a@n1 done:a@n1 checkpoint:p"
	const nothing = "begin:a@n1 apply:a@n1 lost:a@n1 done:a@n1 checkpoint:p"
	cutAndKilled(t, []lostCase{
		{"announced", "reboot", "none", restarts},
		{"announced, the machine cannot tell", "reboot,marked", "cannot", restarts},
		{"announced, and marked where it is due", "reboot,marked", "", restarts},
		{"announced, and no mark where there would be one", "reboot,marked", "none", nothing},
		{"perhaps, and marked", "may", "", restarts},
		{"perhaps, and no mark, which proves nothing", "may", "none", unknown},
		{"perhaps, and no mark where there would be one", "may,marked", "none", nothing},
		{"perhaps, and the machine cannot tell", "may,marked", "cannot", unknown},
		{"never", "none", "", nothing},
	}, func(t *testing.T, tc lostCase, killed bool) {
		g := newRig(t, "p: a:quiet,lost,"+tc.flags)
		g.w.marks = tc.marks
		want := tc.want
		if killed {
			g.m.killAt, g.m.late = 3, true // run-start, phase, begin: the next one is never written
			if _, err := Apply(context.Background(), g.o, nil); !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			g.revive()
			g.story()
			// the act went through, and nobody heard of it
			g.w.values["n1/a"] = map[bool]string{true: "new", false: "pending"}[tc.flags == "none"]
			want = strings.TrimPrefix(want, "begin:a@n1 apply:a@n1 lost:a@n1 ")
		}
		sum, err := Apply(context.Background(), g.o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.story(); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if told := len(sum.Restarts) == 1; told != (tc.want == unknown) {
			t.Errorf("the summary says %+v", sum.Restarts)
		}
	})
}

// TestRestartOfALostUndo is the same for an undo: whether taking back needs a restart tells its
// answer, so it is perhaps wherever the act may need one. Then the undo is called again, since a
// check need not see all that it does.
func TestRestartOfALostUndo(t *testing.T) {
	const lost, again = "undo-begin:a@n1 undo:a@n1 lost:a@n1 ", "undo-begin:a@n1 undo:a@n1 undone:a@n1"
	const restarts = lost + "reboot:a@n1 restart:n1 rebooted:a@n1 " + again
	const unknown = lost + "restart-unknown:a@n1 " + again
	const nothing = lost + again
	cutAndKilled(t, []lostCase{
		{"it may, and the machine tells", "may", "", restarts},
		{"it may, and no mark proves nothing", "may", "none", unknown},
		{"it may, and no mark where there would be one", "may,marked", "none", nothing},
		{"the act announced one, and the machine tells", "reboot,marked", "", restarts},
		{"the act announced one, and the machine cannot tell", "reboot,marked", "cannot", unknown},
		{"neither needs one", "none", "cannot", nothing},
	}, func(t *testing.T, tc lostCase, killed bool) {
		g := newRig(t, "p: a:quiet,undoreboot,undolost,"+tc.flags)
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
		g.story()
		g.o.Run = ""
		g.w.marks = tc.marks
		want := tc.want
		if killed {
			g.m.killAt, g.m.late = len(g.m.entries)+2, true // run-start, undo-begin
			if _, err := Rollback(context.Background(), g.o, RollbackOptions{}); !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			g.revive()
			g.story()
			g.w.values["n1/a"] = "leaving" // the undo went through, and nobody heard of it
			want = strings.TrimPrefix(want, lost)
		}
		sum, err := Rollback(context.Background(), g.o, RollbackOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := g.story(); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if told := len(sum.Restarts) == 1; told != (tc.want == unknown) {
			t.Errorf("the summary says %+v", sum.Restarts)
		}
	})
}

// TestRestartUnknownStays: status keeps saying so until another boot of the node is seen.
func TestRestartUnknownStays(t *testing.T) {
	g := newRig(t, "p: a:quiet,lost,may b")
	g.w.marks = "none"
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	said := func() string {
		st, err := Status(g.m.entries, g.o.Program)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, n := range st.Restarts {
			out = append(out, n.Node+": "+n.Text)
		}
		return strings.Join(out, "; ")
	}
	const want = "n1: the answer of p/a@n1 was lost, and n1 does not report whether it must restart; restart it, " +
		"or check the product"
	if said() != want {
		t.Errorf("status says %s", said())
	}
	g.o.Run = ""
	if sum, err := Apply(context.Background(), g.o, nil); err != nil || len(sum.Restarts) != 1 || said() != want {
		t.Errorf("after a run without changes: %v, %s", err, said())
	}
	g.w.restart("n1")
	g.o.Run = ""
	if sum, err := Apply(context.Background(), g.o, nil); err != nil || len(sum.Restarts) != 0 || said() != "" {
		t.Errorf("after a restart: %v, %+v, %s", err, sum.Restarts, said())
	}
}

// TestIntentsSayWhetherARestartIsDue: before the act.
func TestIntentsSayWhetherARestartIsDue(t *testing.T) {
	for _, dial := range []string{"direct", "agent"} {
		g := newRig(t, "p: a:reboot b:may c")
		if dial == "agent" {
			g.o.Dial = g.w.dialAgent
		}
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
		st, err := journal.Fold(g.m.entries)
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]journal.Restart{"p/a@n1": journal.RestartYes, "p/b@n1": journal.RestartPerhaps,
			"p/c@n1": journal.RestartNo} {
			if in := st.Task(id).Acts[0].Intent; in.Restart != want || in.BootID == "" {
				t.Errorf("%s, %s: %+v", dial, id, in)
			}
		}
	}
}
