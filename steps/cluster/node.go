package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// Node makes a computer a member of a cluster that exists.
type Node struct {
	Cluster string `json:"cluster" doc:"name of the cluster to join" required:"true" example:"mbx01-clu" check:"compared"`
	Name    string `json:"name" doc:"computer name of the node that joins; the step runs on a node that is a member already" required:"true" example:"mbx01-node2" type:"hostname" check:"compared"`
	As      string `json:"as" doc:"credential of the site under which the node is added: it must be an administrator of both nodes" required:"true" example:"admin" type:"credential" check:"instruction:account"`
}

type nodeBefore struct {
	Cluster string `json:"cluster"`
	Name    string `json:"name"`
	As      string `json:"as"`
}

// goneLimit is how long the cluster service may take to stop on a node that left.
const goneLimit = 5 * time.Minute

func nodeKind() steps.Kind {
	return steps.Kind{
		Name:    "cluster.node",
		OS:      "windows",
		Summary: "Adds a node to a cluster.",
		Doc: "Runs on a member and adds another computer. Before it acts, the Cluster service must answer and the " +
			"cluster's own group must be online. " +
			"A member that is down or paused is an error: it is not evicted and added again. No disk is taken into the cluster.",
		Undo: "Evicts the node. Groups that it owns and that hold nothing but disks, or the cluster's own, are moved " +
			"here first; one that holds a service is an error.",
		Proof:   proof,
		Sources: []string{"Cluster command, /addnodes, Windows Server 2008", "Add-ClusterNode", "Remove-ClusterNode"},
		Calls: calls(clus.ReadCalls(), clus.HandCalls(clus.MoveGroup), []node.Call{
			clus.Cmdlet("Add-ClusterNode", "Name", "NoStorage"),
			clus.Cmdlet("Remove-ClusterNode", "Name", "Force"),
			{WMI: clus.Namespace + ":MSCluster_Cluster", Props: []string{"Name"}, On: from2008()},
		}),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Node{} },
		Example:   "cluster: mbx01-clu\nname: mbx01-node2\nas: admin\n",
	}
}

// Kind names the step.
func (s *Node) Kind() string { return "cluster.node" }

// Provides names what exists once the node is a member.
func (s *Node) Provides() []string { return []string{clus.Tag(s.Name)} }

// Reads names what Check will ask.
func (s *Node) Reads(f node.Facts) []node.Query { return clus.Reads(f, clus.PartNodes) }

// Check looks for the node among the members.
func (s *Node) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	name, err := clusterName(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	if !strings.EqualFold(name, s.Cluster) {
		return steps.Diff{}, fmt.Errorf("cannot add %s to cluster %s: %s is a member of cluster %s", s.Name, s.Cluster,
			r.Facts().Computer, name)
	}
	members, err := v.Nodes(ctx)
	if err != nil {
		return steps.Diff{}, err
	}
	for _, m := range members {
		if !clus.SameNode(m.Name, s.Name) {
			continue
		}
		switch m.State {
		case clus.NodeUp:
			return steps.NoChange(), nil
		case clus.NodeJoining:
			return steps.Diff{Action: steps.Run, Changes: []steps.Change{{Attr: "state", From: "joining", To: "up"}},
				Effects: steps.Effects{NothingToUndo: true}}, nil
		}
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot use node %s: it is a member of cluster %s but its state is %d "+
			"(1 down, 2 paused)", m.Name, name, m.State),
			"start its Cluster service or resume it; deploy does not evict a node that it did not add")
	}
	if !r.Facts().Release.AtLeast(node.WS2008) {
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot add a node from %s: %w on Windows Server 2003", r.Facts().Computer,
			node.ErrUnsupported),
			"add it by hand with Cluster Administrator, behind a gate")
	}
	via := "cluster.exe as a job"
	if r.Facts().Release.AtLeast(node.WS2008R2) {
		via = clus.Module
	}
	return steps.Diff{
		Action:  steps.Create,
		Changes: []steps.Change{{Attr: "member", From: nil, To: s.Name}},
		Before:  steps.MustJSON(nodeBefore{s.Cluster, s.Name, s.As}),
		Via:     via,
	}, nil
}

// Apply adds the node and waits until it is up.
func (s *Node) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	v, err := clus.Open(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	if d.Action == steps.Create {
		online, err := clus.CoreOnline(ctx, v)
		if err != nil {
			return steps.Outcome{}, err
		}
		if !online {
			return steps.Outcome{}, hint.Wrap(fmt.Errorf("cannot add %s to cluster %s: the cluster's own group is not online",
				s.Name, s.Cluster),
				"bring the group with the cluster's name and address online first")
		}
		if err := s.add(ctx, n); err != nil {
			return steps.Outcome{}, err
		}
	}
	return steps.Outcome{}, clus.Until(ctx, goneLimit, "node "+s.Name+" to be up",
		func(ctx context.Context) (bool, error) {
			members, err := v.Nodes(ctx)
			for _, m := range members {
				if clus.SameNode(m.Name, s.Name) && m.State == clus.NodeUp {
					return true, nil
				}
			}
			return false, err
		})
}

func (s *Node) add(ctx context.Context, n node.Node) error {
	if n.Facts().Release.AtLeast(node.WS2008R2) {
		_, err := n.Do(ctx, node.CmdletCall{Name: "Add-ClusterNode", Load: clus.Module, As: s.As,
			Params: map[string]any{"Name": []any{s.Name}, "NoStorage": true}})
		if err != nil {
			return fmt.Errorf("cannot add %s to cluster %s: %w", s.Name, s.Cluster, err)
		}
		return nil
	}
	st, err := clus.RunJob(ctx, n, jobID("cluster-add", s.Cluster, s.Name),
		node.Cmd{Argv: []string{"cluster.exe", "/cluster:" + s.Cluster, "/addnodes:" + s.Name, "/unattended"}, As: s.As})
	if err != nil {
		return err
	}
	// 5065: the node is a member already, which is what is declared
	if st.Code != 0 && st.Code != 5065 {
		return fmt.Errorf("cannot add %s to cluster %s: %w", s.Name, s.Cluster,
			createHint(clus.JobError("cluster.exe /addnodes", st)))
	}
	return nil
}

// Undo evicts the node.
func (s *Node) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return clus.Undo(ctx, n, before, func(v clus.Reader, b nodeBefore) error {
		members, err := v.Nodes(ctx)
		if err != nil {
			return err
		}
		there := false
		for _, m := range members {
			there = there || clus.SameNode(m.Name, b.Name)
		}
		if !there {
			return nil
		}
		if err := vacate(ctx, n, v, b.Name); err != nil {
			return err
		}
		if n.Facts().Release.AtLeast(node.WS2008R2) {
			_, err := n.Do(ctx, node.CmdletCall{Name: "Remove-ClusterNode", Load: clus.Module, As: b.As,
				Params: map[string]any{"Name": []any{b.Name}, "Force": true}})
			if err != nil {
				return fmt.Errorf("cannot evict %s: %w", b.Name, err)
			}
			return nil
		}
		st, err := clus.RunJob(ctx, n, jobID("cluster-evict", b.Cluster, b.Name),
			node.Cmd{Argv: []string{"cluster.exe", "/cluster:" + b.Cluster, "node", b.Name, "/evict"}, As: b.As})
		if err != nil {
			return err
		}
		// 5896: it is out of the cluster, but its own configuration was not cleaned
		if st.Code == 5896 {
			return hint.Wrap(fmt.Errorf("cannot clean node %s after eviction: %w", b.Name,
				clus.JobError("cluster.exe node /evict", st)),
				"run on that node: cluster node "+b.Name+" /forcecleanup")
		}
		if st.Code != 0 {
			return fmt.Errorf("cannot evict %s: %w", b.Name, clus.JobError("cluster.exe node /evict", st))
		}
		return nil
	})
}

// vacate moves the groups that hold no service off a node that is to leave.
func vacate(ctx context.Context, n node.Node, v clus.Reader, name string) error {
	groups, err := v.Groups(ctx)
	if err != nil {
		return err
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return err
	}
	core, _ := clus.CoreGroup(groups, all)
	for _, g := range groups {
		if !clus.SameNode(g.Owner, name) {
			continue
		}
		if g.Name != core.Name && !clus.StorageOnly(all, g.Name) {
			return hint.Wrap(fmt.Errorf("cannot evict %s: it runs group %q", name, g.Name),
				"move that group to another node first")
		}
		if err := clus.MoveTo(ctx, n, v, g.Name, n.Facts().Computer); err != nil {
			return err
		}
	}
	return nil
}
