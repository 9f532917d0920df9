package playbooks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"deploy/internal/rules"
	"deploy/internal/yamlx"
	"deploy/internal/yamlx/shape"
	"deploy/inventory"
	"deploy/steps"
)

// maxTasks bounds a program: 50 nodes and 40 steps make 2000.
const maxTasks = 20_000

// Compile checks a site against the playbook and makes the program. The findings are the rules that
// the site does not meet and other warnings, in the order of the rules. A finding with severity
// must, a mistake in the site's parameters or in a step's data is also part of the error, with
// file, line and column; the program is nil then.
func (pb *Playbook) Compile(site *inventory.Site, reg *steps.Registry) (*steps.Program, []Finding, error) {
	c := &compiler{pb: pb, site: site, reg: reg, list: &yamlx.List{}}
	for _, w := range slices.Concat(site.Warnings, pb.Warnings) {
		c.findings = append(c.findings, warning(w))
	}
	c.kinds()
	parameters := c.parameters()
	nodes := c.nodes()
	if err := c.list.Err(); err != nil {
		return nil, c.findings, err
	}
	c.variables(parameters, nodes)
	c.rules()
	if err := c.list.Err(); err != nil {
		return nil, c.findings, err
	}
	prog := c.program()
	if err := c.list.Err(); err != nil {
		return nil, c.findings, err
	}
	return prog, c.findings, nil
}

type compiler struct {
	pb       *Playbook
	site     *inventory.Site
	reg      *steps.Registry
	list     *yamlx.List
	findings []Finding
	vars     variables
	byName   map[string]any // nodes as data
	tasks    map[string]bool
}

// kinds checks that every step uses a kind that there is.
func (c *compiler) kinds() {
	names := c.reg.Names()
	for _, ph := range c.pb.phases {
		for _, s := range ph.steps {
			if _, ok := c.reg.Get(s.kind); !ok {
				hint := shape.Suggest(s.kind, names)
				if strings.HasPrefix(hint, "known:") {
					hint = "`deploy steps` lists the kinds"
				}
				c.list.At(c.pb.File, s.node.Get("uses"), hint, "unknown kind of step %q", s.kind)
			}
		}
	}
}

// sitePos finds a place in the site file: that of the path, or of what is nearest above it.
func (c *compiler) sitePos(path string) (line, col int) {
	for path != "" {
		if p, ok := c.site.Positions[path]; ok {
			return p.Line, p.Col
		}
		path = path[:max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['), 0)]
	}
	for _, key := range []string{"playbook", "site"} {
		if p, ok := c.site.Positions[key]; ok {
			return p.Line, p.Col
		}
	}
	return 1, 1
}

func (c *compiler) atSite(path, hint, format string, args ...any) {
	line, col := c.sitePos(path)
	c.list.Add(&yamlx.Error{File: c.site.Path, Line: line, Col: col, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// tree gives the site's values at a path as a node, from the file or else from the data.
func (c *compiler) tree(path string, data map[string]any, fromFile *yamlx.Node) *yamlx.Node {
	if !fromFile.IsNull() {
		return fromFile
	}
	return yamlx.FromValue(data, path, c.sitePos)
}

func (c *compiler) checker() *shape.Checker {
	out := &shape.Checker{File: c.site.Path, List: c.list, Nodes: []string{},
		Credentials: slices.Sorted(maps.Keys(c.site.Credentials))}
	for _, n := range c.site.Nodes {
		out.Nodes = append(out.Nodes, n.Name)
	}
	if out.Credentials == nil {
		out.Credentials = []string{}
	}
	return out
}

// parameters checks the site's parameters and fills in the defaults.
func (c *compiler) parameters() map[string]any {
	data := c.site.Parameters
	if data == nil {
		data = map[string]any{}
	}
	n := c.tree("parameters", data, c.site.Tree.Get("parameters"))
	out, _ := c.checker().Check(n, c.pb.Parameters).(map[string]any)
	return out
}

// nodes checks roles and node parameters, and gives the nodes as data.
func (c *compiler) nodes() []any {
	var roleNames []string
	count := map[string]int{}
	for _, r := range c.pb.Roles {
		roleNames = append(roleNames, r.Name)
	}
	items := c.site.Tree.Get("inventory").Get("nodes")
	out := []any{}
	for i, n := range c.site.Nodes {
		path := fmt.Sprintf("inventory.nodes[%d]", i)
		roles := []any{}
		for j, r := range n.Roles {
			if !slices.Contains(roleNames, r) {
				c.atSite(fmt.Sprintf("%s.roles[%d]", path, j), shape.Suggest(r, roleNames), "playbook %s has no role %q", c.pb.Name,
					r)
			}
			count[r]++
			roles = append(roles, r)
		}
		data := n.Parameters
		if data == nil {
			data = map[string]any{}
		}
		var fromFile *yamlx.Node
		if items != nil && i < len(items.Items) {
			fromFile = items.Items[i].Get("parameters")
		}
		tree := c.tree(path+".parameters", data, fromFile)
		params, _ := c.checker().Check(tree, c.pb.NodeParameters).(map[string]any)
		out = append(out, map[string]any{"name": n.Name, "address": n.Address, "transport": n.Transport, "roles": roles,
			"parameters": params})
	}
	if c.list.Len() > 0 {
		return out // a misspelt role is not also a missing one
	}
	for _, r := range c.pb.Roles {
		switch n := count[r.Name]; {
		case n < r.Min:
			c.atSite("inventory.nodes", orText(r.Doc, "give nodes the role: roles: ["+r.Name+"]"),
				"%d %s with the role %q; playbook %s needs at least %d", n, plural(n, "node"), r.Name, c.pb.Name, r.Min)
		case r.Max > 0 && n > r.Max:
			c.atSite("inventory.nodes", orText(r.Doc, "take the role from some nodes"),
				"%d %s with the role %q; playbook %s allows at most %d", n, plural(n, "node"), r.Name, c.pb.Name, r.Max)
		}
	}
	return out
}

func orText(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func (c *compiler) variables(parameters map[string]any, nodes []any) {
	c.byName = map[string]any{}
	role := map[string]any{}
	for _, r := range c.pb.Roles {
		role[r.Name] = []any{}
	}
	for _, n := range nodes {
		m := n.(map[string]any)
		c.byName[m["name"].(string)] = m
		for _, r := range m["roles"].([]any) {
			role[r.(string)] = append(role[r.(string)].([]any), n)
		}
	}
	c.vars = variables{"parameters": parameters, "role": role, "nodes": nodes, "site": c.site.Name, "lab": c.lab(),
		"__nodes": c.byName}
}

// lab tells static rules what the site says of its emulated machines: os is a release by node name,
// "" where the site has no lab section. It is not what a real machine runs; that is for probes to
// find out.
func (c *compiler) lab() map[string]any {
	given := !c.site.Tree.Get("lab").IsNull()
	releases := map[string]any{}
	for _, n := range c.site.Nodes {
		release := ""
		if given {
			release = orText(c.site.Lab.Machines[n.Name].OS, c.site.Lab.OS)
		}
		releases[n.Name] = release
	}
	return map[string]any{"os": releases, "domain": c.site.Lab.Domain, "locale": c.site.Lab.Locale}
}

// fail reports an evaluation that went wrong, at its place in the playbook.
func (c *compiler) fail(t *texts, err error) {
	c.list.Add(t.place.err(err))
}

// rules evaluates the rules of the playbook.
func (c *compiler) rules() {
	for _, r := range c.pb.rules {
		for _, vars := range c.repeat(r.each, c.vars) {
			c.rule(r, vars)
		}
	}
	for _, f := range c.findings {
		if f.Severity == rules.Must {
			c.list.Add(f.problem())
		}
	}
}

func (c *compiler) rule(r rule, vars variables) {
	if r.cond != nil {
		if yes, ok := c.truth(r.cond, vars, "if"); !ok || !yes {
			return
		}
	}
	if met, ok := c.truth(r.assert, vars, "assert"); !ok || met {
		return
	}
	path, message, hint := "parameters", r.rule.Text, r.rule.Hint
	if r.at != nil {
		path = c.string(r.at, vars)
	}
	if r.message != nil {
		message = c.string(r.message, vars)
	}
	if r.hint != nil {
		hint = c.string(r.hint, vars)
	}
	line, col := c.sitePos(path)
	c.findings = append(c.findings, Finding{Rule: r.rule.ID, Severity: r.severity, Text: r.rule.Text,
		Message: strings.TrimSpace(message), Hint: strings.TrimSpace(hint),
		Source: r.rule.Source, File: c.site.Path, Line: line, Col: col})
}

// truth evaluates a condition; ok is false when that went wrong, which has then been reported.
func (c *compiler) truth(t *texts, vars variables, key string) (yes, ok bool) {
	v, err := t.eval(vars)
	if err != nil {
		c.fail(t, err)
		return false, false
	}
	yes, ok = v.(bool)
	if !ok {
		c.fail(t, &exprError{msg: fmt.Sprintf("%s gives %s, not true or false", key, valueWord(v)),
			hint: "compare with something"})
	}
	return yes, ok
}

func (c *compiler) string(t *texts, vars variables) string {
	v, err := t.eval(vars)
	if err != nil {
		c.fail(t, err)
		return ""
	}
	s, ok := scalarText(v)
	if !ok {
		c.fail(t, &exprError{msg: fmt.Sprintf("gives %s, not text", valueWord(v)), hint: "give a text or a number"})
	}
	return s
}

// repeat gives the variables for each item, or vars once when nothing is to be repeated.
func (c *compiler) repeat(e *each, vars variables) []variables {
	if e == nil {
		return []variables{vars}
	}
	var items any
	if e.expr != nil {
		v, err := e.expr.eval(vars)
		if err != nil {
			c.fail(e.expr, err)
			return nil
		}
		items = v
	} else {
		items = e.list.eval(vars, func(n *yamlx.Node, err error) { c.list.Add(c.pb.placeOf(n).err(err)) })
	}
	list, ok := items.([]any)
	if !ok && items != nil {
		c.list.At(c.pb.File, e.node, "name a list", "each gives %s, not a list", valueWord(items))
		return nil
	}
	out := make([]variables, 0, len(list))
	for i, item := range list {
		out = append(out, vars.with("item", item).with("index", i))
	}
	return out
}

func (pb *Playbook) placeOf(n *yamlx.Node) place {
	return place{file: pb.File, lines: pb.lines, node: n}
}
