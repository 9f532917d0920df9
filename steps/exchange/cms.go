package exchange

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

// CMS is a clustered mailbox server on shared storage. It runs on the node that shall be active
// first.
type CMS struct {
	Name     string   `json:"name" doc:"network name of the clustered mailbox server" required:"true" example:"mbx01" type:"hostname" check:"compared"`
	Address  string   `json:"address" doc:"its IPv4 address on the client network" required:"true" example:"192.0.2.21" type:"ipv4" check:"fixed"`
	DataPath string   `json:"data_path" doc:"folder on the shared disk for the first storage group" required:"true" example:"E:\\mbx01" pattern:"^[A-Za-z]:\\\\" means:"write a full path with a drive letter, like E:\\mbx01" check:"fixed"`
	Disks    []string `json:"disks" doc:"serial numbers of its cluster disks: brought to this node before setup runs and put into its group after" required:"true" items:"1" check:"compared"`
	Setup    string   `json:"setup" doc:"path of setup.com on the node" required:"true" example:"D:\\Exchange\\setup.com" type:"path" check:"instruction:media"`
	As       string   `json:"as" doc:"credential of the site: Exchange organisation administrator and local administrator" required:"true" example:"admin" type:"credential" check:"instruction:account"`
}

type cmsBefore struct {
	Existed bool              `json:"existed"`
	Name    string            `json:"name"`
	Groups  map[string]string `json:"groups"` // group of each disk by serial number
	Setup   string            `json:"setup"`
	As      string            `json:"as"`
}

func cmsKind() steps.Kind {
	return steps.Kind{
		Name:    "exchange.cms",
		OS:      "windows",
		Summary: "Makes a clustered mailbox server of a single copy cluster.",
		Doc: "Looks in the cluster for a network name of that name with Exchange's System Attendant and Information Store " +
			"in its group. Where there is none, it brings the server's disks " +
			"to this node, runs setup.com /NewCms with shared storage as a job, and moves the disks into the group that " +
			"setup made: setup leaves them where they were. " +
			"Afterwards Exchange itself must call it a server on shared storage. Dependencies on the disks are the business " +
			"of cluster.dependency.",
		Undo: "Moves the disks back to the groups where they were and runs setup.com /RemoveCMS, which refuses while " +
			"there are mailboxes. What setup leaves in the data folder goes too when " +
			"that folder was made with the server. The first server of a cluster must be the last to go.",
		Proof: proof,
		Sources: []string{"How to install the active clustered mailbox role in a single copy cluster on Windows Server 2008",
			"Uninstalling a single copy cluster, Exchange 2007"},
		Calls: append(append(append(clus.ReadCalls(), clus.DiskCalls()...),
			clus.HandCalls(clus.MoveGroup, clus.MoveResource)...),
			setupCall(), selecting(shellCall("Get-MailboxServer", "Identity"), "Name", "RedundantMachines",
				"ClusteredStorageType:name")),
		New: func() steps.Step { return &CMS{} },
		Example: "name: mbx01\naddress: 192.0.2.21\ndata_path: E:\\mbx01\ndisks: [LUN-DATA-01]\nsetup: " +
			"D:\\Exchange\\setup.com\nas: admin\n",
	}
}

// Kind names the step.
func (s *CMS) Kind() string { return "exchange.cms" }

// Provides names what exists once the server is there.
func (s *CMS) Provides() []string {
	return []string{cmsTag(s.Name), "cluster/group:" + strings.ToLower(s.Name)}
}

// Reads names what Check will ask.
func (s *CMS) Reads(f node.Facts) []node.Query {
	return append(clus.Reads(f, clus.PartResources), node.Registry{Key: markKey(s.id())})
}

func (s *CMS) id() string { return jobID("newcms", s.Name, s.Setup) }

// Check looks for the server's resources in the cluster.
func (s *CMS) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	ours, err := marked(ctx, r, s.id())
	if err != nil {
		return steps.Diff{}, err
	}
	m, found, err := findServer(ctx, v, s.Name)
	if err != nil {
		return steps.Diff{}, err
	}
	b := cmsBefore{Existed: found, Name: s.Name, Groups: map[string]string{}, Setup: s.Setup, As: s.As}
	d := steps.Diff{Action: steps.Create, Via: "setup.com as a job"}
	if found && !m.complete() {
		if !ours {
			return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot make clustered mailbox server %s: the cluster has that network "+
				"name in group %q without Exchange's resources", s.Name, m.Group.Name),
				"remove what another setup left, or name another server")
		}
		b.Existed = false
	}
	complete := found && m.complete()
	if complete {
		if d.Warnings, err = s.asMade(ctx, r, v, m); err != nil {
			return steps.Diff{}, err
		}
		d.Action, d.Via = steps.Update, clus.HandOf(r.Facts()).Via(clus.MoveResource)
	} else {
		d.Changes = append(d.Changes, steps.Change{Attr: "clustered mailbox server", From: nil, To: s.Name},
			steps.Change{Attr: "address", From: nil, To: s.Address})
	}
	for _, serial := range s.Disks {
		res, err := clusterDisk(ctx, r, v, serial)
		if err != nil {
			return steps.Diff{}, err
		}
		b.Groups[serial] = res.Group
		if !complete {
			d.Changes = append(d.Changes, steps.Change{Attr: "group of disk " + res.Name, From: res.Group, To: s.Name})
		} else if !strings.EqualFold(res.Group, m.Group.Name) {
			d.Changes = append(d.Changes, steps.Change{Attr: "group of disk " + res.Name, From: res.Group, To: m.Group.Name})
		}
	}
	if complete && ours {
		d.Changes = append(d.Changes, steps.Change{Attr: "mark of a setup that was under way", From: s.id(), To: nil})
	}
	if len(d.Changes) == 0 {
		return steps.Diff{Action: steps.NoOp, Warnings: d.Warnings}, nil
	}
	d.Before = steps.MustJSON(b)
	return d, nil
}

// asMade compares what the server got when it was made, and what no step changes afterwards.
func (s *CMS) asMade(ctx context.Context, r node.Reader, v clus.Reader, m mailboxServer) (warnings []string,
	err error) {
	now, err := clus.Addresses(ctx, v, func(x clus.Resource) bool { return strings.EqualFold(x.Group, m.Group.Name) })
	if err != nil {
		return nil, fmt.Errorf("cannot tell the address of clustered mailbox server %s: %w", s.Name, err)
	}
	// a group may hold addresses of other subnets that an administrator has added
	if !slices.Contains(now, s.Address) {
		return nil, steps.FixedErr("clustered mailbox server "+s.Name, "address", strings.Join(now, ", "), s.Address,
			"put address back, or change the IP Address resource of its group by hand and plan again")
	}
	path, found, err := inspect.RegistryValue(ctx, r, madeKey(s.Name), dataPathName)
	if err != nil {
		return nil, err
	}
	if !found {
		return []string{"data_path of " + s.Name + " cannot be compared: the server was made by hand, or before deploy " +
			"wrote its data path down"}, nil
	}
	if !strings.EqualFold(path.Text(), s.DataPath) {
		return nil, steps.FixedErr("clustered mailbox server "+s.Name, "data path", path.Text(), s.DataPath,
			"put data_path back; exchange.storagegrouppath and exchange.databasepath move what lies there")
	}
	return nil, nil
}

// clusterDisk finds the cluster resource of a disk.
func clusterDisk(ctx context.Context, r node.Reader, v clus.Reader, serial string) (clus.Resource, error) {
	disk, err := clus.FindDisk(ctx, r, serial)
	if err != nil {
		return clus.Resource{}, err
	}
	res, found, err := clus.DiskResource(ctx, v, r, disk)
	if err != nil {
		return res, err
	}
	if !found {
		return res, steps.Until("cluster/disk:"+serial, "the disk is not the cluster's yet")
	}
	return res, nil
}

// Apply runs setup and gathers the disks.
func (s *CMS) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	v, err := clus.Open(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	if d.Action == steps.Create {
		if err := s.make(ctx, n, v); err != nil {
			return steps.Outcome{}, err
		}
	}
	m, found, err := findServer(ctx, v, s.Name)
	if err != nil {
		return steps.Outcome{}, err
	}
	if !found || !m.complete() {
		return steps.Outcome{}, fmt.Errorf("setup ended well on %s, but the cluster has no clustered mailbox server %s",
			n.Facts().Computer, s.Name)
	}
	for _, serial := range s.Disks {
		res, err := clusterDisk(ctx, n, v, serial)
		if err != nil {
			return steps.Outcome{}, err
		}
		if err := clus.Regroup(ctx, n, v, res.Name, m.Group.Name); err != nil {
			return steps.Outcome{}, err
		}
	}
	if err := clus.WaitGroup(ctx, v, m.Group.Name, ""); err != nil {
		return steps.Outcome{}, err
	}
	if d.Action == steps.Create {
		if err := s.shared(ctx, n); err != nil {
			return steps.Outcome{}, err
		}
	}
	return steps.Outcome{}, unmark(ctx, n, s.id())
}

// make brings the disks here and runs setup.
func (s *CMS) make(ctx context.Context, n node.Node, v clus.Reader) error {
	if err := alone(ctx, v, n.Facts().Computer, s.Name); err != nil {
		return err
	}
	for _, serial := range s.Disks {
		if err := s.bring(ctx, n, v, serial); err != nil {
			return err
		}
	}
	if err := mark(ctx, n, s.id(), "clustered mailbox server "+s.Name); err != nil {
		return err
	}
	if err := s.noteFolders(ctx, n); err != nil {
		return err
	}
	return runSetup(ctx, n, s.id(), s.Setup, s.As, "/NewCms", "/CMSName:"+s.Name, "/CMSIPAddress:"+s.Address,
		"/CMSSharedStorage", "/CMSDataPath:"+s.DataPath)
}

// madeKey holds, for as long as the server lives, which folders were made with it. The plan cannot
// know: the disk that they are on may be with another node when it is made.
func madeKey(name string) string { return markRoot + `\Made\` + strings.ToLower(name) }

const (
	foldersName  = "Folders"
	foldersSep   = "|" // no path holds it
	dataPathName = "DataPath"
)

func (s *CMS) noteFolders(ctx context.Context, n node.Node) error {
	if _, found, err := inspect.RegistryValue(ctx, n, madeKey(s.Name), foldersName); err != nil || found {
		return err // an earlier try was the first to come
	}
	folders, err := missingFolders(ctx, n, s.DataPath)
	if err != nil {
		return err
	}
	for _, v := range []struct{ name, text string }{{dataPathName, s.DataPath},
		{foldersName, strings.Join(folders, foldersSep)}} {
		if _, err := n.Do(ctx, node.RegistrySet{Key: madeKey(s.Name), Name: v.name, Type: "string",
			Data: v.text}); err != nil {
			return fmt.Errorf("cannot write down the folders of %s: %w", s.Name, err)
		}
	}
	return nil
}

// dropFolders removes the data folder if it was made with the server, and the folders around it
// that are empty then.
func dropFolders(ctx context.Context, n node.Node, name string) error {
	v, found, err := inspect.RegistryValue(ctx, n, madeKey(name), foldersName)
	if err != nil || !found {
		return err
	}
	if folders := strings.Split(v.Text(), foldersSep); folders[0] != "" {
		if _, err := n.Do(ctx, node.Remove{Path: folders[0], Tree: true}); err != nil {
			return fmt.Errorf("cannot remove the data folder of %s: %w", name, err)
		}
		if err := dropEmpty(ctx, n, folders[1:]); err != nil {
			return err
		}
	}
	return dropKey(ctx, n, madeKey(name))
}

// alone refuses a node that runs another clustered mailbox server: one node runs one of them at a
// time.
func alone(ctx context.Context, v clus.Reader, computer, except string) error {
	groups, err := v.Groups(ctx)
	if err != nil {
		return err
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return err
	}
	for _, x := range all {
		if !isType(x, "Information Store") {
			continue
		}
		g, _ := clus.FindGroup(groups, x.Group)
		if clus.SameNode(g.Owner, computer) && !strings.EqualFold(g.Name, except) {
			return hint.Wrap(fmt.Errorf("cannot run clustered mailbox server %s on %s: it runs %q already", except, computer,
				g.Name),
				"a node runs one clustered mailbox server at a time: move that one to its own node first")
		}
	}
	return nil
}

// bring moves the group of a disk here. It must hold nothing but disks.
func (s *CMS) bring(ctx context.Context, n node.Node, v clus.Reader, serial string) error {
	res, err := clusterDisk(ctx, n, v, serial)
	if err != nil {
		return err
	}
	groups, err := v.Groups(ctx)
	if err != nil {
		return err
	}
	g, found := clus.FindGroup(groups, res.Group)
	if !found {
		return clus.NotThere(n, "group", res.Group)
	}
	if clus.SameNode(g.Owner, n.Facts().Computer) {
		return nil
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return err
	}
	if !clus.StorageOnly(all, g.Name) {
		return hint.Wrap(fmt.Errorf("cannot bring disk %q to %s: its group %q on %s holds a service", res.Name,
			n.Facts().Computer, g.Name, g.Owner),
			"the disks of a new clustered mailbox server must stand in the cluster's available storage")
	}
	return clus.MoveTo(ctx, n, v, g.Name, n.Facts().Computer)
}

// shared asks Exchange whether the server is one on shared storage; without the switch setup makes
// one for replication.
func (s *CMS) shared(ctx context.Context, n node.Node) error {
	rows, err := ask(ctx, n, s.As, "Get-MailboxServer", map[string]any{"Identity": s.Name}, "Name", "RedundantMachines",
		"ClusteredStorageType:name")
	if err != nil {
		return err
	}
	if len(rows) != 1 || len(rows[0].Strings("RedundantMachines")) == 0 {
		return fmt.Errorf("cannot use clustered mailbox server %s: Exchange does not call it clustered", s.Name)
	}
	if t := rows[0].String("ClusteredStorageType:name"); t != "" && !strings.EqualFold(t, "Shared") {
		return fmt.Errorf("cannot use clustered mailbox server %s: its storage type is %s, not Shared", s.Name, t)
	}
	return nil
}

// Undo takes the disks out and removes the server.
func (s *CMS) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return clus.Undo(ctx, n, before, func(v clus.Reader, b cmsBefore) error {
		groups, err := v.Groups(ctx)
		if err != nil {
			return err
		}
		for serial, group := range b.Groups {
			if _, there := clus.FindGroup(groups, group); !there {
				continue
			}
			res, err := clusterDisk(ctx, n, v, serial)
			if err != nil {
				return err
			}
			if err := clus.Regroup(ctx, n, v, res.Name, group); err != nil {
				return err
			}
		}
		if b.Existed {
			return unmark(ctx, n, s.id())
		}
		_, found, err := findServer(ctx, v, b.Name)
		if err != nil {
			return err
		}
		if found {
			if err := runSetup(ctx, n, jobID("removecms", b.Name), b.Setup, b.As, "/RemoveCMS", "/CMSName:"+b.Name); err != nil {
				return err
			}
			if _, found, err = findServer(ctx, v, b.Name); err != nil {
				return err
			}
			if found {
				return fmt.Errorf("setup ended well on %s, but clustered mailbox server %s is still in the cluster",
					n.Facts().Computer, b.Name)
			}
		}
		if err := dropFolders(ctx, n, b.Name); err != nil {
			return err
		}
		return unmark(ctx, n, s.id())
	})
}
