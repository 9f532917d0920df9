package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"deploy/internal/engine"
)

// Summary writes how a run went: a line for each phase in which something was done or left undone,
// and the whole. A run without changes is one line.
func Summary(w io.Writer, s *engine.Summary, o Options) {
	paint := painter{o.Color}
	if s.How != engine.HowDone || s.Counts.Change+s.Counts.Undone > 0 {
		fmt.Fprintln(w)
		phaseTable(w, s)
	}
	leftNotes(w, s.Left)
	restarts(w, s.Restarts)
	c := s.Counts
	var words []string
	switch {
	case s.How == engine.HowDone && c.Undone+c.Left > 0:
		words = append(words, paint.good(Count(c.Undone, "step")+" undone"))
		if c.Left > 0 {
			words = append(words, fmt.Sprintf("%d left", c.Left))
		}
	case s.How == engine.HowDone && c.Change == 0:
		words = append(words, paint.good("no changes"), Count(c.NoOp, "step")+" unchanged")
	default:
		mark := paint.good
		switch s.How {
		case engine.HowDone:
		case engine.HowWaiting, engine.HowDeclined, engine.HowLeft:
			mark = paint.warn
		default:
			mark = paint.bad
		}
		words = append(words, mark(s.How))
		if c.Undone+c.Left > 0 && c.Change == 0 { // a rollback
			words = append(words, Count(c.Undone, "step")+" undone")
		} else {
			words = append(words, Count(c.Change, "step")+" changed", fmt.Sprintf("%d unchanged", c.NoOp))
			if c.Undone > 0 {
				words = append(words, fmt.Sprintf("%d undone", c.Undone))
			}
		}
		if c.Left > 0 {
			words = append(words, fmt.Sprintf("%d left", c.Left))
		}
		if c.Failed > 0 {
			words = append(words, fmt.Sprintf("%d failed", c.Failed))
		}
		if c.NotRun > 0 {
			words = append(words, fmt.Sprintf("%d not run", c.NotRun))
		}
	}
	if s.Reboots > 0 {
		words = append(words, Count(s.Reboots, "restart"))
	}
	fmt.Fprintf(w, "%s in %s\n", strings.Join(words, ", "), elapsed(s.Elapsed))
}

// phaseTable has a row for each phase with steps and a column for each count that is not 0
// throughout.
func phaseTable(w io.Writer, s *engine.Summary) {
	var rows []engine.PhaseSummary
	for _, p := range s.Phases {
		if p.Counts.Tasks+p.Counts.NoOp+p.Counts.Change+p.Counts.Undone+p.Counts.Left+p.Counts.Failed > 0 {
			rows = append(rows, p)
		}
	}
	type column struct {
		title string
		of    func(p engine.PhaseSummary) int
	}
	var columns []column
	for _, c := range []column{
		{"steps", func(p engine.PhaseSummary) int { return p.Counts.Tasks }},
		{"changed", func(p engine.PhaseSummary) int { return p.Counts.Change }},
		{"undone", func(p engine.PhaseSummary) int { return p.Counts.Undone }},
		{"unchanged", func(p engine.PhaseSummary) int { return p.Counts.NoOp }},
		{"left", func(p engine.PhaseSummary) int { return p.Counts.Left }},
		{"failed", func(p engine.PhaseSummary) int { return p.Counts.Failed }},
		{"not run", func(p engine.PhaseSummary) int { return p.Counts.NotRun }},
	} {
		if slices.ContainsFunc(rows, func(p engine.PhaseSummary) bool { return c.of(p) > 0 }) {
			columns = append(columns, c)
		}
	}
	if len(rows) == 0 {
		return
	}
	timed := slices.ContainsFunc(rows, func(p engine.PhaseSummary) bool { return p.Elapsed > 0 })
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprint(t, "phase\t")
	for _, c := range columns {
		fmt.Fprint(t, c.title+"\t")
	}
	if timed {
		fmt.Fprint(t, "time\t")
	}
	fmt.Fprintln(t)
	for _, p := range rows {
		fmt.Fprint(t, p.ID+"\t")
		for _, c := range columns {
			fmt.Fprintf(t, "%d\t", c.of(p))
		}
		if timed {
			fmt.Fprint(t, elapsed(p.Elapsed)+"\t")
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
	fmt.Fprintln(w)
}

// restarts tells of nodes that may have to restart.
func restarts(w io.Writer, list []engine.RestartNote) {
	for _, n := range list {
		fmt.Fprintf(w, "restart unknown: %s  %s\n", n.Node, n.Text)
	}
}

// nodeRecords tells what the owner records of the nodes say.
func nodeRecords(w io.Writer, list []engine.NodeRecord, paint painter) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w, "\nowner records:")
	for _, n := range list {
		mark, text := paint.good("="), "fits"
		switch {
		case n.Error != "":
			mark, text = paint.warn("?"), n.Error
		case n.Text != "":
			mark, text = paint.bad("!"), n.Text
		case n.None():
			mark, text = " ", "none"
		}
		fmt.Fprintf(w, "  %s %-16s %s\n", mark, n.Node, text)
		if n.Hint != "" {
			fmt.Fprintf(w, "    %-16s hint: %s\n", "", n.Hint)
		}
	}
}

// Status writes what the journal knows of a site.
func Status(w io.Writer, s *engine.StatusReport, o Options) {
	paint := painter{o.Color}
	if s.LastRun == nil {
		fmt.Fprintf(w, "site %s was never applied from this state directory\n", s.Site)
		nodeRecords(w, s.Nodes, paint)
		return
	}
	r := s.LastRun
	fmt.Fprintf(w, "site %s: last run %s (%s by %s, %s): %s\n", s.Site, r.ID, r.Command, r.Who,
		r.Started.Local().Format(time.DateTime), r.How)
	if r.Error != "" {
		fmt.Fprintf(w, "  %s\n", r.Error)
	}
	for _, m := range r.Moved {
		fmt.Fprintf(w, "  %s since\n", m)
	}
	fmt.Fprintln(w)
	for _, p := range s.Phases {
		mark := " "
		switch {
		case p.Checkpoint:
			mark = paint.good("x")
		case p.Counts.Failed > 0:
			mark = paint.bad("!")
		case p.Counts.Open > 0:
			mark = paint.warn("?")
		}
		fmt.Fprintf(w, "  [%s] %-22s %3d of %3d done  %s\n", mark, p.ID, p.Counts.Done, p.Counts.Tasks, paint.dim(p.Title))
		for _, t := range p.Tasks {
			if t.Left != "" {
				fmt.Fprintf(w, "        %-12s %s%s\n", "left", t.ID, dash(t.Left))
			}
			if t.Anew != nil {
				fmt.Fprintf(w, "        %-12s %s%s\n", "made anew", t.ID, dash(t.Anew.String()))
			}
			if o.Verbose || t.Open || t.Error != "" || t.Status == "waiting" {
				fmt.Fprintf(w, "        %-12s %s%s\n", t.Status, t.ID, dash(firstOf(t.Error, t.Note)))
				if t.Hint != "" && t.Error != "" {
					fmt.Fprintf(w, "        %-12s hint: %s\n", "", t.Hint)
				}
			}
		}
	}
	nodeRecords(w, s.Nodes, paint)
	restarts(w, s.Restarts)
	for _, g := range s.GoneNodes {
		fmt.Fprintf(w, "  %s\n", g.Text())
	}
	for _, t := range s.Gone {
		if slices.ContainsFunc(s.GoneNodes, func(g engine.GoneNode) bool { return g.Node == t.Node }) {
			continue
		}
		fmt.Fprintf(w, "  not in the playbook any more, still applied: %s%s\n", t.ID, dash(t.Left))
	}
	if s.Open > 0 {
		fmt.Fprintf(w, "\noutcome unknown: %s; the next apply checks the machines\n", Count(s.Open, "step"))
	}
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
