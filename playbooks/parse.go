package playbooks

import (
	"slices"
	"strings"
	"time"

	"deploy/internal/rules"
	"deploy/internal/yamlx"
	"deploy/internal/yamlx/shape"
	"deploy/steps"
)

// Parse reads a playbook and compiles its expressions; file is used in messages. The error holds
// every mistake with its place.
func Parse(file string, data []byte) (*Playbook, error) {
	doc, err := yamlx.Parse(file, data, yamlx.Limits{})
	if err != nil {
		return nil, err
	}
	r := &reader{file: file, list: &yamlx.List{}, lines: strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n")}
	if doc.Root.Kind != yamlx.Map {
		r.list.At(file, doc.Root, "begin with `playbook: NAME`", "a playbook is a map of keys, this is %s", doc.Root.What())
		return nil, r.list.Err()
	}
	check := &shape.Checker{File: file, List: r.list}
	check.Check(doc.Root, playbookType(stepType(shape.MapOf(shape.Of("any", ""), "data of the step"))))
	if err := r.list.Err(); err != nil {
		return nil, err
	}
	pb := r.playbook(doc.Root)
	if err := r.list.Err(); err != nil {
		return nil, err
	}
	pb.File, pb.Source, pb.lines = file, data, r.lines
	pb.Warnings = doc.Warnings
	return pb, nil
}

type reader struct {
	file  string
	list  *yamlx.List
	lines []string
}

func (r *reader) place(n *yamlx.Node) place { return place{file: r.file, lines: r.lines, node: n} }

func (r *reader) playbook(root *yamlx.Node) *Playbook {
	pb := &Playbook{Name: root.Get("playbook").Text(), Title: root.Get("title").Text(),
		Description: root.Get("description").Text()}
	pb.Parameters = r.declareFields(root.Get("parameters"))
	pb.NodeParameters = r.declareFields(root.Get("node_parameters"))
	pb.Roles = r.roles(root.Get("roles"))
	if r.list.Len() > 0 {
		return pb // expressions would only repeat what is wrong with the declarations
	}
	sc := newScope(pb)
	for _, n := range list(root.Get("rules")) {
		if rl, ok := r.rule(n, sc); ok {
			pb.rules = append(pb.rules, rl)
		}
	}
	for _, n := range list(root.Get("phases")) {
		pb.phases = append(pb.phases, r.phase(n, sc))
	}
	pb.phases = r.sortPhases(pb.phases)
	return pb
}

// list gives the items of a list that may be absent.
func list(n *yamlx.Node) []*yamlx.Node {
	if n.IsNull() {
		return nil
	}
	return n.Items
}

func (r *reader) roles(n *yamlx.Node) []Role {
	var out []Role
	if n.IsNull() {
		return nil
	}
	for i, name := range n.Keys {
		d := n.Items[i]
		role := Role{Name: name, Doc: d.Get("doc").Text(), Min: integer(d.Get("min")), Max: integer(d.Get("max"))}
		r.name(d, "role", name)
		if role.Max > 0 && role.Min > role.Max {
			r.list.At(r.file, d.Get("min"), "exchange them", "min is more than max")
		}
		out = append(out, role)
	}
	return out
}

func integer(n *yamlx.Node) int {
	if n == nil {
		return 0
	}
	i, _ := n.Value.(int)
	return i
}

func (r *reader) rule(n *yamlx.Node, sc scope) (rule, bool) {
	id := n.Get("rule")
	known, ok := rules.Get(id.Text())
	if !ok {
		r.list.At(r.file, id, suggestRule(id.Text()), "unknown rule %q", id.Text())
		return rule{}, false
	}
	out := rule{rule: known, severity: known.Severity, node: n}
	if s := n.Get("severity").Text(); s != "" {
		out.severity = rules.Severity(s)
	}
	out.each, sc = r.each(n.Get("each"), sc)
	out.assert = r.expression(n.Get("assert"), sc, "bool")
	out.cond = r.expression(n.Get("if"), sc, "bool")
	out.at = r.text(n.Get("at"), sc)
	out.message = r.text(n.Get("message"), sc)
	out.hint = r.text(n.Get("hint"), sc)
	return out, true
}

func suggestRule(got string) string {
	prefix, _, _ := strings.Cut(strings.ToUpper(got), "-")
	var near []string
	for _, id := range rules.All().IDs() {
		if strings.HasPrefix(id, prefix+"-") {
			near = append(near, id)
		}
	}
	if len(near) == 0 {
		return "`deploy rules` lists them"
	}
	return "the rules of this family are " + near[0] + " to " + near[len(near)-1] + "; `deploy rules` lists them"
}

func (r *reader) phase(n *yamlx.Node, sc scope) phase {
	p := phase{id: n.Get("id").Text(), title: n.Get("title").Text(), policy: steps.Stop, node: n}
	if n.Get("on-failure").Text() == "rollback" {
		p.policy = steps.RollBack
	}
	for _, need := range list(n.Get("needs")) {
		p.needs = append(p.needs, need.Text())
	}
	seen := map[string]bool{}
	for _, s := range list(n.Get("steps")) {
		st := r.step(s, sc)
		if seen[st.id] {
			r.list.At(r.file, s.Get("id"), "give it another id", "phase %q has two steps %q", p.id, st.id)
		}
		seen[st.id] = true
		p.steps = append(p.steps, st)
	}
	return p
}

func (r *reader) step(n *yamlx.Node, sc scope) step {
	s := step{id: n.Get("id").Text(), title: n.Get("title").Text(), kind: n.Get("uses").Text(), node: n,
		order: steps.Together}
	if o := n.Get("order").Text(); o != "" {
		s.order = steps.Order(o)
	}
	s.timeout, _ = time.ParseDuration(n.Get("timeout").Text()) // the form has checked it
	strict, loose := nodeTypes(sc)
	perNode := sc.with("node", strict, loose)

	// `each` may read node, and then is asked for every node; else `on` may read item
	on := n.Get("on")
	if mentions(n.Get("each"), "node") {
		s.each, perNode = r.each(n.Get("each"), perNode)
		s.on = r.expression(on, sc, "nodes")
	} else {
		var item scope
		s.each, item = r.each(n.Get("each"), sc)
		s.on = r.expression(on, item, "nodes")
		perNode = item.with("node", strict, loose)
	}
	if cond := n.Get("if"); !cond.IsNull() {
		s.conditional = true
		if b, ok := cond.Value.(bool); ok {
			s.never = !b
		} else {
			s.cond = r.expression(cond, perNode, "bool")
		}
	}
	s.key = r.text(n.Get("key"), perNode)
	if s.key != nil && s.each == nil {
		r.list.AtKey(r.file, n.Get("key"), "remove it, or repeat the step with each", "key without each")
	}
	if with := n.Get("with"); !with.IsNull() {
		s.with = r.compileValue(with, perNode)
	}
	return s
}

// sortPhases puts every phase after those that it needs, and keeps the order of the file otherwise.
func (r *reader) sortPhases(in []phase) []phase {
	ids := make([]string, len(in))
	for i, p := range in {
		if slices.Contains(ids[:i], p.id) {
			r.list.At(r.file, p.node.Get("id"), "give it another id", "two phases have the id %q", p.id)
		}
		ids[i] = p.id
	}
	for _, p := range in {
		for i, need := range p.needs {
			if !slices.Contains(ids, need) {
				r.list.At(r.file, p.node.Get("needs").Items[i], shape.Suggest(need, ids), "unknown phase %q", need)
			}
		}
	}
	if r.list.Len() > 0 {
		return in
	}
	var out []phase
	done := map[string]bool{}
	for len(out) < len(in) {
		next := slices.IndexFunc(in, func(p phase) bool {
			return !done[p.id] && !slices.ContainsFunc(p.needs, func(n string) bool { return !done[n] })
		})
		if next < 0 {
			r.cycle(in, done)
			return in
		}
		done[in[next].id] = true
		out = append(out, in[next])
	}
	return out
}

// cycle reports phases that need each other.
func (r *reader) cycle(in []phase, done map[string]bool) {
	byID := map[string]phase{}
	var at phase
	for _, p := range slices.Backward(in) {
		byID[p.id] = p
		if !done[p.id] {
			at = p
		}
	}
	var path []string
	for !slices.Contains(path, at.id) {
		path = append(path, at.id)
		for _, need := range at.needs {
			if !done[need] {
				at = byID[need]
				break
			}
		}
	}
	path = append(path[slices.Index(path, at.id):], at.id)
	r.list.At(r.file, byID[at.id].node.Get("needs"), "remove one of these needs", "phases need each other: %s",
		strings.Join(path, " needs "))
}
