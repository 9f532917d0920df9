package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/journal"
	"deploy/internal/node"
	"deploy/internal/owner"
	"deploy/internal/task"
	"deploy/steps"
)

// PlanFormat is the version of the plan's JSON. From 2 on a saved plan holds a digest.
const PlanFormat = 2

// Plan is what an apply would do, as data.
type Plan struct {
	Format  int       `json:"format"`
	Digest  string    `json:"digest,omitempty"` // of a saved plan, over everything else in it
	Made    time.Time `json:"made"`
	Version string    `json:"version"` // of the program that made it
	Site    string    `json:"site"`
	// the site file that it was made from, as seen from the plan's directory; no part of its identity
	SitePath       string      `json:"site_path,omitempty"`
	SiteDigest     string      `json:"site_digest"`
	Playbook       string      `json:"playbook"`
	PlaybookDigest string      `json:"playbook_digest"`
	Selection      Selection   `json:"selection"`
	Nodes          []PlanNode  `json:"nodes"`
	Gone           []GoneNode  `json:"gone_nodes,omitempty"`    // no longer in the site, and their work stands
	Replaced       []Replaced  `json:"replaced,omitempty"`      // other machines than those that the journal tells of
	NotLooked      []NotLooked `json:"not_looked_at,omitempty"` // such a plan is not whole: it is not carried out
	Phases         []PlanPhase `json:"phases"`
	Counts         Counts      `json:"counts"`
	// What a person wants to know before saying yes, each as task and text, in running order.
	NoReturn      []PlanNote `json:"points_of_no_return,omitempty"`
	Gates         []PlanNote `json:"gates,omitempty"`
	Reboots       []PlanNote `json:"reboots,omitempty"`
	Interruptions []PlanNote `json:"interruptions,omitempty"`
	Failovers     []PlanNote `json:"failovers,omitempty"`
	Open          []PlanNote `json:"open,omitempty"` // begun by an earlier run, outcome unknown
	Warnings      []PlanNote `json:"warnings,omitempty"`
}

// PlanNode is a node as the plan found it.
type PlanNode struct {
	Name  string     `json:"name"`
	Facts node.Facts `json:"facts"`
	Mode  string     `json:"mode"` // direct or agent
	Why   string     `json:"why,omitempty"`
	Notes []string   `json:"notes,omitempty"` // what a person should know of how it was reached
	// Owner says what does not fit in who is in charge of the node; nil where all does
	Owner *PlanOwner `json:"owner,omitempty"`
}

// PlanOwner is what the owner record of a node says against an apply.
type PlanOwner struct {
	Verdict owner.Verdict `json:"verdict"`
	Text    string        `json:"text"`
	Hint    string        `json:"hint,omitempty"`
	Refused bool          `json:"refused,omitempty"` // apply refuses, before its first act
}

// NotLooked is a node that could not be looked at, so that the plan says nothing of it.
type NotLooked struct {
	Node  string `json:"node"`
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Steps int    `json:"steps"` // that were chosen there

	err error
}

// LookError joins why nodes were not looked at; nil when all were.
func (p *Plan) LookError() error {
	var errs []error
	var names []string
	for _, n := range p.NotLooked {
		names = append(names, n.Node)
		errs = append(errs, hint.Wrap(fmt.Errorf("cannot check %s: %w", n.Node, n.err), n.Hint))
	}
	without := "to go on without: --exclude " + strings.Join(names, ",")
	switch {
	case len(errs) == 0:
		return nil
	case len(errs) == 1 && p.NotLooked[0].Hint != "":
		return hint.Wrap(errs[0], p.NotLooked[0].Hint+"; "+without)
	case len(errs) == 1:
		return hint.Wrap(errs[0], without)
	}
	return hint.Wrap(errors.Join(errs...), without)
}

// PlanPhase is a phase of the plan.
type PlanPhase struct {
	ID         string       `json:"id"`
	Title      string       `json:"title"`
	OnFailure  steps.Policy `json:"on_failure"`
	Checkpoint bool         `json:"checkpoint,omitempty"` // it was reached before, and nothing was begun or undone since
	Steps      []PlanStep   `json:"steps"`
}

// PlanStep is one step of the playbook over its nodes.
type PlanStep struct {
	ID    string      `json:"id"`
	Title string      `json:"title"`
	Order steps.Order `json:"order"`
	Tasks []PlanTask  `json:"tasks"`
}

// PlanTask is one step on one node.
type PlanTask struct {
	ID   string         `json:"id"`
	Node string         `json:"node"`
	Kind string         `json:"kind"`
	Diff steps.Diff     `json:"diff"`
	Gate *steps.Gate    `json:"gate,omitempty"` // waiting for sign-off
	Last journal.Status `json:"last"`           // the journal's last word on it
}

// PlanNote points at a task.
type PlanNote struct {
	Task string `json:"task"`
	Text string `json:"text"`
}

// HasChanges says that an apply of the plan would do something: change a node, ask a person, or
// settle what an earlier run left open.
func (p *Plan) HasChanges() bool {
	return p.Counts.NoOp < p.Counts.Tasks || len(p.Open) > 0
}

// Tasks returns every task in running order.
func (p *Plan) Tasks() []PlanTask {
	var out []PlanTask
	for _, ph := range p.Phases {
		for _, s := range ph.Steps {
			out = append(out, s.Tasks...)
		}
	}
	return out
}

// Fingerprint is a digest of what the plan rests on and of every task's diff: two plans with one
// fingerprint do the same.
func (p *Plan) Fingerprint() string {
	type task struct {
		ID, Kind string
		Diff     steps.Diff
	}
	v := struct {
		Format               int
		Site, Playbook, Vers string
		Selection            Selection
		Tasks                []task
	}{p.Format, p.SiteDigest, p.PlaybookDigest, p.Version, p.Selection, nil}
	for _, t := range p.Tasks() {
		v.Tasks = append(v.Tasks, task{t.ID, t.Kind, t.Diff})
	}
	sum := sha256.Sum256(steps.MustJSON(v))
	return hex.EncodeToString(sum[:])
}

// add puts a task into the plan's counts and notes.
func (p *Plan) add(t steps.Task, pt PlanTask) {
	d := pt.Diff
	note := func(list *[]PlanNote, text string) { *list = append(*list, PlanNote{pt.ID, text}) }
	p.Counts.Tasks++
	switch d.Action {
	case steps.NoOp:
		p.Counts.NoOp++
	case steps.Unknown:
		p.Counts.Unknown++
	default:
		p.Counts.Change++
	}
	if pt.Last.Open() {
		note(&p.Open, string(pt.Last))
	}
	for _, w := range d.Warnings {
		note(&p.Warnings, w)
	}
	if d.Action == steps.NoOp {
		return
	}
	if why := task.NoReturn(t.Step, d); why != "" {
		note(&p.NoReturn, why)
	}
	if pt.Gate != nil {
		note(&p.Gates, pt.Gate.Title)
	}
	if d.Effects.Reboot {
		note(&p.Reboots, pt.Node)
	}
	if d.Effects.Interrupts != "" {
		note(&p.Interruptions, d.Effects.Interrupts)
	}
	if d.Effects.Failover {
		note(&p.Failovers, pt.Node)
	}
}

// canonical returns JSON with its keys in order and no spaces, so that two Befores can be compared.
func canonical(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return string(raw)
	}
	return string(steps.MustJSON(v))
}
