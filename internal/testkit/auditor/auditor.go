// Package auditor compares a journal with the machines that it speaks of, in both directions: every
// change of ours is in the journal, and every line of the journal is true of the machine.
//
// It reads raw entries and knows nothing of the engine, the fold or the kinds of steps, so that it
// cannot share their mistakes. What a machine holds comes from whoever runs it (the lab's own
// state, a real file system), never from a Check.
package auditor

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"deploy/internal/journal"
)

// Object is what one task sets on one node, as the machine shows it.
type Object struct {
	Task  string // id: "phase/step@node"
	Phase string
	Node  string
	// Before is what is there before the first run, Declared what the task makes of it. Two values of
	// one object are equal when their texts are.
	Before, Declared string
	// Recorded must stand in the Before of the task's first intent; "" asks for nothing.
	Recorded string
}

// View is what was seen of the machines at one moment, when no program of ours was at work.
type View struct {
	Objects map[string]string // by task
	// Rest is everything else on a node, by node. It is compared only while all objects of the node
	// are as they were before, or all as declared.
	Rest    map[string]string
	Boots   map[string]int  // how often the node has started
	Pending map[string]bool // a restart is pending there
}

// Calm are the two views that an undisturbed run leaves: before it, and after an apply.
type Calm struct{ Bare, Done View }

// Finding is one thing that journal and machines do not agree on.
type Finding struct {
	Rule string // a short name, the same for every finding of its kind
	Task string
	Node string
	Text string
}

func (f Finding) String() string {
	where := f.Task
	if where == "" {
		where = f.Node
	}
	return fmt.Sprintf("%s %s: %s", f.Rule, where, f.Text)
}

// The rules.
const (
	RuleDone       = "done-is-not"       // the journal says done or unchanged, the machine does not show it
	RuleUndone     = "undone-is-not"     // the journal says undone, the machine does not show what was before
	RuleUnrecorded = "change-unrecorded" // the machine has changed, the journal has no intent for it
	RuleOrder      = "entries-out-of-order"
	RuleNode       = "entry-of-another-node"
	RuleBefore     = "before-is-not" // the recorded Before is not what was there
	RuleCheckpoint = "checkpoint-is-not"
	RuleRestart    = "restart-is-not" // restarts in the journal and on the machine differ, or one is forgotten
	RuleRest       = "act-outside"    // something changed that no task of the playbook sets
)

// claim is what the journal says of a task in the end.
type claim int

const (
	untouched claim = iota
	unchanged
	open // begun, lost, failed, handed over, or an undo of it
	done
	undone
)

// book is what the entries say, read one by one.
type book struct {
	objects   map[string]Object
	claims    map[string]claim
	begun     map[string]bool // by task: an intent stands in the journal
	intents   map[string]bool // by task: an intent or a handing over stands in the journal
	restarts  map[string]int
	announced map[string]int // restarts that were announced
	found     []Finding
}

// Audit returns what entries and machines do not agree on. settled says that the last command came
// to its end by itself, so nothing may be open.
func Audit(calm Calm, objects []Object, entries []journal.Entry, now View, settled bool) []Finding {
	b := &book{objects: map[string]Object{}, claims: map[string]claim{}, begun: map[string]bool{},
		intents: map[string]bool{}, restarts: map[string]int{}, announced: map[string]int{}}
	for _, o := range objects {
		b.objects[o.Task] = o
	}
	for _, e := range entries {
		b.read(e)
	}
	for _, id := range slices.Sorted(maps.Keys(b.objects)) {
		b.compare(b.objects[id], now, settled)
	}
	for _, name := range slices.Sorted(maps.Keys(now.Rest)) {
		b.compareNode(calm, name, now, settled)
	}
	return b.found
}

func (b *book) find(rule string, o Object, format string, args ...any) {
	b.found = append(b.found, Finding{Rule: rule, Task: o.Task, Node: o.Node, Text: fmt.Sprintf(format, args...)})
}

func (b *book) read(e journal.Entry) {
	switch e.Kind {
	case journal.Reboot:
		b.announced[e.Node]++
	case journal.Rebooted:
		b.restarts[e.Node]++
	case journal.Checkpoint:
		b.checkpoint(e)
	case journal.Handed:
		for _, id := range handedTasks(e.Data) {
			b.intents[id] = true
			if b.claims[id] == untouched || b.claims[id] == undone {
				b.claims[id] = open
			}
		}
	}
	if e.Task == "" {
		return
	}
	o, known := b.objects[e.Task]
	if !known {
		b.find(RuleNode, Object{Task: e.Task, Node: e.Node}, "entry %d speaks of a task that no playbook has", e.Seq)
		return
	}
	if e.Node != o.Node {
		b.find(RuleNode, o, "entry %d (%s) puts it on %s", e.Seq, e.Kind, e.Node)
		return
	}
	b.task(o, e)
}

func (b *book) task(o Object, e journal.Entry) {
	switch e.Kind {
	case journal.Begin:
		if !b.begun[o.Task] && o.Recorded != "" && !strings.Contains(before(e.Data), o.Recorded) {
			b.find(RuleBefore, o, "entry %d records %s", e.Seq, before(e.Data))
		}
		b.begun[o.Task], b.intents[o.Task], b.claims[o.Task] = true, true, open
	case journal.Done:
		if !b.begun[o.Task] && !b.intents[o.Task] {
			b.find(RuleOrder, o, "entry %d says done, and no intent came before it", e.Seq)
		}
		b.claims[o.Task] = done
	case journal.NoOp:
		if b.claims[o.Task] != done {
			b.claims[o.Task] = unchanged
		}
	case journal.Failed, journal.Lost, journal.UndoBegin, journal.UndoFailed, journal.Reboot:
		if e.Kind == journal.UndoBegin && !b.intents[o.Task] {
			b.find(RuleOrder, o, "entry %d undoes what was never begun", e.Seq)
		}
		if b.intents[o.Task] {
			b.claims[o.Task] = open
		}
	case journal.Undone:
		if !b.intents[o.Task] {
			b.find(RuleOrder, o, "entry %d says undone, and nothing was begun", e.Seq)
		}
		b.claims[o.Task], b.begun[o.Task] = undone, false
		b.intents[o.Task] = false
	}
}

// checkpoint holds what a checkpoint says against the tasks of its phase at that moment.
func (b *book) checkpoint(e journal.Entry) {
	for _, id := range slices.Sorted(maps.Keys(b.objects)) {
		if o := b.objects[id]; o.Phase == e.Phase && b.claims[id] != done && b.claims[id] != unchanged {
			b.find(RuleCheckpoint, o, "entry %d says that phase %s is complete", e.Seq, e.Phase)
		}
	}
}

func (b *book) compare(o Object, now View, settled bool) {
	is := now.Objects[o.Task]
	switch b.claims[o.Task] {
	case done, unchanged:
		if is != o.Declared {
			b.find(RuleDone, o, "declared is %s, the machine has %s", o.Declared, is)
		}
	case undone:
		if is != o.Before {
			b.find(RuleUndone, o, "before it was %s, the machine has %s", o.Before, is)
		}
	case untouched:
		if is != o.Before {
			b.find(RuleUnrecorded, o, "before it was %s, the machine has %s", o.Before, is)
		}
	case open:
		if settled {
			b.find(RuleOrder, o, "the command has ended, and the journal leaves it open")
		}
	}
}

func (b *book) compareNode(calm Calm, name string, now View, settled bool) {
	o := Object{Node: name}
	before, declared := true, true
	for _, x := range b.objects {
		if x.Node == name {
			before = before && now.Objects[x.Task] == x.Before
			declared = declared && now.Objects[x.Task] == x.Declared
		}
	}
	if now.Pending[name] {
		if settled {
			b.find(RuleRestart, o, "the command has ended, and the machine still waits for a restart")
		}
		return
	}
	switch {
	case before && now.Rest[name] != calm.Bare.Rest[name]:
		b.find(RuleRest, o, "%s", differing(calm.Bare.Rest[name], now.Rest[name]))
	case declared && now.Rest[name] != calm.Done.Rest[name]:
		b.find(RuleRest, o, "%s", differing(calm.Done.Rest[name], now.Rest[name]))
	}
	boots := now.Boots[name] - calm.Bare.Boots[name]
	if b.restarts[name] > boots {
		b.find(RuleRestart, o, "the journal has %d restarts, the machine had %d", b.restarts[name], boots)
	}
	if boots > b.announced[name] {
		b.find(RuleRestart, o, "the machine had %d restarts, the journal announces %d", boots, b.announced[name])
	}
}

// differing shows where two texts part.
func differing(want, got string) string {
	i := 0
	for i < len(want) && i < len(got) && want[i] == got[i] {
		i++
	}
	cut := func(s string) string {
		from, to := max(0, i-60), min(len(s), i+120)
		return s[min(from, len(s)):to]
	}
	return fmt.Sprintf("expected ...%q, found ...%q", cut(want), cut(got))
}

// before is the recorded Before of an intent, as text.
func before(data json.RawMessage) string {
	var in struct {
		Diff struct {
			Before json.RawMessage `json:"before"`
		} `json:"diff"`
	}
	if json.Unmarshal(data, &in) != nil {
		return ""
	}
	return string(in.Diff.Before)
}

// handedTasks are the ids of a handing over: a list of texts, or of objects that hold one.
func handedTasks(data json.RawMessage) []string {
	var list struct {
		Tasks []json.RawMessage `json:"tasks"`
	}
	if json.Unmarshal(data, &list) != nil {
		return nil
	}
	var out []string
	for _, raw := range list.Tasks {
		var id string
		var one struct {
			ID   string `json:"id"`
			Task string `json:"task"`
		}
		if json.Unmarshal(raw, &id) != nil && json.Unmarshal(raw, &one) == nil {
			if id = one.ID; id == "" {
				id = one.Task
			}
		}
		if id != "" {
			out = append(out, id)
		}
	}
	return out
}
