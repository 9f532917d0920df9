package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
	"deploy/steps/inspect"
)

// Create forms a failover cluster of which the node it runs on is the first and only member.
type Create struct {
	Name       string   `json:"name" doc:"name of the cluster: a NetBIOS computer name that nothing else in the domain uses" required:"true" example:"mbx01-clu" pattern:"^[A-Za-z][A-Za-z0-9-]{0,14}$" means:"a NetBIOS computer name is a letter, then up to 14 letters, digits or hyphens" check:"fixed"`
	Node       string   `json:"node" doc:"computer name of the node that forms it; the step runs on that node" required:"true" example:"mbx01-node1" type:"hostname" check:"compared"`
	Addresses  []string `json:"addresses" doc:"IPv4 addresses of the cluster, one for each client subnet; before 2008 R2 one only" required:"true" type:"ipv4" items:"1" unique:"true" check:"fixed"`
	Mask       string   `json:"mask" doc:"subnet mask of the address; with connection, used with cluster.exe only" type:"ipv4" check:"fixed"`
	Connection string   `json:"connection" doc:"name of the node's network connection for the address; needs mask" check:"fixed"`
	As         string   `json:"as" doc:"credential of the site under which the cluster is formed: it makes a computer account in the directory" required:"true" example:"admin" type:"credential" check:"instruction:account"`
}

type createBefore struct {
	Name string `json:"name"`
	As   string `json:"as"`
}

func createKind() steps.Kind {
	return steps.Kind{
		Name:    "cluster.create",
		OS:      "windows",
		Summary: "Forms a failover cluster with its first node.",
		Doc: "A node that is in no cluster forms one, without taking any disk into it where the tool can be told so. A " +
			"node that is in a cluster of that name is left alone; " +
			"one that is in another cluster is an error. A network logon may not make the cluster's computer account, so it " +
			"runs under the credential " +
			"named in `as`: cluster.exe as a job on 2008, New-Cluster with a logon of its own from 2008 R2 on. Windows " +
			"Server 2003 is refused: cluster.exe would want the service account's password on its command line there.",
		Undo: "Destroys the cluster, but only while its one member is this node and it holds nothing but its own core " +
			"resources and disks.",
		Proof:   proof,
		Sources: []string{"Cluster command, Windows Server 2008", "New-Cluster", "Remove-Cluster"},
		Calls: calls(clus.ReadCalls(), inspect.AdapterCalls(), []node.Call{
			{WMI: clus.Namespace + ":MSCluster_Cluster", Props: []string{"Name"}, On: from2008()},
			clus.Cmdlet("New-Cluster", "Name", "Node", "StaticAddress", "NoStorage"),
			clus.Cmdlet("Remove-Cluster", "Force", "CleanupAD"),
			{Tool: "cluster.exe", On: []node.Release{node.WS2008},
				Source: "Cluster command, /create and /destroy, Windows Server 2008"},
		}),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Create{} },
		Example:   "name: mbx01-clu\nnode: mbx01-node1\naddresses: [192.0.2.20]\nas: admin\n",
	}
}

// Kind names the step.
func (s *Create) Kind() string { return "cluster.create" }

// Provides names what exists once the cluster is formed.
func (s *Create) Provides() []string { return []string{createTag, clus.Tag(s.Node)} }

// Reads names what Check will ask.
func (s *Create) Reads(f node.Facts) []node.Query { return clus.Reads(f) }

// Validate looks at the data.
func (s *Create) Validate() error {
	if (s.Mask == "") != (s.Connection == "") {
		return steps.FieldErr("mask", "mask and connection go together")
	}
	return nil
}

// Check tells whether the node is in the cluster.
func (s *Create) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	f := r.Facts()
	if !clus.SameNode(f.Computer, s.Node) {
		return steps.Diff{}, fmt.Errorf("cannot form the cluster on %s: the step says that %s forms it", f.Computer, s.Node)
	}
	formed, err := clus.Formed(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	if formed {
		name, err := clusterName(ctx, r)
		if err != nil {
			return steps.Diff{}, err
		}
		if !strings.EqualFold(name, s.Name) {
			return steps.Diff{}, fmt.Errorf("cannot form cluster %s on %s: %w", s.Name, f.Computer,
				steps.FixedErr("the cluster of "+f.Computer, "name", name, s.Name,
					"name that cluster in the site, or take the node out of it first"))
		}
		if err := s.sameAddresses(ctx, r); err != nil {
			return steps.Diff{}, err
		}
		if err := s.sameNetwork(ctx, r); err != nil {
			return steps.Diff{}, err
		}
		return steps.NoChange(), nil
	}
	if !f.Release.AtLeast(node.WS2008) {
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot form a cluster on %s: %w on Windows Server 2003", f.Computer,
			node.ErrUnsupported),
			"form it by hand with Cluster Administrator, behind a gate")
	}
	via := "cluster.exe as a job"
	if f.Release.AtLeast(node.WS2008R2) {
		via = clus.Module
	} else if len(s.Addresses) > 1 {
		return steps.Diff{}, fmt.Errorf("cannot form cluster %s on %s with %d addresses: cluster.exe takes one", s.Name,
			f.Computer, len(s.Addresses))
	}
	return steps.Diff{
		Action:  steps.Create,
		Changes: []steps.Change{{Attr: "cluster", From: nil, To: s.Name}, {Attr: "addresses", From: nil, To: s.Addresses}},
		Before:  steps.MustJSON(createBefore{s.Name, s.As}),
		Via:     via,
	}, nil
}

// sameAddresses compares the addresses, which the cluster got when it was formed. A step does not
// move them: the name would be unreachable meanwhile, for every client at once.
func (s *Create) sameAddresses(ctx context.Context, r node.Reader) error {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return err
	}
	now, err := clus.Addresses(ctx, v, func(x clus.Resource) bool { return x.Core })
	if err != nil {
		return fmt.Errorf("cannot tell the addresses of cluster %s: %w", s.Name, err)
	}
	want := slices.Sorted(slices.Values(s.Addresses))
	if slices.Equal(now, want) {
		return nil
	}
	return steps.FixedErr("cluster "+s.Name, "address", strings.Join(now, ", "), strings.Join(want, ", "),
		"put addresses back, or change the cluster's IP Address resource by hand and plan again")
}

// sameNetwork compares mask and connection, where they are given, with what the cluster got.
func (s *Create) sameNetwork(ctx context.Context, r node.Reader) error {
	if s.Mask == "" {
		return nil
	}
	v, err := clus.Open(ctx, r)
	if err != nil {
		return err
	}
	masks, err := clus.AddressProperties(ctx, v, "SubnetMask", func(x clus.Resource) bool { return x.Core })
	if err != nil {
		return fmt.Errorf("cannot tell the mask of cluster %s: %w", s.Name, err)
	}
	if !slices.Contains(masks, s.Mask) {
		return steps.FixedErr("cluster "+s.Name, "mask", strings.Join(masks, ", "), s.Mask,
			"put mask back, or change the cluster's IP Address resource by hand and plan again")
	}
	cards, err := inspect.Adapters(ctx, r)
	if err != nil {
		return err
	}
	for _, c := range cards {
		if !c.Reaches(s.Addresses[0]) {
			continue
		}
		if strings.EqualFold(c.Name, s.Connection) {
			return nil
		}
		return steps.FixedErr("cluster "+s.Name, "its address on connection", c.Name, s.Connection,
			"put connection back: the cluster's address is of the network of "+c.Name)
	}
	return hint.Wrap(fmt.Errorf("cannot tell on which connection cluster %s has address %s: no card of %s has an "+
		"address in its network", s.Name, s.Addresses[0], r.Facts().Computer), "check the addresses of the node's cards")
}

func clusterName(ctx context.Context, r node.Reader) (string, error) {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return "", err
	}
	row, err := v.Properties(ctx, clus.Object{}, []string{"Name"})
	if err != nil {
		return "", err
	}
	return row.String("Name"), nil
}

// Apply forms the cluster and waits until it answers.
func (s *Create) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	if n.Facts().Release.AtLeast(node.WS2008R2) {
		_, err := n.Do(ctx, node.CmdletCall{Name: "New-Cluster", Load: clus.Module, As: s.As,
			Params: map[string]any{"Name": s.Name, "Node": []any{s.Node}, "StaticAddress": anys(s.Addresses),
				"NoStorage": true}})
		if err != nil {
			return steps.Outcome{}, fmt.Errorf("cannot form cluster %s: %w", s.Name, err)
		}
	} else {
		addr := s.Addresses[0]
		if s.Connection != "" {
			addr += "," + s.Mask + "," + s.Connection
		}
		argv := []string{"cluster.exe", "/cluster:" + s.Name, "/create", "/ipaddress:" + addr, "/node:" + s.Node,
			"/unattended"}
		st, err := clus.RunJob(ctx, n, jobID("cluster-create", s.Name), node.Cmd{Argv: argv, As: s.As})
		if err != nil {
			return steps.Outcome{}, err
		}
		if st.Code != 0 {
			return steps.Outcome{}, fmt.Errorf("cannot form cluster %s: %w", s.Name,
				createHint(clus.JobError("cluster.exe /create", st)))
		}
	}
	return steps.Outcome{}, clus.WaitCluster(ctx, n)
}

func createHint(err error) error {
	switch {
	case clus.IsCode(err, 5):
		return hint.Wrap(err, "the credential must be a local administrator and may make computer accounts in the domain")
	case clus.IsCode(err, 5900, 52):
		return hint.Wrap(err, "the cluster's name is in use: is there an old computer account or cluster of that name?")
	case clus.IsCode(err, 5057):
		return hint.Wrap(err, "the cluster's address is in use")
	case clus.IsCode(err, 5894):
		return hint.Wrap(err, "the address fits no network of the node: check the address and the cards' settings")
	}
	return err
}

// Undo destroys the cluster when nothing else would be lost with it.
func (s *Create) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return clus.Undo(ctx, n, before, func(_ clus.Reader, b createBefore) error {
		name, err := clusterName(ctx, n)
		if err != nil {
			return err
		}
		if !strings.EqualFold(name, b.Name) {
			return fmt.Errorf("cannot destroy cluster %s: the node is a member of cluster %s now", b.Name, name)
		}
		if err := onlyOurs(ctx, n); err != nil {
			return fmt.Errorf("cannot destroy cluster %s: %w", b.Name, err)
		}
		if n.Facts().Release.AtLeast(node.WS2008R2) {
			if _, err := n.Do(ctx, node.CmdletCall{Name: "Remove-Cluster", Load: clus.Module, As: b.As,
				Params: map[string]any{"Force": true, "CleanupAD": true}}); err != nil {
				return fmt.Errorf("cannot destroy cluster %s: %w", b.Name, err)
			}
		} else {
			st, err := clus.RunJob(ctx, n, jobID("cluster-destroy", b.Name),
				node.Cmd{Argv: []string{"cluster.exe", "/cluster:" + b.Name, "/destroy", "/cleanupactivedirectory"}, As: b.As})
			if err != nil {
				return err
			}
			if st.Code != 0 {
				return fmt.Errorf("cannot destroy cluster %s: %w", b.Name, clus.JobError("cluster.exe /destroy", st))
			}
		}
		return clus.WaitGone(ctx, n, goneLimit)
	})
}

// onlyOurs refuses while the cluster has another member or holds anything besides its core
// resources and disks.
func onlyOurs(ctx context.Context, n node.Node) error {
	v, err := clus.Open(ctx, n)
	if err != nil {
		return err
	}
	members, err := v.Nodes(ctx)
	if err != nil {
		return err
	}
	if len(members) != 1 || !clus.SameNode(members[0].Name, n.Facts().Computer) {
		return hint.Wrap(fmt.Errorf("it has %d members", len(members)), "take the other nodes out of it first")
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return err
	}
	for _, x := range all {
		if !x.Core && !strings.EqualFold(x.Type, clus.TypeDisk) {
			return hint.Wrap(fmt.Errorf("it holds resource %q", x.Name), "remove what others put into the cluster first")
		}
	}
	return nil
}
