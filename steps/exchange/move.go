package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
	"deploy/steps/inspect"
)

// Move proves that a clustered mailbox server runs on every node: it moves it to each and back to
// its owner.
type Move struct {
	Name    string   `json:"name" doc:"name of the clustered mailbox server" required:"true" example:"mbx01" type:"hostname" check:"compared"`
	Nodes   []string `json:"nodes" doc:"nodes to prove, in order" required:"true" type:"hostname" check:"compared"`
	Owner   string   `json:"owner" doc:"node that holds it when the proof is done" required:"true" example:"mbx01-node1" type:"hostname" check:"compared"`
	Comment string   `json:"comment" doc:"comment that Exchange writes down with each move" check:"unreadable:windows" why:"Exchange writes it into the event log with a move, and a move that was made keeps the one it had"`
	As      string   `json:"as" doc:"credential of the site for Exchange's cmdlets" required:"true" example:"admin" type:"credential" check:"instruction:account"`
}

type moveBefore struct {
	Owner string `json:"owner"`
	Stamp string `json:"stamp,omitempty"`
	Ended string `json:"ended,omitempty"` // the owner of the recorded proof
}

// stampName is the registry value that tells which proof was made.
const stampName = "Nodes"

// ownerName is the registry value that tells which node held the server when the proof was done.
const ownerName = "Owner"

func moveKind() steps.Kind {
	return steps.Kind{
		Name:    "exchange.move",
		OS:      "windows",
		Summary: "Proves that a clustered mailbox server runs on every node.",
		Doc: "Moves it with Move-ClusteredMailboxServer to every named node in turn and at last to its owner; after each " +
			"move the cluster must show it online there and Exchange must call it Online. " +
			"A proof that was made is written down on the node that the step runs on (" + markRoot +
			`\Proof), with a digest of the nodes, so that the next run does not move a server in service.`,
		Undo: "Moves the server back to the recorded owner when it stands elsewhere, " +
			"and restores the record of the proof.",
		Proof:   proof,
		Sources: []string{"Move-ClusteredMailboxServer, Exchange 2007", "Verifying a single copy cluster"},
		Calls:   append(clus.ReadCalls(), moveCall(), statusCall()),
		New:     func() steps.Step { return &Move{Comment: "proof of failover by deploy"} },
		Example: "name: mbx01\nnodes: [mbx01-node1, mbx01-node2]\nowner: mbx01-node1\nas: admin\n",
	}
}

// Kind names the step.
func (s *Move) Kind() string { return "exchange.move" }

// Reads names what Check will ask.
func (s *Move) Reads(f node.Facts) []node.Query {
	return append(clus.Reads(f, clus.PartResources, clus.PartGroups), node.Registry{Key: s.key()})
}

// Validate looks at the data.
func (s *Move) Validate() error {
	for _, n := range s.Nodes {
		if clus.SameNode(n, s.Owner) {
			return nil
		}
	}
	return steps.FieldErr("owner", "%q is not among the nodes", s.Owner)
}

func (s *Move) key() string { return markRoot + `\Proof\` + strings.ToLower(s.Name) }

// digest tells which nodes a proof was about.
func (s *Move) digest() string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.Join(s.Nodes, "\n"))))
	return hex.EncodeToString(sum[:])
}

// Check looks for the record of the proof.
func (s *Move) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	v, m, err := needServer(ctx, r, s.Name)
	if err != nil {
		return steps.Diff{}, err
	}
	stamp, found, err := inspect.RegistryValue(ctx, r, s.key(), stampName)
	if err != nil {
		return steps.Diff{}, err
	}
	owner, ownerFound, err := inspect.RegistryValue(ctx, r, s.key(), ownerName)
	if err != nil {
		return steps.Diff{}, err
	}
	if found && stamp.Text() == s.digest() {
		if !ownerFound { // written by a program that kept the nodes alone
			return steps.Diff{Action: steps.NoOp, Warnings: []string{"owner of " + s.Name + " cannot be compared: the " +
				"proof was made before deploy wrote it down"}}, nil
		}
		if clus.SameNode(owner.Text(), s.Owner) {
			return steps.NoChange(), nil
		}
	}
	members, err := v.Nodes(ctx)
	if err != nil {
		return steps.Diff{}, err
	}
	for _, want := range s.Nodes {
		up := false
		for _, n := range members {
			up = up || clus.SameNode(n.Name, want) && n.State == clus.NodeUp
		}
		if !up {
			return steps.Diff{}, steps.Until(clus.Tag(want), "the node is not up in the cluster")
		}
	}
	d := steps.Diff{Action: steps.Run, Via: "Exchange cmdlets",
		Changes: []steps.Change{{Attr: "proven on", From: nil, To: s.Nodes}},
		Before:  steps.MustJSON(moveBefore{m.Group.Owner, stamp.Text(), owner.Text()})}
	if found && stamp.Text() == s.digest() {
		d.Changes = []steps.Change{{Attr: "owner after the proof", From: owner.Text(), To: s.Owner}}
	}
	d.Effects = s.PreviewEffects()
	return d, nil
}

// PreviewEffects tells that the server moves, and that its users wait meanwhile.
func (s *Move) PreviewEffects() steps.Effects {
	return steps.Effects{Failover: true, Interrupts: "clustered mailbox server " + s.Name}
}

// Apply moves the server round.
func (s *Move) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	for _, target := range append(append([]string{}, s.Nodes...), s.Owner) {
		if err := s.to(ctx, n, target); err != nil {
			return steps.Outcome{}, err
		}
	}
	if err := s.writeDown(ctx, n, s.digest(), s.Owner); err != nil {
		return steps.Outcome{}, fmt.Errorf("cannot write down the proof for %s: %w", s.Name, err)
	}
	return steps.Outcome{Note: "proven on " + strings.Join(s.Nodes, ", ")}, nil
}

func moveCall() node.Call {
	return shellCall("Move-ClusteredMailboxServer", "Identity", "TargetMachine", "MoveComment", "Confirm")
}

// to moves the server to a node, unless it is there, and looks whether it is online there.
func (s *Move) to(ctx context.Context, n node.Node, target string) error {
	v, m, err := needServer(ctx, n, s.Name)
	if err != nil {
		return err
	}
	if !clus.SameNode(m.Group.Owner, target) {
		if err := alone(ctx, v, target, m.Group.Name); err != nil {
			return err
		}
		err := tell(ctx, n, s.As, "Move-ClusteredMailboxServer", map[string]any{
			"Identity": s.Name, "TargetMachine": target, "MoveComment": s.Comment, "Confirm": false})
		if err != nil {
			return hint.Wrap(fmt.Errorf("cannot move %s to %s: %w", s.Name, target, err),
				"is the Mailbox role installed there, and can the node reach the server's disks?")
		}
	}
	if err := clus.WaitGroup(ctx, v, m.Group.Name, target); err != nil {
		return err
	}
	return clus.Until(ctx, statusLimit, "Exchange to call "+s.Name+" online on "+target,
		func(ctx context.Context) (bool, error) {
			st, err := askStatus(ctx, n, s.As, s.Name)
			return err == nil && st.online(), err
		})
}

// bringHere moves a server to this node when it runs elsewhere, for what Exchange does on the owner
// only.
func bringHere(ctx context.Context, n node.Node, as, name string) error {
	_, m, err := needServer(ctx, n, name)
	if err != nil || clus.SameNode(m.Group.Owner, n.Facts().Computer) {
		return err
	}
	s := &Move{Name: name, Comment: "deploy works on the server's files", As: as}
	return s.to(ctx, n, n.Facts().Computer)
}

// comesHere adds to a diff that bringHere will move the server.
func comesHere(d steps.Diff, m mailboxServer, computer string) steps.Diff {
	if !clus.SameNode(m.Group.Owner, computer) {
		d.Changes = append(d.Changes, steps.Change{Attr: "owner of " + m.Group.Name, From: m.Group.Owner, To: computer})
		d.Effects.Failover = true
	}
	return d
}

// Undo restores owner and record.
func (s *Move) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b moveBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	_, m, err := needServer(ctx, n, s.Name)
	var until *steps.UntilError
	switch {
	case errors.As(err, &until): // the server is gone: only the record is left
	case err != nil:
		return err
	case b.Owner != "" && !clus.SameNode(m.Group.Owner, b.Owner):
		if err := s.to(ctx, n, b.Owner); err != nil {
			return err
		}
	}
	if b.Stamp == "" {
		return dropKey(ctx, n, s.key())
	}
	if err := s.writeDown(ctx, n, b.Stamp, b.Ended); err != nil {
		return fmt.Errorf("cannot restore the record of the proof for %s: %w", s.Name, err)
	}
	return nil
}

// writeDown keeps the record of a proof; owner "" is that of a program that did not keep it.
func (s *Move) writeDown(ctx context.Context, n node.Node, nodes, owner string) error {
	if owner == "" {
		if _, err := n.Do(ctx, node.RegistryDelete{Key: s.key(), Name: ownerName}); err != nil &&
			!errors.Is(err, node.ErrNotFound) {
			return err
		}
	} else if _, err := n.Do(ctx,
		node.RegistrySet{Key: s.key(), Name: ownerName, Type: "string", Data: owner}); err != nil {
		return err
	}
	// the nodes come last: without them there is no proof
	_, err := n.Do(ctx, node.RegistrySet{Key: s.key(), Name: stampName, Type: "string", Data: nodes})
	return err
}
