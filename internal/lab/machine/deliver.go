package machine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/inventory"
)

// localDiskMB is the size of the disk that each machine boots from.
const localDiskMB = 61440

// delivered is the moment at which every machine of a new lab was last booted: fixed, so that equal
// sites make equal worlds.
func delivered() time.Time { return time.Date(2026, 1, 5, 6, 0, 0, 0, time.UTC) }

// Deliver makes the machines of a site as they would be delivered: installed, joined to the domain,
// with their cards, disks and product media, and nothing else done. The forest is only named: the
// directory family fills it. Errors name what in the site's lab section cannot be.
func Deliver(s *inventory.Site) (*model.World, error) {
	w := &model.World{Site: s.Name, Locale: s.Lab.Locale, Machines: map[string]*model.Machine{},
		Disks:    map[string]*model.SharedDisk{},
		Clusters: map[string]*model.Cluster{}}
	if w.Locale == "" {
		w.Locale = "en"
	}
	if l := Locales(); !slices.Contains(l[:], w.Locale) {
		return nil, fmt.Errorf("cannot deliver the machines of %s: locale %q is none of %s", s.Name, w.Locale,
			strings.Join(l[:], ", "))
	}
	if s.Lab.Domain != "" {
		label, _, _ := strings.Cut(s.Lab.Domain, ".")
		w.Forest = &model.Forest{Domain: s.Lab.Domain, NetBIOS: strings.ToUpper(label), Objects: map[string]*model.Object{},
			Zones: map[string]*model.Zone{}, Users: map[string]string{}}
	}
	primary := false
	for i, name := range machineNames(s) {
		n, _ := s.Node(name)
		lm := s.Lab.Machines[name]
		m, err := deliverOne(w, s, n, name, lm, i)
		if err != nil {
			return nil, fmt.Errorf("cannot deliver %s: %w", name, err)
		}
		if lm.DC && w.Forest == nil {
			return nil, fmt.Errorf("cannot deliver %s: a domain controller needs lab.domain", name)
		}
		if lm.DC {
			m.Role = 4
			if !primary {
				m.Role, primary = 5, true
			}
			asDomainController(m)
		}
		w.Machines[strings.ToLower(name)] = m
	}
	if err := deliverDisks(w, s); err != nil {
		return nil, fmt.Errorf("cannot deliver the disks of %s: %w", s.Name, err)
	}
	return w, nil
}

// machineNames lists the inventory's nodes in their order, then machines that only the lab has.
func machineNames(s *inventory.Site) []string {
	var names []string
	for _, n := range s.Nodes {
		names = append(names, n.Name)
	}
	for _, n := range sortedKeys(s.Lab.Machines) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// version is what a release is called inside and which PowerShell it comes with. 2003 and 2008 have
// WMF 2.0. Source: Win32_OperatingSystem, OSVERSIONINFOEX; windows.md 12.1.
type version struct {
	version    string
	build, sp  int
	powershell string
	product    string
	release    int64 // .NET 4's Release value; 0 without it
}

func versions() map[node.Release]version {
	return map[node.Release]version{
		node.WS2003:   {"5.2.3790", 3790, 2, "2.0", "Microsoft Windows Server 2003", 0},
		node.WS2008:   {"6.0.6002", 6002, 2, "2.0", "Windows Server (R) 2008 Enterprise", 0},
		node.WS2008R2: {"6.1.7601", 7601, 1, "2.0", "Windows Server 2008 R2 Enterprise", 0},
		node.WS2012:   {"6.2.9200", 9200, 0, "3.0", "Windows Server 2012 Datacenter", 378389},
		node.WS2012R2: {"6.3.9600", 9600, 0, "4.0", "Windows Server 2012 R2 Datacenter", 378675},
		node.WS2016:   {"10.0.14393", 14393, 0, "5.1", "Windows Server 2016 Datacenter", 394802},
		node.WS2019:   {"10.0.17763", 17763, 0, "5.1", "Windows Server 2019 Datacenter", 461814},
		node.WS2022:   {"10.0.20348", 20348, 0, "5.1", "Windows Server 2022 Datacenter", 528449},
		node.WS2025:   {"10.0.26100", 26100, 0, "5.1", "Windows Server 2025 Datacenter", 533325},
	}
}

func deliverOne(w *model.World, s *inventory.Site, n inventory.Node, name string, lm inventory.LabMachine,
	index int) (*model.Machine, error) {
	release := node.Release(strings.ToLower(lm.OS))
	if release == "" {
		release = node.Release(strings.ToLower(s.Lab.OS))
	}
	if release == "" {
		release = node.WS2008
	}
	v, ok := versions()[release]
	if !ok {
		return nil, fmt.Errorf("there is no release %q", release)
	}
	m := &model.Machine{Name: name, Release: release, Version: v.version, Build: v.build, SP: v.sp, Locale: w.Locale,
		PSVer: v.powershell,
		Role:  2, Powered: true, Boots: 1, Booted: delivered().Add(time.Duration(index) * time.Minute),
		Registry: model.Registry{}, Services: map[string]*model.Service{}, Files: map[string]*model.File{},
		Features: map[string]bool{}, Products: map[string]*model.Product{}, Tasks: map[string]*model.Task{},
		Jobs: map[string]*model.Job{}}
	if w.Forest != nil {
		m.Domain, m.Role = w.Forest.Domain, 3
	}
	deliverLocalDisk(w, m)
	if err := deliverAdapters(w, m, n, lm.Adapters, index); err != nil {
		return nil, err
	}
	deliverFiles(m)
	deliverRegistry(m, v)
	for _, b := range baseServices() {
		if b.on(release) {
			AddService(m, b.service(w.Locale))
		}
	}
	for _, f := range features() {
		if f.builtin != "" && release.AtLeast(f.builtin) && f.on(release) {
			m.Features[f.id] = true
		}
	}
	for _, media := range lm.Media {
		if err := placeMedia(w, m, media); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func deliverLocalDisk(w *model.World, m *model.Machine) {
	serial := "LOCAL-" + m.Name
	w.Disks[serial] = &model.SharedDisk{Serial: serial, SizeMB: localDiskMB, Style: "MBR",
		Signature: uint32(w.Next()*2654435761 | 1),
		Partitions: []*model.Partition{{Number: 1, OffsetKB: alignedKB, SizeMB: 40960, FS: "NTFS",
			VolumeID: `\\?\Volume` + strings.ToLower(GUID(w)) + `\`}}}
	m.Visible = append(m.Visible, &model.VisibleDisk{Serial: serial, Number: 0, Local: true,
		Letters: map[int]string{1: "C:"}})
}

// defaultConnection is the name that Windows gives a card's connection. Until 2008 R2 it is in the
// language of the machine; from 2012 it is Ethernet, which only Japanese writes in its own letters.
// Further ones are numbered from 2 on.
func defaultConnection(m *model.Machine, n int) string {
	t := [4]string{"Local Area Connection", "Connexion au réseau local", "LAN-Verbindung", "ローカル エリア接続"}
	if m.Release.AtLeast(node.WS2012) {
		t = [4]string{"Ethernet", "Ethernet", "Ethernet", "イーサネット"}
	}
	name := pick(m.Locale, t)
	if n > 1 {
		name = fmt.Sprintf("%s %d", name, n)
	}
	return name
}

func deliverAdapters(w *model.World, m *model.Machine, n inventory.Node, list []inventory.LabAdapter, index int) error {
	if len(list) == 0 {
		a := inventory.LabAdapter{}
		if ip, err := netip.ParseAddr(n.Address); err == nil && ip.Is4() && !ip.IsLoopback() {
			a.Address = ip.String() + "/24"
		}
		list = []inventory.LabAdapter{a}
	}
	unnamed := 0
	for i, la := range list {
		name := la.Name
		if name == "" {
			unnamed++
			name = defaultConnection(m, unnamed)
		}
		mac := strings.ToUpper(strings.ReplaceAll(la.MAC, "-", ":"))
		if mac == "" {
			mac = fmt.Sprintf("00:15:5D:%02X:%02X:%02X", 0x10+index/250, index%250, i+1)
		}
		desc := "Intel(R) PRO/1000 MT Network Connection"
		if la.Team {
			desc = "BASP Virtual Adapter"
		}
		if i > 0 {
			desc = fmt.Sprintf("%s #%d", desc, i+1)
		}
		a := &model.Adapter{GUID: GUID(w), Index: 7 + i, Name: name, Desc: desc, MAC: mac, Team: la.Team, FullReg: true,
			IPv6: m.Release.AtLeast(node.WS2008)}
		if la.Address == "" {
			a.DHCP = true
			a.Addresses = []string{apipa(a)}
		} else {
			p, err := netip.ParsePrefix(la.Address)
			if err != nil {
				return fmt.Errorf("%q is not an address with a prefix length", la.Address)
			}
			a.Addresses = []string{p.String()}
		}
		m.Adapters = append(m.Adapters, a)
	}
	return nil
}

// apipa is the address that a card without a DHCP server takes, made of its MAC address so that it
// is the same every time.
func apipa(a *model.Adapter) string {
	var b [6]int
	_, _ = fmt.Sscanf(a.MAC, "%X:%X:%X:%X:%X:%X", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5])
	return fmt.Sprintf("169.254.%d.%d/16", 1+(b[3]+b[4])%254, 1+(b[4]*16+b[5])%254)
}

func deliverFiles(m *model.Machine) {
	dirs := []string{`C:\Windows`, `C:\Windows\system32`, `C:\Windows\system32\drivers`, `C:\Windows\system32\drivers\etc`,
		`C:\Windows\Temp`,
		`C:\Windows\inf`, `C:\Program Files`, `C:\Program Files (x86)`}
	if m.Release.AtLeast(node.WS2008) {
		dirs = append(dirs, `C:\Users`, `C:\Users\Public`, `C:\ProgramData`)
	} else {
		dirs = append(dirs, `C:\Documents and Settings`)
	}
	for _, d := range dirs {
		addFile(m, d, true, nil)
	}
	addFile(m, `C:\Windows\system32\drivers\etc\hosts`, false, []byte("127.0.0.1       localhost\r\n"))
}

func addFile(m *model.Machine, path string, dir bool, data []byte) {
	m.Files[strings.ToLower(path)] = &model.File{Path: path, Dir: dir, Data: data, Modified: delivered()}
}

// placeMedia puts a product's media ("exchange-2007-sp1=D:\Exchange") on the machine: a directory
// with its setup program, on a local volume that is made for it when the letter is not there. What
// the program does is the product's family's business: it finds the media by Extra["media"],
// lower-case directory to product key.
func placeMedia(w *model.World, m *model.Machine, media string) error {
	key, path, ok := strings.Cut(media, "=")
	letter := ""
	if len(path) > 2 && path[1] == ':' {
		letter = Letter(path[:1])
	}
	if !ok || key == "" || letter == "" || path[2] != '\\' {
		return fmt.Errorf(`media %q is not product=X:\directory`, media)
	}
	path = letter + strings.TrimRight(path[2:], `\`)
	if v := m.Visible[0]; !slices.Contains(lettersOf(v), letter) {
		d := w.Disks[v.Serial]
		last := d.Partitions[len(d.Partitions)-1]
		p := &model.Partition{Number: last.Number + 1, OffsetKB: last.OffsetKB + last.SizeMB*1024, SizeMB: 8192, FS: "NTFS",
			Label:    "MEDIA",
			VolumeID: `\\?\Volume` + strings.ToLower(GUID(w)) + `\`}
		if len(d.Partitions) >= 3 {
			return fmt.Errorf("media %q needs a fourth local volume", media)
		}
		d.Partitions = append(d.Partitions, p)
		SetLetter(v, p.Number, letter)
	}
	at := path[:2]
	for _, part := range strings.Split(path[3:], `\`) {
		if part == "" {
			continue
		}
		at += `\` + part
		addFile(m, at, true, nil)
	}
	for _, f := range []string{"setup.com", "setup.exe"} {
		addFile(m, at+`\`+f, false, []byte(key))
	}
	if m.Extra == nil {
		m.Extra = map[string]map[string]string{}
	}
	if m.Extra["media"] == nil {
		m.Extra["media"] = map[string]string{}
	}
	m.Extra["media"][strings.ToLower(at)] = key
	return nil
}

func lettersOf(v *model.VisibleDisk) []string {
	var out []string
	for _, l := range v.Letters {
		out = append(out, l)
	}
	return out
}

// deliverDisks shows the shared disks to their machines: raw, and on 2008 and later offline and
// read-only, as disks on a shared bus come up there by the default SAN policy of Enterprise and
// Datacenter. Each machine numbers them in an order of its own.
func deliverDisks(w *model.World, s *inventory.Site) error {
	for _, d := range s.Lab.Disks {
		switch {
		case d.Serial == "" || w.Disks[d.Serial] != nil:
			return fmt.Errorf("serial number %q is missing or there twice", d.Serial)
		case d.SizeMB < 8:
			return fmt.Errorf("disk %s of %d MB is too small", d.Serial, d.SizeMB)
		}
		w.Disks[d.Serial] = &model.SharedDisk{Serial: d.Serial, SizeMB: d.SizeMB, Style: "RAW"}
	}
	for i, name := range machineNames(s) {
		m := w.Machines[strings.ToLower(name)]
		var seen []string
		for _, d := range s.Lab.Disks {
			if slices.Contains(d.Nodes, name) || len(d.Nodes) == 0 && clusterNode(s, name) {
				seen = append(seen, d.Serial)
			}
		}
		for k, serial := range seen {
			offline := m.Release.AtLeast(node.WS2008)
			number := 1 + (k+i)%len(seen)
			if len(seen) == 1 {
				number = 1 + i
			}
			m.Visible = append(m.Visible, &model.VisibleDisk{Serial: serial, Number: number, Offline: offline,
				ReadOnly: offline})
		}
	}
	for _, d := range s.Lab.Disks {
		for _, n := range d.Nodes {
			if w.Machines[strings.ToLower(n)] == nil {
				return fmt.Errorf("disk %s is for %s, which is no machine of the site", d.Serial, n)
			}
		}
	}
	return nil
}

// clusterNode says that a machine is cabled to the shared storage: it has the role cluster, or, in
// a site without that role, it is no domain controller.
func clusterNode(s *inventory.Site, name string) bool {
	any := false
	for _, n := range s.Nodes {
		if slices.Contains(n.Roles, "cluster") {
			any = true
			if n.Name == name {
				return true
			}
		}
	}
	return !any && !s.Lab.Machines[name].DC
}
