package winapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"

	"github.com/go-ole/go-ole"
	"golang.org/x/sys/windows"
)

// Host talks to what the machine offers over COM: WMI and the task scheduler. The zero value is
// ready; Close ends its thread.
type Host struct{ com com }

// Close ends the thread. A call that the other side does not answer is waited for.
func (m *Host) Close() { m.com.close() }

// nameForm is what the name of a class or property looks like. Names stand in the text of a query;
// values never do.
var nameForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func checkNames(op string, names ...string) error {
	for _, n := range names {
		if !nameForm.MatchString(n) {
			return unsupported(op, "not a name: %s", n)
		}
	}
	return nil
}

// wmiError makes the refusal of a code.
func wmiError(op string, err error) error {
	var s status
	if !errors.As(err, &s) {
		return err
	}
	r := &node.Refusal{Code: &node.CodeError{Op: op, Code: int64(s)}}
	switch uint32(s) {
	case wbemNotFound:
		r.Kind, r.Code.ID = node.ErrNotFound, protocol.IDNotFound
	case wbemInvalidNamespace, wbemInvalidClass, wbemInvalidQuery:
		r.Kind, r.Code.ID = node.ErrUnsupported, protocol.IDUnsupported
	}
	return r
}

// in runs f on the thread with an open namespace.
func (m *Host) in(ctx context.Context, op, namespace string, f func(*services) error) error {
	return m.com.do(ctx, func(w *worker) error {
		s, err := w.connect(namespace)
		if err != nil {
			return wmiError(op, err)
		}
		return wmiError(op, f(s))
	})
}

// Get reads the instances of a class whose properties equal those of where.
func (m *Host) Get(ctx context.Context, namespace, class string, props []string, where map[string]any) ([]node.Row,
	error) {
	op := "wmi.get " + namespace + ":" + class
	if err := checkNames(op, append(append([]string{class}, props...),
		slices.Collect(maps.Keys(where))...)...); err != nil {
		return nil, err
	}
	var rows []node.Row
	err := m.in(ctx, op, namespace, func(s *services) error {
		return s.find(ctx, class, props, where, func(o object) error {
			row, err := o.row(props)
			if err == nil {
				rows = append(rows, row)
			}
			return err
		})
	})
	return rows, err
}

// row reads the named properties, or all of them.
func (o object) row(props []string) (node.Row, error) {
	row := node.Row{}
	if len(props) == 0 {
		return row, o.each(func(name string, value any) error { row[name] = value; return nil })
	}
	for _, p := range props {
		x, _, err := o.value(p)
		if err != nil {
			return nil, fmt.Errorf("property %s: %w", p, lacks(err))
		}
		row[p] = x
	}
	return row, nil
}

// lacks: an object that has no such property says "not found", which is not what "not found" means
// for an instance.
func lacks(err error) error {
	if errors.Is(err, status(wbemNotFound)) {
		return status(wbemInvalidQuery)
	}
	return err
}

// find calls f with every instance that matches.
func (s *services) find(ctx context.Context, class string, props []string, where map[string]any,
	f func(object) error) error {
	list := "*"
	if len(props) > 0 {
		var wanted []string
		for _, p := range append(slices.Clone(props), slices.Sorted(maps.Keys(where))...) {
			if !slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(w, p) }) {
				wanted = append(wanted, p)
			}
		}
		list = strings.Join(wanted, ", ")
	}
	seen := false
	err := s.query(ctx, "SELECT "+list+" FROM "+class, func(o object) error {
		seen = true
		for name, want := range where {
			have, _, err := o.value(name)
			if err != nil {
				return fmt.Errorf("property %s: %w", name, lacks(err))
			}
			if !same(have, want) {
				return nil
			}
		}
		return f(o)
	})
	if err != nil || seen {
		return err
	}
	// nothing at all: a class without instances is an answer, a class that is not there is none
	o, err := s.class(class)
	if errors.Is(err, status(wbemNotFound)) {
		return status(wbemInvalidClass)
	}
	if err != nil {
		return err
	}
	defer o.Release()
	for _, name := range append(slices.Clone(props), slices.Collect(maps.Keys(where))...) {
		v, _, err := o.raw(name)
		if err != nil {
			return fmt.Errorf("property %s: %w", name, lacks(err))
		}
		_ = v.Clear()
	}
	return nil
}

// same is equality as requests mean it: text without case, numbers by value.
func same(have, want any) bool {
	if have == nil || want == nil {
		return have == nil && want == nil
	}
	row := node.Row{"have": have, "want": want}
	return strings.EqualFold(row.String("have"), row.String("want"))
}

// one finds exactly one instance and calls f with it.
func (s *services) one(ctx context.Context, op, class string, where map[string]any, f func(object) error) error {
	var found object
	n := 0
	err := s.find(ctx, class, nil, where, func(o object) error {
		if n++; n == 1 {
			o.AddRef()
			found = o
		}
		return nil
	})
	if n > 0 {
		defer found.Release()
	}
	switch {
	case err != nil:
		return err
	case n == 0:
		return absent(op, "no instance of %s", class)
	case n > 1:
		return refused(op, "deploy.Ambiguous", windows.ERROR_INVALID_PARAMETER, "more than one instance of %s", class)
	}
	return f(found)
}

// Call calls a method of one instance, or of the class when where is empty.
func (m *Host) Call(ctx context.Context, namespace, class string, where map[string]any, method string,
	args map[string]any) (node.Row, error) {
	op := "wmi.call " + namespace + ":" + class + "." + method
	if err := checkNames(op, append([]string{class, method}, slices.Collect(maps.Keys(where))...)...); err != nil {
		return nil, err
	}
	row := node.Row{}
	err := m.in(ctx, op, namespace, func(s *services) error {
		k, err := s.class(class)
		if errors.Is(err, status(wbemNotFound)) {
			return status(wbemInvalidClass)
		}
		if err != nil {
			return err
		}
		defer k.Release()
		in, err := k.arguments(method)
		if errors.Is(err, status(wbemNotFound)) {
			return unsupported(op, "%s has no method %s", class, method)
		}
		if err != nil {
			return err
		}
		if in.unknown != nil {
			defer in.Release()
		}
		for _, name := range slices.Sorted(maps.Keys(args)) {
			if err := in.set(op, name, args[name]); err != nil {
				return err
			}
		}
		run := func(path string) error {
			out, err := s.exec(path, method, in)
			if err != nil || out.unknown == nil {
				return err
			}
			defer out.Release()
			return out.each(func(name string, value any) error { row[name] = value; return nil })
		}
		if len(where) == 0 {
			return run(class)
		}
		return s.one(ctx, op, class, where, func(o object) error {
			path, _, err := o.value("__PATH")
			if err != nil {
				return err
			}
			text, _ := path.(string)
			if text == "" {
				return unsupported(op, "%s has no path to call a method on", class)
			}
			return run(text)
		})
	})
	if err != nil {
		return nil, err
	}
	if len(row) == 0 {
		row["ReturnValue"] = int64(0)
	}
	return row, nil
}

// set puts a value into a property that must be there, as its type wants it.
func (o object) set(op, name string, value any) error {
	if o.unknown == nil {
		return unsupported(op, "there is no argument %s", name)
	}
	old, cim, err := o.raw(name)
	if errors.Is(lacks(err), status(wbemInvalidQuery)) {
		return unsupported(op, "there is no property or argument %s", name)
	}
	if err != nil {
		return err
	}
	_ = old.Clear()
	if _, is := value.(map[string]any); is {
		return unsupported(op, "an object as the value of %s", name)
	}
	v, err := toVariant(value, cim)
	if err != nil {
		return refused(op, "deploy.BadValue", windows.ERROR_INVALID_PARAMETER, "%s: %v", name, err)
	}
	defer v.Clear()
	return o.put(name, &v)
}

// Set sets properties of exactly one instance and puts it back. A dotted name sets a property
// inside an embedded object.
func (m *Host) Set(ctx context.Context, namespace, class string, where, set map[string]any) error {
	op := "wmi.set " + namespace + ":" + class
	if err := checkNames(op, append([]string{class}, slices.Collect(maps.Keys(where))...)...); err != nil {
		return err
	}
	return m.in(ctx, op, namespace, func(s *services) error {
		return s.one(ctx, op, class, where, func(o object) error {
			for _, path := range slices.Sorted(maps.Keys(set)) {
				outer, inner, dotted := strings.Cut(path, ".")
				if err := checkNames(op, outer); err != nil {
					return err
				}
				var err error
				if dotted {
					err = o.setInner(op, outer, inner, set[path])
				} else {
					err = o.set(op, outer, set[path])
				}
				if err != nil {
					return err
				}
			}
			return s.putInstance(o)
		})
	})
}

// setInner sets a property of an embedded object, which is a copy: it is put back whole.
func (o object) setInner(op, outer, inner string, value any) error {
	v, _, err := o.raw(outer)
	if errors.Is(lacks(err), status(wbemInvalidQuery)) {
		return unsupported(op, "there is no property %s", outer)
	}
	if err != nil {
		return err
	}
	defer v.Clear()
	if (v.VT != ole.VT_UNKNOWN && v.VT != ole.VT_DISPATCH) || strings.Contains(inner, ".") {
		return unsupported(op, "%s is no embedded object", outer)
	}
	e, err := asObject((*unknown)(pointer(&v)))
	if err != nil {
		return err
	}
	defer e.Release()
	if err := e.set(op, inner, value); err != nil {
		return err
	}
	return o.put(outer, &v)
}
