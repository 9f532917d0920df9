package failover

import (
	"reflect"
	"sort"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

const module = "FailoverClusters"

// run is one run of a cmdlet on the cluster that it found. cl is nil for the cmdlets that need
// none.
type run func(c *machine.Ctx, cl *model.Cluster, p map[string]any) ([]machine.Object, error)

// command says how a cmdlet is played.
type command struct {
	do   run
	free bool // it needs no cluster
	// class is the middle of the .NET type in its error ids: "GetResource". "" is verb and noun.
	class string
	// confirm: without -Force (or -Confirm:$false) it asks, which a session without a user cannot
	// answer.
	confirm bool
	slow    bool
}

// cmdlets are the cmdlets of the module for every release, with that release's own parameters.
func (f *Family) cmdlets() []*machine.Cmdlet {
	var out []*machine.Cmdlet
	all := f.commands()
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, name := range names {
		t, ok := facts().cmdlets[name]
		if !ok {
			panic("no table for cmdlet " + name)
		}
		var last *machine.Cmdlet
		for _, rel := range node.WindowsReleases() {
			params := t.params(rel)
			if params == nil {
				continue
			}
			if last != nil && reflect.DeepEqual(last.Params, params) {
				last.Until = rel
				continue
			}
			last = &machine.Cmdlet{Name: name, Load: module, Params: params, Since: rel, Until: rel,
				Present: func(c *machine.Ctx) bool { return hasModule(c.M) }, Run: f.runner(name, all[name], t.Remote)}
			out = append(out, last)
		}
	}
	return out
}

// runner does what all cmdlets have in common: the logon, the confirmation, finding the cluster,
// and the shape of errors.
func (f *Family) runner(name string, cmd command, remote bool) func(*machine.Ctx, map[string]any) ([]machine.Object,
	error) {
	return func(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
		f.Settle(c)
		if remote && !c.SecondHop() {
			return nil, cmd.fail(c, name, AccessDenied)
		}
		if machine.HasArg(p, "InputObject") {
			// objects do not travel as data; names do
			return nil, cmd.fail(c, name, NotSupported)
		}
		if cmd.confirm && !machine.ArgBool(p, "Force") && !confirmed(p) {
			return nil, machine.PSFail("InvalidOperation,"+cmd.typeName(name), "InvalidOperation",
				"System.Management.Automation.PSInvalidOperationException", 0x80131509,
				"a question cannot be asked without a user: pass -Force")
		}
		var cl *model.Cluster
		if !cmd.free {
			var err error
			if cl, err = connect(c, clusterArg(name, p)); err != nil {
				return nil, cmd.fail(c, name, err)
			}
		}
		if cmd.slow {
			if err := f.wait(c, cl); err != nil {
				return nil, cmd.fail(c, name, err)
			}
		}
		rows, err := cmd.do(c, cl, p)
		if CodeOf(err) == PropertiesStored { // a warning
			err = nil
		}
		if err != nil {
			return nil, cmd.fail(c, name, err)
		}
		return rows, nil
	}
}

func clusterArg(name string, p map[string]any) string {
	switch name {
	case "Get-Cluster", "Start-Cluster":
		return arg(p, "Name")
	}
	return arg(p, "Cluster")
}

// confirmed says that -Confirm:$false was given.
func confirmed(p map[string]any) bool {
	return machine.HasArg(p, "Confirm") && !machine.ArgBool(p, "Confirm")
}

func (cmd command) typeName(name string) string {
	class := cmd.class
	if class == "" {
		class = strings.ReplaceAll(name, "-", "")
	}
	return "Microsoft.FailoverClusters.PowerShell." + class + "Command"
}

// fail makes the cmdlet's error. Ids that were seen: ClusterRpcConnection and
// ClusterEndpointNotRegistered (ConnectionError), and the cmdlet's own name for everything else
// (NotSpecified). UNCONFIRMED: ClusterObjectNotFound (ObjectNotFound), and the type's name behind
// the comma where it was not seen.
func (cmd command) fail(c *machine.Ctx, name string, err error) error {
	code := CodeOf(err)
	id, category := name, "NotSpecified"
	switch code {
	case RPCUnavailable:
		id, category = "ClusterRpcConnection", "ConnectionError"
	case NoEndpoint:
		id, category = "ClusterEndpointNotRegistered", "ConnectionError"
	case ResourceNotFound, GroupNotFound, NodeNotFound, NetworkNotFound, InterfaceNotFound, TypeNotFound:
		id, category = "ClusterObjectNotFound", "ObjectNotFound"
	case AccessDenied:
		category = "AuthenticationError" // UNCONFIRMED
	}
	return machine.PSFail(id+","+cmd.typeName(name), category,
		"Microsoft.FailoverClusters.PowerShell.ClusterCmdletException", 0x80070000|int64(code), c.Text(int(code)))
}

// commands are the cmdlets that are played.
func (f *Family) commands() map[string]command {
	return map[string]command{
		"Get-Cluster":                       {do: f.psGetCluster},
		"New-Cluster":                       {do: f.psNewCluster, free: true},
		"Remove-Cluster":                    {do: f.psRemoveCluster, confirm: true},
		"Start-Cluster":                     {do: f.psStartCluster, free: true},
		"Stop-Cluster":                      {do: f.psStopCluster, confirm: true},
		"Add-ClusterNode":                   {do: f.psAddNode},
		"Remove-ClusterNode":                {do: f.psRemoveNode, confirm: true},
		"Clear-ClusterNode":                 {do: f.psClearNode, free: true, confirm: true},
		"Get-ClusterNode":                   {do: f.psGetNode, class: "GetNode"},
		"Start-ClusterNode":                 {do: f.psStartNode, free: true},
		"Stop-ClusterNode":                  {do: f.psStopNode, slow: true},
		"Suspend-ClusterNode":               {do: f.psSuspendNode},
		"Resume-ClusterNode":                {do: f.psResumeNode},
		"Get-ClusterNetwork":                {do: f.psGetNetwork, class: "GetNetwork"},
		"Get-ClusterNetworkInterface":       {do: f.psGetInterface, class: "GetNetworkInterface"},
		"Get-ClusterQuorum":                 {do: f.psGetQuorum},
		"Set-ClusterQuorum":                 {do: f.psSetQuorum},
		"Get-ClusterGroup":                  {do: f.psGetGroup, class: "GetGroup"},
		"Add-ClusterGroup":                  {do: f.psAddGroup},
		"Remove-ClusterGroup":               {do: f.psRemoveGroup, confirm: true},
		"Start-ClusterGroup":                {do: f.psStartGroup, slow: true},
		"Stop-ClusterGroup":                 {do: f.psStopGroup, slow: true},
		"Move-ClusterGroup":                 {do: f.psMoveGroup, slow: true},
		"Get-ClusterResource":               {do: f.psGetResource, class: "GetResource"},
		"Add-ClusterResource":               {do: f.psAddResource},
		"Remove-ClusterResource":            {do: f.psRemoveResource, confirm: true},
		"Start-ClusterResource":             {do: f.psStartResource, slow: true},
		"Stop-ClusterResource":              {do: f.psStopResource, slow: true},
		"Move-ClusterResource":              {do: f.psMoveResource},
		"Get-ClusterParameter":              {do: f.psGetParameter},
		"Set-ClusterParameter":              {do: f.psSetParameter},
		"Get-ClusterResourceDependency":     {do: f.psGetDependency},
		"Set-ClusterResourceDependency":     {do: f.psSetDependency},
		"Add-ClusterResourceDependency":     {do: f.psAddDependency},
		"Remove-ClusterResourceDependency":  {do: f.psRemoveDependency},
		"Get-ClusterOwnerNode":              {do: f.psGetOwner},
		"Set-ClusterOwnerNode":              {do: f.psSetOwner},
		"Get-ClusterAvailableDisk":          {do: f.psAvailableDisk},
		"Add-ClusterDisk":                   {do: f.psAddDisk},
		"Get-ClusterResourceType":           {do: f.psGetType, class: "GetResourceType"},
		"Test-Cluster":                      {do: f.psTest, free: true},
		"Update-ClusterNetworkNameResource": {do: f.psUpdateName},
	}
}

func sorted(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for n := range m {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}
