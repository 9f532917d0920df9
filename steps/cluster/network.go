package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// Network names a cluster network and gives it a role. It is known by its address, never by its
// name.
type Network struct {
	Subnet string `json:"subnet" doc:"the network in CIDR form, 192.0.2.0/24: how the network is found" required:"true" example:"10.10.10.0/24" type:"cidr" check:"compared"`
	Name   string `json:"name" doc:"name to give it; left alone when empty" check:"compared"`
	Role   string `json:"role" doc:"private: cluster traffic only; mixed: cluster and clients; unmanaged: not used by the cluster; left alone when empty" enum:"private|mixed|unmanaged" check:"compared"`
}

type networkBefore struct {
	Subnet string `json:"subnet"`
	Name   string `json:"name"`
	Role   int64  `json:"role"`
}

func networkKind() steps.Kind {
	return steps.Kind{
		Name:    "cluster.network",
		OS:      "windows",
		Summary: "Names a cluster network and gives it a role.",
		Doc: "Finds the network by address and mask: its own name is in the language of the node that formed the cluster. " +
			"The last internal network cannot lose that role (error 5066), nor can one that an IP address resource uses lose " +
			"its clients (5067).",
		Undo:      "Gives back the recorded name and role.",
		Proof:     proof,
		Sources:   []string{"CLUSTER_NETWORK_ROLE", "MSCluster_Network", "Cluster network command"},
		Calls:     calls(clus.ReadCalls(), clus.NetworkCalls(), clus.HandCalls(clus.RenameNetwork, clus.SetNetworkRole)),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Network{} },
		Example:   "subnet: 10.10.10.0/24\nname: Private\nrole: private\n",
	}
}

var roles = map[string]int64{"private": clus.RoleInternal, "mixed": clus.RoleBoth, "unmanaged": clus.RoleNone}

// Kind names the step.
func (s *Network) Kind() string { return "cluster.network" }

// Reads names what Check will ask.
func (s *Network) Reads(f node.Facts) []node.Query { return clus.Reads(f, clus.PartNetworks) }

// Validate looks at the data.
func (s *Network) Validate() error {
	if s.Name == "" && s.Role == "" {
		return steps.FieldErr("name", "name or role must be given")
	}
	return nil
}

// Check compares name and role.
func (s *Network) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	all, err := v.Networks(ctx)
	if err != nil {
		return steps.Diff{}, err
	}
	n, err := findNetwork(all, s.Subnet)
	if err != nil {
		return steps.Diff{}, err
	}
	d := steps.Diff{Action: steps.NoOp, Before: steps.MustJSON(networkBefore{s.Subnet, n.Name, n.Role})}
	h := clus.HandOf(r.Facts())
	if s.Name != "" && n.Name != s.Name {
		for _, o := range all {
			if strings.EqualFold(o.Name, s.Name) && o.Subnet() != n.Subnet() {
				return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot name cluster network %s %q: network %s has that name", s.Subnet,
					s.Name, o.Subnet()),
					"give that network another name by a step before this one")
			}
		}
		d.Changes = append(d.Changes, steps.Change{Attr: "name", From: n.Name, To: s.Name})
		d.Via = h.Via(clus.RenameNetwork)
	}
	if s.Role != "" && n.Role != roles[s.Role] {
		d.Changes = append(d.Changes, steps.Change{Attr: "role", From: roleName(n.Role), To: s.Role})
		d.Via = h.Via(clus.SetNetworkRole)
	}
	if len(d.Changes) == 0 {
		return steps.NoChange(), nil
	}
	d.Action = steps.Update
	return d, nil
}

func findNetwork(all []clus.Network, subnet string) (clus.Network, error) {
	p, err := netip.ParsePrefix(subnet)
	if err != nil {
		return clus.Network{}, fmt.Errorf("cannot read subnet %q: %w", subnet, err)
	}
	var seen []string
	for _, n := range all {
		if n.Subnet() == p.Masked() {
			return n, nil
		}
		seen = append(seen, n.Subnet().String())
	}
	return clus.Network{}, hint.Wrap(fmt.Errorf("cannot find cluster network %s: %w", p.Masked(), node.ErrNotFound),
		"the cluster has the networks "+strings.Join(seen, ", ")+": do all nodes have a card with an address in the subnet?")
}

func roleName(n int64) string {
	for name, v := range roles {
		if v == n {
			return name
		}
	}
	return fmt.Sprint(n)
}

// Apply sets name and role.
func (s *Network) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	want := networkBefore{Subnet: s.Subnet, Name: s.Name, Role: -1}
	if s.Role != "" {
		want.Role = roles[s.Role]
	}
	return steps.Outcome{}, setNetwork(ctx, n, want)
}

// Undo gives back name and role.
func (s *Network) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b networkBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	return setNetwork(ctx, n, b)
}

// setNetwork brings a network to a name ("" leaves it) and a role (-1 leaves it).
func setNetwork(ctx context.Context, n node.Node, want networkBefore) error {
	v, err := clus.Open(ctx, n)
	if err != nil {
		return err
	}
	all, err := v.Networks(ctx)
	if err != nil {
		return err
	}
	now, err := findNetwork(all, want.Subnet)
	if err != nil {
		return err
	}
	h := clus.HandOf(n.Facts())
	if want.Role >= 0 && now.Role != want.Role {
		if err := h.Do(ctx, n, clus.Change{Op: clus.SetNetworkRole, Name: now.Name, Number: want.Role}); err != nil {
			return networkHint(err)
		}
	}
	if want.Name != "" && now.Name != want.Name {
		return h.Do(ctx, n, clus.Change{Op: clus.RenameNetwork, Name: now.Name, To: want.Name})
	}
	return nil
}

func networkHint(err error) error {
	switch {
	case clus.IsCode(err, 5066):
		return hint.Wrap(err, "it is the only network that the nodes use among themselves: give another one the role "+
			"private or mixed first")
	case clus.IsCode(err, 5067):
		return hint.Wrap(err, "an IP address resource uses this network: clients must be let in")
	}
	return err
}
