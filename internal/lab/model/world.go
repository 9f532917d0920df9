// Package model is the state of the lab: pure data, saved as JSON. What machines do with it is in
// package machine and its siblings. Everything here is guarded by World's lock, which a request
// holds from its first look to its answer.
package model

import (
	"strings"
	"sync"
	"time"

	"deploy/internal/node"
)

// World is all machines of one lab and what they share.
type World struct {
	mu       sync.Mutex
	Site     string                 `json:"site"`
	Locale   string                 `json:"locale"` // en, fr, de, ja
	Serial   int64                  `json:"serial"` // source of made-up ids; grows by one
	Machines map[string]*Machine    `json:"machines"`
	Disks    map[string]*SharedDisk `json:"disks"`    // by serial number
	Clusters map[string]*Cluster    `json:"clusters"` // by lower-case name
	Forest   *Forest                `json:"forest,omitempty"`
	Faults   []*Fault               `json:"faults,omitempty"`
	// command lines and requests, kept in a file of its own; never part of the state
	History []HistoryEntry `json:"-"`
}

// Lock takes the world.
func (w *World) Lock() { w.mu.Lock() }

// Unlock gives it back.
func (w *World) Unlock() { w.mu.Unlock() }

// Next makes a number that was not used before in this world; ids are made of it, so that equal
// runs make equal worlds.
func (w *World) Next() int64 { w.Serial++; return w.Serial }

// Machine returns a machine by host name, without case; a dotted name is cut at the first dot.
func (w *World) Machine(name string) *Machine {
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	return w.Machines[name]
}

// HistoryEntry is one thing that was asked of a machine.
type HistoryEntry struct {
	Time    time.Time `json:"time"`
	Machine string    `json:"machine"`
	User    string    `json:"user"`
	What    string    `json:"what"` // a command line, or a request with its arguments
}

// Machine is one emulated computer.
type Machine struct {
	Name     string       `json:"name"` // NetBIOS name, upper case as Windows shows it is not kept: as written in the site
	Release  node.Release `json:"release"`
	Version  string       `json:"version"` // "6.0.6002"
	Build    int          `json:"build"`
	SP       int          `json:"sp"`
	Locale   string       `json:"locale"`
	Domain   string       `json:"domain"` // DNS domain; "" in a workgroup
	Role     int          `json:"role"`   // Win32_ComputerSystem.DomainRole
	PSVer    string       `json:"powershell"`
	Powered  bool         `json:"powered"`
	Boots    int          `json:"boots"` // number of boots; with Booted it makes LastBootUpTime
	Booted   time.Time    `json:"booted"`
	Registry Registry     `json:"registry"`
	Services map[string]*Service
	Files    map[string]*File    `json:"files"` // by lower-case full path without a trailing backslash
	Adapters []*Adapter          `json:"adapters"`
	Visible  []*VisibleDisk      `json:"visible_disks"`
	Features map[string]bool     `json:"features"` // installed roles, role services and features by id
	Products map[string]*Product `json:"products"` // by key: "exchange-2007"
	Tasks    map[string]*Task    `json:"tasks"`    // scheduled tasks by lower-case name
	Jobs     map[string]*Job     `json:"jobs"`     // resident jobs by id
	Pending  map[string]string   `json:"pending_reboot,omitempty"`
	// small state of families that need no type of their own
	Extra map[string]map[string]string `json:"extra,omitempty"`
}

// Registry maps a lower-case key path (hklm\...) to the key. Parents are always there.
type Registry map[string]*Key

// Key is one registry key.
type Key struct {
	Path   string            `json:"path"`             // as first written
	Values map[string]*Value `json:"values,omitempty"` // by lower-case name
}

// Value is one registry value. Type: string expand binary dword qword multi none, or unknown for
// any other one. It keeps its Go type over JSON, see UnmarshalJSON.
type Value struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Data any    `json:"data"` // string, int64 (dword, qword), []byte (binary, none, unknown; base64 in JSON), []string (multi)
}

// Service is one Windows service. Start as in the registry: 0 boot 1 system 2 auto 3 demand 4
// disabled.
type Service struct {
	Name    string `json:"name"`
	Display string `json:"display"` // in the machine's language
	// service type as in the registry: 16 own process, 32 shared process; 0 is 32
	Kind int `json:"kind,omitempty"`
	// marked for deletion (1072) until it has stopped or the machine restarted
	Deleted     bool     `json:"deleted,omitempty"`
	Start       int      `json:"start"`
	Delayed     bool     `json:"delayed,omitempty"`
	State       int      `json:"state"` // 1 stopped 2 start pending 3 stop pending 4 running
	Account     string   `json:"account"`
	Path        string   `json:"path"`
	DependsOn   []string `json:"depends_on,omitempty"`
	AutoAtStart bool     `json:"-"`
}

// File is a file or directory.
type File struct {
	Path     string    `json:"path"`
	Dir      bool      `json:"dir,omitempty"`
	Data     []byte    `json:"data,omitempty"`
	Modified time.Time `json:"modified"`
	SDDL     string    `json:"sddl,omitempty"`  // "" inherits
	Owner    string    `json:"owner,omitempty"` // SID, or its two letters in SDDL; "" is whoever made it
	ReadOnly bool      `json:"readonly,omitempty"`
	// Volatile files are logs and reports: they say when something was done and are no part of the
	// state that runs are compared by.
	Volatile bool `json:"volatile,omitempty"`
}

// Adapter is one network card with its IP settings.
type Adapter struct {
	GUID      string   `json:"guid"` // {…}, upper case
	Index     int      `json:"index"`
	Name      string   `json:"name"` // connection name, localised as delivered
	Desc      string   `json:"description"`
	MAC       string   `json:"mac"` // 00:15:5D:00:00:01
	Team      bool     `json:"team,omitempty"`
	DHCP      bool     `json:"dhcp"`
	Addresses []string `json:"addresses"` // CIDR
	Gateways  []string `json:"gateways,omitempty"`
	DNS       []string `json:"dns,omitempty"`
	FullReg   bool     `json:"full_dns_registration"`
	DomainReg bool     `json:"domain_dns_registration"`
	Netbios   int      `json:"netbios"` // 0 default 1 on 2 off
	Metric    int      `json:"metric"`  // 0 automatic
	LinkDown  bool     `json:"link_down,omitempty"`
	IPv6      bool     `json:"ipv6"`
	Tentative bool     `json:"tentative,omitempty"` // its addresses are new, and may not be shown yet
}

// SharedDisk is one disk (LUN) of the shared storage, or the local disk of one machine (serial
// "LOCAL-<machine>").
type SharedDisk struct {
	Serial     string       `json:"serial"`
	SizeMB     int64        `json:"size_mb"`
	Style      string       `json:"style"`               // RAW, MBR, GPT
	Signature  uint32       `json:"signature,omitempty"` // MBR
	GUID       string       `json:"guid,omitempty"`      // GPT
	Dynamic    bool         `json:"dynamic,omitempty"`
	Partitions []*Partition `json:"partitions,omitempty"`
	Owner      string       `json:"owner,omitempty"` // machine that holds the cluster's reservation
	// content, by lower-case path below the root without the letter ("\exch\db.edb")
	Files map[string]*File `json:"files,omitempty"`
}

// Partition is one partition with its volume.
type Partition struct {
	Number   int    `json:"number"`
	OffsetKB int64  `json:"offset_kb"`
	SizeMB   int64  `json:"size_mb"`
	FS       string `json:"fs"` // "" is raw
	Label    string `json:"label,omitempty"`
	VolumeID string `json:"volume_id"`          // \\?\Volume{…}\
	Reserved bool   `json:"reserved,omitempty"` // the Microsoft reserved partition of a GPT disk: it has no volume
}

// VisibleDisk is a shared or local disk as one machine sees it. Number is a result of the machine's
// own scan, not an identity.
type VisibleDisk struct {
	Serial   string         `json:"serial"`
	Number   int            `json:"number"`
	Local    bool           `json:"local,omitempty"`
	Offline  bool           `json:"offline"`
	ReadOnly bool           `json:"read_only"`
	Letters  map[int]string `json:"letters,omitempty"` // partition number to "E:"
	Missing  bool           `json:"missing,omitempty"` // unplugged by a fault
}

// Product is one installed product on one machine; its meaning belongs to the family that emulates
// it.
type Product struct {
	Key     string            `json:"key"`
	Version string            `json:"version"`
	Path    string            `json:"path"`
	Roles   []string          `json:"roles,omitempty"`
	Data    map[string]string `json:"data,omitempty"`
}

// Task is a scheduled task.
type Task struct {
	Name    string `json:"name"`
	Command string `json:"command"`
	User    string `json:"user"`
}

// Job is a resident job (job.start): a scheduled task run once, with an exit file and an output
// file.
type Job struct {
	ID      string    `json:"id"`
	Argv    []string  `json:"argv,omitempty"`
	Phase   string    `json:"phase"` // running, done, lost
	Code    int       `json:"code"`
	Output  []byte    `json:"output,omitempty"`
	Started time.Time `json:"started"`
	Boot    int       `json:"boot"` // the boot it runs in: after another boot it is lost
	User    string    `json:"user"`
}

// Fault is one misbehaviour on request. See package lab for the words.
type Fault struct {
	Kind    string            `json:"kind"`
	Machine string            `json:"machine,omitempty"`
	Args    map[string]string `json:"args,omitempty"`
	Times   int               `json:"times"` // how often it still strikes; -1 always
}

// Has says whether a fault of that kind may still hit machine.
func (w *World) Has(kind, machine string) bool {
	for _, f := range w.Faults {
		if f.Kind == kind && f.Times != 0 && (f.Machine == "" || strings.EqualFold(f.Machine, machine)) {
			return true
		}
	}
	return false
}

// Strike says whether a fault of that kind hits machine now, and uses it up. Args are the fault's
// own.
func (w *World) Strike(kind, machine string, match func(args map[string]string) bool) (map[string]string, bool) {
	for _, f := range w.Faults {
		if f.Kind != kind || f.Times == 0 || (f.Machine != "" && !strings.EqualFold(f.Machine, machine)) {
			continue
		}
		if match != nil && !match(f.Args) {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return f.Args, true
	}
	return nil, false
}
