package machine

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"deploy/internal/lab/model"
)

// Disk is a disk as one machine sees it, with what it holds.
type Disk struct {
	See  *model.VisibleDisk
	Disk *model.SharedDisk
}

// Disks lists the disks that the machine sees now, in the order of their numbers. The fault
// "disk-missing" (argument "serial") hides one; a disk that is unplugged (Missing) is not listed.
func Disks(c *Ctx) []Disk {
	var out []Disk
	for _, v := range c.M.Visible {
		d := c.W.Disks[v.Serial]
		if d == nil || v.Missing {
			continue
		}
		if _, hit := c.W.Strike("disk-missing", c.M.Name,
			func(args map[string]string) bool { return args["serial"] == v.Serial }); hit {
			continue
		}
		out = append(out, Disk{v, d})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].See.Number < out[j].See.Number })
	return out
}

// DiskNumber finds a visible disk by its number on this machine.
func DiskNumber(c *Ctx, n int) (Disk, bool) {
	for _, d := range Disks(c) {
		if d.See.Number == n {
			return d, true
		}
	}
	return Disk{}, false
}

func findVisible(c *Ctx, serial string) *model.VisibleDisk {
	for _, v := range c.M.Visible {
		if v.Serial == serial && !v.Missing {
			return v
		}
	}
	return nil
}

// reserved says that a cluster holds the disk for another machine, so that this one cannot use it.
func reserved(c *Ctx, d *model.SharedDisk) bool {
	return d.Owner != "" && !strings.EqualFold(d.Owner, c.M.Name)
}

// Offline says that the machine cannot use the disk's volumes: it is offline, or reserved by
// another node.
func (d Disk) Offline(c *Ctx) bool { return d.See.Offline || reserved(c, d.Disk) }

// letterOf finds the partition behind a drive letter ("E:").
func letterOf(c *Ctx, letter string) (*model.SharedDisk, *model.Partition, bool) {
	for _, v := range c.M.Visible {
		for n, l := range v.Letters {
			if !strings.EqualFold(l, letter) {
				continue
			}
			d := c.W.Disks[v.Serial]
			if d == nil || v.Missing {
				continue
			}
			if p := d.Partition(n); p != nil {
				return d, p, true
			}
		}
	}
	return nil, nil, false
}

// LetterUsed says that a drive letter is taken on the machine. A: and B: are kept for floppies.
func LetterUsed(c *Ctx, letter string) bool {
	letter = Letter(letter)
	if letter == "A:" || letter == "B:" {
		return true
	}
	for _, v := range c.M.Visible {
		for _, l := range v.Letters {
			if l == letter {
				return true
			}
		}
	}
	return false
}

// Letter brings "e", "E:" and "E:\" to "E:"; anything else is "".
func Letter(s string) string {
	s = strings.ToUpper(strings.TrimRight(strings.TrimSpace(s), `:\`))
	if len(s) != 1 || s[0] < 'A' || s[0] > 'Z' {
		return ""
	}
	return s + ":"
}

// SetLetter gives a partition a drive letter on this machine; "" takes it away. It does not look
// for conflicts.
func SetLetter(v *model.VisibleDisk, partition int, letter string) {
	delete(v.Letters, partition)
	if letter != "" {
		if v.Letters == nil {
			v.Letters = map[int]string{}
		}
		v.Letters[partition] = Letter(letter)
	}
	if len(v.Letters) == 0 {
		v.Letters = nil
	}
}

// freeLetter is the first free drive letter from D: on.
func freeLetter(c *Ctx) string {
	for l := 'D'; l <= 'Z'; l++ {
		if !LetterUsed(c, string(l)) {
			return string(l) + ":"
		}
	}
	return ""
}

// First usable offset and what the tables of a disk take, in KB. 2008 and later align at 1 MB; 2003
// begins behind the first track.
const (
	alignedKB = 1024
	trackKB   = 32 // 31.5, rounded up to whole KB
)

// FreeMB is the room behind the last partition.
func (d Disk) FreeMB(c *Ctx) int64 {
	return d.Disk.SizeMB - (d.nextOffset(c, 0)+1023)/1024
}

func (d Disk) nextOffset(c *Ctx, align int64) int64 {
	at := int64(alignedKB)
	if !c.AtLeast("2008") {
		at = trackKB
	}
	for _, p := range d.Disk.Partitions {
		at = max(at, p.OffsetKB+p.SizeMB*1024)
	}
	if align == 0 && c.AtLeast("2008") {
		align = alignedKB
	}
	if align > 0 {
		at = (at + align - 1) / align * align
	}
	return at
}

// What an operation on disks was refused for.
type diskError int

const (
	diskNone       diskError = iota
	diskOffline              // the disk is offline
	diskReadOnly             // it is write-protected
	diskReserved             // a cluster holds it
	diskFull                 // no room for the partition
	diskTaken                // the letter is in use
	diskNotRaw               // already initialised
	diskRaw                  // not initialised yet
	diskBoot                 // the system's own disk
	diskNoVolume             // nothing to act on
	diskBadRequest           // an argument is out of range
	diskMisaligned
)

// writable says why the disk cannot be written, or diskNone.
func (d Disk) writable(c *Ctx) diskError {
	switch {
	case reserved(c, d.Disk):
		return diskReserved
	case d.See.Offline:
		return diskOffline
	case d.See.ReadOnly:
		return diskReadOnly
	}
	return diskNone
}

// InitDisk writes a partition table of style MBR or GPT.
func InitDisk(c *Ctx, d Disk, style string) diskError {
	if e := d.writable(c); e != diskNone {
		return e
	}
	if d.Disk.Style != "RAW" {
		return diskNotRaw
	}
	d.Disk.Style = style
	d.Disk.Signature, d.Disk.GUID = 0, ""
	if style == "GPT" {
		d.Disk.GUID = strings.ToLower(GUID(c.W))
		// Windows makes its reserved partition at once: 128 MB (32 on a small disk), 16 MB from 2016 on
		size := int64(128)
		if c.AtLeast("2016") {
			size = 16
		} else if d.Disk.SizeMB < 16<<10 {
			size = 32
		}
		d.Disk.Partitions = []*model.Partition{{Number: 1, OffsetKB: trackKB, SizeMB: size, Reserved: true}}
	} else {
		d.Disk.Signature = uint32(c.W.Next()*2654435761 | 1)
	}
	return diskNone
}

// CleanDisk takes partitions and table away and leaves the disk RAW.
func CleanDisk(c *Ctx, d Disk) diskError {
	if e := d.writable(c); e != diskNone {
		return e
	}
	if d.See.Local {
		return diskBoot
	}
	d.Disk.Style, d.Disk.Signature, d.Disk.GUID, d.Disk.Dynamic = "RAW", 0, "", false
	d.Disk.Partitions, d.Disk.Files = nil, nil
	dropLetters(c, d.Disk.Serial, 0)
	return diskNone
}

// dropLetters forgets the letters of a partition (0: of all) on every machine: the volume that they
// named is gone.
func dropLetters(c *Ctx, serial string, partition int) {
	for _, m := range c.W.Machines {
		for _, v := range m.Visible {
			if v.Serial != serial {
				continue
			}
			for n := range v.Letters {
				if partition == 0 || n == partition {
					SetLetter(v, n, "")
				}
			}
		}
	}
}

// AddPartition makes a partition of sizeMB (0: all the room) at an alignment in KB (0: the
// release's own).
func AddPartition(c *Ctx, d Disk, sizeMB, alignKB int64) (*model.Partition, diskError) {
	if e := d.writable(c); e != diskNone {
		return nil, e
	}
	if d.Disk.Style == "RAW" {
		return nil, diskRaw
	}
	at := d.nextOffset(c, alignKB)
	room := d.Disk.SizeMB - (at+1023)/1024
	if sizeMB == 0 {
		sizeMB = room
	}
	if sizeMB < 1 || sizeMB > room || (d.Disk.Style == "MBR" && len(d.Disk.Partitions) >= 4) {
		return nil, diskFull
	}
	number := 1
	for d.Disk.Partition(number) != nil {
		number++
	}
	p := &model.Partition{Number: number, OffsetKB: at, SizeMB: sizeMB,
		VolumeID: `\\?\Volume` + strings.ToLower(GUID(c.W)) + `\`}
	d.Disk.Partitions = append(d.Disk.Partitions, p)
	slices.SortFunc(d.Disk.Partitions, func(a, b *model.Partition) int { return a.Number - b.Number })
	return p, diskNone
}

// dataPartitions are the partitions that hold volumes.
func dataPartitions(d *model.SharedDisk) []*model.Partition {
	var out []*model.Partition
	for _, p := range d.Partitions {
		if !p.Reserved {
			out = append(out, p)
		}
	}
	return out
}

// RemovePartition deletes a partition with its volume.
func RemovePartition(c *Ctx, d Disk, number int) diskError {
	if e := d.writable(c); e != diskNone {
		return e
	}
	if d.See.Local && number == 1 {
		return diskBoot
	}
	i := slices.IndexFunc(d.Disk.Partitions, func(p *model.Partition) bool { return p.Number == number })
	if i < 0 {
		return diskNoVolume
	}
	d.Disk.Partitions = slices.Delete(d.Disk.Partitions, i, i+1)
	if len(d.Disk.Partitions) == 0 {
		d.Disk.Partitions = nil
	}
	dropFiles(d.Disk, number)
	dropLetters(c, d.Disk.Serial, number)
	return diskNone
}

func dropFiles(d *model.SharedDisk, number int) {
	prefix := fmt.Sprintf("%d|", number)
	for k := range d.Files {
		if own := !strings.Contains(k, "|"); (own && number == 1) || strings.HasPrefix(k, prefix) {
			delete(d.Files, k)
		}
	}
	if len(d.Files) == 0 {
		d.Files = nil
	}
}

// FormatPartition makes a file system; what was on the volume is gone.
func FormatPartition(c *Ctx, d Disk, p *model.Partition, fs, label string) diskError {
	if e := d.writable(c); e != diskNone {
		return e
	}
	if d.See.Local && p.Number == 1 {
		return diskBoot
	}
	fs = strings.ToUpper(fs)
	switch fs {
	case "":
		fs = "NTFS"
	case "NTFS", "FAT32", "FAT":
	case "REFS":
		if !c.AtLeast("2012") {
			return diskBadRequest
		}
		fs = "ReFS"
	default:
		return diskBadRequest
	}
	dropFiles(d.Disk, p.Number)
	p.FS, p.Label = fs, label
	return diskNone
}

// AssignLetter gives a partition a letter ("" takes the first free one) and refuses one that is in
// use.
func AssignLetter(c *Ctx, d Disk, number int, letter string) diskError {
	if reserved(c, d.Disk) {
		return diskReserved
	}
	if letter == "" {
		if d.See.Letters[number] != "" {
			return diskNone
		}
		if letter = freeLetter(c); letter == "" {
			return diskTaken
		}
	}
	letter = Letter(letter)
	switch {
	case letter == "":
		return diskBadRequest
	case d.See.Letters[number] == letter:
		return diskNone
	case d.See.Local && d.See.Letters[number] == "C:":
		return diskBoot
	case LetterUsed(c, letter):
		return diskTaken
	}
	SetLetter(d.See, number, letter)
	return diskNone
}
