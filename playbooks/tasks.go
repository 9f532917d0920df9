package playbooks

import (
	"errors"
	"fmt"
	"strings"

	"deploy/internal/node"
	"deploy/internal/rules"
	"deploy/internal/yamlx"
	"deploy/internal/yamlx/shape"
	"deploy/steps"
)

// program makes the tasks of every phase.
func (c *compiler) program() *steps.Program {
	prog := &steps.Program{Site: c.site.Name, SiteDigest: c.site.Digest(), Playbook: c.pb.Name,
		PlaybookDigest: c.pb.Digest(), Roles: map[string][]string{}}
	c.tasks = map[string]bool{}
	used := map[string]bool{}
	for _, ph := range c.pb.phases {
		out := steps.Phase{ID: ph.id, Title: ph.title, Needs: ph.needs, OnFailure: ph.policy}
		for _, s := range ph.steps {
			if s.never {
				continue
			}
			g := steps.Group{StepID: s.id, Title: s.title, Order: s.order, Tasks: c.group(ph, s)}
			for _, t := range g.Tasks {
				used[t.Node] = true
			}
			if len(g.Tasks) > 0 {
				out.Groups = append(out.Groups, g)
			}
			if len(c.tasks) > maxTasks {
				c.list.At(c.pb.File, s.node, "split the site", "more than %d tasks", maxTasks)
				return nil
			}
		}
		prog.Phases = append(prog.Phases, out)
	}
	for _, n := range c.site.Nodes {
		prog.Inventory = append(prog.Inventory, n.Name)
		for _, role := range n.Roles {
			prog.Roles[role] = append(prog.Roles[role], n.Name)
		}
		if used[n.Name] {
			prog.Nodes = append(prog.Nodes, n.Name)
		}
	}
	return prog
}

// group makes the tasks of one step: node by node, and for each node item by item; item by item
// first where the nodes depend on the item.
func (c *compiler) group(ph phase, s step) []steps.Task {
	var out []steps.Task
	add := func(node string, vars variables) {
		if t, ok := c.task(ph, s, node, vars); ok {
			out = append(out, t)
		}
	}
	if s.each != nil && s.on.reads("item") || s.on.reads("index") {
		for _, vars := range c.repeat(s.each, c.vars) {
			for _, node := range c.on(s, vars) {
				add(node, vars.with("node", c.byName[node]))
			}
		}
		return out
	}
	names := c.on(s, c.vars)
	if len(names) == 0 && !s.conditional && c.list.Len() == 0 {
		line, col := s.node.Get("on").Pos()
		c.findings = append(c.findings, Finding{Severity: rules.Should, Message: fmt.Sprintf("step %s/%s runs on no node "+
			"of this site", ph.id, s.id),
			Hint: "give a node the role, or make the step conditional with if", File: c.pb.File, Line: line, Col: col})
	}
	for _, node := range names {
		vars := c.vars.with("node", c.byName[node])
		for _, vars := range c.repeat(s.each, vars) {
			add(node, vars)
		}
	}
	return out
}

// on gives the names of the nodes, in the order of the selector and each once.
func (c *compiler) on(s step, vars variables) []string {
	v, err := s.on.eval(vars)
	if err != nil {
		c.fail(s.on, err)
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	seen := map[string]bool{}
	for _, x := range list {
		var name string
		switch x := x.(type) {
		case nil:
			continue // first() of nothing
		case string:
			name = x
		case map[string]any:
			name, _ = x["name"].(string)
		}
		if _, ok := c.byName[name]; !ok {
			msg := fmt.Sprintf("on gives %s, not a node", valueWord(x))
			if s, isText := x.(string); isText {
				msg = fmt.Sprintf("on gives %q, which is not a node of the inventory", shape.Clip(s))
			}
			c.fail(s.on, &exprError{msg: msg, hint: wantHint("nodes")})
			return nil
		}
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

func (c *compiler) task(ph phase, s step, on string, vars variables) (steps.Task, bool) {
	none := steps.Task{}
	if s.cond != nil {
		if yes, ok := c.truth(s.cond, vars, "if"); !ok || !yes {
			return none, false
		}
	}
	id := ph.id + "/" + s.id
	if s.each != nil {
		key, ok := c.key(s, vars)
		if !ok {
			return none, false
		}
		id += "[" + key + "]"
	}
	id += "@" + on
	if c.tasks[id] {
		c.list.At(c.pb.File, orNode(s.node.Get("key"), s.node.Get("id")), "make the key different for each item",
			"two tasks would have the id %s", id)
		return none, false
	}
	c.tasks[id] = true
	before := c.list.Len()
	with, _ := s.with.eval(vars, func(n *yamlx.Node, err error) { c.list.Add(c.pb.placeOf(n).err(err)) }).(map[string]any)
	if with == nil {
		with = map[string]any{}
	}
	if c.list.Len() > before {
		return none, false
	}
	kind, _ := c.reg.Get(s.kind)
	st, err := kind.Decode(with)
	if err != nil {
		c.decodeErrors(s, vars, err)
		return none, false
	}
	c.credentials(s, kind, with, vars)
	t := steps.Task{ID: id, Phase: ph.id, StepID: s.id, Node: on, Step: st, Timeout: s.timeout, Needs: kind.Needs(with)}
	c.system(s, t, vars)
	return t, c.list.Len() == before
}

// system refuses a task whose node runs another system, where the site says what it runs.
func (c *compiler) system(s step, t steps.Task, vars variables) {
	var se *steps.SystemError
	if !errors.As(t.Refuse(node.Facts{OS: c.site.SystemOf(t.Node)}), &se) {
		return
	}
	at, from := s.node.Get("uses"), ""
	if v, found := s.with.find(se.Need.Path); found && len(se.Need.Path) > 0 {
		at, from = v.node, c.origin(s, v, vars)
	}
	msg := fmt.Sprintf("step %s: %s", s.id, se)
	if from != "" {
		msg += "; the value comes from " + from
	}
	c.list.At(c.pb.File, at, "choose with on: the nodes that it is for", "%s", msg)
}

func orNode(a, b *yamlx.Node) *yamlx.Node {
	if a.IsNull() {
		return b
	}
	return a
}

// key gives what stands in the task's id for an item.
func (c *compiler) key(s step, vars variables) (string, bool) {
	var v any = vars["item"]
	if s.key != nil {
		got, err := s.key.eval(vars)
		if err != nil {
			c.fail(s.key, err)
			return "", false
		}
		v = got
	}
	text, ok := scalarText(v)
	at := orNode(s.node.Get("key"), s.node.Get("each"))
	switch {
	case !ok:
		c.list.At(c.pb.File, at, "add key: '${{ item.NAME }}' with something that tells the items apart",
			"the key of step %q is %s, not text", s.id, valueWord(v))
		return "", false
	case text == "" || strings.ContainsAny(text, "[]@\n\t"):
		c.list.At(c.pb.File, at, "use something short without [ ] @", "%q cannot be a key of step %q", shape.Clip(text), s.id)
		return "", false
	}
	return text, true
}

// decodeErrors maps a kind's errors about its data to the places of the keys.
func (c *compiler) decodeErrors(s step, vars variables, err error) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			c.decodeErrors(s, vars, e)
		}
		return
	}
	var fe *steps.FieldError
	if !errors.As(err, &fe) {
		c.list.At(c.pb.File, orNode(s.node.Get("with"), s.node.Get("id")),
			fmt.Sprintf("run `deploy steps %s` for its fields", s.kind), "step %s: %s", s.id, err)
		return
	}
	key := strings.ReplaceAll(strings.Join(fe.Path, "."), ".[", "[")
	msg := fmt.Sprintf("%s of step %s: %s", key, s.id, fe.Msg)
	hint := fe.Hint
	if hint == "" {
		hint = fmt.Sprintf("run `deploy steps %s` for its fields", s.kind)
	}
	if s.with == nil {
		c.list.At(c.pb.File, orNode(s.node.Get("with"), s.node.Get("id")), hint, "%s", msg)
		return
	}
	v, found := s.with.find(fe.Path)
	if from := c.origin(s, v, vars); from != "" {
		msg += "; the value comes from " + from
	}
	if found && strings.HasPrefix(fe.Msg, "unknown key") {
		c.list.AtKey(c.pb.File, v.node, hint, "%s", msg)
		return
	}
	c.list.At(c.pb.File, v.node, hint, "%s", msg)
}

// origin names the parameters that a value was made of, with their places in the site file.
func (c *compiler) origin(s step, v *value, vars variables) string {
	if v == nil || v.text == nil {
		return ""
	}
	var out []string
	for _, p := range v.text.paths() {
		path := p
		if rest, ok := strings.CutPrefix(p, "item."); ok && s.each != nil && s.each.expr != nil {
			if from := s.each.expr.paths(); len(from) == 1 {
				path = fmt.Sprintf("%s[%d].%s", from[0], vars["index"], rest)
			}
		}
		if rest, ok := strings.CutPrefix(p, "node."); ok {
			path = fmt.Sprintf("inventory.nodes[%d].%s", c.nodeIndex(vars), rest)
		}
		if line, col := c.sitePos(path); strings.HasPrefix(path, "parameters") || strings.HasPrefix(path, "inventory") {
			out = append(out, fmt.Sprintf("%s (%s:%d:%d)", path, c.site.Path, line, col))
		}
	}
	return strings.Join(out, " and ")
}

func (c *compiler) nodeIndex(vars variables) int {
	m, _ := vars["node"].(map[string]any)
	for i, n := range c.site.Nodes {
		if n.Name == m["name"] {
			return i
		}
	}
	return 0
}

// credentials checks that those which a step acts under are of the site.
func (c *compiler) credentials(s step, kind steps.Kind, with map[string]any, vars variables) {
	for _, ref := range kind.Values("credential", with) {
		if _, ok := c.site.Credentials[ref.Text]; ok {
			continue
		}
		key := strings.ReplaceAll(strings.Join(ref.Path, "."), ".[", "[")
		msg := fmt.Sprintf("%s of step %s: the site has no credential %q", key, s.id, shape.Clip(ref.Text))
		v, _ := s.with.find(ref.Path)
		if from := c.origin(s, v, vars); from != "" {
			msg += "; the name comes from " + from
		}
		c.list.At(c.pb.File, v.node, fmt.Sprintf("declare it under credentials in %s", c.site.Path), "%s", msg)
	}
}
