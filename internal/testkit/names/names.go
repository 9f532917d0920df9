// Package names holds every cmdlet, parameter, WMI class, property, method and cluster property
// that a step uses against tables of what real systems have. The tables in testdata are extracts of
// recordings and of the vendor's documentation (their source is named in them); `go run
// ./internal/testkit/names/gen FACTS` makes them anew.
package names

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"

	"deploy/internal/node"
)

// Table is an extract of one environment: cmdlets or classes by name, their members by name.
type Table struct {
	Environment string                    `json:"environment"`
	Source      string                    `json:"source"`
	Entries     map[string]map[string]any `json:"entries"`
}

// Tables are all environments by their short name ("server-2012", "wmi-mscluster-documented").
type Tables map[string]Table

// Load reads the tables.
func Load(path string) (Tables, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the tables: %w", err)
	}
	var t Tables
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, fmt.Errorf("cannot read the tables: %w", err)
	}
	return t, nil
}

// cmdletTables names the environments that have to hold a cmdlet for a release: one of each inner
// list's is enough. For Windows Server 2008 R2's FailoverClusters module no recording exists;
// 2012's documentation, nearly a superset, stands in. For ServerManager on 2016 and 2019, which the
// documentation leaves out, the releases on both sides must have it.
func cmdletTables(r node.Release) [][]string {
	switch r {
	case node.WS2003, node.WS2008:
		return [][]string{{"powershell-2.0"}}
	case node.WS2008R2:
		return [][]string{{"powershell-2.0", "server-2012"}}
	case node.WS2012:
		return [][]string{{"server-2012", "powershell-3.0"}}
	case node.WS2012R2:
		return [][]string{{"server-2012r2", "powershell-4.0"}}
	case node.WS2016, node.WS2019:
		return [][]string{{"server-" + string(r), "powershell-5.1", "server-2012r2"},
			{"server-" + string(r), "powershell-5.1", "server-2022"}}
	}
	return [][]string{{"server-" + string(r), "powershell-5.1"}}
}

// wmiTables are the environments for a namespace and a release; all of them have to hold the class.
func wmiTables(namespace string, r node.Release) []string {
	recorded := func(name string) []string {
		switch r {
		case node.WS2019:
			return []string{"wmi-2019-" + name}
		case node.WS2022, node.WS2025:
			return []string{"wmi-23h2-" + name}
		}
		return nil
	}
	switch strings.ToLower(namespace) {
	case `root\cimv2`:
		return append([]string{"wmi-cimv2-documented"}, recorded("cimv2")...)
	case `root\mscluster`:
		return append([]string{"wmi-mscluster-documented"}, recorded("mscluster")...)
	case `root\standardcimv2`:
		return []string{"wmi-2019-standardcimv2"}
	case `root\microsoft\windows\storage`:
		return []string{"wmi-2019-storage"}
	}
	return nil
}

// Check returns everything that a call names and that no table knows.
func (t Tables) Check(c node.Call) []error {
	switch {
	case c.Cmdlet != "":
		return t.cmdlet(c)
	case c.WMI != "":
		return t.wmi(c)
	case c.Property != "":
		return t.property(c)
	case c.Tool != "":
		if c.Source == "" {
			return []error{fmt.Errorf("tool %s names no source", c.Tool)}
		}
		return nil
	}
	return []error{fmt.Errorf("a call that names nothing: %+v", c)}
}

// find looks a name up in one table, without case.
func (t Tables) find(table, name string) (map[string]any, bool) {
	for n, e := range t[table].Entries {
		if strings.EqualFold(n, name) {
			return e, true
		}
	}
	return nil, false
}

func (t Tables) cmdlet(c node.Call) []error {
	if len(c.On) == 0 {
		return []error{fmt.Errorf("cmdlet %s is claimed for no release", c.Cmdlet)}
	}
	var errs []error
	for _, r := range c.On {
		groups := cmdletTables(r)
		if c.Product != "" {
			groups = [][]string{{c.Product}}
		}
		for _, group := range groups {
			var have map[string]any
			found := false
			for _, name := range group {
				if have, found = t.find(name, c.Cmdlet); found {
					break
				}
			}
			if !found {
				errs = append(errs, fmt.Errorf("cmdlet %s is in none of %v (claimed for %s)", c.Cmdlet, group, r))
				continue
			}
			for _, p := range c.Params {
				if !member(have, p) {
					errs = append(errs, fmt.Errorf("cmdlet %s has no parameter %s in %v (claimed for %s)", c.Cmdlet, p, group, r))
				}
			}
		}
		if c.Product != "" {
			break // a product's shell does not differ by Windows release
		}
	}
	return errs
}

// member says that an entry has a parameter or property; common parameters belong to every cmdlet.
func member(have map[string]any, name string) bool {
	for n := range have {
		if strings.EqualFold(strings.TrimSuffix(n, "[]"), name) {
			return true
		}
	}
	switch strings.ToLower(name) {
	case "erroraction", "warningaction", "verbose", "debug":
		return true
	}
	return false
}

func (t Tables) wmi(c node.Call) []error {
	namespace, class, ok := strings.Cut(c.WMI, ":")
	if !ok {
		return []error{fmt.Errorf("%q is not namespace:class", c.WMI)}
	}
	if len(c.On) == 0 {
		return []error{fmt.Errorf("class %s is claimed for no release", c.WMI)}
	}
	var errs []error
	for _, r := range c.On {
		tables := wmiTables(namespace, r)
		if len(tables) == 0 {
			if c.Source == "" {
				errs = append(errs, fmt.Errorf("no table has namespace %s, and the call of %s names no source", namespace, class))
			}
			continue
		}
		for _, table := range tables {
			errs = append(errs, t.class(table, class, r, c)...)
		}
	}
	return errs
}

func (t Tables) class(table, class string, r node.Release, c node.Call) []error {
	props, methods, since, ok := t.members(table, class, 0)
	if !ok {
		return []error{fmt.Errorf("class %s is not in %s (claimed for %s)", class, table, r)}
	}
	var errs []error
	// the documentation's oldest is 2008 for everything that was there before as well
	if first := sinceRelease(since); first != "" && first != node.WS2008 && !r.AtLeast(first) {
		errs = append(errs, fmt.Errorf("class %s is there since %s (claimed for %s)", class, first, r))
	}
	for _, p := range c.Props {
		p, _, _ = strings.Cut(p, ".")
		if !member(props, p) && !strings.HasPrefix(p, "__") {
			errs = append(errs, fmt.Errorf("class %s has no property %s in %s (claimed for %s)", class, p, table, r))
		}
	}
	if c.Method == "" {
		return errs
	}
	m, ok := methods[strings.ToLower(c.Method)]
	if !ok {
		return append(errs, fmt.Errorf("class %s has no method %s in %s (claimed for %s)", class, c.Method, table, r))
	}
	for _, a := range c.Args {
		if !regexp.MustCompile(`(?i)\b`+regexp.QuoteMeta(a)+`\b`).MatchString(m) && !t.optional(class, c.Method, a) {
			errs = append(errs, fmt.Errorf("method %s.%s has no argument %s in %s (claimed for %s): %s", class, c.Method, a,
				table, r, m))
		}
	}
	return errs
}

// optional says that the documentation has an argument and calls it optional. The recordings leave
// optional arguments out (SetGateways without GatewayCostMetric shows it), so they cannot speak
// against one.
func (t Tables) optional(class, method, arg string) bool {
	for _, table := range []string{"wmi-cimv2-documented", "wmi-mscluster-documented"} {
		_, methods, _, _ := t.members(table, class, 0)
		if regexp.MustCompile(`(?i)\[in, optional\] [a-z0-9]+ ` + regexp.QuoteMeta(arg) +
			`\b`).MatchString(methods[strings.ToLower(method)]) {
			return true
		}
	}
	return false
}

// members collects a class's properties and methods with those that it inherits.
func (t Tables) members(table, class string, depth int) (props map[string]any, methods map[string]string, since string,
	ok bool) {
	e, ok := t.find(table, class)
	if !ok || depth > 10 {
		return nil, nil, "", false
	}
	props, methods = map[string]any{}, map[string]string{}
	if base, _ := e["$base"].(string); base != "" {
		if p, m, _, ok := t.members(table, base, depth+1); ok {
			props, methods = p, m
		}
	}
	for n, v := range e {
		switch n {
		case "$methods":
			for name, d := range v.(map[string]any) {
				b, _ := json.Marshal(d)
				methods[strings.ToLower(name)] = string(b)
			}
		case "$since":
			since, _ = v.(string)
		case "$base", "$module":
		default:
			props[n] = v
		}
	}
	return props, methods, since, true
}

func sinceRelease(s string) node.Release {
	s = strings.TrimPrefix(strings.ToLower(strings.ReplaceAll(s, "\u00a0", " ")), "windows server ")
	return node.Release(strings.ReplaceAll(strings.TrimSpace(s), " ", ""))
}

func (t Tables) property(c node.Call) []error {
	var owners []string
	found := false
	for key, e := range t["cluster-properties"].Entries {
		name, _ := e["property"].(string)
		if !strings.EqualFold(name, c.Property) && !strings.EqualFold(key, c.Property) {
			continue
		}
		found = true
		of, _ := e["of"].([]any)
		if len(of) == 0 {
			return nil // the documentation does not tell whose it is
		}
		for _, o := range of {
			s, _ := o.(string)
			if c.Of == "" || strings.EqualFold(s, c.Of) {
				return nil
			}
			owners = append(owners, s)
		}
	}
	if !found {
		// the cluster's own common properties are those of its class
		if props, _, _, ok := t.members("wmi-mscluster-documented", "MSCluster_Cluster", 0); ok && member(props, c.Property) {
			return nil
		}
		return []error{fmt.Errorf("cluster property %s is in no table", c.Property)}
	}
	return []error{fmt.Errorf("cluster property %s belongs to %v, not to %s", c.Property, owners, c.Of)}
}
