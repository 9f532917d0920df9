// Package exchange holds the kinds about Microsoft Exchange Server 2007: directory preparation,
// setup, clustered mailbox servers, storage paths, status and moves.
//
// # How Exchange is reached
//
// setup.com runs as a job of the node under a credential of its own: it takes long, may restart
// WinRM, and talks to a domain controller. The cmdlets of the snap-in run in the caller's process
// and talk LDAP to a domain controller, so over a network logon (WinRM with NTLM, SSH with a key)
// they fail for want of a second hop. Therefore every one of them is sent with the name of a
// credential (node.Cmdlet.As), and the far end runs it in a scheduled task of that user; data
// travel as data. What a Check can tell without Exchange (registry, the cluster's resources, the
// directory on a domain controller) it tells so.
package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		prepareKind(),
		installKind(),
		cmsKind(),
		storageGroupKind(),
		storageGroupPathKind(),
		databasePathKind(),
		mtaKind(),
		statusKind(),
		moveKind(),
	}
}

const (
	product = "exchange-2007"
	snapin  = "snapin:Microsoft.Exchange.Management.PowerShell.Admin"
	proof   = "lab-proven; Exchange 2007's cmdlets stand in no recorded table, see the project's notes on Exchange for " +
		"where each was seen"
)

// releases are the systems that the kinds claim: Exchange 2007 SP1 and later also runs on 2003,
// whose cluster they do not read.
func releases() []node.Release { return []node.Release{node.WS2008} }

// shellCall declares a cmdlet of the snap-in.
func shellCall(name string, params ...string) node.Call {
	return node.Call{Cmdlet: name, Params: params, Product: product, On: releases(),
		Source: "Exchange 2007 cmdlet reference, Microsoft TechNet"}
}

// selecting adds the properties that are taken from a cmdlet's objects.
func selecting(c node.Call, props ...string) node.Call {
	c.Props = props
	return c
}

func setupCall() node.Call {
	return node.Call{Tool: "setup.com", Product: product, On: releases(),
		Source: "Exchange 2007: how to install in unattended mode, Microsoft TechNet"}
}

// ask runs a reading cmdlet of the snap-in.
func ask(ctx context.Context, r node.Reader, as, name string, params map[string]any, sel ...string) ([]node.Row,
	error) {
	rows, err := r.Query(ctx, node.Cmdlet{Name: name, Load: snapin, Params: params, Select: sel, As: as})
	if err != nil {
		return nil, fmt.Errorf("cannot ask Exchange on %s: %w", r.Facts().Computer, shellHint(err))
	}
	return rows, nil
}

// tell runs a changing cmdlet of the snap-in.
func tell(ctx context.Context, n node.Node, as, name string, params map[string]any) error {
	if _, err := n.Do(ctx, node.CmdletCall{Name: name, Load: snapin, Params: params, As: as}); err != nil {
		return fmt.Errorf("cannot run %s on %s: %w", name, n.Facts().Computer, shellHint(err))
	}
	return nil
}

func shellHint(err error) error {
	if errors.Is(err, node.ErrUnsupported) {
		return hint.Wrap(err, "the Exchange management tools and PowerShell must be installed on the node")
	}
	if errors.Is(err, node.ErrAuth) || clus.IsCode(err, 5) {
		return hint.Wrap(err, "the credential of the step must be an Exchange administrator and a local administrator")
	}
	return err
}

func decode(before json.RawMessage, into any) error {
	if err := json.Unmarshal(before, into); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	return nil
}

func cmsTag(name string) string { return "cms:" + strings.ToLower(name) }

// mailboxServer is how the cluster shows a clustered mailbox server.
type mailboxServer struct {
	Group     clus.Group
	Name      string // its network name resource
	Attendant bool   // it has a System Attendant resource
	Store     bool   // it has an Information Store resource
}

func (m mailboxServer) complete() bool { return m.Attendant && m.Store }

// findServer looks for a clustered mailbox server by the private property Name of its Network Name
// resource. Exchange's resource types begin with "Microsoft Exchange"; they are type names and not
// translated.
func findServer(ctx context.Context, v clus.Reader, name string) (mailboxServer, bool, error) {
	all, err := v.Resources(ctx)
	if err != nil {
		return mailboxServer{}, false, err
	}
	var m mailboxServer
	for _, x := range all {
		if strings.EqualFold(x.Type, clus.TypeName) && strings.EqualFold(x.Private.String("Name"), name) {
			m.Name, m.Group.Name = x.Name, x.Group
		}
	}
	if m.Name == "" {
		return m, false, nil
	}
	groups, err := v.Groups(ctx)
	if err != nil {
		return m, false, err
	}
	m.Group, _ = clus.FindGroup(groups, m.Group.Name)
	for _, x := range all {
		if !strings.EqualFold(x.Group, m.Group.Name) {
			continue
		}
		m.Attendant = m.Attendant || isType(x, "System Attendant")
		m.Store = m.Store || isType(x, "Information Store")
	}
	return m, true, nil
}

// isType says that a resource is Exchange's and that its type holds a word.
func isType(x clus.Resource, word string) bool {
	t := strings.ToLower(x.Type)
	return strings.HasPrefix(t, "microsoft exchange") && strings.Contains(t, strings.ToLower(word))
}

// needServer is findServer for a step that cannot say anything before the server is there.
func needServer(ctx context.Context, r node.Reader, name string) (clus.Reader, mailboxServer, error) {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return nil, mailboxServer{}, err
	}
	m, found, err := findServer(ctx, v, name)
	if err != nil {
		return nil, m, err
	}
	if !found || !m.complete() {
		return nil, m, steps.Until(cmsTag(name), "the clustered mailbox server is not there yet")
	}
	return v, m, nil
}
