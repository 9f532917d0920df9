package machine

import (
	"fmt"
	"strings"

	"deploy/internal/lab/model"
)

// Volume is a partition with where it is and the letter that the machine gives it.
type Volume struct {
	On     Disk
	Part   *model.Partition
	Letter string
}

// Volumes lists the volumes that the machine can use: those of disks that are online and not
// reserved by another node.
func Volumes(c *Ctx) []Volume {
	var out []Volume
	for _, d := range Disks(c) {
		if d.Offline(c) {
			continue
		}
		for _, p := range dataPartitions(d.Disk) {
			out = append(out, Volume{d, p, d.See.Letters[p.Number]})
		}
	}
	return out
}

// list prints the tables of diskpart: header, status words and columns are translated, as in the
// real one.
func (d *diskpart) list(verb, what string) int {
	c := d.c
	switch {
	case verb == "list" && strings.HasPrefix(what, "dis"):
		d.say([4]string{"  Disk ###  Status         Size     Free     Dyn  Gpt",
			"  N° disque  Statut         Taille   Libre    Dyn  GPT",
			"  Datenträger ###  Status         Größe    Frei     Dyn  GPT", "  ディスク      状態           サイズ   空き     ダイナ GPT"})
		d.out.WriteString("  --------  -------------  -------  -------  ---  ---\r\n")
		for _, x := range Disks(c) {
			status := c.Pick([4]string{"Online", "En ligne", "Online", "オンライン"})
			switch {
			case reserved(c, x.Disk):
				status = c.Pick([4]string{"Reserved", "Réservé", "Reserviert", "予約済み"})
			case x.See.Offline:
				status = c.Pick([4]string{"Offline", "Hors connexion", "Offline", "オフライン"})
			}
			mark := " "
			if d.disk != nil && d.disk.See == x.See {
				mark = "*"
			}
			flag := func(on bool) string {
				if on {
					return "*"
				}
				return " "
			}
			fmt.Fprintf(&d.out, "%s %s %-3d  %-13s  %4d GB  %4d GB  %s    %s\r\n", mark,
				c.Pick([4]string{"Disk", "Disque", "Datenträger", "ディスク"}), x.See.Number,
				status, x.Disk.SizeMB/1024, x.FreeMB(c)/1024, flag(x.Disk.Dynamic), flag(x.Disk.Style == "GPT"))
		}
		return 0
	case verb == "list" && strings.HasPrefix(what, "vol"):
		d.say([4]string{"  Volume ###  Ltr  Label        Fs     Type        Size",
			"  N° volume   Ltr  Nom          Fs     Type        Taille",
			"  Volume ###  Bst  Bezeichnung  DS     Typ         Größe", "  Volume ###  Ltr Label        Fs    種類        サイズ"})
		d.out.WriteString("  ----------  ---  -----------  -----  ----------  -------\r\n")
		for i, v := range Volumes(c) {
			fs := v.Part.FS
			if fs == "" {
				fs = "RAW"
			}
			fmt.Fprintf(&d.out, "  Volume %-3d   %-2s  %-11s  %-5s  %-10s  %4d MB\r\n", i, strings.TrimSuffix(v.Letter, ":"),
				v.Part.Label, fs, "Partition", v.Part.SizeMB)
		}
		return 0
	case strings.HasPrefix(what, "par") && verb == "list":
		if d.disk == nil {
			return d.failed(diskNoVolume)
		}
		d.say([4]string{"  Partition ###  Type              Size     Offset",
			"  N° partition   Type              Taille   Décalage", "  Partition ###  Typ               Größe    Offset",
			"  Partition ###  Type              Size     Offset"})
		for _, p := range d.disk.Disk.Partitions {
			fmt.Fprintf(&d.out, "  Partition %d    %-16s  %4d MB  %4d KB\r\n", p.Number,
				c.Pick([4]string{"Primary", "Principale", "Primär", "プライマリ"}), p.SizeMB, p.OffsetKB)
		}
		return 0
	case verb == "detail" && what == "disk":
		if d.disk == nil {
			return d.failed(diskNoVolume)
		}
		return d.uniqueID(nil)
	}
	return d.syntax()
}

// formatTool is format.com: /fs: /q /y /v: on a letter. /y answers its questions; without it there
// is nobody to.
func formatTool(c *Ctx, argv []string, stdin []byte) Result {
	letter, fs, label := "", "NTFS", ""
	yes := strings.TrimSpace(string(stdin)) != ""
	for _, a := range argv[1:] {
		low := strings.ToLower(a)
		switch {
		case strings.HasPrefix(low, "/fs:"):
			fs = a[4:]
		case strings.HasPrefix(low, "/v:"):
			label = a[3:]
		case low == "/y":
			yes = true
		case low == "/q", low == "/x", low == "/force", strings.HasPrefix(low, "/a:"):
		case Letter(a) != "" && letter == "":
			letter = Letter(a)
		default:
			return Result{Code: 1, Stdout: c.Text(errInvalidParameter) + "\r\n"}
		}
	}
	disk, part, ok := letterOf(c, letter)
	if !ok {
		return Result{Code: 4, Stdout: c.Text(errPathNotFound) + "\r\n"}
	}
	if !yes {
		return Result{Code: 5, Stdout: c.Pick([4]string{"Proceed with Format (Y/N)? ", "Lancer le formatage (O/N) ? ",
			"Formatierung durchführen (J/N)? ", "フォーマットしますか (Y/N)? "})}
	}
	d := Disk{findVisible(c, disk.Serial), disk}
	if e := FormatPartition(c, d, part, fs, label); e != diskNone {
		return Result{Code: 4, Stdout: c.Pick(diskText(e)) + "\r\n"}
	}
	return Result{Stdout: c.Pick([4]string{"Format complete.", "Formatage terminé.", "Formatieren abgeschlossen.",
		"フォーマットは完了しました。"}) + "\r\n"}
}
