package clus

import (
	"context"

	"deploy/internal/node"
)

// Op is one kind of change to a cluster.
type Op string

// The changes. What each takes stands in Change.
const (
	RenameNetwork  Op = "rename network"   // Name, To
	SetNetworkRole Op = "set network role" // Name, Number
	SetProperties  Op = "set properties"   // Of, Values
	CreateGroup    Op = "create group"     // Name
	DeleteGroup    Op = "delete group"     // Name; it must be empty
	MoveGroup      Op = "move group"       // Name, To: a node
	GroupUp        Op = "bring group online"
	CreateResource Op = "create resource" // Name, Type, To: a group
	DeleteResource Op = "delete resource" // Name; it must be offline
	RenameResource Op = "rename resource" // Name, To
	MoveResource   Op = "move resource"   // Name, To: a group
	ResourceUp     Op = "bring online"    // Name
	ResourceDown   Op = "take offline"    // Name
	AddDependency  Op = "add dependency"  // Name depends on To
	DropDependency Op = "remove dependency"
	AddOwner       Op = "add possible owner" // Name, To: a node
	DropOwner      Op = "remove possible owner"
	PreferOwners   Op = "set preferred owners" // Name: a group, List
)

// Change is one change, as data.
type Change struct {
	Op       Op
	Name, To string
	Type     string
	Number   int64
	Of       Object
	Values   map[string]any // string or int64
	List     []string
	Owners   []string // with AddOwner and DropOwner: all owners as they are to be, for a tool that sets the whole list
}

// Writer changes the cluster. It does one thing and returns; waiting for states is the caller's
// business.
type Writer interface {
	// Via names the tool that carries out op, for the plan.
	Via(op Op) string
	Do(ctx context.Context, n node.Node, c Change) error
}

// HandOf returns the Writer for a node: cluster.exe on 2003 and 2008, module and WMI from 2008 R2
// on.
func HandOf(f node.Facts) Writer {
	if f.Release.AtLeast(node.WS2008R2) {
		return moduleHand{}
	}
	return exeHand{}
}

// stored says that a code of a property change means that the value is stored and takes effect when
// the resource comes online the next time. Source: winerror.h, 5024
// ERROR_RESOURCE_PROPERTIES_STORED.
func stored(op Op, code int64) bool { return op == SetProperties && code == 5024 }
