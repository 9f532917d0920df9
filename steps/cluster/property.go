package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
	"deploy/steps/inspect"
)

// Property sets common properties of the cluster itself.
type Property struct {
	Properties map[string]int64 `json:"properties" doc:"property names and whole numbers, for example SameSubnetThreshold: 10" required:"true" check:"compared"`
}

type propertyBefore struct {
	Values map[string]int64 `json:"values"`
}

// limits are the ranges of the properties that may be set, with the release from which on they are
// there. old is the largest value up to 2008 R2 where that was smaller. Source: the cluster common
// property pages of the MsCS documentation; the ranges of delay and threshold on 2008 are those of
// its tuning notes.
type limits struct {
	least, most, old int64
	since            node.Release
}

var propertyLimits = map[string]limits{
	"SameSubnetDelay":          {250, 2000, 0, node.WS2008},
	"SameSubnetThreshold":      {3, 120, 10, node.WS2008},
	"CrossSubnetDelay":         {250, 4000, 0, node.WS2008},
	"CrossSubnetThreshold":     {3, 120, 10, node.WS2008},
	"DefaultNetworkRole":       {0, 3, 0, node.WS2008},
	"QuorumArbitrationTimeMax": {1, 3600, 0, node.WS2008},
	"QuorumArbitrationTimeMin": {1, 3600, 0, node.WS2008},
	"AddEvictDelay":            {0, 600, 0, node.WS2012},
	"RequestReplyTimeout":      {5, 1440, 0, node.WS2012},
	"ShutdownTimeoutInMinutes": {0, 1440, 0, node.WS2012},
	"ClusterLogLevel":          {0, 5, 0, node.WS2012},
	"ClusterLogSize":           {8, 1024, 0, node.WS2012},
	"DrainOnShutdown":          {0, 1, 0, node.WS2012R2},
	"WitnessDynamicWeight":     {0, 1, 0, node.WS2012R2},
}

func propertyKind() steps.Kind {
	var reads []node.Call
	for name, l := range propertyLimits {
		reads = append(reads, node.Call{Property: name, Of: "Cluster Common Properties", On: inspect.From(l.since)},
			node.Call{WMI: clus.Namespace + ":MSCluster_Cluster", Props: []string{name}, On: inspect.From(l.since)})
	}
	sort.Slice(reads, func(i, j int) bool { return reads[i].Property+reads[i].WMI < reads[j].Property+reads[j].WMI })
	return steps.Kind{
		Name:    "cluster.property",
		OS:      "windows",
		Summary: "Sets common properties of the cluster.",
		Doc: "Compares and sets numbers such as the tolerance for missed heartbeats, within the documented range of the " +
			"node's release. " +
			"Known properties: " + strings.Join(propertyNames(),
			", ") + ". They take effect at once. Windows Server 2003 has other ones and is refused.",
		Undo:      "Gives back the recorded numbers.",
		Proof:     proof,
		Sources:   []string{"Cluster common properties", "MSCluster_Cluster"},
		Calls:     calls(clus.ReadCalls(), clus.HandCalls(clus.SetProperties), reads),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Property{} },
		Example:   "properties:\n  SameSubnetThreshold: 10\n  CrossSubnetThreshold: 10\n",
	}
}

func propertyNames() []string {
	var out []string
	for n := range propertyLimits {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Kind names the step.
func (s *Property) Kind() string { return "cluster.property" }

// Reads names what Check will ask.
func (s *Property) Reads(f node.Facts) []node.Query { return clus.Reads(f) }

// Validate looks at the data.
func (s *Property) Validate() error {
	for name, v := range s.Properties {
		l, ok := propertyLimits[name]
		if !ok {
			e := &steps.FieldError{Path: []string{"properties", name}, Msg: "is no cluster property that deploy sets"}
			if n := steps.Nearest(name, propertyNames()); n != "" {
				e.Hint = fmt.Sprintf("did you mean %q?", n)
			}
			return e
		}
		if v < l.least || v > l.most {
			return &steps.FieldError{Path: []string{"properties", name},
				Msg: fmt.Sprintf("is %d, must be %d to %d", v, l.least, l.most)}
		}
	}
	return nil
}

func (s *Property) names() []string {
	var out []string
	for n := range s.Properties {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Check compares the numbers.
func (s *Property) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	rel := r.Facts().Release
	for _, n := range s.names() {
		l := propertyLimits[n]
		if !rel.AtLeast(l.since) {
			return steps.Diff{}, fmt.Errorf("cannot set %s on %s: %w before Windows Server %s", n, r.Facts().Computer,
				node.ErrUnsupported, l.since)
		}
		if l.old > 0 && !rel.AtLeast(node.WS2012) && s.Properties[n] > l.old {
			return steps.Diff{}, fmt.Errorf("cannot set %s to %d on %s: up to Windows Server 2008 R2 it is %d at most", n,
				s.Properties[n], r.Facts().Computer, l.old)
		}
	}
	v, err := clus.Open(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	now, err := v.Properties(ctx, clus.Object{}, s.names())
	if err != nil {
		return steps.Diff{}, err
	}
	d := steps.Diff{Action: steps.Update, Via: clus.HandOf(r.Facts()).Via(clus.SetProperties)}
	before := propertyBefore{Values: map[string]int64{}}
	for _, n := range s.names() {
		if !now.Has(n) {
			return steps.Diff{}, fmt.Errorf("cannot read property %s of the cluster of %s", n, r.Facts().Computer)
		}
		if now.Int(n) != s.Properties[n] {
			d.Changes = append(d.Changes, steps.Change{Attr: n, From: now.Int(n), To: s.Properties[n]})
			before.Values[n] = now.Int(n)
		}
	}
	if len(d.Changes) == 0 {
		return steps.NoChange(), nil
	}
	d.Before = steps.MustJSON(before)
	return d, nil
}

// Apply sets what differs.
func (s *Property) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	values := map[string]any{}
	for _, c := range d.Changes {
		values[c.Attr] = s.Properties[c.Attr]
	}
	return steps.Outcome{}, clus.HandOf(n.Facts()).Do(ctx, n, clus.Change{Op: clus.SetProperties, Values: values})
}

// Undo gives back the recorded numbers.
func (s *Property) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b propertyBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	values := map[string]any{}
	for k, v := range b.Values {
		values[k] = v
	}
	return clus.HandOf(n.Facts()).Do(ctx, n, clus.Change{Op: clus.SetProperties, Values: values})
}
