package auditor

import (
	"encoding/json"
	"strings"
	"testing"

	"deploy/internal/journal"
)

const task = "p/a@n1"

// lines makes entries of words: kind, and the task unless the kind is a phase's or a node's.
func lines(words ...string) []journal.Entry {
	var out []journal.Entry
	for i, w := range words {
		kind, of, _ := strings.Cut(w, " ")
		e := journal.Entry{Seq: int64(i) + 1, Kind: journal.Kind(kind), Phase: "p", Node: "n1", Task: task}
		switch e.Kind {
		case journal.Checkpoint, journal.PhaseStart:
			e.Task, e.Node = "", ""
		case journal.Begin:
			e.Data = json.RawMessage(`{"diff":{"before":{"data":"old"}}}`)
		case journal.Handed:
			e.Task, e.Data = "", json.RawMessage(`{"tasks":["`+task+`"]}`)
		}
		switch {
		case of == "wrong-before":
			e.Data = json.RawMessage(`{"diff":{"before":{"data":"new"}}}`)
		case of == "objects":
			e.Data = json.RawMessage(`{"tasks":[{"id":"` + task + `","digest":"x"}]}`)
		case strings.HasPrefix(of, "n"):
			e.Node = of
		case of != "":
			e.Task = of
		}
		out = append(out, e)
	}
	return out
}

// TestAudit: entries and what the machine shows, against the rules that must speak.
func TestAudit(t *testing.T) {
	undoneAll := []string{"begin", "done", "undo-begin", "undone"}
	for name, c := range map[string]struct {
		entries []string
		is      string // what the object holds
		rest    string
		boots   int
		pending bool
		settled bool
		want    string
	}{
		"nothing done":                 {nil, "old", "r", 1, false, true, ""},
		"changed by nobody":            {nil, "new", "r", 1, false, true, "change-unrecorded"},
		"done":                         {[]string{"begin", "done"}, "new", "R", 1, false, true, ""},
		"done and is not":              {[]string{"begin", "done"}, "old", "r", 1, false, true, "done-is-not"},
		"unchanged and is not":         {[]string{"no-op"}, "old", "r", 1, false, true, "done-is-not"},
		"done without an intent":       {[]string{"done"}, "new", "R", 1, false, true, "entries-out-of-order"},
		"begun":                        {[]string{"begin"}, "between", "x", 1, false, false, ""},
		"begun at the end":             {[]string{"begin"}, "new", "R", 1, false, true, "entries-out-of-order"},
		"handed over":                  {[]string{"handed"}, "new", "R", 1, false, false, ""},
		"handed over with a digest":    {[]string{"handed objects"}, "new", "R", 1, false, false, ""},
		"undone":                       {undoneAll, "old", "r", 1, false, true, ""},
		"undone and is not":            {undoneAll, "new", "R", 1, false, true, "undone-is-not"},
		"undone, never begun":          {[]string{"undone"}, "old", "r", 1, false, true, "entries-out-of-order"},
		"changed again after the undo": {undoneAll, "other", "x", 1, false, true, "undone-is-not"},
		"wrong before":                 {[]string{"begin wrong-before", "done"}, "new", "R", 1, false, true, "before-is-not"},
		"another node":                 {[]string{"begin", "done n2"}, "new", "R", 1, false, false, "entry-of-another-node"},
		"unknown task": {[]string{"begin", "done", "done ../../etc/passwd"}, "new", "R", 1, false, true,
			"entry-of-another-node"},
		"checkpoint": {[]string{"begin", "done", "checkpoint"}, "new", "R", 1, false, true, ""},
		"checkpoint too early": {[]string{"begin", "checkpoint", "done"}, "new", "R", 1, false, true,
			"checkpoint-is-not"},
		"something else":         {nil, "old", "s", 1, false, true, "act-outside"},
		"something else besides": {[]string{"begin", "done"}, "new", "S", 1, false, true, "act-outside"},
		"restarted":              {[]string{"begin", "reboot", "rebooted", "done"}, "new", "R", 2, false, true, ""},
		"restart that was none": {[]string{"begin", "reboot", "rebooted", "done"}, "new", "R", 1, false, true,
			"restart-is-not"},
		"restart of nobody": {[]string{"begin", "done"}, "new", "R", 2, false, true, "restart-is-not"},
		"restart under way": {[]string{"begin", "reboot"}, "new", "R", 2, false, false, ""},
		"restart forgotten": {[]string{"begin", "done"}, "new", "R", 1, true, true, "restart-is-not"},
	} {
		t.Run(name, func(t *testing.T) {
			calm := Calm{Bare: View{Rest: map[string]string{"n1": "r"}, Boots: map[string]int{"n1": 1}},
				Done: View{Rest: map[string]string{"n1": "R"}}}
			objects := []Object{{Task: task, Phase: "p", Node: "n1", Before: "old", Declared: "new", Recorded: `"old"`}}
			now := View{Objects: map[string]string{task: c.is}, Rest: map[string]string{"n1": c.rest},
				Boots: map[string]int{"n1": c.boots}, Pending: map[string]bool{"n1": c.pending}}
			found := Audit(calm, objects, lines(c.entries...), now, c.settled)
			got := ""
			if len(found) > 0 {
				got = found[0].Rule
			}
			if got != c.want {
				t.Errorf("%v, want %q", found, c.want)
			}
		})
	}
}
