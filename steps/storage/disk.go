package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Disk makes a shared disk usable on one node.
type Disk struct {
	Serial     string `json:"serial" required:"true" doc:"serial number of the disk, as the storage reports it on every node" check:"compared"`
	Style      string `json:"style" enum:"mbr|gpt" doc:"partition style; a disk that has another one already is an error" check:"fixed"`
	Initialize bool   `json:"initialize" doc:"true: bring it online, make it writable, initialise it; false: it must only be visible, as on every node but the first" check:"compared"`
}

type diskBefore struct {
	Style    string `json:"style"`
	Offline  *bool  `json:"offline,omitempty"`
	ReadOnly *bool  `json:"read_only,omitempty"`
}

func diskKind() steps.Kind {
	old, newer := inspect.Between(node.WS2003, node.WS2008R2), inspect.From(node.WS2012)
	return steps.Kind{
		Name: "storage.disk",
		OS:   "windows",
		Summary: "Makes sure that a shared disk is visible on a node and, where wished, online, writable, basic and " +
			"initialised.",
		Doc: "Finds the disk by its serial number. A disk that a failover cluster owns is left to the cluster. Only a " +
			"disk without a partition table is initialised: one with another style than wished is an error. " +
			"Windows Server 2008 and 2008 R2 do not tell through WMI whether a disk is offline; there a disk that carries a " +
			"signature counts as usable, " +
			"and storage.volume brings it online before it works on it. An empty GPT disk has no signature: before 2012, " +
			"style gpt is accepted only for a disk that holds a partition already.",
		Undo: "A disk that was initialised becomes raw again, provided that it holds no partition; online and write " +
			"protection go back as recorded. " +
			"On Windows Server 2008 and 2008 R2, which do not tell, the raw disk is taken offline and protected again, as " +
			"Windows delivers shared disks.",
		Proof:   proof,
		Sources: []string{"Storage module: Set-Disk, Initialize-Disk, Clear-Disk", "Win32_DiskDrive", diskpartSource},
		Calls: append(append(readCalls(), clusterCalls()...),
			node.Call{Cmdlet: "Set-Disk", Params: []string{"Number", "IsOffline", "IsReadOnly"}, On: newer},
			node.Call{Cmdlet: "Initialize-Disk", Params: []string{"Number", "PartitionStyle", "Confirm"}, On: newer},
			node.Call{Cmdlet: "Clear-Disk", Params: []string{"Number", "Confirm"}, On: newer},
			node.Call{Tool: "diskpart.exe", On: old, Source: diskpartSource}),
		New:     func() steps.Step { return &Disk{Style: "mbr", Initialize: true} },
		Example: "serial: 600A0B80000F1A2C\nstyle: mbr\n",
	}
}

// Kind names the step.
func (s *Disk) Kind() string { return "storage.disk" }

// Provides names the tag that a volume on the disk waits for.
func (s *Disk) Provides() []string {
	if !s.Initialize {
		return nil
	}
	return []string{tag(s.Serial)}
}

func tag(serial string) string { return "disk:" + strings.ToUpper(strings.TrimSpace(serial)) }

// Reads names what Check will ask.
func (s *Disk) Reads(f node.Facts) []node.Query { return reads(f) }

// Check tells whether the disk is visible and usable.
func (s *Disk) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	d, err := find(ctx, r, s.Serial)
	if err != nil {
		return steps.Diff{}, err
	}
	if !s.Initialize {
		return steps.NoChange(), nil
	}
	if d.Dynamic {
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot use disk %s (disk %d): it is a dynamic disk", s.Serial, d.Number),
			"failover clusters take basic disks only; convert it by hand")
	}
	if d.Style != "raw" && d.Style != s.Style {
		return steps.Diff{}, fmt.Errorf("cannot use disk %s: %w", s.Serial,
			steps.FixedErr(fmt.Sprintf("disk %d", d.Number), "style", d.Style, s.Style,
				"give the step the style that the disk has, or clean the disk by hand"))
	}
	if s.Style == "gpt" && d.Style == "raw" && !modern(r.Facts()) {
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot tell whether disk %s (disk %d) is initialised as GPT: this "+
			"release shows an empty GPT disk like a raw one", s.Serial, d.Number),
			"use style mbr, or partition the disk by hand")
	}
	var changes []steps.Change
	if d.Offline != nil && *d.Offline {
		changes = append(changes, steps.Change{Attr: "online", From: false, To: true})
	}
	if d.ReadOnly != nil && *d.ReadOnly {
		changes = append(changes, steps.Change{Attr: "writable", From: false, To: true})
	}
	action := steps.Update
	if d.Style == "raw" {
		changes = append(changes, steps.Change{Attr: "style", From: "raw", To: s.Style})
		action = steps.Create
	}
	if len(changes) == 0 {
		return steps.NoChange(), nil
	}
	held, err := clustered(ctx, r, d)
	if err != nil {
		return steps.Diff{}, err
	}
	if held { // who uses it and where is the cluster's business from now on
		return steps.NoChange(), nil
	}
	return steps.Diff{Action: action, Changes: changes, Via: via(r.Facts()),
		Before: steps.MustJSON(diskBefore{Style: d.Style, Offline: d.Offline, ReadOnly: d.ReadOnly})}, nil
}

// Apply brings the disk online, makes it writable and initialises it, whatever of that is missing.
func (s *Disk) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	d, err := find(ctx, n, s.Serial)
	if err != nil {
		return steps.Outcome{}, err
	}
	if !modern(n.Facts()) {
		lines := append(usable(n.Facts(), d.Number), "convert "+s.Style)
		if d.Style != "raw" {
			lines = lines[:len(lines)-1]
		}
		return steps.Outcome{}, diskpart(ctx, n, lines)
	}
	// two parameter sets: both in one call is refused
	if *d.Offline {
		if err := setDisk(ctx, n, d.Number, "IsOffline", false); err != nil {
			return steps.Outcome{}, err
		}
	}
	if *d.ReadOnly {
		if err := setDisk(ctx, n, d.Number, "IsReadOnly", false); err != nil {
			return steps.Outcome{}, err
		}
	}
	if now, err := find(ctx, n, s.Serial); err != nil || now.Style != "raw" {
		return steps.Outcome{}, err // an offline disk may show its style only now; the second look judges it
	}
	_, err = n.Do(ctx, node.CmdletCall{Name: "Initialize-Disk", Load: module,
		Params: map[string]any{"Number": d.Number, "PartitionStyle": strings.ToUpper(s.Style), "Confirm": false}})
	if err != nil {
		return steps.Outcome{}, fmt.Errorf("cannot initialise disk %s: %w", s.Serial, err)
	}
	return steps.Outcome{}, nil
}

func setDisk(ctx context.Context, n node.Node, number int64, what string, value bool) error {
	if _, err := n.Do(ctx, node.CmdletCall{Name: "Set-Disk", Load: module,
		Params: map[string]any{"Number": number, what: value}}); err != nil {
		return fmt.Errorf("cannot set %s of disk %d to %t: %w", what, number, value, err)
	}
	return nil
}

// Undo makes the disk raw again when it was, and puts online and write protection back.
func (s *Disk) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b diskBefore
	if err := json.Unmarshal(before, &b); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	d, err := find(ctx, n, s.Serial)
	if err != nil {
		return err
	}
	clean := b.Style == "raw" && d.Style != "raw"
	if clean && len(d.Parts) > 0 {
		return hint.Wrap(steps.Left(fmt.Sprintf("disk %s holds %s", s.Serial, describe(d.Parts))),
			"undo removes no partition that another step or a person made; move the data and delete it by hand")
	}
	if !modern(n.Facts()) {
		if !clean {
			return nil
		}
		lines := append(usable(n.Facts(), d.Number), "clean")
		if n.Facts().Release.AtLeast(node.WS2008) {
			lines = append(lines, "attributes disk set readonly noerr", "offline disk noerr")
		}
		return diskpart(ctx, n, lines)
	}
	if clean {
		if _, err := n.Do(ctx, node.CmdletCall{Name: "Clear-Disk", Load: module,
			Params: map[string]any{"Number": d.Number, "Confirm": false}}); err != nil {
			return fmt.Errorf("cannot make disk %s raw again: %w", s.Serial, err)
		}
	}
	if b.ReadOnly != nil && *b.ReadOnly != *d.ReadOnly {
		if err := setDisk(ctx, n, d.Number, "IsReadOnly", *b.ReadOnly); err != nil {
			return err
		}
	}
	if b.Offline != nil && *b.Offline != *d.Offline {
		return setDisk(ctx, n, d.Number, "IsOffline", *b.Offline)
	}
	return nil
}
