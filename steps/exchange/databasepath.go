package exchange

import (
	"context"
	"encoding/json"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// DatabasePath moves the file of a mailbox database.
type DatabasePath struct {
	Server       string `json:"server" doc:"name of the mailbox server" required:"true" example:"mbx01" type:"hostname" check:"compared"`
	StorageGroup string `json:"storage_group" doc:"name of the storage group; the only one when empty" check:"compared"`
	Name         string `json:"name" doc:"name of the database; the only one of the storage group when empty" check:"compared"`
	Path         string `json:"path" doc:"full path of the .edb file" required:"true" example:"E:\\mbx01\\mbx01.edb" pattern:"^[A-Za-z]:\\\\.*\\.[eE][dD][bB]$" means:"write a full path with a drive letter that ends in .edb" check:"compared"`
	As           string `json:"as" doc:"credential of the site for Exchange's cmdlets" required:"true" example:"admin" type:"credential" check:"instruction:account"`
}

type databasePathBefore struct {
	StorageGroup string `json:"storage_group"`
	Name         string `json:"name"`
	Path         string `json:"path"`
	// Folders were not there, innermost first.
	Folders []string `json:"folders,omitempty"`
}

func databasePathKind() steps.Kind {
	return steps.Kind{
		Name:    "exchange.databasepath",
		OS:      "windows",
		Summary: "Moves the file of a mailbox database.",
		Doc: "Compares the file that Exchange names and moves it with Move-DatabasePath, which dismounts the database for " +
			"as long as it takes and mounts it again. " +
			"It must run on the node that owns the server: one that runs elsewhere, after a failover, is moved here first, " +
			"and the plan says so.",
		Undo:    "Moves the file back to the recorded place, and removes the folders that it made when they are empty.",
		Proof:   proof,
		Sources: []string{"Move-DatabasePath, Exchange 2007"},
		Calls: append(append(clus.ReadCalls(), storageCalls()...),
			shellCall("Move-DatabasePath", "Identity", "EdbFilePath", "Force", "Confirm"), moveCall(), statusCall()),
		New:     func() steps.Step { return &DatabasePath{} },
		Example: "server: mbx01\npath: E:\\mbx01\\mbx01.edb\nas: admin\n",
	}
}

// Kind names the step.
func (s *DatabasePath) Kind() string { return "exchange.databasepath" }

// Reads names what Check will ask.
func (s *DatabasePath) Reads(f node.Facts) []node.Query {
	return clus.Reads(f, clus.PartResources, clus.PartGroups)
}

// PreviewEffects tells that the databases are dismounted while their files move.
func (s *DatabasePath) PreviewEffects() steps.Effects {
	return steps.Effects{Interrupts: "databases of " + s.Server}
}

// find reads the database's record; group and name may be empty for the only one.
func (s *DatabasePath) find(ctx context.Context, r node.Reader, group, name string) (database, error) {
	list, err := storageGroups(ctx, r, s.As, s.Server)
	if err != nil {
		return database{}, err
	}
	g, err := oneGroup(list, s.Server, group)
	if err != nil {
		return database{}, err
	}
	dbs, err := databases(ctx, r, s.As, s.Server)
	if err != nil {
		return database{}, err
	}
	return oneDatabase(dbs, s.Server, g.Name, name)
}

// Check compares the file.
func (s *DatabasePath) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	_, m, err := needServer(ctx, r, s.Server)
	if err != nil {
		return steps.Diff{}, err
	}
	db, err := s.find(ctx, r, s.StorageGroup, s.Name)
	if err != nil {
		return steps.Diff{}, err
	}
	if samePath(db.File, s.Path) {
		return steps.NoChange(), nil
	}
	folders, err := missingFolders(ctx, r, folderOf(s.Path))
	if err != nil {
		return steps.Diff{}, err
	}
	d := steps.Diff{Action: steps.Update, Via: "Exchange cmdlets",
		Changes: []steps.Change{{Attr: "file", From: db.File, To: s.Path}},
		Before:  steps.MustJSON(databasePathBefore{db.StorageGroup, db.Name, db.File, folders})}
	d.Effects.Interrupts = "database " + s.Server + `\` + db.StorageGroup + `\` + db.Name
	return comesHere(d, m, r.Facts().Computer), nil
}

// Apply moves the file.
func (s *DatabasePath) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	var b databasePathBefore
	if err := decode(d.Before, &b); err != nil {
		return steps.Outcome{}, err
	}
	if err := bringHere(ctx, n, s.As, s.Server); err != nil {
		return steps.Outcome{}, err
	}
	return steps.Outcome{}, s.move(ctx, n, b, s.Path)
}

func (s *DatabasePath) move(ctx context.Context, n node.Node, db databasePathBefore, to string) error {
	return tell(ctx, n, s.As, "Move-DatabasePath", map[string]any{
		"Identity": s.Server + `\` + db.StorageGroup + `\` + db.Name, "EdbFilePath": to, "Force": true, "Confirm": false})
}

// Undo moves the file back.
func (s *DatabasePath) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b databasePathBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	db, err := s.find(ctx, n, b.StorageGroup, b.Name)
	if err != nil {
		return err
	}
	if err := bringHere(ctx, n, s.As, s.Server); err != nil {
		return err
	}
	if !samePath(db.File, b.Path) {
		if err := s.move(ctx, n, b, b.Path); err != nil {
			return err
		}
	}
	return dropEmpty(ctx, n, b.Folders)
}
