package clus

import (
	"context"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps/inspect"
)

// wmiView reads root\MSCluster. plain: groups and resources name their owner themselves (2012 and
// later); before that the association classes tell. module: the FailoverClusters cmdlets are there
// for what WMI tells only through methods.
type wmiView struct {
	r             node.Reader
	plain, module bool
}

func (v wmiView) list(ctx context.Context, class string, where map[string]any, props ...string) ([]node.Row, error) {
	return v.ask(ctx, node.WMI{Namespace: Namespace, Class: class, Props: props, Where: where})
}

func (v wmiView) ask(ctx context.Context, q node.WMI) ([]node.Row, error) {
	rows, err := v.r.Query(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s on %s: %w", q.Class, v.r.Facts().Computer, err)
	}
	return rows, nil
}

// The questions of a Reader, so that they can be named in advance.
func nodesQuery() node.WMI {
	return node.WMI{Namespace: Namespace, Class: "MSCluster_Node", Props: []string{"Name", "State"}}
}

func networksQuery() node.WMI {
	return node.WMI{Namespace: Namespace, Class: "MSCluster_Network",
		Props: []string{"Name", "Address", "AddressMask", "Role"}}
}

func groupsQuery(plain bool) node.WMI {
	q := node.WMI{Namespace: Namespace, Class: "MSCluster_ResourceGroup", Props: []string{"Name", "Id", "State"}}
	if plain {
		q.Props = append(q.Props, "OwnerNode", "GroupType")
	}
	return q
}

func resourcesQuery(plain bool) node.WMI {
	q := node.WMI{Namespace: Namespace, Class: "MSCluster_Resource",
		Props: []string{"Name", "Id", "Type", "State", "CoreResource", "PrivateProperties"}}
	if plain {
		q.Props = append(q.Props, "OwnerGroup")
	}
	return q
}

func parentsQuery(class string) node.WMI {
	return node.WMI{Namespace: Namespace, Class: class, Props: []string{"GroupComponent", "PartComponent"}}
}

// Part is a part of the cluster that a Reader reads in one go.
type Part string

// The parts.
const (
	PartNodes     Part = "nodes"
	PartNetworks  Part = "networks"
	PartGroups    Part = "groups"
	PartResources Part = "resources"
)

// Reads are the queries of a Check that opens a Reader and surely reads these parts. On a node
// without a cluster those about the cluster come back as errors that nobody asks for.
func Reads(f node.Facts, parts ...Part) []node.Query {
	out := []node.Query{inspect.ServiceQuery("ClusSvc")}
	if !f.Release.AtLeast(node.WS2008) {
		return out
	}
	plain := f.Release.AtLeast(node.WS2012)
	for _, p := range parts {
		switch p {
		case PartNodes:
			out = append(out, nodesQuery())
		case PartNetworks:
			out = append(out, networksQuery())
		case PartGroups:
			out = append(out, groupsQuery(plain))
			if !plain {
				out = append(out, parentsQuery("MSCluster_NodeToActiveGroup"))
			}
		case PartResources:
			out = append(out, resourcesQuery(plain))
			if !plain {
				out = append(out, parentsQuery("MSCluster_ResourceGroupToResource"))
			}
		}
	}
	return out
}

func (v wmiView) Nodes(ctx context.Context) ([]Member, error) {
	rows, err := v.ask(ctx, nodesQuery())
	var out []Member
	for _, r := range rows {
		out = append(out, Member{Name: r.String("Name"), State: signed(r.Int("State"))})
	}
	return out, err
}

func (v wmiView) Networks(ctx context.Context) ([]Network, error) {
	rows, err := v.ask(ctx, networksQuery())
	var out []Network
	for _, r := range rows {
		out = append(out, Network{Name: r.String("Name"), Address: r.String("Address"), Mask: r.String("AddressMask"),
			Role: r.Int("Role")})
	}
	return out, err
}

func (v wmiView) Groups(ctx context.Context) ([]Group, error) {
	rows, err := v.ask(ctx, groupsQuery(v.plain))
	if err != nil {
		return nil, err
	}
	owners := map[string]string{}
	if !v.plain {
		if owners, err = v.parents(ctx, "MSCluster_NodeToActiveGroup"); err != nil {
			return nil, err
		}
	}
	var out []Group
	for _, r := range rows {
		g := Group{Name: r.String("Name"), State: signed(r.Int("State")), Owner: r.String("OwnerNode"),
			Type: r.Int("GroupType")}
		if !v.plain {
			g.Owner = either(owners, r)
		}
		out = append(out, g)
	}
	return out, nil
}

func (v wmiView) Resources(ctx context.Context) ([]Resource, error) {
	rows, err := v.ask(ctx, resourcesQuery(v.plain))
	if err != nil {
		return nil, err
	}
	groups := map[string]string{}
	if !v.plain {
		if groups, err = v.parents(ctx, "MSCluster_ResourceGroupToResource"); err != nil {
			return nil, err
		}
	}
	var out []Resource
	for _, r := range rows {
		x := Resource{Name: r.String("Name"), ID: r.String("Id"), Type: r.String("Type"), Group: r.String("OwnerGroup"),
			State: signed(r.Int("State")), Core: r.Bool("CoreResource"), Private: embedded(r, "PrivateProperties")}
		if !v.plain {
			x.Group = either(groups, r)
		}
		out = append(out, x)
	}
	return out, nil
}

// parents reads an association and maps each part (by name or id, lower case) to the name of what
// it belongs to. A reference to the parent by id is translated by the caller's list only where the
// provider gives ids; the parents used here (groups, nodes) are keyed by name.
func (v wmiView) parents(ctx context.Context, class string) (map[string]string, error) {
	rows, err := v.ask(ctx, parentsQuery(class))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, r := range rows {
		parent := refKeys(r.String("GroupComponent"))
		name := parent["name"]
		if name == "" {
			name = parent["id"]
		}
		for _, k := range refKeys(r.String("PartComponent")) {
			out[strings.ToLower(k)] = name
		}
	}
	return out, nil
}

func either(m map[string]string, r node.Row) string {
	if s, ok := m[strings.ToLower(r.String("Name"))]; ok {
		return s
	}
	return m[strings.ToLower(r.String("Id"))]
}

// Dependencies asks the cmdlet where there is one; WMI tells an expression only through a method,
// and single terms through an association (Antecedent is what is depended on).
func (v wmiView) Dependencies(ctx context.Context, resource string) ([]string, error) {
	if v.module {
		rows, err := v.r.Query(ctx, node.Cmdlet{Name: "Get-ClusterResourceDependency", Load: Module,
			Params: map[string]any{"Resource": resource}, Select: []string{"DependencyExpression"}})
		if err != nil {
			return nil, fmt.Errorf("cannot read what %q depends on: %w", resource, err)
		}
		if len(rows) == 0 {
			return nil, nil
		}
		return terms(resource, rows[0].String("DependencyExpression"))
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return nil, err
	}
	byKey := map[string]string{}
	for _, r := range all {
		byKey[strings.ToLower(r.Name)] = r.Name
		byKey[strings.ToLower(r.ID)] = r.Name
	}
	rows, err := v.list(ctx, "MSCluster_ResourceToDependentResource", nil, "Antecedent", "Dependent")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range rows {
		if strings.EqualFold(resolve(byKey, r.String("Dependent")), resource) {
			out = append(out, resolve(byKey, r.String("Antecedent")))
		}
	}
	return out, nil
}

func resolve(byKey map[string]string, ref string) string {
	for _, k := range refKeys(ref) {
		if n, ok := byKey[strings.ToLower(k)]; ok {
			return n
		}
	}
	return ""
}

// terms takes "([A]) and ([B])" apart. An "or" outside of brackets cannot be told as a set.
func terms(resource, expr string) ([]string, error) {
	var out []string
	rest := expr
	for {
		open := strings.IndexByte(rest, '[')
		between := rest
		if open >= 0 {
			between = rest[:open]
		}
		if strings.Contains(strings.ToLower(between), "or") {
			return nil, hint.Wrap(fmt.Errorf("cannot tell the dependencies of %q as a set: %s", resource, expr),
				"the resource has a choice among its dependencies; set it by hand")
		}
		if open < 0 {
			return out, nil
		}
		end := strings.IndexByte(rest[open:], ']')
		if end < 0 {
			return nil, fmt.Errorf("cannot read the dependency expression %q of %q", expr, resource)
		}
		out = append(out, rest[open+1:open+end])
		rest = rest[open+end+1:]
	}
}

func (v wmiView) Owners(ctx context.Context, resource, group string) ([]string, error) {
	what := map[string]any{"Resource": resource}
	class, name := "MSCluster_ResourceToPossibleOwner", resource
	if resource == "" {
		what, class, name = map[string]any{"Group": group}, "MSCluster_ResourceGroupToPreferredNode", group
	}
	if v.module {
		rows, err := v.r.Query(ctx, node.Cmdlet{Name: "Get-ClusterOwnerNode", Load: Module, Params: what,
			Select: []string{"OwnerNodes"}})
		if err != nil || len(rows) == 0 {
			return nil, wrap(err, "cannot read the owners of %q", name)
		}
		return rows[0].Strings("OwnerNodes"), nil
	}
	rows, err := v.list(ctx, class, nil, "GroupComponent", "PartComponent")
	if err != nil {
		return nil, err
	}
	id := ""
	if resource != "" {
		all, err := v.Resources(ctx)
		if err != nil {
			return nil, err
		}
		r, _ := FindResource(all, resource)
		id = r.ID
	}
	var out []string
	for _, r := range rows {
		for _, k := range refKeys(r.String("GroupComponent")) {
			if strings.EqualFold(k, name) || (id != "" && strings.EqualFold(k, id)) {
				out = append(out, refKeys(r.String("PartComponent"))["name"])
				break
			}
		}
	}
	return out, nil
}

func (v wmiView) Properties(ctx context.Context, of Object, names []string) (node.Row, error) {
	class, where := instance(of)
	props := names
	if of.Private {
		props = []string{"Name", "PrivateProperties"}
	}
	rows, err := v.list(ctx, class, where, props...)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, NotThere(v.r, "the object", of.Group+of.Resource)
	}
	row := rows[0]
	if of.Private {
		row = embedded(row, "PrivateProperties")
	}
	out := node.Row{}
	for _, n := range names {
		if row.Has(n) {
			out[n] = pick(row, n)
		}
	}
	return out, nil
}

// instance names the WMI instance of an object.
func instance(of Object) (class string, where map[string]any) {
	switch {
	case of.Resource != "":
		return "MSCluster_Resource", map[string]any{"Name": of.Resource}
	case of.Group != "":
		return "MSCluster_ResourceGroup", map[string]any{"Name": of.Group}
	}
	return "MSCluster_Cluster", nil
}

// refKeys takes a WMI object path apart: MSCluster_Resource.Id="…",Name="…" gives its keys by
// lower-case name.
func refKeys(path string) map[string]string {
	out := map[string]string{}
	if i := strings.LastIndex(path, ":"); i >= 0 && !strings.Contains(path[:i], `"`) {
		path = path[i+1:]
	}
	_, rest, ok := strings.Cut(path, ".")
	for ok && rest != "" {
		var key string
		if key, rest, ok = strings.Cut(rest, `="`); !ok {
			break
		}
		var val strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != '"'; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			val.WriteByte(rest[i])
		}
		out[strings.ToLower(strings.TrimPrefix(key, ","))] = val.String()
		rest = strings.TrimPrefix(rest[min(i+1, len(rest)):], ",")
	}
	return out
}

func embedded(r node.Row, name string) node.Row {
	if m, ok := pick(r, name).(map[string]any); ok {
		return node.Row(m)
	}
	return node.Row{}
}

// pick returns a raw value by a name that is compared without case.
func pick(r node.Row, name string) any {
	for k, v := range r {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

// signed turns WMI's unsigned 4294967295 into -1, "unknown".
func signed(n int64) int64 { return int64(int32(uint32(n))) }

func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// Refers says that a WMI reference (an object path) means this resource.
func Refers(ref string, x Resource) bool {
	for _, k := range refKeys(ref) {
		if strings.EqualFold(k, x.Name) || (x.ID != "" && strings.EqualFold(k, x.ID)) {
			return true
		}
	}
	return false
}
