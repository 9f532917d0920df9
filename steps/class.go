package steps

import (
	"fmt"
	"reflect"
	"strings"

	"deploy/internal/hint"
)

// Class says how a kind's Check treats a field: what "unchanged" means for it.
type Class string

// The classes.
//
// Compared: the machine is asked, and what differs is in the Diff.
//
// Fixed: it is settled when the thing is made; Check reads it where it can, and a difference is an
// error that names both values and the way out.
//
// Unreadable: the machine cannot tell, for a reason that is given.
//
// Instruction: how the act is done, not what it brings about; a change of it leaves the task
// unchanged.
const (
	Compared    Class = "compared"
	Fixed       Class = "fixed"
	Unreadable  Class = "unreadable"
	Instruction Class = "instruction"
)

// Instructions is the closed list of what an instruction may be, each with its reason. Nothing that
// leaves a trace on the machine is one.
func Instructions() map[string]string {
	return map[string]string{
		"account":  "the account that does the work; what the work brings about is told by the other fields",
		"codes":    "how an exit code of the program is read",
		"consent":  "allows what the way there costs, or forbids it; where it leads is told by the other fields",
		"lab":      "which act the lab plays for a person",
		"media":    "where the installer is found; what it installs is told by the other fields",
		"order":    "which earlier step makes what is looked at; it orders the plan",
		"person":   "text for a person",
		"refresh":  "whether the lists of packages are fetched first; the packages are told by names",
		"restart":  "whether the machine is restarted afterwards; what needs the restart is told by the other fields",
		"severity": "whether a finding stops the run; what is found is told by the other fields",
		"undo":     "how it is taken back",
	}
}

func (f *Field) classify(tag reflect.StructTag) {
	if len(f.Fields) > 0 {
		return
	}
	class, rest, _ := strings.Cut(tag.Get("check"), ":")
	f.Class = Class(class)
	switch f.Class {
	case Instruction:
		f.Why = Instructions()[rest]
	case Unreadable:
		f.Why = tag.Get("why")
		if rest != "" {
			f.On = strings.Split(rest, ",")
		}
	}
}

// FixedError is a difference in a field that is settled when the thing is made.
type FixedError struct {
	Of, Field  string // "mailbox server mbx01", "address"
	Have, Want any
}

func (e *FixedError) Error() string {
	return fmt.Sprintf("%s has %s %v, the site says %v", e.Of, e.Field, e.Have, e.Want)
}

// FixedErr is what Check answers for such a difference: "mailbox server mbx01 has address
// 192.0.2.21, the site says 192.0.2.31". way is the hint: how to get out.
func FixedErr(of, field string, have, want any, way string) error {
	return hint.Wrap(&FixedError{of, field, have, want}, way)
}
