package exchange

import (
	"context"
	"encoding/json"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// StorageGroupPath moves a storage group's log and system folders.
type StorageGroupPath struct {
	Server     string `json:"server" doc:"name of the mailbox server" required:"true" example:"mbx01" type:"hostname" check:"compared"`
	Name       string `json:"name" doc:"name of the storage group; the only one when empty" check:"compared"`
	LogPath    string `json:"log_path" doc:"folder for the transaction logs; left alone when empty" example:"F:\\mbx01\\logs" pattern:"^[A-Za-z]:\\\\" means:"write a full path with a drive letter" check:"compared"`
	SystemPath string `json:"system_path" doc:"folder for the checkpoint; left alone when empty" example:"F:\\mbx01\\logs" pattern:"^[A-Za-z]:\\\\" means:"write a full path with a drive letter" check:"compared"`
	As         string `json:"as" doc:"credential of the site for Exchange's cmdlets" required:"true" example:"admin" type:"credential" check:"instruction:account"`
}

type storageGroupPathBefore struct {
	Name   string `json:"name"`
	Logs   string `json:"logs,omitempty"`
	System string `json:"system,omitempty"`
	// Folders were not there, innermost first.
	Folders []string `json:"folders,omitempty"`
}

func storageGroupPathKind() steps.Kind {
	return steps.Kind{
		Name:    "exchange.storagegrouppath",
		OS:      "windows",
		Summary: "Moves the log and system folders of a storage group.",
		Doc: "Compares the folders that Exchange names and moves them with Move-StorageGroupPath, which dismounts the " +
			"databases for as long as it takes and mounts them again. " +
			"It must run on the node that owns the server: one that runs elsewhere, after a failover, is moved here first, " +
			"and the plan says so.",
		Undo:    "Moves the files back to the recorded places, and removes the folders that it made when they are empty.",
		Proof:   proof,
		Sources: []string{"Move-StorageGroupPath, Exchange 2007"},
		Calls: append(append(clus.ReadCalls(), storageCalls()...),
			shellCall("Move-StorageGroupPath", "Identity", "LogFolderPath", "SystemFolderPath", "Force", "Confirm"), moveCall(),
			statusCall()),
		New:     func() steps.Step { return &StorageGroupPath{} },
		Example: "server: mbx01\nlog_path: F:\\mbx01\\logs\nsystem_path: F:\\mbx01\\logs\nas: admin\n",
	}
}

// Kind names the step.
func (s *StorageGroupPath) Kind() string { return "exchange.storagegrouppath" }

// Reads names what Check will ask.
func (s *StorageGroupPath) Reads(f node.Facts) []node.Query {
	return clus.Reads(f, clus.PartResources, clus.PartGroups)
}

// PreviewEffects tells that the databases are dismounted while their files move.
func (s *StorageGroupPath) PreviewEffects() steps.Effects {
	return steps.Effects{Interrupts: "databases of " + s.Server}
}

// Validate looks at the data.
func (s *StorageGroupPath) Validate() error {
	if s.LogPath == "" && s.SystemPath == "" {
		return steps.FieldErr("log_path", "log_path or system_path must be given")
	}
	return nil
}

// Check compares the folders.
func (s *StorageGroupPath) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	_, m, err := needServer(ctx, r, s.Server)
	if err != nil {
		return steps.Diff{}, err
	}
	list, err := storageGroups(ctx, r, s.As, s.Server)
	if err != nil {
		return steps.Diff{}, err
	}
	g, err := oneGroup(list, s.Server, s.Name)
	if err != nil {
		return steps.Diff{}, err
	}
	d := steps.Diff{Action: steps.Update, Via: "Exchange cmdlets"}
	b := storageGroupPathBefore{Name: g.Name}
	if s.LogPath != "" && !samePath(g.Logs, s.LogPath) {
		d.Changes = append(d.Changes, steps.Change{Attr: "log folder", From: g.Logs, To: s.LogPath})
		b.Logs = g.Logs
		if b.Folders, err = missingFolders(ctx, r, s.LogPath); err != nil {
			return steps.Diff{}, err
		}
	}
	if s.SystemPath != "" && !samePath(g.System, s.SystemPath) {
		d.Changes = append(d.Changes, steps.Change{Attr: "system folder", From: g.System, To: s.SystemPath})
		b.System = g.System
		more, err := missingFolders(ctx, r, s.SystemPath)
		if err != nil {
			return steps.Diff{}, err
		}
		b.Folders = append(b.Folders, more...)
	}
	if len(d.Changes) == 0 {
		return steps.NoChange(), nil
	}
	d.Before = steps.MustJSON(b)
	d.Effects.Interrupts = "databases of " + s.Server + `\` + g.Name
	return comesHere(d, m, r.Facts().Computer), nil
}

// Apply moves the folders.
func (s *StorageGroupPath) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	var b storageGroupPathBefore
	if err := decode(d.Before, &b); err != nil {
		return steps.Outcome{}, err
	}
	to := storageGroupPathBefore{Name: b.Name}
	if b.Logs != "" {
		to.Logs = s.LogPath
	}
	if b.System != "" {
		to.System = s.SystemPath
	}
	if err := bringHere(ctx, n, s.As, s.Server); err != nil {
		return steps.Outcome{}, err
	}
	return steps.Outcome{}, s.move(ctx, n, to)
}

func (s *StorageGroupPath) move(ctx context.Context, n node.Node, to storageGroupPathBefore) error {
	params := map[string]any{"Identity": s.Server + `\` + to.Name, "Force": true, "Confirm": false}
	if to.Logs != "" {
		params["LogFolderPath"] = to.Logs
	}
	if to.System != "" {
		params["SystemFolderPath"] = to.System
	}
	return tell(ctx, n, s.As, "Move-StorageGroupPath", params)
}

// Undo moves the folders back.
func (s *StorageGroupPath) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b storageGroupPathBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	list, err := storageGroups(ctx, n, s.As, s.Server)
	if err != nil {
		return err
	}
	g, err := oneGroup(list, s.Server, b.Name)
	if err != nil {
		return err
	}
	if b.Logs != "" && samePath(g.Logs, b.Logs) {
		b.Logs = ""
	}
	if b.System != "" && samePath(g.System, b.System) {
		b.System = ""
	}
	if err := bringHere(ctx, n, s.As, s.Server); err != nil {
		return err
	}
	if b.Logs != "" || b.System != "" {
		if err := s.move(ctx, n, b); err != nil {
			return err
		}
	}
	return dropEmpty(ctx, n, b.Folders)
}
