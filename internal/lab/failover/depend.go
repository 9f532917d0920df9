package failover

import (
	"strings"

	"deploy/internal/lab/model"
)

// expr is a dependency expression: a resource, or all or any of the parts.
type expr struct {
	name  string
	or    bool
	parts []expr
}

// parseExpr reads "[A] and ([B] or [C])". Names stand in brackets; from 2012 ids may as well. An
// empty text is no dependency.
func parseExpr(text string) (*expr, bool) {
	p := exprParser{s: strings.TrimSpace(text)}
	if p.s == "" {
		return nil, true
	}
	e, ok := p.list()
	if !ok || strings.TrimSpace(p.s) != "" {
		return nil, false
	}
	return &e, true
}

type exprParser struct{ s string }

func (p *exprParser) word(w string) bool {
	t := strings.TrimLeft(p.s, " ")
	if len(t) < len(w) || !strings.EqualFold(t[:len(w)], w) {
		return false
	}
	p.s = t[len(w):]
	return true
}

func (p *exprParser) list() (expr, bool) {
	first, ok := p.term()
	if !ok {
		return expr{}, false
	}
	out := expr{parts: []expr{first}}
	kind := ""
	for {
		w := ""
		switch {
		case p.word("and"):
			w = "and"
		case p.word("or"):
			w = "or"
		}
		if w == "" {
			break
		}
		// and/or on one level need parentheses
		if kind != "" && kind != w {
			return expr{}, false
		}
		kind = w
		t, ok := p.term()
		if !ok {
			return expr{}, false
		}
		out.parts = append(out.parts, t)
	}
	if len(out.parts) == 1 {
		return out.parts[0], true
	}
	out.or = kind == "or"
	return out, true
}

func (p *exprParser) term() (expr, bool) {
	if p.word("(") {
		e, ok := p.list()
		return e, ok && p.word(")")
	}
	if !p.word("[") {
		return expr{}, false
	}
	i := strings.IndexByte(p.s, ']')
	if i <= 0 {
		return expr{}, false
	}
	name := p.s[:i]
	p.s = p.s[i+1:]
	return expr{name: name}, true
}

// text writes an expression as the model keeps it: "[A] and ([B] or [C])".
func (e *expr) text() string {
	if e == nil {
		return ""
	}
	if e.name != "" {
		return "[" + e.name + "]"
	}
	list := make([]string, len(e.parts))
	for i := range e.parts {
		list[i] = e.parts[i].text()
		if e.parts[i].name == "" {
			list[i] = "(" + list[i] + ")"
		}
	}
	return strings.Join(list, e.word())
}

func (e *expr) word() string {
	if e.or {
		return " or "
	}
	return " and "
}

// shown writes an expression as the system shows it: "([A]) and ([B] or [C])". UNCONFIRMED blanks
// and parentheses: compare as a set.
func (e *expr) shown() string {
	switch {
	case e == nil:
		return ""
	case e.name != "" || e.or:
		return "(" + e.text() + ")"
	}
	list := make([]string, len(e.parts))
	for i := range e.parts {
		list[i] = "(" + e.parts[i].text() + ")"
	}
	return strings.Join(list, " and ")
}

// names lists the resources that an expression mentions.
func (e *expr) names() []string {
	if e == nil {
		return nil
	}
	if e.name != "" {
		return []string{e.name}
	}
	var out []string
	for i := range e.parts {
		for _, n := range e.parts[i].names() {
			if !containsFold(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// holds says whether an expression is satisfied by the resources for which on is true.
func (e *expr) holds(on func(name string) bool) bool {
	if e == nil {
		return true
	}
	if e.name != "" {
		return on(e.name)
	}
	for i := range e.parts {
		ok := e.parts[i].holds(on)
		if ok && e.or {
			return true
		}
		if !ok && !e.or {
			return false
		}
	}
	return !e.or
}

// without takes a resource out of an expression.
func (e *expr) without(name string) *expr {
	if e == nil || strings.EqualFold(e.name, name) {
		return nil
	}
	if e.name != "" {
		return e
	}
	out := expr{or: e.or}
	for i := range e.parts {
		if p := e.parts[i].without(name); p != nil {
			out.parts = append(out.parts, *p)
		}
	}
	switch len(out.parts) {
	case 0:
		return nil
	case 1:
		return &out.parts[0]
	}
	return &out
}

// renamed replaces a name.
func (e *expr) renamed(from, to string) *expr {
	if e == nil {
		return nil
	}
	out := *e
	if strings.EqualFold(e.name, from) {
		out.name = to
	}
	out.parts = nil
	for i := range e.parts {
		out.parts = append(out.parts, *e.parts[i].renamed(from, to))
	}
	return &out
}

func dependency(r *model.ClusterResource) *expr {
	e, _ := parseExpr(r.DependsOn)
	return e
}

// providers lists the resources that r depends on.
func providers(cl *model.Cluster, r *model.ClusterResource) []*model.ClusterResource {
	var out []*model.ClusterResource
	for _, n := range dependency(r).names() {
		if p := Resource(cl, n); p != nil {
			out = append(out, p)
		}
	}
	return out
}

// dependents lists the resources that depend on r.
func dependents(cl *model.Cluster, r *model.ClusterResource) []*model.ClusterResource {
	var out []*model.ClusterResource
	for _, x := range cl.Resources {
		if containsFold(dependency(x).names(), r.Name) {
			out = append(out, x)
		}
	}
	return out
}

// connected lists r and everything that hangs together with it by dependencies, in the cluster's
// order: they live in one group.
func connected(cl *model.Cluster, r *model.ClusterResource) []*model.ClusterResource {
	in := map[*model.ClusterResource]bool{r: true}
	for grew := true; grew; {
		grew = false
		for x := range in {
			for _, y := range append(providers(cl, x), dependents(cl, x)...) {
				if !in[y] {
					in[y] = true
					grew = true
				}
			}
		}
	}
	var out []*model.ClusterResource
	for _, x := range cl.Resources {
		if in[x] {
			out = append(out, x)
		}
	}
	return out
}

// dependsOn says that a depends on b, over others as well.
func dependsOn(cl *model.Cluster, a, b *model.ClusterResource) bool {
	for _, p := range providers(cl, a) {
		if p == b || dependsOn(cl, p, b) {
			return true
		}
	}
	return false
}

// checkDependency says whether r may depend on p.
func checkDependency(cl *model.Cluster, r, p *model.ClusterResource) error {
	switch {
	case witness(cl) == r:
		return DependencyNotAllowed
	case p == r || dependsOn(cl, p, r):
		return CircularDependency
	case !strings.EqualFold(p.Group, r.Group):
		return InvalidParameter // UNCONFIRMED code: both have to be in one group
	case r.State == stateOnline && p.State != stateOnline:
		return ResourceOnline // UNCONFIRMED from 2008 on: what is online may not come to depend on what is not
	}
	return nil
}

// AddDependency makes r depend on one more resource, with all that it depends on already.
// 5003 when it is there, 1059 when it would be circular.
func AddDependency(cl *model.Cluster, r *model.ClusterResource, provider string) error {
	p := Resource(cl, provider)
	if p == nil {
		return ResourceNotFound
	}
	e := dependency(r)
	if containsFold(e.names(), p.Name) {
		return DependencyExists
	}
	if err := checkDependency(cl, r, p); err != nil {
		return err
	}
	term := expr{name: p.Name}
	switch {
	case e == nil:
		e = &term
	case e.name == "" && !e.or:
		e.parts = append(e.parts, term)
	default:
		e = &expr{parts: []expr{*e, term}}
	}
	r.DependsOn = e.text()
	return nil
}

// RemoveDependency takes one resource out of what r depends on; 5002 when it is not there.
func RemoveDependency(cl *model.Cluster, r *model.ClusterResource, provider string) error {
	name := provider
	if p := Resource(cl, provider); p != nil {
		name = p.Name
	}
	e := dependency(r)
	if !containsFold(e.names(), name) {
		return DependencyNotFound
	}
	r.DependsOn = e.without(name).text()
	return nil
}

// SetDependency replaces what r depends on by an expression; "" clears it. A text that is no
// expression is refused with 87.
func SetDependency(cl *model.Cluster, r *model.ClusterResource, expression string) error {
	e, ok := parseExpr(expression)
	if !ok {
		return InvalidParameter
	}
	for _, n := range e.names() {
		p := Resource(cl, n)
		if p == nil {
			return ResourceNotFound
		}
		if err := checkDependency(cl, r, p); err != nil {
			return err
		}
		e = e.renamed(n, p.Name)
	}
	r.DependsOn = e.text()
	return nil
}
