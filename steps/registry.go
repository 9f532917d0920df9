package steps

import (
	"fmt"
	"sort"
	"sync"

	"deploy/internal/node"
	"deploy/internal/yamlx/shape"
)

// Kind is one kind of step: how to make an empty one, and what the documentation and the tests need
// to know of it.
type Kind struct {
	Name    string // "cluster.quorum"
	OS      string // the operating system it is for, node.Facts.OS; "" means every one
	Summary string // one sentence
	Doc     string // a few sentences: what it looks at, what it changes, what it cannot do
	Undo    string // what undo restores, or why there is none
	Proof   string // what proves it: "lab-proven", "lab-proven; names checked against recorded tables", ...
	Sources []string
	Calls   []node.Call // everything it may ask of a machine by name
	// ReadForms are the programs that its Check may start, in the forms in which they only look. A
	// session refuses a Reader every other program.
	ReadForms []node.ToolForm
	New       func() Step // returns a pointer to an empty step with defaults filled in
	// Example is the `with` of a working example, for the reference.
	Example string

	// what the struct tags say, read once by the registry; nil outside one
	fields func() []Field
	form   func() *shape.Type
}

// Registry is an explicit value: what main lists is what there is.
type Registry struct{ kinds map[string]Kind }

// NewRegistry makes a registry. Two kinds of one name are a mistake in the program and panic.
func NewRegistry(groups ...[]Kind) *Registry {
	r := &Registry{kinds: map[string]Kind{}}
	for _, g := range groups {
		for _, k := range g {
			if _, ok := r.kinds[k.Name]; ok {
				panic(fmt.Sprintf("kind %s is registered twice", k.Name))
			}
			plain := k
			k.fields = sync.OnceValue(plain.Fields)
			k.form = sync.OnceValue(func() *shape.Type { return object(k.Fields()) })
			r.kinds[k.Name] = k
		}
	}
	return r
}

// Get returns a kind by name.
func (r *Registry) Get(name string) (Kind, bool) {
	k, ok := r.kinds[name]
	return k, ok
}

// Names lists the kinds in alphabetical order.
func (r *Registry) Names() []string {
	out := make([]string, 0, len(r.kinds))
	for n := range r.kinds {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// ReadOnly says that a program with these arguments only looks: some kind declares the form. It is
// what sessions are opened with.
func (r *Registry) ReadOnly() func(argv []string) bool {
	var forms []node.ToolForm
	for _, name := range r.Names() {
		forms = append(forms, r.kinds[name].ReadForms...)
	}
	return node.ReadOnly(forms)
}
