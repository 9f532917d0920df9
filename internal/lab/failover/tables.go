package failover

import (
	"embed"
	"encoding/json"
	"sort"
	"strings"
	"sync"

	"deploy/internal/node"
)

//go:embed data/*.json
var data embed.FS

// Property is one common or private property. Of is the object that has it: cluster, node, group,
// resource, restype, network, netinterface, "cluster/private", "restype/" and a type for the type's
// own private ones, or the resource type whose instances have it.
type Property struct {
	Of      string       `json:"of"`
	Name    string       `json:"name"`
	Type    string       `json:"type"`   // dword, ularge, string, multistr, binary
	Access  string       `json:"access"` // rw, ro
	Since   node.Release `json:"since"`
	Until   node.Release `json:"until,omitempty"` // last release that has it
	Min     *int64       `json:"min,omitempty"`
	Max     *int64       `json:"max,omitempty"`
	Default *int64       `json:"default,omitempty"`
	Note    string       `json:"note,omitempty"`
}

// has says that a release knows the property.
func (p Property) has(rel node.Release) bool {
	return rel.AtLeast(p.Since) && (p.Until == "" || p.Until.AtLeast(rel))
}

// limits returns the range and the default of a number on a release. The heartbeat thresholds grew:
// up to 10 on 2008 and 2008 R2, up to 120 from 2012. UNCONFIRMED: the defaults of 10 and 20 from
// 2016 on.
func (p Property) limits(rel node.Release) (lo, hi, def int64) {
	hi = 0xFFFFFFFF
	if p.Min != nil {
		lo = *p.Min
	}
	if p.Max != nil {
		hi = *p.Max
	}
	if p.Default != nil {
		def = *p.Default
	}
	if p.Type == "ularge" && p.Max == nil {
		hi = 1<<63 - 1
	}
	switch p.Name {
	case "SameSubnetThreshold", "CrossSubnetThreshold":
		if rel.AtLeast(node.WS2012) {
			hi = 120
		}
		if rel.AtLeast(node.WS2016) {
			def = 10
			if p.Name == "CrossSubnetThreshold" {
				def = 20
			}
		}
	}
	return lo, hi, def
}

type wmiClass struct {
	Since   node.Release            `json:"since"`
	Props   []string                `json:"props"`
	Later   map[string]node.Release `json:"later"`
	Methods map[string][]string     `json:"methods"`
}

type cmdletTable struct {
	Remote bool `json:"remote"` // needs CredSSP: not for a network logon
	// parameter to "" or to the one it is an alias of; holds from its release on
	By map[node.Release]map[string]string `json:"by"`
}

// tables are the immutable fact tables of this package, read once. A file that cannot be read is a
// mistake in the program.
type tables struct {
	properties []Property
	classes    map[string]wmiClass
	cmdlets    map[string]cmdletTable
}

var facts = sync.OnceValue(func() tables {
	var t tables
	load := func(name string, into any) {
		b, err := data.ReadFile("data/" + name)
		if err == nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			panic("cannot read " + name + ": " + err.Error())
		}
	}
	var p struct{ Properties []Property }
	load("properties.json", &p)
	t.properties = p.Properties
	var w struct{ Classes map[string]wmiClass }
	load("wmi.json", &w)
	t.classes = w.Classes
	var c struct{ Cmdlets map[string]cmdletTable }
	load("cmdlets.json", &c)
	t.cmdlets = c.Cmdlets
	return t
})

// propertiesOf lists the properties of an object on a release, by name.
func propertiesOf(of string, rel node.Release) []Property {
	var out []Property
	for _, p := range facts().properties {
		if strings.EqualFold(p.Of, of) && p.has(rel) {
			out = append(out, p)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return strings.ToLower(out[i].Name) < strings.ToLower(out[j].Name) })
	return out
}

// params lists the parameters of a cmdlet on a release as machine.Cmdlet takes them ("alias=Name").
func (t cmdletTable) params(rel node.Release) []string {
	var best map[string]string
	for _, r := range node.WindowsReleases() {
		if m, ok := t.By[r]; ok && rel.AtLeast(r) {
			best = m
		}
	}
	if best == nil {
		return nil
	}
	out := make([]string, 0, len(best))
	for p, target := range best {
		if target != "" {
			p += "=" + target
		}
		out = append(out, p)
	}
	sort.Strings(out)
	return out
}
