package playbooks

import (
	"fmt"

	"deploy/internal/rules"
	"deploy/internal/yamlx"
)

// Finding is what a site does that a rule, or good sense, speaks against. Severity must refuses the
// site; should is a warning.
type Finding struct {
	Rule     string         `json:"rule,omitempty"` // id in the catalogue, or "" for a warning that no rule stands for
	Severity rules.Severity `json:"severity"`
	Text     string         `json:"text,omitempty"` // the rule
	Message  string         `json:"message"`        // what is wrong here
	Hint     string         `json:"hint,omitempty"`
	Source   string         `json:"source,omitempty"` // of the rule
	File     string         `json:"file"`
	Line     int            `json:"line"`
	Col      int            `json:"col"`
}

// String returns "file:line:col: error: message [SCC-43]" and the hint on the next line.
func (f Finding) String() string {
	word := "warning"
	if f.Severity == rules.Must {
		word = "error"
	}
	e := f.problem()
	e.Msg = word + ": " + e.Msg
	return e.Error()
}

// problem is the finding as a mistake in the file.
func (f Finding) problem() *yamlx.Error {
	msg := f.Message
	if f.Rule != "" {
		msg = fmt.Sprintf("%s [%s]", msg, f.Rule)
	}
	return &yamlx.Error{File: f.File, Line: f.Line, Col: f.Col, Msg: msg, Hint: f.Hint}
}

func warning(e *yamlx.Error) Finding {
	return Finding{Severity: rules.Should, Message: e.Msg, Hint: e.Hint, File: e.File, Line: e.Line, Col: e.Col}
}
