package dns

import (
	"context"
	"encoding/json"
	"errors"

	"deploy/internal/node"
	"deploy/steps"
)

// Record is the set of DNS records of one name and type in a zone of the DNS server that the step runs on.
type Record struct {
	Zone   string   `json:"zone" required:"true" doc:"zone, like contoso.com"`
	Name   string   `json:"name" required:"true" doc:"name relative to the zone, @ for its root"`
	Type   string   `json:"type" enum:"A" doc:"record type"`
	Data   []string `json:"data" doc:"the addresses that the name shall have, all of them; with absent: those that it shall not have, none meaning any"`
	TTL    int      `json:"ttl" doc:"time to live in seconds; 0 leaves it"`
	Absent bool     `json:"absent,omitempty" doc:"the records shall not be there"`
}

// Kind names the step.
func (s *Record) Kind() string { return "dns.record" }

// Check looks at the machine.
func (s *Record) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	return steps.Diff{}, errors.New("not written yet")
}

// Apply does what d says.
func (s *Record) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, errors.New("not written yet")
}

// Undo restores before.
func (s *Record) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return errors.New("not written yet")
}

func recordKind() steps.Kind {
	return steps.Kind{
		Name: "dns.record",
		New:  func() steps.Step { return &Record{Type: "A"} },
	}
}
