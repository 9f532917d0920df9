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

// StorageGroup verifies that a clustered mailbox server has its storage group and databases,
// mounted, on shared disks. It changes nothing.
type StorageGroup struct {
	Server  string   `json:"server" doc:"name of the clustered mailbox server" required:"true" example:"mbx01" type:"hostname" check:"compared"`
	Name    string   `json:"name" doc:"name of the storage group; the only one, whatever its name, when empty" example:"First Storage Group" check:"compared"`
	Letters []string `json:"letters" doc:"drive letters of the server's shared disks, E: and so on; every path must stand on one of them" required:"true" type:"letter" check:"compared"`
	As      string   `json:"as" doc:"credential of the site for Exchange's cmdlets" required:"true" example:"admin" type:"credential" check:"instruction:account"`
}

func storageGroupKind() steps.Kind {
	return steps.Kind{
		Name:    "exchange.storagegroup",
		OS:      "windows",
		Summary: "Verifies a storage group of a clustered mailbox server.",
		Doc: "Asks Exchange for the storage group's paths and its databases: every path must stand on one of the " +
			"server's shared disks and every database must be mounted. It changes nothing.",
		Undo:    "Nothing to undo.",
		Proof:   proof,
		Sources: []string{"Get-StorageGroup", "Get-MailboxDatabase, Exchange 2007"},
		Calls:   append(clus.ReadCalls(), storageCalls()...),
		New:     func() steps.Step { return &StorageGroup{} },
		Example: "server: mbx01\nletters: ['E:']\nas: admin\n",
	}
}

// Kind names the step.
func (s *StorageGroup) Kind() string { return "exchange.storagegroup" }

// Reads names what Check will ask.
func (s *StorageGroup) Reads(f node.Facts) []node.Query {
	return clus.Reads(f, clus.PartResources, clus.PartGroups)
}

// PreviewEffects tells that the step only looks.
func (s *StorageGroup) PreviewEffects() steps.Effects { return steps.Effects{NothingToUndo: true} }

// Check asks Exchange.
func (s *StorageGroup) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if _, _, err := needServer(ctx, r, s.Server); err != nil {
		return steps.Diff{}, err
	}
	groups, err := storageGroups(ctx, r, s.As, s.Server)
	if err != nil {
		return steps.Diff{}, err
	}
	g, err := oneGroup(groups, s.Server, s.Name)
	if err != nil {
		return steps.Diff{}, err
	}
	if err := s.shared(g.Name, "logs", g.Logs); err != nil {
		return steps.Diff{}, err
	}
	if err := s.shared(g.Name, "system files", g.System); err != nil {
		return steps.Diff{}, err
	}
	dbs, err := databases(ctx, r, s.As, s.Server)
	if err != nil {
		return steps.Diff{}, err
	}
	n := 0
	for _, d := range dbs {
		if !strings.EqualFold(d.StorageGroup, g.Name) {
			continue
		}
		n++
		if err := s.shared(g.Name, "database "+d.Name, d.File); err != nil {
			return steps.Diff{}, err
		}
		if !d.Mounted {
			return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot go on with storage group %s\\%s: database %s is not mounted",
				s.Server, g.Name, d.Name),
				"mount it and read the application event log of the active node")
		}
	}
	if n == 0 {
		return steps.Diff{}, fmt.Errorf("cannot go on with storage group %s\\%s: it has no database", s.Server, g.Name)
	}
	return steps.NoChange(), nil
}

func (s *StorageGroup) shared(group, what, path string) error {
	if slices.ContainsFunc(s.Letters, func(l string) bool { return inspect.Letter(l) == letter(path) }) {
		return nil
	}
	return hint.Wrap(fmt.Errorf("cannot go on with storage group %s\\%s: its %s stand at %q, which is on no shared "+
		"disk of the server", s.Server, group, what, path),
		"move them by exchange.storagegrouppath and exchange.databasepath, or name the disk's letter")
}

// Apply has nothing to do: Check answers no-op or an error.
func (s *StorageGroup) Apply(context.Context, node.Node, steps.Diff) (steps.Outcome, error) {
	return steps.Outcome{}, nil
}

// Undo has nothing to restore: the step only looks.
func (s *StorageGroup) Undo(context.Context, node.Node, json.RawMessage) error { return nil }
