// Package clus is how the kinds of steps see and change a failover cluster from one of its members.
//
// Reading goes through a Reader: WMI numbers from Windows Server 2008 on, the text of cluster.exe
// on 2003. Changing goes through a Writer: cluster.exe on 2003 and 2008, the FailoverClusters
// module and WMI from 2008 R2 on. Facts of the node choose both.
package clus

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Namespace is the WMI namespace of the cluster provider.
const Namespace = `root\MSCluster`

// States of a resource. Source: CLUSTER_RESOURCE_STATE.
const (
	ResourceOnline         = 2
	ResourceOffline        = 3
	ResourceFailed         = 4
	ResourcePending        = 128
	ResourceOnlinePending  = 129
	ResourceOfflinePending = 130
)

// States of a group. Source: CLUSTER_GROUP_STATE.
const (
	GroupOnline  = 0
	GroupOffline = 1
	GroupFailed  = 2
	GroupPartial = 3
	GroupPending = 4
)

// States of a member. Source: CLUSTER_NODE_STATE.
const (
	NodeUp      = 0
	NodeDown    = 1
	NodePaused  = 2
	NodeJoining = 3
)

// Roles of a network. Source: CLUSTER_NETWORK_ROLE.
const (
	RoleNone     = 0
	RoleInternal = 1
	RoleBoth     = 3
)

// Names of resource types that the steps know. Type names are not translated; resource names are.
const (
	TypeDisk    = "Physical Disk"
	TypeName    = "Network Name"
	TypeAddress = "IP Address"
	TypeShare   = "File Share Witness"
)

// Member is a node of the cluster.
type Member struct {
	Name  string
	State int64
}

// Network is a cluster network.
type Network struct {
	Name          string
	Address, Mask string
	Role          int64
}

// Group is a unit of failover. Type is 1 for the cluster's own, 2 for available storage, and is
// known from 2012 on only.
type Group struct {
	Name  string
	State int64
	Owner string
	Type  int64
}

// Resource is one resource. Private holds its private properties; on 2003 it is empty, ask
// Reader.Properties there.
type Resource struct {
	Name, ID, Type string
	Group          string
	State          int64
	Core           bool
	Private        node.Row
}

// Object names something that has properties: the cluster itself (both empty), a group or a
// resource.
type Object struct {
	Group, Resource string
	Private         bool
}

// Reader reads the cluster. Its answers are those of the moment: nothing is kept.
type Reader interface {
	Nodes(ctx context.Context) ([]Member, error)
	Networks(ctx context.Context) ([]Network, error)
	Groups(ctx context.Context) ([]Group, error)
	Resources(ctx context.Context) ([]Resource, error)
	// Dependencies lists the resources that a resource depends on, by name. A choice ("A or B") is an
	// error: it cannot be told as a set.
	Dependencies(ctx context.Context, resource string) ([]string, error)
	// Owners lists the possible owners of a resource or the preferred owners of a group; the other
	// name is "".
	Owners(ctx context.Context, resource, group string) ([]string, error)
	// Properties reads properties by name. What is not there is missing in the row.
	Properties(ctx context.Context, of Object, names []string) (node.Row, error)
}

// Tag is the tag that is provided when a computer has become a member of the cluster.
func Tag(computer string) string { return "cluster/member:" + strings.ToLower(short(computer)) }

// Formed says whether the node is a member of a cluster whose service answers. A service that is
// set to start but does not run is an error: the cluster may be there. Source: ClusSvc is disabled
// until the node joins a cluster, and starts automatically from then on.
func Formed(ctx context.Context, r node.Reader) (bool, error) {
	svc, found, err := inspect.Services(ctx, r, "ClusSvc")
	if err != nil {
		return false, err
	}
	if !found || (svc.State != "Running" && svc.Start != "Auto") {
		return false, nil
	}
	if svc.State != "Running" {
		err := hint.Wrap(fmt.Errorf("cannot tell how the cluster stands on %s: service ClusSvc is %s", r.Facts().Computer,
			svc.State),
			"start the Cluster service on this node, or look into its event log why it does not start")
		if svc.State == "Start Pending" { // it waits for the other nodes
			err = steps.Settling(err)
		}
		return false, err
	}
	return true, nil
}

// Open returns the Reader of a node that is a member. On one that is not it returns an UntilError
// for the node's Tag.
func Open(ctx context.Context, r node.Reader) (Reader, error) {
	formed, err := Formed(ctx, r)
	if err != nil {
		return nil, err
	}
	if !formed {
		return nil, steps.Until(Tag(r.Facts().Computer), "the node is not a member of a cluster yet")
	}
	return view(r)
}

func view(r node.Reader) (Reader, error) {
	rel := r.Facts().Release
	switch {
	case rel == node.WS2003:
		return textView{r}, nil
	case rel.AtLeast(node.WS2008):
		return wmiView{r: r, plain: rel.AtLeast(node.WS2012), module: rel.AtLeast(node.WS2008R2)}, nil
	}
	return nil, fmt.Errorf("cannot check a cluster on %s: %w: it is not a Windows Server that deploy knows",
		r.Facts().Computer, node.ErrUnsupported)
}

// FindResource returns the resource of that name, compared without case.
func FindResource(list []Resource, name string) (Resource, bool) {
	for _, r := range list {
		if strings.EqualFold(r.Name, name) {
			return r, true
		}
	}
	return Resource{}, false
}

// FindGroup returns the group of that name, compared without case.
func FindGroup(list []Group, name string) (Group, bool) {
	for _, g := range list {
		if strings.EqualFold(g.Name, name) {
			return g, true
		}
	}
	return Group{}, false
}

// CoreGroup returns the cluster's own group, whose name is translated: the one that holds the
// cluster's own network name.
func CoreGroup(groups []Group, resources []Resource) (Group, bool) {
	for _, g := range groups {
		if g.Type == 1 {
			return g, true
		}
	}
	for _, r := range resources {
		if r.Core && strings.EqualFold(r.Type, TypeName) {
			return FindGroup(groups, r.Group)
		}
	}
	return Group{}, false
}

// StorageOnly says that a group holds disks and nothing else.
func StorageOnly(resources []Resource, group string) bool {
	for _, r := range resources {
		if strings.EqualFold(r.Group, group) && !strings.EqualFold(r.Type, TypeDisk) {
			return false
		}
	}
	return true
}

// Subnet returns the network in CIDR form, or the zero prefix for one that has no IPv4 address.
func (n Network) Subnet() netip.Prefix {
	addr, err := netip.ParseAddr(n.Address)
	mask, err2 := netip.ParseAddr(n.Mask)
	if err != nil || err2 != nil || !mask.Is4() {
		return netip.Prefix{}
	}
	bits := 0
	for _, b := range mask.As4() {
		for ; b&0x80 != 0; b <<= 1 {
			bits++
		}
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// SameNode compares computer names without case and without domain.
func SameNode(a, b string) bool { return strings.EqualFold(short(a), short(b)) }

func short(name string) string {
	s, _, _ := strings.Cut(name, ".")
	return s
}

// NotThere makes an error for an object that the cluster does not have.
func NotThere(r node.Reader, what, name string) error {
	return fmt.Errorf("cannot find %s %q in the cluster of %s: %w", what, name, r.Facts().Computer, node.ErrNotFound)
}

// IsCode says that err is a refusal with one of these codes, as a Win32 number or as the HRESULT
// that wraps it.
func IsCode(err error, codes ...int64) bool {
	got, ok := node.Code(err)
	if !ok {
		return false
	}
	if uint32(got)>>16 == 0x8007 {
		got &= 0xFFFF
	}
	for _, c := range codes {
		if got == c {
			return true
		}
	}
	return false
}

// Absent says that err tells that something is not there.
func Absent(err error) bool {
	// 5007 resource, 5013 group, 5042 node not found (winerror.h)
	return errors.Is(err, node.ErrNotFound) || IsCode(err, 5007, 5013, 5042)
}
