package engine

import (
	"encoding/json"
	"fmt"
	"strings"

	"deploy/internal/journal"
	"deploy/steps"
)

// found is what a look before an undo tells of an act.
type found int

const (
	foundAsLeft   found = iota // as the act left it
	foundRestored              // what the act changed is as it was before it
	foundChanged               // somebody changed it since
)

// compare holds what a look found against what the act found and what it wished: the attributes
// that the act changed count, since nothing else is its own.
func (sa standingAct) compare(now steps.Diff) found {
	switch {
	case now.Action == steps.NoOp:
		return foundAsLeft
	case showsBefore(sa.diff, now):
		return foundRestored
	}
	return foundChanged
}

// showsBefore says that what the act changed is as it was before it. Where all that the kind
// records is as it was, so is that: an act of an older release may word its attributes in another
// way, and one that names no attribute has only its Before.
func showsBefore(act, now steps.Diff) bool {
	if sameBefore(act, now) || len(act.Changes) == 0 {
		return sameBefore(act, now)
	}
	for _, c := range act.Changes {
		v, ok := attribute(now, c.Attr)
		if !ok || value(v) != value(c.From) {
			return false
		}
	}
	return true
}

func sameBefore(act, now steps.Diff) bool {
	return len(act.Before) > 0 && len(now.Before) > 0 && canonical(act.Before) == canonical(now.Before)
}

// attribute is what the look found in an attribute that differs from the desired state.
func attribute(d steps.Diff, name string) (any, bool) {
	for _, c := range d.Changes {
		if c.Attr == name {
			return c.From, true
		}
	}
	return nil, false
}

// value makes one text of a value, whether it comes from a check or from a journal.
func value(v any) string { return canonical(steps.MustJSON(v)) }

// unheld tells what of the act's work is still there after its undo, or "".
func (sa standingAct) unheld(now steps.Diff) string {
	if len(sa.diff.Changes) == 0 {
		if now.Action == steps.NoOp && sa.diff.Action != steps.Run {
			return "the node is still as the step left it"
		}
		return ""
	}
	if now.Action != steps.NoOp && sameBefore(sa.diff, now) {
		return ""
	}
	var out []string
	for _, c := range sa.diff.Changes {
		v, ok := attribute(now, c.Attr)
		if !ok {
			v = c.To
		}
		if value(v) != value(c.From) {
			out = append(out, fmt.Sprintf("%s was %s, is %s", c.Attr, shown(c.From), shown(v)))
		}
	}
	return strings.Join(out, "; ")
}

// drift tells how the machine differs from what the act left there.
func drift(now steps.Diff) string {
	var out []string
	for _, c := range now.Changes {
		out = append(out, fmt.Sprintf("%s was left as %s, is %s", c.Attr, shown(c.To), shown(c.From)))
	}
	if len(out) == 0 {
		return "it was changed since"
	}
	return "it was changed since: " + strings.Join(out, "; ")
}

// shown makes a value readable.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		if v == "" {
			return `""`
		}
		return short(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return short(string(b))
}

// short keeps an error readable.
func short(s string) string {
	const limit = 300
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

// underneath says that the act stood under another of its task which this rollback was asked for
// and which is undone, and that the machine is as that one found it. So it is known, and no change
// by others. anew says that nothing was there: what the act changed was gone already.
func (b *takingBack) underneath(sa standingAct, now steps.Diff) (ok, anew bool) {
	t := b.r.rec.Task(sa.task.ID)
	var above *journal.Above // as it is now: mostly it was undone in this run
	for _, a := range t.Acts {
		if a.Seq == sa.act.Seq {
			above = a.Above
		}
	}
	if above == nil || !b.in(&t, above.Run) {
		return false, false
	}
	var d steps.Diff
	if err := unmarshal(above.Diff, &d); err != nil {
		return false, false
	}
	if d.Action == steps.Create && now.Action == steps.Create {
		return true, sa.diff.Action != steps.Create
	}
	return showsBefore(d, now), false
}
