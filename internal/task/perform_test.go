package task

import (
	"context"
	"strings"
	"testing"

	"deploy/internal/node"
)

// jobs is a session that only knows a job.
type jobs struct {
	node.Session
	state node.JobState
}

func (j *jobs) Job(context.Context, string) (node.JobState, error) { return j.state, nil }

func TestWatched(t *testing.T) {
	for _, c := range []struct {
		name   string
		phase  node.JobPhase
		output string
		want   string
	}{
		{"the last line", node.JobRunning, "one\r\ntwo\r\n", "two"},
		{"empty lines are no news", node.JobRunning, "one\n \n\n", "one"},
		{"a progress bar writes over itself", node.JobRunning, "10 %\r20 %\r30 %", "30 %"},
		{"colours are left out", node.JobRunning, "\x1b[31mred\x1b[0m", "[31mred[0m"},
		{"no output", node.JobRunning, "", ""},
		{"it has ended", node.JobDone, "one", ""},
		{"long lines are cut, between letters", node.JobRunning, strings.Repeat("é", 150), strings.Repeat("é", 100)},
	} {
		got := ""
		s := Watched(&jobs{state: node.JobState{Phase: c.phase, Output: c.output}}, func(line string) { got = line })
		if st, err := s.Job(t.Context(), "j"); err != nil || st.Output != c.output {
			t.Errorf("%s: the state is changed: %+v, %v", c.name, st, err)
		}
		if got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
