package manual

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Probe asserts facts about a node and changes nothing. All that is named must hold.
type Probe struct {
	Rule          string   `json:"rule,omitempty" doc:"id of the rule in the catalogue, like SCC-01"`
	Message       string   `json:"message" required:"true" doc:"what is wrong when it does not hold"`
	Hint          string   `json:"hint,omitempty" doc:"what a person can do about it"`
	Severity      string   `json:"severity" enum:"must|should" doc:"must stops the run; should only warns"`
	Releases      []string `json:"releases,omitempty" doc:"the node's Windows release is one of these: 2003 2008 2008r2 2012 2012r2 2016 2019 2022 2025"`
	ServicePack   int      `json:"min_service_pack,omitempty" doc:"service pack number at least"`
	Arch          string   `json:"arch,omitempty" enum:"amd64|386|arm64" doc:"processor architecture"`
	Features      []string `json:"features,omitempty" doc:"Windows feature ids that are installed"`
	Service       *Running `json:"service,omitempty" doc:"a service and how it must stand"`
	Registry      *Value   `json:"registry,omitempty" doc:"a registry value that must be there, or not"`
	File          string   `json:"file,omitempty" doc:"a file or directory that exists"`
	NoFile        string   `json:"no_file,omitempty" doc:"a file or directory that does not exist"`
	FreeLetter    string   `json:"free_letter,omitempty" doc:"a drive letter that nothing holds"`
	Domain        string   `json:"domain,omitempty" doc:"DNS name of the domain that the node is a member of"`
	Adapters      int      `json:"min_adapters,omitempty" doc:"number of network cards at least"`
	PendingReboot string   `json:"pending_reboot,omitempty" enum:"none" doc:"none: no restart is due"`
	Disks         []string `json:"disks,omitempty" doc:"serial numbers of disks that are visible"`
}

// Running is how a service must stand.
type Running struct {
	Name   string `json:"name" required:"true" doc:"service name"`
	State  string `json:"state,omitempty" enum:"running|stopped" doc:"whether it runs"`
	Start  string `json:"start,omitempty" enum:"auto|manual|disabled" doc:"start type"`
	Absent bool   `json:"absent,omitempty" doc:"there is no such service"`
}

// Kind names the step.
func (s *Probe) Kind() string { return "probe" }

// Check looks at the machine.
func (s *Probe) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Probe) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Probe) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func probeKind() steps.Kind {
	return steps.Kind{
		Name: "probe",
		New:  func() steps.Step { return &Probe{Severity: "must"} },
	}
}
