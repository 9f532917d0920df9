package nodetest

import (
	"context"
	"fmt"
	"strings"

	"deploy/internal/node"
)

// Query answers a question out of the tables.
func (m *Machine) Query(_ context.Context, q node.Query) ([]node.Row, error) {
	r := q.Request()
	if err := m.note(r); err != nil {
		return nil, err
	}
	switch q := q.(type) {
	case node.Registry:
		k := m.Registry[strings.ToLower(q.Key)]
		if k == nil {
			return nil, node.ErrNotFound
		}
		var rows []node.Row
		for _, n := range sorted(k) {
			rows = append(rows, node.Row{"name": k[n].Name, "type": k[n].Type, "data": k[n].Data})
		}
		return rows, nil
	case node.RegistryKeys:
		if m.Registry[strings.ToLower(q.Key)] == nil {
			return nil, node.ErrNotFound
		}
		var rows []node.Row
		for _, n := range sorted(m.Registry) {
			if parentOf(n) == strings.ToLower(q.Key) {
				rows = append(rows, node.Row{"name": n[len(q.Key)+1:]})
			}
		}
		return rows, nil
	case node.WMI:
		return m.instances(q.Namespace, q.Class, q.Props, q.Where)
	case node.Cmdlet:
		return m.cmdlet(q.Name, q.Params, q.Select)
	case node.Tool:
		p := m.Programs[strings.ToLower(q.Argv[0])]
		if p == nil {
			return nil, fmt.Errorf("no program %s: %w", q.Argv[0], node.ErrUnsupported)
		}
		res := p(q.Argv)
		return []node.Row{{"code": int64(res.Code), "stdout": res.Stdout, "stderr": res.Stderr}}, nil
	case node.Dir:
		return m.list(q.Path)
	case node.ACL:
		if f := m.file(q.Path); f != nil {
			return []node.Row{{"sddl": f.SDDL}}, nil
		}
		return nil, node.ErrNotFound
	case node.Owners:
		return m.ownerRows(), nil
	case node.FileHash:
		if f := m.file(q.Path); f != nil && !f.Dir {
			return []node.Row{{"sha256": hashOf(f.Data), "size": int64(len(f.Data))}}, nil
		}
		return nil, node.ErrNotFound
	}
	return nil, fmt.Errorf("query %s: %w", r.Verb, node.ErrUnsupported)
}

func (m *Machine) list(path string) ([]node.Row, error) {
	if f := m.file(path); f == nil || !f.Dir {
		return nil, node.ErrNotFound
	}
	var rows []node.Row
	for _, n := range sorted(m.Files) {
		if f := m.Files[n]; m.above(n) == m.fold(path) {
			rows = append(rows, node.Row{"name": f.Path[strings.LastIndexAny(f.Path, `\/`)+1:], "dir": f.Dir,
				"size": int64(len(f.Data))})
		}
	}
	return rows, nil
}

// instances filters and projects; a property that a row does not have is refused, so that a
// misspelt one is seen.
func (m *Machine) instances(ns, class string, props []string, where map[string]any) ([]node.Row, error) {
	rows, ok := m.Classes[strings.ToLower(ns+":"+class)]
	if !ok {
		return nil, fmt.Errorf("class %s: %w", class, node.ErrUnsupported)
	}
	var out []node.Row
	for _, row := range match(rows, where) {
		p := node.Row{}
		for _, name := range props {
			v, ok := row[name]
			if !ok {
				return nil, fmt.Errorf("class %s has no property %s: %w", class, name, node.ErrUnsupported)
			}
			p[name] = v
		}
		out = append(out, p)
	}
	return out, nil
}

func match(rows []node.Row, where map[string]any) []node.Row {
	var out []node.Row
next:
	for _, row := range rows {
		for k, v := range where {
			if !strings.EqualFold(fmt.Sprint(row[k]), fmt.Sprint(v)) {
				continue next
			}
		}
		out = append(out, row)
	}
	return out
}

func (m *Machine) cmdlet(name string, params map[string]any, selected []string) ([]node.Row, error) {
	f := m.Cmdlets[strings.ToLower(name)]
	if f == nil {
		return nil, fmt.Errorf("cmdlet %s: %w", name, node.ErrUnsupported)
	}
	rows, err := f(params)
	if err != nil {
		return nil, err
	}
	var out []node.Row
	for _, row := range rows {
		p := node.Row{}
		for _, s := range selected {
			p[s] = row[s]
		}
		out = append(out, p)
	}
	return out, nil
}

// Do carries out an action on the tables.
func (m *Machine) Do(_ context.Context, a node.Action) ([]node.Row, error) {
	r := a.Request()
	if err := m.act(r); err != nil {
		return nil, err
	}
	switch a := a.(type) {
	case node.OwnerSet:
		return nil, m.setOwner(a)
	case node.RegistrySet:
		m.SetValue(a.Key, a.Name, a.Type, a.Data)
	case node.RegistryDelete:
		delete(m.Registry[strings.ToLower(a.Key)], strings.ToLower(a.Name))
	case node.RegistryDeleteKey:
		low := strings.ToLower(a.Key)
		for k := range m.Registry {
			if k == low || strings.HasPrefix(k, low+`\`) {
				delete(m.Registry, k)
			}
		}
	case node.WMICall:
		f := m.Methods[strings.ToLower(a.Namespace+":"+a.Class+"."+a.Method)]
		if f == nil {
			return nil, fmt.Errorf("method %s of %s: %w", a.Method, a.Class, node.ErrUnsupported)
		}
		var row node.Row
		if len(a.Where) > 0 {
			rows := match(m.Classes[strings.ToLower(a.Namespace+":"+a.Class)], a.Where)
			if len(rows) != 1 {
				return nil, fmt.Errorf("%d instances of %s: %w", len(rows), a.Class, node.ErrNotFound)
			}
			row = rows[0]
		}
		out, err := f(row, a.Args)
		if err != nil {
			return nil, err
		}
		return []node.Row{out}, nil
	case node.WMISet:
		rows := match(m.Classes[strings.ToLower(a.Namespace+":"+a.Class)], a.Where)
		if len(rows) != 1 {
			return nil, fmt.Errorf("%d instances of %s: %w", len(rows), a.Class, node.ErrNotFound)
		}
		for k, v := range a.Set {
			rows[0][k] = v
		}
	case node.CmdletCall:
		return m.cmdlet(a.Name, a.Params, a.Select)
	case node.MakeDir:
		m.SetDir(a.Path)
	case node.Remove:
		return nil, m.remove(a)
	case node.ACLSet:
		f := m.file(a.Path)
		if f == nil {
			return nil, node.ErrNotFound
		}
		f.SDDL = a.SDDL
	case node.SetMode:
		return nil, m.setMode(a)
	case node.JobRemove:
		delete(m.jobs, a.ID)
	default:
		return nil, fmt.Errorf("action %s: %w", r.Verb, node.ErrUnsupported)
	}
	return nil, nil
}

func (m *Machine) remove(a node.Remove) error {
	low, sep := m.fold(a.Path), `\`
	if m.posix {
		sep = "/"
	}
	var below []string
	for k := range m.Files {
		if strings.HasPrefix(k, low+sep) {
			below = append(below, k)
		}
	}
	if len(below) > 0 && !a.Tree {
		return &node.CodeError{Op: "remove " + a.Path, Code: 145} // ERROR_DIR_NOT_EMPTY
	}
	for _, k := range append(below, low) {
		delete(m.Files, k)
	}
	return nil
}
