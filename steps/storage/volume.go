package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Volume makes the one NTFS volume of an empty shared disk.
type Volume struct {
	Serial string `json:"serial" required:"true" doc:"serial number of the disk" check:"compared"`
	Letter string `json:"letter" required:"true" doc:"drive letter, like E or E:" type:"letter" check:"compared"`
	Label  string `json:"label" doc:"volume label, 32 plain characters at most; no key means any" pattern:"^[ !#-)0-9@A-Z^-{}~-]{0,32}$" means:"use plain letters, figures, blanks, - and _, 32 at most" check:"compared"`
	Size   int    `json:"size" doc:"size of the partition in MB; 0 takes the whole disk and accepts any size" min:"0" check:"compared"`
}

type volumeBefore struct {
	Parts int `json:"partitions"` // always 0: only an empty disk is worked on
}

// slackMB is how far a partition may be off the wished size: tools round to cylinders or megabytes.
const slackMB = 8

// formatLimit bounds a quick format with the creation of the partition.
const formatLimit = 10 * time.Minute

func volumeKind() steps.Kind {
	old, newer := inspect.Between(node.WS2003, node.WS2008R2), inspect.From(node.WS2012)
	return steps.Kind{
		Name:    "storage.volume",
		OS:      "windows",
		Summary: "Makes one NTFS volume with a letter and a label on an empty shared disk.",
		Doc: "Only a disk without any partition is partitioned and formatted. A disk that holds the wished volume is left " +
			"alone; " +
			"anything else on it is an error that says what is there. A disk that a failover cluster owns and holds on " +
			"another node is not looked at. Run it on one node only, and storage.letter on the others.",
		Undo: "Deletes the partition, provided that nothing but what the file system itself makes is on the volume; " +
			"otherwise it is left and reported with what it holds. " +
			"The undo of storage.disk then makes the disk raw again.",
		Proof:   proof,
		Sources: []string{"Storage module: New-Partition, Format-Volume, Remove-Partition", diskpartSource, "format"},
		Calls: append(append(readCalls(), clusterCalls()...),
			node.Call{Cmdlet: "New-Partition", Params: []string{"DiskNumber", "UseMaximumSize", "Size", "DriveLetter"},
				Props: []string{"PartitionNumber"}, On: newer},
			node.Call{Cmdlet: "Format-Volume", Params: []string{"DriveLetter", "FileSystem", "NewFileSystemLabel", "Force",
				"Confirm"}, On: newer},
			node.Call{Cmdlet: "Remove-Partition", Params: []string{"DiskNumber", "PartitionNumber", "Confirm"}, On: newer},
			node.Call{Tool: "diskpart.exe", On: old, Source: diskpartSource},
			node.Call{Tool: "format.com", On: []node.Release{node.WS2003},
				Source: "format, Windows Server command reference: diskpart of 2003 has no format"}),
		New:     func() steps.Step { return &Volume{} },
		Example: "serial: 600A0B80000F1A2C\nletter: E\nlabel: Data01\n",
	}
}

// Kind names the step.
func (s *Volume) Kind() string { return "storage.volume" }

// Validate looks at the data.
func (s *Volume) Validate() error {
	if l := inspect.Letter(s.Letter); l == "" || l <= "C:" {
		return steps.FieldErr("letter", "%q is not a drive letter from D to Z", s.Letter)
	}
	return nil
}

// Reads names what Check will ask.
func (s *Volume) Reads(f node.Facts) []node.Query { return append(reads(f), inspect.LettersQuery()) }

// Check tells whether the volume is there, or whether the disk is empty.
func (s *Volume) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	d, err := find(ctx, r, s.Serial)
	if err != nil {
		return steps.Diff{}, err
	}
	used, err := inspect.Letters(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	letter := inspect.Letter(s.Letter)
	if len(d.Parts) > 0 {
		if err := s.judge(d); err != nil {
			return steps.Diff{}, err
		}
		return steps.NoChange(), nil
	}
	if d.Style != "raw" {
		held, err := clustered(ctx, r, d)
		if err != nil {
			return steps.Diff{}, err
		}
		if held {
			return steps.Diff{Action: steps.NoOp, Warnings: []string{fmt.Sprintf("disk %s is the cluster's and shows no "+
				"volume on this node: not looked at", s.Serial)}}, nil
		}
	}
	if d.Offline != nil && *d.Offline && d.Style != "raw" {
		return steps.Diff{}, steps.Until(tag(s.Serial), "an offline disk does not show its partitions")
	}
	if used[letter] {
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot give disk %s the letter %s: it is in use on this node", s.Serial,
			letter),
			"an optical drive or another volume holds it: give that one another letter, or take another one for the disk on "+
				"all nodes")
	}
	to := fmt.Sprintf("NTFS, label %q, whole disk", s.Label)
	if s.Size > 0 {
		to = fmt.Sprintf("NTFS, label %q, %d MB", s.Label, s.Size)
	}
	return steps.Diff{
		Action: steps.Create, Via: via(r.Facts()),
		Changes: []steps.Change{{Attr: "volume " + letter, From: nil, To: to}},
		Before:  steps.MustJSON(volumeBefore{}),
	}, nil
}

// judge says what is wrong with what a disk holds.
func (s *Volume) judge(d disk) error {
	var wrong []string
	if len(d.Parts) > 1 {
		wrong = append(wrong, "there must be one partition")
	}
	p := d.Parts[0]
	if p.Letter != inspect.Letter(s.Letter) {
		wrong = append(wrong, "the letter must be "+inspect.Letter(s.Letter))
	}
	if !strings.EqualFold(p.FS, "NTFS") {
		wrong = append(wrong, "the file system must be NTFS")
	}
	if s.Label != "" && p.Label != s.Label {
		wrong = append(wrong, fmt.Sprintf("the label must be %q", s.Label))
	}
	if off := p.SizeMB - int64(s.Size); s.Size > 0 && (off > slackMB || off < -slackMB) {
		wrong = append(wrong, fmt.Sprintf("the size must be %d MB", s.Size))
	}
	if len(wrong) == 0 {
		return nil
	}
	return hint.Wrap(fmt.Errorf("cannot use disk %s (disk %d): it holds %s, but %s", s.Serial, d.Number, describe(d.Parts),
		strings.Join(wrong, " and ")),
		"only an empty disk is formatted; change the step to what is there, or the disk by hand")
}

// Apply makes the partition, gives it the letter and formats it.
func (s *Volume) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	d, err := find(ctx, n, s.Serial)
	if err != nil {
		return steps.Outcome{}, err
	}
	if !modern(n.Facts()) {
		return steps.Outcome{}, s.applyDiskpart(ctx, n, d)
	}
	if len(d.Parts) > 0 {
		return steps.Outcome{}, s.judge(d)
	}
	return steps.Outcome{}, s.applyModule(ctx, n, d)
}

func (s *Volume) applyModule(ctx context.Context, n node.Node, d disk) error {
	bare := strings.TrimSuffix(inspect.Letter(s.Letter), ":")
	params := map[string]any{"DiskNumber": d.Number, "DriveLetter": bare}
	if s.Size > 0 {
		params["Size"] = int64(s.Size) * mb
	} else {
		params["UseMaximumSize"] = true
	}
	rows, err := n.Do(ctx, node.CmdletCall{Name: "New-Partition", Load: module, Params: params,
		Select: []string{"PartitionNumber"}})
	if err != nil {
		return fmt.Errorf("cannot partition disk %s: %w", s.Serial, err)
	}
	if len(rows) != 1 {
		return fmt.Errorf("cannot partition disk %s: %d partitions came back", s.Serial, len(rows))
	}
	// a new partition is read-only for a moment
	err = inspect.Wait(ctx, "the new partition to be writable", time.Minute, func(ctx context.Context) (bool, error) {
		now, err := n.Query(ctx, node.Cmdlet{Name: "Get-Partition", Load: module, Select: []string{"IsReadOnly"},
			Params: map[string]any{"DiskNumber": d.Number, "PartitionNumber": rows[0].Int("PartitionNumber")}})
		if errors.Is(err, node.ErrNotFound) {
			return false, nil
		}
		return len(now) == 1 && !now[0].Bool("IsReadOnly"), err
	})
	if err != nil {
		return err
	}
	format := map[string]any{"DriveLetter": bare, "FileSystem": "NTFS", "Force": true, "Confirm": false}
	if s.Label != "" {
		format["NewFileSystemLabel"] = s.Label
	}
	if _, err := n.Do(ctx, node.CmdletCall{Name: "Format-Volume", Load: module, Params: format}); err != nil {
		return fmt.Errorf("cannot format %s: %w", inspect.Letter(s.Letter), err)
	}
	return nil
}

// applyDiskpart first makes sure that the disk is online and looks again: what an offline disk
// holds is not seen.
func (s *Volume) applyDiskpart(ctx context.Context, n node.Node, d disk) error {
	f := n.Facts()
	if err := diskpart(ctx, n, usable(f, d.Number)); err != nil {
		return err
	}
	d, err := find(ctx, n, s.Serial)
	if err != nil {
		return err
	}
	if len(d.Parts) > 0 {
		return s.judge(d)
	}
	bare := strings.TrimSuffix(inspect.Letter(s.Letter), ":")
	create := "create partition primary"
	if s.Size > 0 {
		create += fmt.Sprintf(" size=%d", s.Size)
	}
	lines := []string{fmt.Sprintf("select disk %d", d.Number), create, "assign letter=" + bare}
	if f.Release.AtLeast(node.WS2008) {
		format := "format fs=ntfs quick"
		if s.Label != "" {
			format = fmt.Sprintf("format fs=ntfs label=%q quick", s.Label)
		}
		return diskpart(ctx, n, append(lines, format))
	}
	if err := diskpart(ctx, n, lines); err != nil {
		return err
	}
	argv := []string{"format.com", inspect.Letter(s.Letter), "/fs:ntfs", "/q", "/y"}
	if s.Label != "" {
		argv = append(argv, "/v:"+s.Label)
	}
	res, err := n.Run(ctx, node.Cmd{Argv: argv, Timeout: formatLimit})
	if err != nil {
		return fmt.Errorf("cannot format %s: %w", inspect.Letter(s.Letter), err)
	}
	if res.Code != 0 {
		return fmt.Errorf("cannot format %s: %w", inspect.Letter(s.Letter),
			&node.CodeError{Op: "format", Code: int64(res.Code)})
	}
	return nil
}

// own are the names that Windows itself makes at the root of a volume.
var own = map[string]bool{"system volume information": true, "$recycle.bin": true, "recycler": true, "recycled": true}

// Undo deletes the partition when it holds nothing.
func (s *Volume) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b volumeBefore
	if err := json.Unmarshal(before, &b); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	d, err := find(ctx, n, s.Serial)
	if err != nil || len(d.Parts) == 0 {
		return err
	}
	if len(d.Parts) > 1 {
		return steps.Left(fmt.Sprintf("disk %s holds more than the step's volume: %s", s.Serial, describe(d.Parts)))
	}
	p := d.Parts[0]
	if p.FS != "" {
		if err := s.nothingOn(ctx, n, p); err != nil {
			return err
		}
	}
	if modern(n.Facts()) {
		_, err := n.Do(ctx, node.CmdletCall{Name: "Remove-Partition", Load: module,
			Params: map[string]any{"DiskNumber": d.Number, "PartitionNumber": p.Number, "Confirm": false}})
		if err != nil {
			return fmt.Errorf("cannot delete the volume of disk %s: %w", s.Serial, err)
		}
		return nil
	}
	return diskpart(ctx, n, []string{fmt.Sprintf("select disk %d", d.Number), fmt.Sprintf("select partition %d", p.Number),
		"delete partition"})
}

// nothingOn leaves a volume that holds anything, and refuses one whose content cannot be seen.
func (s *Volume) nothingOn(ctx context.Context, n node.Node, p part) error {
	if p.Letter != inspect.Letter(s.Letter) {
		return fmt.Errorf("cannot delete the volume of disk %s: it is %s, not what the step made", s.Serial, p)
	}
	names, _, err := inspect.Contents(ctx, n, p.Letter+`\`)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return own[strings.ToLower(name)] })
	if len(names) > 0 {
		return hint.Wrap(steps.Left(fmt.Sprintf("volume %s of disk %s %s", p.Letter, s.Serial, inspect.Holds(names))),
			"undo deletes no data; move it away, then roll back again")
	}
	return nil
}
