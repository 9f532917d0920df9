package exchange

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
)

// MTA gives a second or later clustered mailbox server of a cluster the Microsoft MTA object
// without which mailboxes cannot be created on it. It runs on a domain controller.
type MTA struct {
	Server string `json:"server" doc:"name of the clustered mailbox server" required:"true" example:"mbx02" type:"hostname" check:"compared"`
	Like   string `json:"like" doc:"name of the first clustered mailbox server, whose object gives the values" required:"true" example:"mbx01" type:"hostname" check:"compared"`
}

type mtaBefore struct {
	DN   string `json:"dn"`
	Made bool   `json:"made"`
}

// mtaAttrs are copied from the first server's object. Source: the directory schema of the class as
// Exchange reads it.
var mtaAttrs = []string{"mTALocalDesig", "transRetryMins", "transTimeoutMins"}

func mtaKind() steps.Kind {
	return steps.Kind{
		Name:    "exchange.mta",
		OS:      "windows",
		Summary: "Makes the Microsoft MTA object of a second clustered mailbox server.",
		Doc: "Meets a known fault: from the second clustered mailbox server of a cluster on, a new mailbox fails for want " +
			"of a proxy address generator. " +
			"It looks for CN=Microsoft MTA below the server's object in the directory and makes it with the values of the " +
			"first server's. It runs on a domain controller.",
		Undo:  "Deletes the object that it made.",
		Proof: "lab-proven; that values may be copied from the first server's object is UNCONFIRMED on a real one",
		Sources: []string{"How to enable mailbox creation on the second or subsequent clustered mailbox server in an " +
			"Exchange 2007 single copy cluster"},
		New:     func() steps.Step { return &MTA{} },
		Example: "server: mbx02\nlike: mbx01\n",
	}
}

// Kind names the step.
func (s *MTA) Kind() string { return "exchange.mta" }

// Validate looks at the data.
func (s *MTA) Validate() error {
	if strings.EqualFold(s.Server, s.Like) {
		return steps.FieldErr("like", "must be another server")
	}
	return nil
}

// Check looks for the object.
func (s *MTA) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	nc, err := contexts(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	server, err := s.server(ctx, r, nc, s.Server)
	if err != nil {
		return steps.Diff{}, err
	}
	now, err := child(ctx, r, server)
	if err != nil {
		return steps.Diff{}, err
	}
	if now != nil {
		return s.alike(ctx, r, nc, now)
	}
	dn := "CN=Microsoft MTA," + server.String("dn")
	return steps.Diff{Action: steps.Create, Via: "directory", Changes: []steps.Change{{Attr: "object", From: nil, To: dn}},
		Before: steps.MustJSON(mtaBefore{dn, true})}, nil
}

// alike compares the object's values with those of the first server's.
func (s *MTA) alike(ctx context.Context, r node.Reader, nc naming, now node.Row) (steps.Diff, error) {
	like, err := s.server(ctx, r, nc, s.Like)
	if err != nil {
		return steps.Diff{}, err
	}
	model, err := child(ctx, r, like)
	if err != nil {
		return steps.Diff{}, err
	}
	if model == nil {
		return steps.Diff{}, s.noModel()
	}
	d := steps.NoChange()
	for _, a := range mtaAttrs { // an object that was made by hand is no fault
		if have, want := first(now, a), first(model, a); have != want {
			d.Warnings = append(d.Warnings, fmt.Sprintf("the MTA object of %s has %s %q, that of %s has %q", s.Server, a, have,
				s.Like, want))
		}
	}
	return d, nil
}

func (s *MTA) noModel() error {
	return hint.Wrap(fmt.Errorf("cannot tell the values of the MTA object of %s: %s has none to take them from", s.Server,
		s.Like), "name the clustered mailbox server that was installed first")
}

func (s *MTA) server(ctx context.Context, r node.Reader, nc naming, name string) (node.Row, error) {
	rows, err := find(ctx, r, node.Directory{Base: "CN=Microsoft Exchange,CN=Services," + nc.configuration, Scope: "sub",
		Filter: "(&(objectClass=msExchExchangeServer)(cn=" + name + "))", Attrs: []string{"cn", "legacyExchangeDN"}})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, steps.Until(cmsTag(name), "the directory has no such Exchange server yet")
	}
	return rows[0], nil
}

func child(ctx context.Context, r node.Reader, server node.Row) (node.Row, error) {
	rows, err := find(ctx, r, node.Directory{Base: server.String("dn"), Scope: "one", Filter: "(cn=Microsoft MTA)",
		Attrs: mtaAttrs})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// Apply makes the object.
func (s *MTA) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	nc, err := contexts(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	server, err := s.server(ctx, n, nc, s.Server)
	if err != nil {
		return steps.Outcome{}, err
	}
	like, err := s.server(ctx, n, nc, s.Like)
	if err != nil {
		return steps.Outcome{}, err
	}
	model, err := child(ctx, n, like)
	if err != nil {
		return steps.Outcome{}, err
	}
	if model == nil {
		return steps.Outcome{}, s.noModel()
	}
	attrs := map[string]any{"legacyExchangeDN": []any{first(server, "legacyExchangeDN") + "/cn=Microsoft MTA"}}
	for _, a := range mtaAttrs {
		if v := first(model, a); v != "" {
			attrs[a] = []any{v}
		}
	}
	dn := "CN=Microsoft MTA," + server.String("dn")
	if _, err := n.Do(ctx, node.DirectoryAdd{DN: dn, Class: "mTA", Attrs: attrs}); err != nil {
		return steps.Outcome{}, fmt.Errorf("cannot make %s: %w", dn, err)
	}
	return steps.Outcome{}, nil
}

// Undo deletes the object that the step made.
func (s *MTA) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b mtaBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	if !b.Made {
		return nil
	}
	rows, err := find(ctx, n, node.Directory{Base: b.DN, Scope: "base", Filter: "(objectClass=*)", Attrs: []string{"cn"}})
	if err != nil || len(rows) == 0 {
		return err
	}
	if _, err := n.Do(ctx, node.DirectoryDelete{DN: b.DN}); err != nil {
		return fmt.Errorf("cannot delete %s: %w", b.DN, err)
	}
	return nil
}
