package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
)

// Resource is one resource of the cluster with its properties.
type Resource struct {
	Name       string         `json:"name" doc:"name of the resource; when empty, it is the one resource of its type in its group, whatever its name, and is not made" example:"files-name" check:"compared"`
	Type       string         `json:"type" doc:"resource type, which is not translated: Network Name, IP Address, Generic Service; needed to make it or to find it without a name" example:"Network Name" check:"compared"`
	Group      string         `json:"group" doc:"group that holds it; needed to make it or to find it without a name" example:"files" check:"compared"`
	Common     map[string]any `json:"common" doc:"common properties, for example PendingTimeout: 300000" check:"compared"`
	Private    map[string]any `json:"private" doc:"private properties, for example HostRecordTTL: 600" check:"compared"`
	State      string         `json:"state" doc:"state to bring it to; left alone when empty" enum:"online|offline" check:"compared"`
	MayRestart bool           `json:"may_restart" doc:"take the resource, with all that depends on it, offline and online so that private properties take effect now; otherwise they do when it comes online the next time" check:"instruction:consent"`
}

type resourceBefore struct {
	Existed bool           `json:"existed"`
	Name    string         `json:"name"`
	Group   string         `json:"group,omitempty"`
	State   int64          `json:"state,omitempty"`
	Common  map[string]any `json:"common,omitempty"`
	Private map[string]any `json:"private,omitempty"`
}

func resourceKind() steps.Kind {
	return steps.Kind{
		Name:    "cluster.resource",
		OS:      "windows",
		Summary: "Makes a resource, or sets the group, properties and state of one.",
		Doc: "Compares what is declared and nothing else. A property that a resource does not show counts as different " +
			"and is set. " +
			"Most private properties take effect when the resource comes online the next time; code 5024 says so and is no " +
			"failure.",
		Undo:    "Deletes the resource that it made; gives recorded group, properties and state back to one that was there.",
		Proof:   proof,
		Sources: []string{"Cluster resource command", "MSCluster_Resource", "Network Name private properties"},
		Calls: calls(clus.ReadCalls(), clus.HandCalls(clus.CreateResource, clus.DeleteResource, clus.MoveResource,
			clus.MoveGroup, clus.SetProperties,
			clus.ResourceUp, clus.ResourceDown, clus.GroupUp), propertyCalls()),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Resource{} },
		Example:   "type: Network Name\ngroup: mbx01\nprivate:\n  HostRecordTTL: 600\n",
	}
}

// commonNames are the common properties that may be set. Source: the resource common property pages
// of the MsCS documentation.
var commonNames = []string{"Description", "IsAlivePollInterval", "LooksAlivePollInterval", "PendingTimeout",
	"PersistentState", "RestartAction",
	"RestartPeriod", "RestartThreshold", "RetryPeriodOnFailure", "SeparateMonitor"}

// privateNames are private properties of Windows' own resource types. Other types bring their own,
// so any name may be given.
var privateNames = map[string][]string{
	"IP Address Private Properties": {"Address", "SubnetMask", "Network", "EnableNetBIOS", "EnableDhcp",
		"OverrideAddressMatch"},
	"Cluster Name Private Properties": {"Name", "DnsName", "HostRecordTTL", "RegisterAllProvidersIP",
		"PublishPTRRecords", "RequireDNS", "RemapPipeNames"},
	"Physical Disk Private Properties":       {"DiskRunChkDsk", "ConditionalMount", "SkipChkdsk"},
	"Generic Service Private Properties":     {"ServiceName", "StartupParameters"},
	"Generic Application Private Properties": {"CurrentDirectory", "InteractWithDesktop"},
}

func propertyCalls() []node.Call {
	out := []node.Call{{WMI: clus.Namespace + ":MSCluster_Resource", Props: commonNames, On: from2008()}}
	for _, of := range sortedKeys(privateNames) {
		for _, name := range privateNames[of] {
			out = append(out, node.Call{Property: name, Of: of, On: from2008()})
		}
	}
	return out
}

// Kind names the step.
func (s *Resource) Kind() string { return "cluster.resource" }

// Provides names what exists once the resource is there.
func (s *Resource) Provides() []string { return []string{resourceTag(s.Name)} }

func resourceTag(name string) string { return "cluster/resource:" + strings.ToLower(name) }

// Reads names what Check will ask.
func (s *Resource) Reads(f node.Facts) []node.Query { return clus.Reads(f, clus.PartResources) }

// Validate looks at the data.
func (s *Resource) Validate() error {
	if s.Name == "" && (s.Type == "" || s.Group == "") {
		return steps.FieldErr("name", "give name, or type and group")
	}
	for _, name := range sortedKeys(s.Common) {
		if !has(commonNames, name) {
			e := &steps.FieldError{Path: []string{"common", name}, Msg: "is no common property of a resource that deploy sets"}
			if n := steps.Nearest(name, commonNames); n != "" {
				e.Hint = fmt.Sprintf("did you mean %q?", n)
			}
			return e
		}
	}
	for key, m := range map[string]map[string]any{"common": s.Common, "private": s.Private} {
		for name, v := range m {
			if value(v) == nil {
				return &steps.FieldError{Path: []string{key, name},
					Msg: fmt.Sprintf("must be text, a whole number or a truth value, is %v", v)}
			}
		}
	}
	return nil
}

// value brings a YAML value to what properties hold: text or a number; nil for anything else.
func value(v any) any {
	switch x := v.(type) {
	case string:
		return x
	case bool:
		if x {
			return int64(1)
		}
		return int64(0)
	case int:
		return int64(x)
	case int64:
		return x
	case float64:
		if x == float64(int64(x)) {
			return int64(x)
		}
	}
	return nil
}

func values(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = value(v)
	}
	return out
}

// find returns the resource; found is false when there is none of that name. Without a name there
// must be exactly one of the type.
func (s *Resource) find(ctx context.Context, r node.Reader, v clus.Reader) (clus.Resource, bool, error) {
	all, err := v.Resources(ctx)
	if err != nil {
		return clus.Resource{}, false, err
	}
	if s.Name != "" {
		x, ok := clus.FindResource(all, s.Name)
		return x, ok, nil
	}
	var found []clus.Resource
	for _, x := range all {
		if strings.EqualFold(x.Type, s.Type) && strings.EqualFold(x.Group, s.Group) {
			found = append(found, x)
		}
	}
	switch len(found) {
	case 1:
		return found[0], true, nil
	case 0:
		return clus.Resource{}, false, steps.Until(groupTag(s.Group), "the group has no resource of type "+s.Type+" yet")
	}
	return clus.Resource{}, false, fmt.Errorf("cannot tell which of %d resources of type %s in group %q on %s is "+
		"meant: give its name", len(found), s.Type, s.Group, r.Facts().Computer)
}

// Check compares what is declared.
func (s *Resource) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	v, err := clus.Open(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	x, found, err := s.find(ctx, r, v)
	if err != nil {
		return steps.Diff{}, err
	}
	h := clus.HandOf(r.Facts())
	if !found {
		return s.absent(ctx, v, h)
	}
	if s.Type != "" && !strings.EqualFold(x.Type, s.Type) {
		return steps.Diff{}, fmt.Errorf("cannot use resource %q: its type is %q, not %q", x.Name, x.Type, s.Type)
	}
	d := steps.Diff{Action: steps.Update}
	b := resourceBefore{Existed: true, Name: x.Name, Group: x.Group, State: x.State}
	if s.Group != "" && !strings.EqualFold(x.Group, s.Group) {
		d.Changes = append(d.Changes, steps.Change{Attr: "group", From: x.Group, To: s.Group})
		d.Via = h.Via(clus.MoveResource)
	}
	for _, part := range []struct {
		private bool
		want    map[string]any
		before  *map[string]any
	}{{false, s.Common, &b.Common}, {true, s.Private, &b.Private}} {
		if len(part.want) == 0 {
			continue
		}
		now, err := v.Properties(ctx, clus.Object{Resource: x.Name, Private: part.private}, sortedKeys(part.want))
		if err != nil {
			return steps.Diff{}, err
		}
		*part.before = map[string]any{}
		for _, name := range sortedKeys(part.want) {
			if now.Has(name) && sameValue(now[name], value(part.want[name])) {
				continue
			}
			(*part.before)[name] = now[name]
			d.Changes = append(d.Changes, steps.Change{Attr: name, From: now[name], To: part.want[name]})
			d.Via = h.Via(clus.SetProperties)
		}
	}
	want := map[string]int64{"online": clus.ResourceOnline, "offline": clus.ResourceOffline}[s.State]
	if want != 0 && x.State != want {
		d.Changes = append(d.Changes, steps.Change{Attr: "state", From: x.State, To: want})
		if s.State == "offline" {
			d.Effects.Interrupts = x.Name
		}
		if d.Via == "" {
			d.Via = h.Via(clus.ResourceUp)
		}
	}
	if len(d.Changes) == 0 {
		return steps.NoChange(), nil
	}
	if s.MayRestart && len(b.Private) > 0 {
		d.Effects.Interrupts = x.Name
	}
	d.Before = steps.MustJSON(b)
	return d, nil
}

func (s *Resource) absent(ctx context.Context, v clus.Reader, h clus.Writer) (steps.Diff, error) {
	if s.Type == "" || s.Group == "" {
		return steps.Diff{}, steps.Until(resourceTag(s.Name), "the cluster has no such resource yet")
	}
	groups, err := v.Groups(ctx)
	if err != nil {
		return steps.Diff{}, err
	}
	if _, ok := clus.FindGroup(groups, s.Group); !ok {
		return steps.Diff{}, steps.Until(groupTag(s.Group), "the cluster has no such group yet")
	}
	d := steps.Diff{Action: steps.Create, Before: steps.MustJSON(resourceBefore{Name: s.Name}),
		Via:     h.Via(clus.CreateResource),
		Changes: []steps.Change{{Attr: "resource", From: nil, To: s.Name}, {Attr: "type", From: nil, To: s.Type}}}
	for _, m := range []map[string]any{s.Common, s.Private} {
		for _, k := range sortedKeys(m) {
			d.Changes = append(d.Changes, steps.Change{Attr: k, From: nil, To: m[k]})
		}
	}
	return d, nil
}

func sameValue(a, b any) bool {
	if x, ok := a.(string); ok {
		y, ok := b.(string)
		return ok && strings.EqualFold(x, y)
	}
	x, y := value(a), value(b)
	n, ok1 := x.(int64)
	m, ok2 := y.(int64)
	return ok1 && ok2 && uint32(n) == uint32(m)
}

// Apply makes the resource and sets what is declared.
func (s *Resource) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	v, err := clus.Open(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	h := clus.HandOf(n.Facts())
	var b resourceBefore
	if err := decode(d.Before, &b); err != nil {
		return steps.Outcome{}, err
	}
	common, private := keep(values(s.Common), b.Common), keep(values(s.Private), b.Private)
	if d.Action == steps.Create {
		// 5010: it exists already; the second look will say whether it is the declared one
		if err := h.Do(ctx, n, clus.Change{Op: clus.CreateResource, Name: s.Name, Type: s.Type, To: s.Group}); err != nil &&
			!clus.IsCode(err, 5010) {
			return steps.Outcome{}, err
		}
		common, private = values(s.Common), values(s.Private)
	}
	if s.Group != "" {
		if err := clus.Regroup(ctx, n, v, b.Name, s.Group); err != nil {
			return steps.Outcome{}, err
		}
	}
	var out steps.Outcome
	if len(private) > 0 && d.Action != steps.Create {
		out.Note = "private properties take effect when the resource comes online the next time"
	}
	if err := setBoth(ctx, n, b.Name, common, private); err != nil {
		return out, err
	}
	if s.MayRestart && len(private) > 0 && b.State == clus.ResourceOnline {
		out.Note = ""
		if err := restart(ctx, n, v, b.Name); err != nil {
			return out, err
		}
	}
	return out, bringTo(ctx, n, v, b.Name, s.State)
}

// keep returns the wishes that the Check found to differ.
func keep(want, before map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range want {
		if _, differs := before[k]; differs {
			out[k] = v
		}
	}
	return out
}

func setBoth(ctx context.Context, n node.Node, name string, common, private map[string]any) error {
	h := clus.HandOf(n.Facts())
	if len(common) > 0 {
		if err := h.Do(ctx, n, clus.Change{Op: clus.SetProperties, Name: name, Of: clus.Object{Resource: name},
			Values: common}); err != nil {
			return err
		}
	}
	if len(private) > 0 {
		return h.Do(ctx, n, clus.Change{Op: clus.SetProperties, Name: name, Of: clus.Object{Resource: name, Private: true},
			Values: private})
	}
	return nil
}

// restart takes a resource offline, which takes along what depends on it, and brings its whole
// group online again.
func restart(ctx context.Context, n node.Node, v clus.Reader, name string) error {
	all, err := v.Resources(ctx)
	if err != nil {
		return err
	}
	x, found := clus.FindResource(all, name)
	if !found {
		return clus.NotThere(n, "resource", name)
	}
	h := clus.HandOf(n.Facts())
	if err := h.Do(ctx, n, clus.Change{Op: clus.ResourceDown, Name: name}); err != nil {
		return err
	}
	if err := clus.WaitResource(ctx, v, name, clus.ResourceOffline); err != nil {
		return err
	}
	if err := h.Do(ctx, n, clus.Change{Op: clus.GroupUp, Name: x.Group}); err != nil {
		return err
	}
	return clus.WaitGroup(ctx, v, x.Group, "")
}

func bringTo(ctx context.Context, n node.Node, v clus.Reader, name, state string) error {
	if state == "" {
		return nil
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return err
	}
	x, found := clus.FindResource(all, name)
	if !found {
		return clus.NotThere(n, "resource", name)
	}
	op, want := clus.ResourceUp, int64(clus.ResourceOnline)
	if state == "offline" {
		op, want = clus.ResourceDown, clus.ResourceOffline
	}
	if x.State == want {
		return nil
	}
	if err := clus.HandOf(n.Facts()).Do(ctx, n, clus.Change{Op: op, Name: name}); err != nil {
		if clus.IsCode(err, 5057) {
			err = hint.Wrap(err, "the address is in use by another machine")
		}
		return err
	}
	return clus.WaitResource(ctx, v, name, want)
}

// Undo deletes the resource that the step made, or gives back what it changed.
func (s *Resource) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return clus.Undo(ctx, n, before, func(v clus.Reader, b resourceBefore) error {
		all, err := v.Resources(ctx)
		if err != nil {
			return err
		}
		x, found := clus.FindResource(all, b.Name)
		if !found {
			return nil
		}
		if !b.Existed {
			return removeResource(ctx, n, v, x)
		}
		if err := setBoth(ctx, n, x.Name, recorded(b.Common), recorded(b.Private)); err != nil {
			return err
		}
		if b.Group != "" && s.Group != "" {
			if err := clus.Regroup(ctx, n, v, x.Name, b.Group); err != nil {
				return err
			}
		}
		var stays []string
		for _, name := range append(sortedKeys(b.Common), sortedKeys(b.Private)...) {
			if value(b.Common[name]) == nil && value(b.Private[name]) == nil {
				stays = append(stays, fmt.Sprintf("property %s of %q had no value before and keeps the one it has", name, x.Name))
			}
		}

		switch {
		case s.State == "" || s.State == stateWords[b.State]: // it was right already
		case stateWords[b.State] != "":
			err = bringTo(ctx, n, v, x.Name, stateWords[b.State])
		default:
			stays = append(stays, fmt.Sprintf("%q was in state %d before, which nobody can bring about", x.Name, b.State))
		}
		if err == nil && len(stays) > 0 {
			err = steps.Left(strings.Join(stays, "; "))
		}
		return err
	})
}

// stateWords are the states that a step can wish for.
var stateWords = map[int64]string{clus.ResourceOnline: "online", clus.ResourceOffline: "offline"}

// recorded leaves out what was not set before: a property cannot be told to be absent by value, and
// its default is what Windows shows anyway.
func recorded(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if x := value(v); x != nil {
			out[k] = x
		}
	}
	return out
}
