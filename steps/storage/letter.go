package storage

import (
	"context"
	"fmt"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Letter makes sure that a drive letter is free or is the disk's own on a node, so that all nodes
// can agree on it.
type Letter struct {
	Serial string `json:"serial" required:"true" doc:"serial number of the disk that may hold the letter" check:"compared"`
	Letter string `json:"letter" required:"true" doc:"drive letter, like E or E:" type:"letter" check:"compared"`
}

func letterKind() steps.Kind {
	return steps.Kind{
		Name:    "storage.letter",
		OS:      "windows",
		Summary: "Makes sure that a drive letter is free on a node, or belongs to the shared disk already.",
		Doc: "It changes nothing: a letter that something else holds, an optical drive or a local volume, is an error " +
			"that a person must settle. " +
			"The cluster gives the disk its letter on the node that owns it.",
		Undo:    "Nothing to undo.",
		Proof:   proof,
		Sources: []string{"Win32_LogicalDisk"},
		Calls:   readCalls(),
		New:     func() steps.Step { return &Letter{} },
		Example: "serial: 600A0B80000F1A2C\nletter: E\n",
	}
}

// Kind names the step.
func (s *Letter) Kind() string { return "storage.letter" }

// Reads names what Check will ask.
func (s *Letter) Reads(f node.Facts) []node.Query { return append(reads(f), inspect.LettersQuery()) }

// Check answers no-op or an error.
func (s *Letter) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	d, err := find(ctx, r, s.Serial)
	if err != nil {
		return steps.Diff{}, err
	}
	used, err := inspect.Letters(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	letter := inspect.Letter(s.Letter)
	if !used[letter] {
		return steps.NoChange(), nil
	}
	for _, p := range d.Parts {
		if p.Letter == letter {
			return steps.NoChange(), nil
		}
	}
	return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot keep letter %s for disk %s: something else on this node holds it",
		letter, s.Serial),
		"an optical drive or a local volume: give that one another letter, or take another one for the disk on all nodes")
}

// Apply has nothing to do: Check never asks for anything.
func (s *Letter) Apply(context.Context, node.Node, steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, fmt.Errorf("cannot change letter %s: storage.letter only looks", s.Letter)
}
