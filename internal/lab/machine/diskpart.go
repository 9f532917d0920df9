package machine

import (
	"fmt"
	"strconv"
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// SAN policies (VDS_SAN_POLICY) and the registry value that keeps them.
const (
	sanKey           = `HKLM\SYSTEM\CurrentControlSet\Services\partmgr\Parameters`
	sanOnlineAll     = 1
	sanOfflineShared = 2
	sanOfflineAll    = 3
)

// diskpartCodes are diskpart's exit codes: a classic table up to 2008 R2, an HRESULT from 2012 on
// (windows.md 6.1, both only partly confirmed).
func (c *Ctx) diskpartCode(classic int) int {
	if c.AtLeast(node.WS2012) {
		if classic == 5 {
			return 0x80070057 // E_INVALIDARG
		}
		return 0x80070001
	}
	return classic
}

// diskpart is one run of diskpart.exe with what it has selected.
type diskpart struct {
	c    *Ctx
	out  strings.Builder
	disk *Disk
	part *model.Partition
}

func diskpartTool(c *Ctx, argv []string, stdin []byte) Result {
	script := string(stdin)
	for i := 1; i < len(argv); i++ {
		switch strings.ToLower(argv[i]) {
		case "/s":
			if i+1 >= len(argv) {
				return Result{Code: c.diskpartCode(2)}
			}
			data, err := ReadFile(c, argv[i+1])
			if err != nil {
				return Result{Code: c.diskpartCode(3), Stdout: c.Text(errFileNotFound) + "\r\n"}
			}
			script, i = string(data), i+1
		case "/t":
			i++
		default:
			return Result{Code: c.diskpartCode(2)}
		}
	}
	d := &diskpart{c: c}
	fmt.Fprintf(&d.out, "\r\nMicrosoft DiskPart %s\r\n%s%s\r\n", c.M.Version,
		c.Pick([4]string{"On computer: ", "Sur l’ordinateur : ", "Auf Computer: ", "コンピューター: "}), strings.ToUpper(c.M.Name))
	for _, line := range strings.Split(script, "\n") {
		words := Argv(strings.TrimSpace(line))
		if len(words) == 0 || strings.EqualFold(words[0], "rem") {
			continue
		}
		if strings.EqualFold(words[0], "exit") {
			break
		}
		noerr := false
		var rest []string
		for _, w := range words {
			if strings.EqualFold(w, "noerr") {
				noerr = true
			} else {
				rest = append(rest, w)
			}
		}
		d.out.WriteString("\r\n")
		if code := d.do(rest); code != 0 && !noerr {
			return Result{Code: c.diskpartCode(code), Stdout: d.out.String()}
		}
	}
	return Result{Stdout: d.out.String() + "\r\n"}
}

func (d *diskpart) say(t [4]string) { d.out.WriteString(d.c.Pick(t) + "\r\n") }

// failed is the answer of the service behind diskpart; 4 in the classic table.
func (d *diskpart) failed(e diskError) int {
	d.say(diskText(e))
	return 4
}

// syntax is the answer to a command that is none; 5 in the classic table.
func (d *diskpart) syntax() int {
	d.say([4]string{"The arguments specified for this command are not valid.",
		"Les arguments spécifiés pour cette commande ne sont pas valides.",
		"Die für diesen Befehl angegebenen Argumente sind ungültig.", "このコマンドに指定された引数は無効です。"})
	return 5
}

func diskText(e diskError) [4]string {
	switch e {
	case diskOffline:
		return [4]string{"The operation is not supported on an offline disk.",
			"L’opération n’est pas prise en charge sur un disque hors connexion.",
			"Der Vorgang wird auf einem Offlinedatenträger nicht unterstützt.", "オフラインのディスクではこの操作はサポートされていません。"}
	case diskReadOnly:
		return [4]string{"The media is write protected.", "Le média est protégé en écriture.",
			"Das Medium ist schreibgeschützt.", "このメディアは書き込み禁止になっています。"}
	case diskReserved:
		return [4]string{"The disk is managed by the Microsoft Failover Clustering component.",
			"Le disque est géré par le composant Clustering de basculement Microsoft.",
			"Der Datenträger wird von der Microsoft-Failoverclusterkomponente verwaltet.", "ディスクは Microsoft " +
				"フェールオーバー クラスタリング コンポーネントによって管理されています。"}
	case diskFull:
		return [4]string{"There is not enough usable space for this operation.",
			"Il n’y a pas assez d’espace utilisable pour cette opération.",
			"Für diesen Vorgang ist nicht genügend Speicherplatz verfügbar.", "この操作に必要な空き領域がありません。"}
	case diskTaken:
		return [4]string{"The specified drive letter is not free to be assigned.",
			"La lettre de lecteur spécifiée n’est pas disponible.",
			"Der angegebene Laufwerkbuchstabe kann nicht zugewiesen werden.", "指定されたドライブ文字は割り当てることができません。"}
	case diskNotRaw:
		return [4]string{"The disk has already been initialized.", "Le disque a déjà été initialisé.",
			"Der Datenträger wurde bereits initialisiert.", "ディスクは既に初期化されています。"}
	case diskRaw:
		return [4]string{"The disk has not been initialized.", "Le disque n’a pas été initialisé.",
			"Der Datenträger wurde nicht initialisiert.", "ディスクが初期化されていません。"}
	case diskBoot:
		return [4]string{"The operation is not allowed on the system or boot volume.",
			"L’opération n’est pas autorisée sur le volume système ou de démarrage.",
			"Der Vorgang ist auf dem System- oder Startvolume nicht zulässig.", "システム ボリュームまたはブート ボリュームではこの操作は許可されていません。"}
	case diskNoVolume:
		return [4]string{"There is no disk, partition or volume selected.",
			"Aucun disque, partition ou volume n’est sélectionné.",
			"Es wurde kein Datenträger, keine Partition und kein Volume ausgewählt.", "ディスク、パーティション、またはボリュームが選択されていません。"}
	}
	return [4]string{"The parameter is incorrect.", "Paramètre incorrect.", "Falscher Parameter.", "パラメーターが間違っています。"}
}

// do carries out one command; the result is a code of the classic table.
func (d *diskpart) do(words []string) int {
	verb := strings.ToLower(words[0])
	sub := ""
	if len(words) > 1 {
		sub = strings.ToLower(words[1])
	}
	since08 := d.c.AtLeast(node.WS2008)
	switch {
	case verb == "rescan":
		d.say([4]string{"DiskPart has finished scanning your configuration.",
			"DiskPart a terminé l’analyse de votre configuration.",
			"DiskPart hat die Überprüfung der Konfiguration abgeschlossen.", "DiskPart は構成のスキャンを完了しました。"})
		return 0
	case strings.HasPrefix(verb, "sel"):
		return d.choose(sub, words[2:])
	case verb == "list" || verb == "detail":
		return d.list(verb, sub)
	case verb == "san" && since08:
		return d.san(words[1:])
	case (verb == "online" || verb == "offline") && (sub == "disk" || sub == "" && since08):
		if !since08 {
			return d.syntax() // 2003 brings volumes and dynamic disks online, no basic disk
		}
		return d.online(verb == "online")
	case strings.HasPrefix(verb, "attr") && sub == "disk" && since08:
		return d.attributes(words[2:])
	case verb == "clean":
		if d.disk == nil {
			return d.failed(diskNoVolume)
		}
		d.part = nil
		return d.end(CleanDisk(d.c, *d.disk),
			[4]string{"DiskPart succeeded in cleaning the disk.", "DiskPart a réussi à nettoyer le disque.",
				"Der Datenträger wurde bereinigt.", "DiskPart はディスクを正常にクリーンな状態にしました。"})
	case strings.HasPrefix(verb, "conv"):
		return d.convert(sub)
	case verb == "create" && strings.HasPrefix(sub, "part"):
		return d.create(words[2:])
	case verb == "delete" && (strings.HasPrefix(sub, "part") || strings.HasPrefix(sub, "vol")):
		if d.disk == nil || d.part == nil {
			return d.failed(diskNoVolume)
		}
		n := d.part.Number
		d.part = nil
		return d.end(RemovePartition(d.c, *d.disk, n), [4]string{"DiskPart successfully deleted the selected partition.",
			"DiskPart a supprimé la partition sélectionnée.", "Die ausgewählte Partition wurde erfolgreich gelöscht.",
			"DiskPart は選択されたパーティションを正常に削除しました。"})
	case verb == "assign":
		return d.assign(words[1:])
	case verb == "remove":
		return d.remove(words[1:])
	case verb == "format" && since08:
		return d.format(words[1:])
	case verb == "uniqueid" && sub == "disk" && since08:
		return d.uniqueID(words[2:])
	case verb == "active" || verb == "automount":
		return 0
	}
	return d.syntax()
}

func (d *diskpart) end(e diskError, t [4]string) int {
	if e != diskNone {
		return d.failed(e)
	}
	d.say(t)
	return 0
}

func (d *diskpart) choose(what string, rest []string) int {
	id := strings.Join(rest, "")
	_, id2, ok := strings.Cut(id, "=")
	if ok {
		id = id2
	}
	switch {
	case strings.HasPrefix(what, "dis"):
		n, err := strconv.Atoi(id)
		x, ok := DiskNumber(d.c, n)
		if err != nil || !ok {
			d.disk, d.part = nil, nil
			d.say([4]string{"The disk you specified is not valid.", "Le disque spécifié n’est pas valide.",
				"Der angegebene Datenträger ist ungültig.", "指定されたディスクは無効です。"})
			return 4
		}
		d.disk, d.part = &x, nil
		fmt.Fprintf(&d.out, d.c.Pick([4]string{"Disk %d is now the selected disk.",
			"Le disque %d est maintenant le disque sélectionné.",
			"Der Datenträger %d ist jetzt der derzeit ausgewählte Datenträger.", "ディスク %d が選択されました。"})+"\r\n", n)
		return 0
	case strings.HasPrefix(what, "par"):
		n, err := strconv.Atoi(id)
		if d.disk == nil || err != nil || d.disk.Disk.Partition(n) == nil {
			return d.failed(diskNoVolume)
		}
		d.part = d.disk.Disk.Partition(n)
		return 0
	case strings.HasPrefix(what, "vol"):
		n, err := strconv.Atoi(id)
		for i, v := range Volumes(d.c) {
			if err == nil && i == n || err != nil && Letter(id) != "" && v.Letter == Letter(id) {
				x := v.On
				d.disk, d.part = &x, v.Part
				return 0
			}
		}
		d.say([4]string{"The volume you selected is not valid or does not exist.",
			"Le volume sélectionné n’est pas valide ou n’existe pas.",
			"Das ausgewählte Volume ist ungültig oder nicht vorhanden.", "選択したボリュームは無効か、存在しません。"})
		return 4
	}
	return d.syntax()
}

func (d *diskpart) online(on bool) int {
	if d.disk == nil {
		return d.failed(diskNoVolume)
	}
	switch {
	case reserved(d.c, d.disk.Disk):
		return d.failed(diskReserved)
	case d.disk.See.Local && !on:
		return d.failed(diskBoot)
	case d.disk.See.Offline != on: // it is in that state already
		d.say([4]string{"This disk is already in that state.", "Ce disque est déjà dans cet état.",
			"Der Datenträger befindet sich bereits in diesem Zustand.", "このディスクは既にその状態です。"})
		return 4
	}
	d.disk.See.Offline = !on
	d.say([4]string{"DiskPart successfully changed the state of the selected disk.",
		"DiskPart a changé l’état du disque sélectionné.",
		"Der Status des ausgewählten Datenträgers wurde geändert.", "DiskPart は選択されたディスクの状態を正常に変更しました。"})
	return 0
}

func (d *diskpart) attributes(words []string) int {
	if d.disk == nil {
		return d.failed(diskNoVolume)
	}
	if len(words) == 0 {
		d.say([4]string{"Current Read-only State : ", "État lecture seule actuel : ",
			"Aktueller schreibgeschützter Zustand : ", "現在の読み取り専用状態 : "})
		return 0
	}
	if len(words) != 2 || !strings.EqualFold(words[1], "readonly") ||
		!(strings.EqualFold(words[0], "clear") || strings.EqualFold(words[0], "set")) {
		return d.syntax()
	}
	if reserved(d.c, d.disk.Disk) {
		return d.failed(diskReserved)
	}
	d.disk.See.ReadOnly = strings.EqualFold(words[0], "set")
	d.say([4]string{"Disk attributes changed successfully.", "Les attributs de disque ont été correctement définis.",
		"Die Datenträgerattribute wurden erfolgreich geändert.", "ディスクの属性は正常に設定されました。"})
	return 0
}

func (d *diskpart) convert(to string) int {
	if d.disk == nil {
		return d.failed(diskNoVolume)
	}
	disk := d.disk.Disk
	switch to {
	case "mbr", "gpt":
		style := strings.ToUpper(to)
		if e := d.disk.writable(d.c); e != diskNone {
			return d.failed(e)
		}
		if disk.Style == style || len(dataPartitions(disk)) > 0 {
			return d.failed(diskBadRequest)
		}
		disk.Style, disk.Partitions = "RAW", nil
		return d.end(InitDisk(d.c, *d.disk, style), [4]string{"DiskPart successfully converted the selected disk.",
			"DiskPart a converti le disque sélectionné.", "Der ausgewählte Datenträger wurde erfolgreich konvertiert.",
			"DiskPart は選択されたディスクを正常に変換しました。"})
	case "basic", "dynamic":
		if e := d.disk.writable(d.c); e != diskNone {
			return d.failed(e)
		}
		if disk.Dynamic == (to == "dynamic") || to == "basic" && len(dataPartitions(disk)) > 0 {
			return d.failed(diskBadRequest)
		}
		disk.Dynamic = to == "dynamic"
		return 0
	}
	return d.syntax()
}

// options reads name=value words; ok false names one that the command does not have.
func options(words []string, names ...string) (map[string]string, bool) {
	out := map[string]string{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		k = strings.ToLower(k)
		known := false
		for _, n := range names {
			known = known || n == k
		}
		if !known {
			return nil, false
		}
		out[k] = v
	}
	return out, true
}

func (d *diskpart) create(words []string) int {
	if len(words) == 0 || !strings.EqualFold(words[0], "primary") && !strings.EqualFold(words[0], "pri") {
		return d.syntax()
	}
	o, ok := options(words[1:], "size", "offset", "align", "id", "set")
	if !ok {
		return d.syntax()
	}
	if d.disk == nil {
		return d.failed(diskNoVolume)
	}
	size, err1 := number(o["size"])
	align, err2 := number(o["align"])
	if err1 != nil || err2 != nil {
		return d.syntax()
	}
	if d.disk.Disk.Style == "RAW" {
		// diskpart writes an MBR by itself on a disk without a table
		if e := InitDisk(d.c, *d.disk, "MBR"); e != diskNone {
			return d.failed(e)
		}
	}
	p, e := AddPartition(d.c, *d.disk, size, align)
	if e != diskNone {
		return d.failed(e)
	}
	d.part = p
	d.say([4]string{"DiskPart succeeded in creating the specified partition.",
		"DiskPart a réussi à créer la partition spécifiée.", "Die angegebene Partition wurde erfolgreich erstellt.",
		"DiskPart は指定したパーティションの作成に成功しました。"})
	return 0
}

func number(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.ParseInt(s, 10, 64)
}

func (d *diskpart) assign(words []string) int {
	o, ok := options(words, "letter", "mount")
	if !ok || o["mount"] != "" {
		return d.syntax()
	}
	if d.disk == nil || d.part == nil {
		return d.failed(diskNoVolume)
	}
	if l := o["letter"]; l != "" && Letter(l) == "" {
		return d.syntax()
	}
	return d.end(AssignLetter(d.c, *d.disk, d.part.Number, o["letter"]),
		[4]string{"DiskPart successfully assigned the drive letter or mount point.",
			"DiskPart a correctement assigné la lettre de lecteur ou le point de montage.",
			"Der Laufwerkbuchstabe oder der Bereitstellungspunkt wurde zugewiesen.", "DiskPart はドライブ文字またはマウント ポイントを正常に割り当てました。"})
}

func (d *diskpart) remove(words []string) int {
	o, ok := options(words, "letter", "all", "dismount")
	if !ok {
		return d.syntax()
	}
	if d.disk == nil || d.part == nil {
		return d.failed(diskNoVolume)
	}
	have := d.disk.See.Letters[d.part.Number]
	if have == "" || o["letter"] != "" && Letter(o["letter"]) != have {
		return d.failed(diskBadRequest)
	}
	if have == "C:" {
		return d.failed(diskBoot)
	}
	SetLetter(d.disk.See, d.part.Number, "")
	return 0
}

func (d *diskpart) format(words []string) int {
	o, ok := options(words, "fs", "label", "quick", "override", "unit", "compress", "recommended", "revision", "nowait")
	if !ok {
		return d.syntax()
	}
	if d.disk == nil || d.part == nil {
		return d.failed(diskNoVolume)
	}
	return d.end(FormatPartition(d.c, *d.disk, d.part, o["fs"], o["label"]),
		[4]string{"DiskPart successfully formatted the volume.", "DiskPart a formaté le volume.",
			"DiskPart hat das Volume erfolgreich formatiert.", "DiskPart は正常にボリュームをフォーマットしました。"})
}

func (d *diskpart) uniqueID(words []string) int {
	if d.disk == nil {
		return d.failed(diskNoVolume)
	}
	o, ok := options(words, "id")
	if !ok {
		return d.syntax()
	}
	disk := d.disk.Disk
	if id := strings.Trim(o["id"], "{}"); id != "" {
		if e := d.disk.writable(d.c); e != diskNone {
			return d.failed(e)
		}
		if disk.Style == "GPT" {
			disk.GUID = "{" + strings.ToLower(id) + "}"
			return 0
		}
		n, err := strconv.ParseUint(id, 16, 32)
		if err != nil || disk.Style != "MBR" {
			return d.failed(diskBadRequest)
		}
		disk.Signature = uint32(n)
		return 0
	}
	id := fmt.Sprintf("%08X", disk.Signature)
	if disk.Style == "GPT" {
		id = disk.GUID
	}
	d.out.WriteString(d.c.Pick([4]string{"Disk ID: ", "ID du disque : ", "Datenträger-ID: ", "ディスク ID: "}) + id + "\r\n")
	return 0
}

func (d *diskpart) san(words []string) int {
	policies := map[string]int64{"onlineall": sanOnlineAll, "offlineshared": sanOfflineShared, "offlineall": sanOfflineAll,
		"offlineinternal": 4}
	if len(words) == 0 {
		n, _ := RegValue(d.c, sanKey, "SanPolicy").(int64)
		for name, x := range policies {
			if x == n {
				d.out.WriteString(d.c.Pick([4]string{"SAN Policy  : ", "Stratégie SAN  : ", "SAN-Richtlinie : ",
					"SAN ポリシー  : "}) + name + "\r\n")
			}
		}
		return 0
	}
	o, ok := options(words, "policy")
	n, known := policies[strings.ToLower(o["policy"])]
	if !ok || !known {
		return d.syntax()
	}
	put(d.c.M.Registry, sanKey, "SanPolicy", "dword", n)
	return 0
}
