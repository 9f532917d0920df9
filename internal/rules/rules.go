// Package rules is the catalogue of stated requirements: what the products' own documents ask for,
// with id, severity, source and what a person can do. It is data; playbooks refer to it by id, and
// probe and gate steps check what no file can tell.
package rules

import "slices"

// Severity says how binding a rule is.
type Severity string

// Must: a run is refused when it is broken. Should: a warning.
const (
	Must   Severity = "must"
	Should Severity = "should"
)

// Check is a way in which a rule is checked.
type Check string

// Static: on the site file. Probe: on the machines. Ask: a person has to know.
const (
	Static Check = "static"
	Probe  Check = "probe"
	Ask    Check = "ask"
)

// Rule is one requirement.
type Rule struct {
	ID       string   `json:"id"` // "SCC-19"
	Text     string   `json:"text"`
	Severity Severity `json:"severity"`
	// names of section G of the reference (scc07, evs03, ec03, ec07, shadow10), or of a shipped
	// playbook
	Playbooks []string `json:"playbooks"`
	Checks    []Check  `json:"checks"`
	Source    string   `json:"source"` // publisher, title: chapter
	Hint      string   `json:"hint"`   // what a person can do when it is broken
}

// Catalogue is a list of rules.
type Catalogue []Rule

// All returns every rule, in the order of its source.
func All() Catalogue {
	return slices.Concat(scc07(), evs03(), ec(), shadow10(), linux())
}

// Get returns a rule by id.
func Get(id string) (Rule, bool) {
	for _, r := range All() {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

// For returns the rules of one playbook.
func (c Catalogue) For(playbook string) Catalogue {
	var out Catalogue
	for _, r := range c {
		if slices.Contains(r.Playbooks, playbook) {
			out = append(out, r)
		}
	}
	return out
}

// IDs lists the ids.
func (c Catalogue) IDs() []string {
	out := make([]string, len(c))
	for i, r := range c {
		out[i] = r.ID
	}
	return out
}

// row makes a rule of one line of a table. how holds the letters of the checks: S, P and N as in
// the reference.
func row(id string, severity Severity, playbooks []string, how, source, text, hint string) Rule {
	r := Rule{ID: id, Text: text, Severity: severity, Playbooks: playbooks, Source: source, Hint: hint}
	for _, letter := range how {
		switch letter {
		case 'S':
			r.Checks = append(r.Checks, Static)
		case 'P':
			r.Checks = append(r.Checks, Probe)
		case 'N':
			r.Checks = append(r.Checks, Ask)
		}
	}
	return r
}
