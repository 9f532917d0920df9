package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"deploy/internal/engine"
	"deploy/internal/node"
	"deploy/steps"
)

// PlanText writes a plan for a person. Steps that have nothing to do are counted, or listed with
// verbose.
func PlanText(w io.Writer, p *engine.Plan, o Options) {
	paint := painter{o.Color}
	fmt.Fprintf(w, "plan for site %s, playbook %s\n\n", paint.bold(p.Site), p.Playbook)
	for _, n := range p.Nodes {
		fmt.Fprintf(w, "  %-16s %s, %s%s\n", n.Name, systemOf(n.Facts), n.Mode, dash(n.Why))
		for _, note := range n.Notes {
			fmt.Fprintf(w, "    %s %s\n", paint.warn("~"), note)
		}
	}
	for _, n := range p.NotLooked {
		fmt.Fprintf(w, "  %-16s %s: %s\n", n.Node, paint.bad("not checked"), indented(n.Error))
	}
	for _, r := range p.Replaced {
		fmt.Fprintf(w, "  %s %s\n", paint.warn("~"), r.Text())
	}
	for _, g := range p.Gone {
		fmt.Fprintf(w, "  %s %s\n", paint.warn("~"), g.Text())
	}
	for _, n := range p.Nodes {
		if n.Owner != nil {
			fmt.Fprintf(w, "  %s\n", paint.bad("! "+n.Owner.Text))
		}
	}
	final := finals(p)
	for _, ph := range p.Phases {
		if len(ph.Steps) == 0 {
			continue
		}
		unchanged := 0
		fmt.Fprintf(w, "\n%s  %s", paint.bold(ph.ID), ph.Title)
		if ph.OnFailure == steps.RollBack {
			fmt.Fprint(w, "  (on failure: roll back this phase)")
		}
		fmt.Fprintln(w)
		for _, s := range ph.Steps {
			for _, t := range s.Tasks {
				if t.Diff.Action == steps.NoOp && !o.Verbose {
					unchanged++
					continue
				}
				planTask(w, s, t, final[t.ID], paint)
			}
		}
		if unchanged > 0 {
			fmt.Fprintf(w, "    %s\n", paint.dim(fmt.Sprintf("%d unchanged", unchanged)))
		}
	}
	fmt.Fprintln(w)
	notes(w, paint, "points of no return", p.NoReturn)
	notes(w, paint, "gates (manual steps)", p.Gates)
	notes(w, paint, "machines that may restart", p.Reboots)
	notes(w, paint, "interruptions", p.Interruptions)
	notes(w, paint, "failovers", p.Failovers)
	notes(w, paint, "begun by an earlier run, outcome unknown", p.Open)
	notes(w, paint, "warnings", p.Warnings)
	fmt.Fprintln(w, PlanCounts(p))
}

// indented keeps the further lines of a text below its first.
func indented(s string) string { return strings.ReplaceAll(s, "\n", "\n    ") }

// PlanCounts is the plan in one line.
func PlanCounts(p *engine.Plan) string {
	c := p.Counts
	dark := ""
	if n := len(p.NotLooked); n > 0 {
		hidden := 0
		for _, n := range p.NotLooked {
			hidden += n.Steps
		}
		dark = fmt.Sprintf("; not checked: %s with %s", Count(n, "node"), Count(hidden, "step"))
	}
	switch {
	case p.HasChanges():
	case dark != "":
		return fmt.Sprintf("no changes on the nodes that were checked: %s, all unchanged%s", Count(c.Tasks, "step"), dark)
	default:
		return fmt.Sprintf("no changes: %s, all unchanged", Count(c.Tasks, "step"))
	}
	return fmt.Sprintf("%s: %d to do, %d unknown until an earlier step has run, %d unchanged%s", Count(c.Tasks, "step"),
		c.Change, c.Unknown, c.NoOp, dark)
}

// finals are the tasks that cannot be undone, by the plan's own list: a kind without a way back is
// in it whatever its diff says.
func finals(p *engine.Plan) map[string]bool {
	out := map[string]bool{}
	for _, n := range p.NoReturn {
		out[n.Task] = true
	}
	return out
}

func planTask(w io.Writer, s engine.PlanStep, t engine.PlanTask, final bool, paint painter) {
	mark := map[steps.Action]string{steps.Create: paint.good("+"), steps.Update: paint.warn("~"),
		steps.Delete: paint.bad("-"),
		steps.Run:    paint.warn(">"), steps.Unknown: paint.dim("?"), steps.NoOp: " "}[t.Diff.Action]
	name := strings.TrimSuffix(t.ID, "@"+t.Node)
	_, name, _ = strings.Cut(name, "/")
	fmt.Fprintf(w, "  %s %-14s %-34s %s%s\n", mark, t.Node, name, paint.dim(t.Kind+via(t.Diff.Via)),
		marks(t, final, paint))
	switch t.Diff.Action {
	case steps.Unknown:
		fmt.Fprintf(w, "      unknown until %s\n", unknownUntil(t.Diff))
	case steps.NoOp:
	default:
		if s.Title != "" && len(t.Diff.Changes) == 0 {
			fmt.Fprintf(w, "      %s\n", s.Title)
		}
		for _, c := range t.Diff.Changes {
			fmt.Fprintf(w, "      %s: %s\n", c.Attr, Change(c))
		}
	}
	if t.Gate != nil && t.Diff.Action != steps.NoOp {
		fmt.Fprintf(w, "      %s\n", t.Gate.Title)
	}
}

func unknownUntil(d steps.Diff) string {
	if len(d.Waits) == 0 {
		return d.Until
	}
	const most = 2
	list := d.Waits
	more := ""
	if len(list) > most {
		more = fmt.Sprintf(" and %d more", len(list)-most)
		list = list[:most]
	}
	return strings.Join(list, ", ") + more
}

func via(v string) string {
	if v == "" {
		return ""
	}
	return " by " + v
}

// marks are the words behind a step that a reviewer must not miss.
func marks(t engine.PlanTask, final bool, paint painter) string {
	var m []string
	if t.Diff.Action == steps.NoOp {
		return ""
	}
	e := t.Diff.Effects
	if final {
		m = append(m, paint.bad("NO RETURN"))
	}
	if t.Gate != nil {
		m = append(m, paint.warn("GATE"))
	}
	if e.Reboot {
		m = append(m, paint.warn("RESTART"))
	} else if e.MayReboot {
		m = append(m, paint.warn("MAY RESTART"))
	}
	if e.Interrupts != "" {
		m = append(m, paint.warn("INTERRUPTS "+e.Interrupts))
	}
	if e.Failover {
		m = append(m, paint.warn("FAILOVER"))
	}
	if len(m) == 0 {
		return ""
	}
	return "  [" + strings.Join(m, ", ") + "]"
}

func notes(w io.Writer, paint painter, title string, list []engine.PlanNote) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w, paint.bold(title))
	for _, n := range list {
		fmt.Fprintf(w, "  %s  %s\n", n.Task, n.Text)
	}
	fmt.Fprintln(w)
}

// Change prints one attribute's old and new value.
func Change(c steps.Change) string {
	if c.From == nil {
		return value(c.To)
	}
	return value(c.From) + " -> " + value(c.To)
}

func value(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case string:
		if v == "" {
			return `""`
		}
		if strings.ContainsAny(v, "\n\r") {
			return fmt.Sprintf("%q", v)
		}
		return v
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// PlanMarkdown writes a plan for a pull request.
func PlanMarkdown(w io.Writer, p *engine.Plan) {
	fmt.Fprintf(w, "## Plan for %s (%s)\n\n%s\n", p.Site, p.Playbook, PlanCounts(p))
	mdNotes(w, "Not checked", dark(p))
	mdNotes(w, "Machines", machines(p))
	mdNotes(w, "Who is in charge", owners(p))
	mdNotes(w, "Points of no return", p.NoReturn)
	mdNotes(w, "Gates", p.Gates)
	mdNotes(w, "Restarts", p.Reboots)
	mdNotes(w, "Interruptions", p.Interruptions)
	mdNotes(w, "Failovers", p.Failovers)
	mdNotes(w, "Warnings", p.Warnings)
	mdNotes(w, "Connections", reached(p))
	final := finals(p)
	for _, ph := range p.Phases {
		var rows []string
		for _, s := range ph.Steps {
			for _, t := range s.Tasks {
				if t.Diff.Action == steps.NoOp {
					continue
				}
				var what []string
				if final[t.ID] {
					what = append(what, "**no return**")
				}
				if t.Diff.Action == steps.Unknown {
					what = append(what, "unknown until "+unknownUntil(t.Diff))
				}
				for _, c := range t.Diff.Changes {
					what = append(what, c.Attr+": "+Change(c))
				}
				rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |", t.Diff.Action, mdCell(t.ID), t.Kind,
					mdCell(strings.Join(what, "; "))))
			}
		}
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n### %s: %s\n\n| action | step | kind | what |\n|---|---|---|---|\n%s\n", ph.ID, ph.Title,
			strings.Join(rows, "\n"))
	}
}

// dark are the nodes that were not looked at.
func dark(p *engine.Plan) []engine.PlanNote {
	var out []engine.PlanNote
	for _, n := range p.NotLooked {
		out = append(out, engine.PlanNote{Task: n.Node, Text: n.Error})
	}
	return out
}

// machines are the nodes that left the site or are other machines than before.
func machines(p *engine.Plan) []engine.PlanNote {
	var out []engine.PlanNote
	for _, r := range p.Replaced {
		out = append(out, engine.PlanNote{Task: r.Node, Text: r.Text()})
	}
	for _, g := range p.Gone {
		out = append(out, engine.PlanNote{Task: g.Node, Text: g.Text()})
	}
	return out
}

// reached are the notes of the nodes.
func reached(p *engine.Plan) []engine.PlanNote {
	var out []engine.PlanNote
	for _, n := range p.Nodes {
		for _, text := range n.Notes {
			out = append(out, engine.PlanNote{Task: n.Name, Text: text})
		}
	}
	return out
}

// owners are the nodes whose owner records speak against an apply, or will be made by it.
func owners(p *engine.Plan) []engine.PlanNote {
	var out []engine.PlanNote
	for _, n := range p.Nodes {
		if n.Owner != nil {
			out = append(out, engine.PlanNote{Task: n.Name, Text: n.Owner.Text})
		}
	}
	return out
}

func mdNotes(w io.Writer, title string, list []engine.PlanNote) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n**%s**\n\n", title)
	for _, n := range list {
		fmt.Fprintf(w, "- `%s` %s\n", n.Task, n.Text)
	}
}

func mdCell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ").Replace(s)
}

// systemOf tells a node's system in the words of its people: "debian 12 (amd64)", "windows 2008
// (6.0.6002), PowerShell 2.0".
func systemOf(f node.Facts) string {
	if f.OS != "windows" {
		return fmt.Sprintf("%s %s (%s)", cmp.Or(f.Distro, f.OS), f.Version, f.Arch)
	}
	s := fmt.Sprintf("windows %s (%s)", f.Release, f.Version)
	if f.PowerShell != "" {
		s += ", PowerShell " + f.PowerShell
	}
	return s
}
