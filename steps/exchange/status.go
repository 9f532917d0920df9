package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// Status proves that a clustered mailbox server is online and that every named node can run it. It
// changes nothing.
type Status struct {
	Name     string   `json:"name" doc:"name of the clustered mailbox server" required:"true" example:"mbx01" type:"hostname" check:"compared"`
	Machines []string `json:"machines" doc:"nodes that must be operational for it" required:"true" type:"hostname" check:"compared"`
	Address  string   `json:"address,omitempty" doc:"IPv4 address that an IP Address resource of its group must have; no key leaves it out" example:"192.0.2.21" type:"ipv4" check:"compared"`
	As       string   `json:"as" doc:"credential of the site for Exchange's cmdlets" required:"true" example:"admin" type:"credential" check:"instruction:account"`
}

// statusLimit is how long a server that is on its way may take to be online.
const statusLimit = 10 * time.Minute

func statusKind() steps.Kind {
	return steps.Kind{
		Name:    "exchange.status",
		OS:      "windows",
		Summary: "Proves that a clustered mailbox server is online.",
		Doc: "Asks Get-ClusteredMailboxServerStatus. The state is read by the name of the enumeration, never by the text " +
			"that is shown. " +
			"It must be Online, every named node must be among the operational machines, and no resource may have failed. A " +
			"server that is pending is waited for.",
		Undo:    "Nothing to undo.",
		Proof:   proof,
		Sources: []string{"Get-ClusteredMailboxServerStatus, Exchange 2007 SP1"},
		Calls:   append(clus.ReadCalls(), statusCall()),
		New:     func() steps.Step { return &Status{} },
		Example: "name: mbx01\nmachines: [mbx01-node1, mbx01-node2]\nas: admin\n",
	}
}

func statusCall() node.Call {
	return selecting(shellCall("Get-ClusteredMailboxServerStatus", "Identity"), "State:name", "OperationalMachines",
		"FailedResources")
}

// Kind names the step.
func (s *Status) Kind() string { return "exchange.status" }

// Reads names what Check will ask.
func (s *Status) Reads(f node.Facts) []node.Query {
	return clus.Reads(f, clus.PartResources, clus.PartGroups)
}

type serverStatus struct {
	State    string // name of the enumeration
	Machines []string
	Failed   []string
}

func (s serverStatus) online() bool { return strings.EqualFold(s.State, "Online") }

// pending says that the state will change by itself.
func (s serverStatus) pending() bool { return strings.HasSuffix(strings.ToLower(s.State), "pending") }

// askStatus reads the status. An operational machine comes as its name, with a remark behind a
// blank on the active one; the remark is not read.
func askStatus(ctx context.Context, r node.Reader, as, name string) (serverStatus, error) {
	rows, err := ask(ctx, r, as, "Get-ClusteredMailboxServerStatus", map[string]any{"Identity": name}, "State:name",
		"OperationalMachines", "FailedResources")
	if err != nil {
		return serverStatus{}, err
	}
	if len(rows) != 1 {
		return serverStatus{}, fmt.Errorf("cannot tell the status of %s: Exchange gave %d answers", name, len(rows))
	}
	st := serverStatus{State: rows[0].String("State:name"), Failed: rows[0].Strings("FailedResources")}
	for _, m := range rows[0].Strings("OperationalMachines") {
		machine, _, _ := strings.Cut(strings.TrimSpace(m), " ")
		st.Machines = append(st.Machines, machine)
	}
	return st, nil
}

// PreviewEffects tells that the step only looks and waits.
func (s *Status) PreviewEffects() steps.Effects { return steps.Effects{NothingToUndo: true} }

// Check asks Exchange.
func (s *Status) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := s.addressed(ctx, r); err != nil {
		return steps.Diff{}, err
	}
	st, err := askStatus(ctx, r, s.As, s.Name)
	if err != nil {
		return steps.Diff{}, err
	}
	bad := s.good(st)
	if bad == nil {
		return steps.NoChange(), nil
	}
	// steps that come before this one may mend it, so it is not the end of a plan: the proof is asked
	// for when its turn comes
	return steps.Diff{Action: steps.Run, Via: "Exchange cmdlets",
		Changes:  []steps.Change{{Attr: "state", From: st.State, To: "Online"}},
		Warnings: []string{bad.Error()}, Effects: s.PreviewEffects()}, nil
}

// addressed wants the server to be there, and to have the address that the site names.
func (s *Status) addressed(ctx context.Context, r node.Reader) error {
	v, m, err := needServer(ctx, r, s.Name)
	if err != nil || s.Address == "" {
		return err
	}
	now, err := clus.Addresses(ctx, v, func(x clus.Resource) bool { return strings.EqualFold(x.Group, m.Group.Name) })
	if err != nil {
		return err
	}
	if !slices.Contains(now, s.Address) {
		return steps.FixedErr("clustered mailbox server "+s.Name, "address", strings.Join(now, ", "), s.Address,
			"put address back, or change the IP Address resource of its group by hand")
	}
	return nil
}

func (s *Status) good(st serverStatus) error {
	if !st.online() {
		return hint.Wrap(fmt.Errorf("clustered mailbox server %s is %s, not Online", s.Name, st.State),
			"read the application event log of the active node and the cluster's resources")
	}
	if len(st.Failed) > 0 {
		return fmt.Errorf("clustered mailbox server %s has failed resources: %s", s.Name, strings.Join(st.Failed, ", "))
	}
	for _, want := range s.Machines {
		if !slices.ContainsFunc(st.Machines, func(m string) bool { return clus.SameNode(m, want) }) {
			return hint.Wrap(fmt.Errorf("clustered mailbox server %s cannot run on %s: operational are %s", s.Name, want,
				strings.Join(st.Machines, ", ")),
				"is the Mailbox role installed there, and is the node up in the cluster?")
		}
	}
	return nil
}

// Apply waits for a server that is on its way, and says what is wrong with one that is not.
func (s *Status) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	var st serverStatus
	err := clus.Until(ctx, statusLimit, "clustered mailbox server "+s.Name+" to be online",
		func(ctx context.Context) (bool, error) {
			var err error
			st, err = askStatus(ctx, n, s.As, s.Name)
			return err == nil && !st.pending(), err
		})
	if err != nil {
		return steps.Outcome{}, err
	}
	return steps.Outcome{}, errors.Join(s.good(st), s.addressed(ctx, n))
}

// Undo has nothing to restore: the step only looks and waits.
func (s *Status) Undo(context.Context, node.Node, json.RawMessage) error { return nil }
