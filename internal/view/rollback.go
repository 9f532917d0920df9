package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"deploy/internal/engine"
)

// RollbackPlan writes what a rollback would do, as far as the journal can tell.
func RollbackPlan(w io.Writer, p *engine.RollbackPlan, o Options) {
	paint := painter{o.Color}
	if len(p.Acts) == 0 {
		fmt.Fprintln(w, "nothing to undo")
		return
	}
	var beyond, stops []string
	untouched := 0
	said := map[string]bool{} // reasons that hold for a whole node
	for _, a := range p.Acts {
		switch {
		case a.Beyond:
			untouched++
			if a.Do == engine.DoStop {
				beyond = append(beyond, a.Task)
			}
		case a.Do == engine.DoUndo:
			fmt.Fprintf(w, "  %s %s\n", paint.bad("-"), a.Task)
			for _, c := range a.Changes {
				fmt.Fprintf(w, "      %s: %s\n", c.Attr, Change(c))
			}
		case a.Do == engine.DoPass:
			if o.Verbose {
				fmt.Fprintf(w, "    %s  nothing to undo\n", a.Task)
			}
		case a.Do == engine.DoLeave:
			why := a.Why
			if said[a.Node+why] {
				why = ""
			}
			said[a.Node+why] = true
			fmt.Fprintf(w, "    %s  left as it is%s\n", a.Task, dash(why))
		case a.Open:
			fmt.Fprintf(w, "  %s %s  left, unless the node shows that it was not done%s\n", paint.bad("!"), a.Task, dash(a.Why))
		default:
			stops = append(stops, a.Task)
			fmt.Fprintf(w, "  %s %s  left, it cannot be undone%s\n", paint.bad("!"), a.Task, dash(a.Why))
		}
	}
	if untouched > 0 {
		fmt.Fprintf(w, "    not touched, since it is older: %s; --leave %s continues with them\n", Count(untouched, "act"),
			strings.Join(stops, ","))
		for _, t := range beyond {
			fmt.Fprintf(w, "      %s  cannot be undone either\n", t)
		}
	}
	for _, r := range p.Runs {
		if r.Steps > 0 {
			fmt.Fprintf(w, "  run %s%s: %s\n", r.ID, runDetail(r), Count(r.Steps, "step"))
		}
	}
	fmt.Fprintf(w, "%s would be undone\n", Count(p.Undoes(), "step"))
}

func runDetail(r engine.RollbackRun) string {
	if r.Command == "" {
		return ""
	}
	return fmt.Sprintf(" (%s by %s, %s)", r.Command, r.Who, r.Started.Local().Format(time.DateTime))
}

// RollbackSteps says how many steps of which runs a rollback undoes: "12 steps of 2 runs".
func RollbackSteps(p *engine.RollbackPlan) string {
	var runs []string
	for _, r := range p.Runs {
		if r.Steps > 0 {
			runs = append(runs, r.ID)
		}
	}
	switch n := p.Undoes(); len(runs) {
	case 0:
		return Count(n, "step")
	case 1:
		return Count(n, "step") + " of run " + runs[0]
	default:
		return Count(n, "step") + " of " + Count(len(runs), "run")
	}
}

// leftNotes writes what a rollback left as it is.
func leftNotes(w io.Writer, left []engine.LeftNote) {
	for _, n := range left {
		what := n.Task
		if what == "" {
			what = fmt.Sprintf("%s on %s", Count(n.Acts, "act"), n.Node)
		}
		asked := ""
		if n.Asked && n.Text != "as asked" {
			asked = " (as asked)"
		}
		fmt.Fprintf(w, "left as it is: %s  %s%s\n", what, n.Text, asked)
		if n.Hint != "" && !n.Asked {
			fmt.Fprintf(w, "  hint: %s\n", n.Hint)
		}
	}
}
