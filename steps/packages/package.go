package packages

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Package runs an MSI file or a setup program and knows by the registry whether it is installed.
type Package struct {
	Path        string   `json:"path" required:"true" doc:"the .msi file or the setup program on the node"`
	Arguments   []string `json:"arguments" doc:"arguments, one each; for an .msi file the properties after /i FILE /qn /norestart"`
	Directory   string   `json:"directory,omitempty" doc:"working directory"`
	ProductCode string   `json:"product_code,omitempty" doc:"product code {GUID} under the uninstall key that says that it is installed"`
	Detect      *Detect  `json:"detect,omitempty" doc:"a registry value that says that it is installed; use this or product_code"`
	Codes       []int    `json:"codes" doc:"exit codes that mean done; 3010 and 1641 mean done with a restart due and need not be named"`
	As          string   `json:"as,omitempty" doc:"name of the site's credential to run it with; it is then a job, which outlives the session"`
	Uninstall   []string `json:"uninstall,omitempty" doc:"program and arguments that take it off again; for an .msi file with product_code it is known"`
}

// Detect is a registry value that tells whether a product is installed.
type Detect struct {
	Key  string `json:"key" required:"true" doc:"registry key, begins with HKLM\\"`
	Name string `json:"name" doc:"value name; no name and no data means that the key itself must exist"`
	Data string `json:"data" doc:"what the value must be, as text; no key means that it must exist"`
}

// Kind names the step.
func (s *Package) Kind() string { return "package" }

// Check looks at the machine.
func (s *Package) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Package) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Package) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func kind() steps.Kind {
	return steps.Kind{
		Name: "package",
		New:  func() steps.Step { return &Package{} },
	}
}
