// Package inventory reads a site file: which machines, how to reach them, which playbook, which
// parameters. It is strict: every mistake is reported with file, line, column and a hint, and
// nothing is touched.
package inventory

import (
	"time"

	"deploy/internal/secret"
	"deploy/internal/yamlx"
)

// Site is a site file, typed. Parameters keep their YAML positions in Positions for later errors.
type Site struct {
	Path        string // the file
	Name        string // `site:`
	Playbook    string // a shipped playbook's name, or a path relative to the site file
	Credentials map[string]Credential
	Nodes       []Node
	Parameters  map[string]any
	// `agents.fetch`: https://HOST/DIRECTORY/ where nodes may get the agent's program, with its last
	// slash; "" for nowhere
	Fetch     string
	Lab       Lab
	Source    []byte // the file's bytes, for the digest
	Positions Positions
	Tree      *yamlx.Node    // the file's values with their places
	Warnings  []*yamlx.Error // what is allowed but probably not meant
	files     []string       // digests of the files that the site names
}

// Node returns a node by name.
func (s *Site) Node(name string) (Node, bool) {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// Position is a place in a file. Line and Col start at 1.
type Position struct{ Line, Col int }

// Positions maps a dotted path ("parameters.cluster.name", "inventory.nodes[0].address") to its
// place.
type Positions map[string]Position

// Credential is a user name and references to secrets, never the secrets.
type Credential struct {
	Username   string
	Password   secret.Ref
	KeyFile    string     // SSH private key
	Passphrase secret.Ref // of the key file
	Agent      bool       // use the SSH agent
}

// Node is one machine of the inventory.
type Node struct {
	Name       string
	Address    string
	Transport  string // winrm (default), ssh, local
	Port       int    // 0 means 5986 or 5985 for winrm, 22 for ssh
	Credential string
	Roles      []string
	Parameters map[string]any // the playbook's node parameters
	WinRM      WinRM
	SSH        SSH
	Agent      string // auto (default), never, always
	Shared     bool   // other sites work on the node too
	Timeout    time.Duration
}

// WinRM are a node's WinRM settings as written in YAML.
type WinRM struct {
	Scheme      string // https (default), http (needs sealed NTLM or Kerberos)
	Auth        string // ntlm (default), basic, kerberos, certificate
	CA          string // PEM file, relative to the site file
	Fingerprint string // SHA-256 of the certificate
	Certificate string // client certificate file
	Key         string // its key file
}

// SSH are a node's SSH settings as written in YAML.
type SSH struct {
	KnownHosts   string
	Fingerprints []string
	AcceptNew    bool
	Config       string
	ProxyJump    string
	Sudo         bool // work as root by sudo
	KeepAlive    time.Duration
}

// Lab describes the machines as delivered, for the embedded lab. Real runs do not read it.
type Lab struct {
	OS       string                // release for every machine: "2003" ... "2025"; default "2008"
	Locale   string                // en (default), fr, de, ja
	Domain   string                // DNS name of the domain
	Machines map[string]LabMachine // by node name
	Disks    []LabDisk
	Faults   []string // fault specifications, see `deploy lab faults`
}

// LabMachine is one machine as delivered.
type LabMachine struct {
	OS       string
	Adapters []LabAdapter
	Media    []string // product media placed on its disk: "exchange-2007-sp1=D:\Exchange"
	DC       bool     // a domain controller with DNS
}

// LabAdapter is one network card.
type LabAdapter struct {
	Name    string // connection name as delivered; "" gives the locale's default
	MAC     string
	Address string // CIDR; "" means DHCP
	Team    bool
}

// LabDisk is one disk of the shared storage.
type LabDisk struct {
	Serial string
	SizeMB int64
	Nodes  []string // who sees it; empty means every cluster node
}

// SystemOf is the operating system that the site itself says of a node, as node.Facts has it, or
// "": WinRM means Windows, and the lab's part names what it delivers.
func (s *Site) SystemOf(name string) string {
	for _, n := range s.Nodes {
		if n.Name == name && n.Transport == "winrm" {
			return "windows"
		}
	}
	m, ok := s.Lab.Machines[name]
	os := m.OS
	if os == "" {
		os = s.Lab.OS
	}
	switch {
	case !ok:
		return ""
	case os == "linux":
		return "linux"
	}
	return "windows"
}
