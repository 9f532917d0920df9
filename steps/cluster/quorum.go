package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// Quorum says how the cluster counts votes.
type Quorum struct {
	Model string `json:"model" doc:"how votes are counted" required:"true" enum:"node-majority|node-and-disk-majority|node-and-share-majority|disk-only" example:"node-and-disk-majority" check:"compared"`
	Disk  string `json:"disk" doc:"serial number of the witness disk, for node-and-disk-majority and disk-only; it is a cluster disk already" example:"LUN-QUORUM" check:"compared"`
	Share string `json:"share" doc:"UNC path of the witness share, for node-and-share-majority; the cluster's computer account must be allowed to write there" check:"compared"`
}

// The models.
const (
	nodeMajority  = "node-majority"
	nodeAndDisk   = "node-and-disk-majority"
	nodeAndShare  = "node-and-share-majority"
	diskOnly      = "disk-only"
	otherWitness  = "other"
	witnessName   = "File Share Witness"
	quorumDiskWMI = 4 // MSCluster_Cluster.QuorumTypeValue: 1 nodes, 2 nodes and share, 3 nodes and disk, 4 no majority
)

// quorumState is what a cluster counts: also what undo needs. Witness is the disk resource's name;
// a share is known by its path.
type quorumState struct {
	Model   string `json:"model"`
	Witness string `json:"witness,omitempty"`
	Share   string `json:"share,omitempty"`
	// share witness resources that were there: undo removes those that the step made
	Kept []string `json:"kept,omitempty"`
}

func quorumKind() steps.Kind {
	read := clus.Cmdlet("Get-ClusterQuorum")
	read.Props = []string{"QuorumResource.Name", "QuorumType:name"}
	return steps.Kind{
		Name:    "cluster.quorum",
		OS:      "windows",
		Summary: "Sets how the cluster counts votes.",
		Doc: "Compares the model and the witness: the disk by the signature or GUID behind its serial number, the share " +
			"by its path. " +
			"Up to 2008 it is set through WMI, a share witness by making a File Share Witness resource first; from 2008 R2 " +
			"by Set-ClusterQuorum with the parameter names of the release. " +
			"From 2012 R2 on Windows calls every model with nodes a majority and gives the witness a vote when it helps; the " +
			"words here stay. " +
			"On 2008 a disk that is the only vote is told from one beside the nodes by QuorumTypeValue alone.",
		Undo:    "Gives back the recorded model and witness and removes a witness resource that it made.",
		Proof:   proof,
		Sources: []string{"MSCluster_Cluster: SetNodeMajorityQuorum, SetMajorityQuorum, SetDiskQuorum", "Set-ClusterQuorum"},
		Calls: calls(clus.ReadCalls(), clus.DiskCalls(),
			clus.HandCalls(clus.CreateResource, clus.SetProperties, clus.ResourceUp, clus.ResourceDown, clus.DeleteResource),
			[]node.Call{
				read,
				{Cmdlet: "Set-ClusterQuorum", Params: []string{"NodeMajority", "NodeAndDiskMajority", "NodeAndFileShareMajority",
					"DiskOnly"},
					On: []node.Release{node.WS2008R2, node.WS2012}, Source: "FailoverClusters module"},
				{Cmdlet: "Set-ClusterQuorum", Params: []string{"NoWitness", "DiskWitness", "FileShareWitness", "DiskOnly"},
					On:     []node.Release{node.WS2012R2, node.WS2016, node.WS2019, node.WS2022, node.WS2025},
					Source: "FailoverClusters module"},
				{WMI: clus.Namespace + ":MSCluster_Cluster", Props: []string{"Name", "QuorumTypeValue"},
					Method: "SetMajorityQuorum",
					Args:   []string{"Resource", "QuorumPath"}, On: []node.Release{node.WS2008}},
				{WMI: clus.Namespace + ":MSCluster_Cluster", Method: "SetDiskQuorum", Args: []string{"Resource", "QuorumPath"},
					On: []node.Release{node.WS2008}},
				{WMI: clus.Namespace + ":MSCluster_Cluster", Method: "SetNodeMajorityQuorum", On: []node.Release{node.WS2008}},
				{WMI: clus.Namespace + ":MSCluster_ClusterToQuorumResource", Props: []string{"PartComponent"},
					On: []node.Release{node.WS2008}},
				{Property: "SharePath", Of: "File Share Quorum Witness Resource Private Properties", On: from2008()},
			}),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Quorum{} },
		Example:   "model: node-and-disk-majority\ndisk: LUN-QUORUM\n",
	}
}

// Kind names the step.
func (s *Quorum) Kind() string { return "cluster.quorum" }

// Reads names what Check will ask.
func (s *Quorum) Reads(f node.Facts) []node.Query { return clus.Reads(f) }

// Validate looks at the data.
func (s *Quorum) Validate() error {
	needDisk, needShare := s.Model == nodeAndDisk || s.Model == diskOnly, s.Model == nodeAndShare
	switch {
	case needDisk && s.Disk == "":
		return steps.FieldErr("disk", "is required for %s", s.Model)
	case !needDisk && s.Disk != "":
		return steps.FieldErr("disk", "has no meaning for %s", s.Model)
	case needShare && !strings.HasPrefix(s.Share, `\\`):
		return steps.FieldErr("share", `must be a UNC path like \\server\share for %s`, s.Model)
	case !needShare && s.Share != "":
		return steps.FieldErr("share", "has no meaning for %s", s.Model)
	}
	return nil
}

// Check compares model and witness.
func (s *Quorum) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if !r.Facts().Release.AtLeast(node.WS2008) {
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot set the quorum on %s: %w on Windows Server 2003",
			r.Facts().Computer, node.ErrUnsupported), "set it by hand, behind a gate")
	}
	v, err := clus.Open(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	now, err := readQuorum(ctx, r, v)
	if err != nil {
		return steps.Diff{}, err
	}
	want, err := s.wish(ctx, r, v)
	if err != nil {
		return steps.Diff{}, err
	}
	if now.Model == want.Model && (want.Witness == "" || strings.EqualFold(now.Witness, want.Witness)) &&
		strings.EqualFold(now.Share, want.Share) {
		return steps.NoChange(), nil
	}
	d := steps.Diff{Action: steps.Update, Via: "WMI " + clus.Namespace}
	if r.Facts().Release.AtLeast(node.WS2008R2) {
		d.Via = clus.Module
	}
	if now.Model == otherWitness {
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot set the quorum: the cluster has witness %q, which could not be "+
			"given back", now.Witness), "remove that witness by hand first")
	}
	if now.Model != want.Model {
		d.Changes = append(d.Changes, steps.Change{Attr: "model", From: now.Model, To: want.Model})
	}
	if from, to := now.Share+now.diskName(), want.Share+want.diskName(); from != to {
		d.Changes = append(d.Changes, steps.Change{Attr: "witness", From: from, To: to})
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return steps.Diff{}, err
	}
	now.Kept = shareWitnesses(all, "")
	d.Before = steps.MustJSON(now)
	return d, nil
}

// shareWitnesses lists the share witness resources, those of one share or all.
func shareWitnesses(all []clus.Resource, share string) []string {
	var out []string
	for _, x := range all {
		if strings.EqualFold(x.Type, clus.TypeShare) &&
			(share == "" || strings.EqualFold(x.Private.String("SharePath"), share)) {
			out = append(out, x.Name)
		}
	}
	sort.Strings(out)
	return out
}

// dropWitnesses removes share witness resources that are not the witness: the module makes a new
// one each time.
func dropWitnesses(ctx context.Context, n node.Node, v clus.Reader, names []string) error {
	current, _, err := readWitness(ctx, n, v)
	if err != nil {
		return err
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if x, found := clus.FindResource(all, name); found && !strings.EqualFold(name, current) {
			if err := removeResource(ctx, n, v, x); err != nil {
				return err
			}
		}
	}
	return nil
}

// diskName is the witness's name where the name is what tells it.
func (q quorumState) diskName() string {
	if q.Share != "" {
		return ""
	}
	return q.Witness
}

// wish is the state that the step asks for. The disk must be a cluster disk.
func (s *Quorum) wish(ctx context.Context, r node.Reader, v clus.Reader) (quorumState, error) {
	want := quorumState{Model: s.Model, Share: s.Share}
	if s.Disk == "" {
		return want, nil
	}
	disk, err := clus.FindDisk(ctx, r, s.Disk)
	if err != nil {
		return want, err
	}
	res, found, err := clus.DiskResource(ctx, v, r, disk)
	if err != nil {
		return want, err
	}
	if !found {
		return want, steps.Until(diskTag(s.Disk), "the disk is not the cluster's yet")
	}
	want.Witness = res.Name
	return want, nil
}

// readQuorum tells the model by the witness resource's type, and a single disk by number (2008) or
// by name of the enumeration.
func readQuorum(ctx context.Context, r node.Reader, v clus.Reader) (quorumState, error) {
	name, only, err := readWitness(ctx, r, v)
	if err != nil {
		return quorumState{}, err
	}
	if name == "" {
		return quorumState{Model: nodeMajority}, nil
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return quorumState{}, err
	}
	x, found := clus.FindResource(all, name)
	if !found {
		return quorumState{}, clus.NotThere(r, "witness resource", name)
	}
	switch {
	case strings.EqualFold(x.Type, clus.TypeDisk) && only:
		return quorumState{Model: diskOnly, Witness: x.Name}, nil
	case strings.EqualFold(x.Type, clus.TypeDisk):
		return quorumState{Model: nodeAndDisk, Witness: x.Name}, nil
	case strings.EqualFold(x.Type, clus.TypeShare):
		return quorumState{Model: nodeAndShare, Share: x.Private.String("SharePath")}, nil
	}
	return quorumState{Model: otherWitness, Witness: x.Name}, nil
}

// readWitness returns the witness resource's name ("" for none) and whether it is the only vote.
func readWitness(ctx context.Context, r node.Reader, v clus.Reader) (name string, only bool, err error) {
	if r.Facts().Release.AtLeast(node.WS2008R2) {
		rows, err := r.Query(ctx, node.Cmdlet{Name: "Get-ClusterQuorum", Load: clus.Module,
			Select: []string{"QuorumResource.Name", "QuorumType:name"}})
		if err != nil {
			return "", false, fmt.Errorf("cannot read the quorum of the cluster of %s: %w", r.Facts().Computer, err)
		}
		if len(rows) == 0 {
			return "", false, fmt.Errorf("cannot read the quorum of the cluster of %s: no answer", r.Facts().Computer)
		}
		return rows[0].String("QuorumResource.Name"), strings.EqualFold(rows[0].String("QuorumType:name"), "DiskOnly"), nil
	}
	rows, err := r.Query(ctx, node.WMI{Namespace: clus.Namespace, Class: "MSCluster_ClusterToQuorumResource",
		Props: []string{"PartComponent"}})
	if err != nil {
		return "", false, fmt.Errorf("cannot read the quorum of the cluster of %s: %w", r.Facts().Computer, err)
	}
	if len(rows) == 0 {
		return "", false, nil
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return "", false, err
	}
	value, err := v.Properties(ctx, clus.Object{}, []string{"QuorumTypeValue"})
	if err != nil {
		return "", false, err
	}
	for _, x := range all {
		if clus.Refers(rows[0].String("PartComponent"), x) {
			return x.Name, value.Int("QuorumTypeValue") == quorumDiskWMI, nil
		}
	}
	return "", false, nil
}

// Apply sets the model.
func (s *Quorum) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	v, err := clus.Open(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	want, err := s.wish(ctx, n, v)
	if err != nil {
		return steps.Outcome{}, err
	}
	return steps.Outcome{}, setQuorum(ctx, n, v, want)
}

func setQuorum(ctx context.Context, n node.Node, v clus.Reader, want quorumState) error {
	var err error
	if n.Facts().Release.AtLeast(node.WS2008R2) {
		if want.Model == nodeAndShare {
			all, err := v.Resources(ctx)
			if err != nil {
				return err
			}
			if err := dropWitnesses(ctx, n, v, shareWitnesses(all, want.Share)); err != nil {
				return err
			}
		}
		_, err = n.Do(ctx, node.CmdletCall{Name: "Set-ClusterQuorum", Load: clus.Module,
			Params: quorumParams(n.Facts().Release, want)})
	} else {
		err = setQuorumWMI(ctx, n, v, want)
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("cannot set the quorum to %s: %w", want.Model, err)
	switch {
	case clus.IsCode(err, 5021, 5025):
		return hint.Wrap(err, "the witness must be a disk that every node can reach")
	case clus.IsCode(err, 5069):
		return hint.Wrap(err, "the witness may not depend on another resource")
	case clus.IsCode(err, 5, 53):
		return hint.Wrap(err, "is the share reachable, and may the cluster's computer account write there?")
	}
	return err
}

func quorumParams(rel node.Release, want quorumState) map[string]any {
	old := !rel.AtLeast(node.WS2012R2)
	pick := func(before, after string) string {
		if old {
			return before
		}
		return after
	}
	switch want.Model {
	case nodeAndDisk:
		return map[string]any{pick("NodeAndDiskMajority", "DiskWitness"): want.Witness}
	case nodeAndShare:
		return map[string]any{pick("NodeAndFileShareMajority", "FileShareWitness"): want.Share}
	case diskOnly:
		return map[string]any{"DiskOnly": want.Witness}
	}
	return map[string]any{pick("NodeMajority", "NoWitness"): true}
}

// setQuorumWMI is the way of Windows Server 2008.
func setQuorumWMI(ctx context.Context, n node.Node, v clus.Reader, want quorumState) error {
	id, err := v.Properties(ctx, clus.Object{}, []string{"Name"})
	if err != nil {
		return err
	}
	call := func(method string, args map[string]any) error {
		_, err := n.Do(ctx, node.WMICall{Namespace: clus.Namespace, Class: "MSCluster_Cluster",
			Where: map[string]any{"Name": id.String("Name")}, Method: method, Args: args})
		return err
	}
	switch want.Model {
	case nodeMajority:
		return call("SetNodeMajorityQuorum", nil)
	case nodeAndDisk:
		return call("SetMajorityQuorum", map[string]any{"Resource": want.Witness, "QuorumPath": ""})
	case diskOnly:
		return call("SetDiskQuorum", map[string]any{"Resource": want.Witness, "QuorumPath": ""})
	}
	if err := makeWitness(ctx, n, v, want.Share); err != nil {
		return err
	}
	return call("SetMajorityQuorum", map[string]any{"Resource": witnessName, "QuorumPath": want.Share})
}

// makeWitness makes the share witness resource in the cluster's own group and brings it online.
func makeWitness(ctx context.Context, n node.Node, v clus.Reader, share string) error {
	groups, err := v.Groups(ctx)
	if err != nil {
		return err
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return err
	}
	core, ok := clus.CoreGroup(groups, all)
	if !ok {
		return clus.NotThere(n, "the cluster's own group", "")
	}
	h := clus.HandOf(n.Facts())
	if _, found := clus.FindResource(all, witnessName); !found {
		if err := h.Do(ctx, n, clus.Change{Op: clus.CreateResource, Name: witnessName, Type: clus.TypeShare,
			To: core.Name}); err != nil {
			return err
		}
	}
	of := clus.Object{Resource: witnessName, Private: true}
	if err := h.Do(ctx, n, clus.Change{Op: clus.SetProperties, Name: witnessName, Of: of,
		Values: map[string]any{"SharePath": share}}); err != nil {
		return err
	}
	if err := h.Do(ctx, n, clus.Change{Op: clus.ResourceUp, Name: witnessName}); err != nil {
		return err
	}
	return clus.WaitResource(ctx, v, witnessName, clus.ResourceOnline)
}

// Undo gives back model and witness.
func (s *Quorum) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return clus.Undo(ctx, n, before, func(v clus.Reader, b quorumState) error {
		now, err := readQuorum(ctx, n, v)
		if err != nil {
			return err
		}
		if now.Model != b.Model || !strings.EqualFold(now.Witness, b.Witness) || !strings.EqualFold(now.Share, b.Share) {
			if err := setQuorum(ctx, n, v, b); err != nil {
				return err
			}
		}
		all, err := v.Resources(ctx)
		if err != nil {
			return err
		}
		var made []string
		for _, name := range shareWitnesses(all, "") {
			if !has(b.Kept, name) {
				made = append(made, name)
			}
		}
		return dropWitnesses(ctx, n, v, made)
	})
}
