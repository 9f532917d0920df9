package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Binding puts network cards in order: the first is asked before the second, and so on.
type Binding struct {
	Order []string `json:"order" required:"true" doc:"hardware addresses of the cards in the order wished; only their order among each other counts" type:"mac" items:"2" unique:"true" check:"compared"`
}

const (
	linkage     = `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Linkage`
	devicePart  = `\Device\`
	firstMetric = 10
	metricStep  = 10
)

// bindingBefore holds the GUIDs in the order found (up to 2012 R2), or the metrics (from 2016).
type bindingBefore struct {
	Bind    []string `json:"bind,omitempty"`
	Metrics []metric `json:"metrics,omitempty"`
}

type metric struct {
	GUID      string `json:"guid"`
	Interface int64  `json:"interface"`
	Metric    int64  `json:"metric"`
	Automatic bool   `json:"automatic"`
}

func bindingKind() steps.Kind {
	newer := inspect.From(node.WS2016)
	return steps.Kind{
		Name:    "network.binding",
		OS:      "windows",
		Summary: "Puts network cards in order, the public one before the private one.",
		Doc: "On Windows. Up to Windows Server 2012 R2 it orders the cards in the value Bind of the Tcpip service and a " +
			"restart is due. From 2016 on, " +
			"where that order is not kept any more, it sets IPv4 interface metrics of 10, 20 and so on. Only the order of " +
			"the named cards " +
			"among each other is looked at: the hidden adapter of a failover cluster may stand first.",
		Undo:    "Puts the recorded order, or the recorded metrics, back.",
		Proof:   proof,
		Sources: []string{`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Linkage`, "Set-NetIPInterface"},
		Calls: append(inspect.AdapterCalls(),
			node.Call{Cmdlet: "Get-NetIPInterface", Params: []string{"AddressFamily"},
				Props: []string{"InterfaceIndex", "InterfaceMetric", "AutomaticMetric"}, On: newer},
			node.Call{Cmdlet: "Set-NetIPInterface", Params: []string{"InterfaceIndex", "AddressFamily", "InterfaceMetric",
				"AutomaticMetric", "Confirm"}, On: newer}),
		ReadForms: forms(),
		New:       func() steps.Step { return &Binding{} },
		Example:   "order: [00:15:5D:00:01:01, 00:15:5D:00:01:02]\n",
	}
}

// Kind names the step.
func (s *Binding) Kind() string { return "network.binding" }

func byMetric(f node.Facts) bool { return f.Release.AtLeast(node.WS2016) }

func metricQuery() node.Query {
	return node.Cmdlet{Name: "Get-NetIPInterface", Load: "NetTCPIP", Params: map[string]any{"AddressFamily": "IPv4"},
		Select: []string{"InterfaceIndex", "InterfaceMetric", "AutomaticMetric"}}
}

// Reads names what Check will ask.
func (s *Binding) Reads(f node.Facts) []node.Query {
	if byMetric(f) {
		return append(inspect.AdapterReads(f), metricQuery())
	}
	return append(inspect.AdapterReads(f), node.Registry{Key: linkage})
}

// cards returns the wished cards in the wished order.
func (s *Binding) cards(ctx context.Context, r node.Reader) ([]inspect.Adapter, error) {
	all, err := inspect.Adapters(ctx, r)
	if err != nil {
		return nil, err
	}
	var out []inspect.Adapter
	for _, m := range s.Order {
		a, err := inspect.ByMAC(all, m)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// Check compares the order of the cards among each other.
func (s *Binding) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := onlyWindows(r, "network.binding"); err != nil {
		return steps.Diff{}, err
	}
	cards, err := s.cards(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	names := make([]string, 0, len(cards))
	for _, c := range cards {
		names = append(names, c.Name)
	}
	if byMetric(r.Facts()) {
		return checkMetrics(ctx, r, cards, names)
	}
	bind, err := readBind(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	var found []string
	for _, entry := range bind {
		if a, ok := inspect.ByGUID(cards, guidOf(entry)); ok {
			found = append(found, a.Name)
		}
	}
	if len(found) != len(cards) {
		return steps.Diff{}, fmt.Errorf("cannot tell the binding order: only %d of %d cards are bound to TCP/IP (%s)",
			len(found), len(cards), strings.Join(found, ", "))
	}
	if slices.Equal(found, names) {
		return steps.NoChange(), nil
	}
	return steps.Diff{
		Action: steps.Update, Via: "registry",
		Changes: []steps.Change{{Attr: "order", From: strings.Join(found, ", "), To: strings.Join(names, ", ")}},
		Before:  steps.MustJSON(bindingBefore{Bind: bind}),
		Effects: steps.Effects{Reboot: true},
	}, nil
}

func checkMetrics(ctx context.Context, r node.Reader, cards []inspect.Adapter, names []string) (steps.Diff, error) {
	metrics, err := readMetrics(ctx, r, cards)
	if err != nil {
		return steps.Diff{}, err
	}
	inOrder := true
	var from, to []string
	for i, m := range metrics {
		if i > 0 && m.Metric <= metrics[i-1].Metric {
			inOrder = false
		}
		if m.Automatic { // then Windows gives the number, and may give another one tomorrow
			from = append(from, names[i]+" automatic")
		} else {
			from = append(from, fmt.Sprintf("%s %d", names[i], m.Metric))
		}
		to = append(to, fmt.Sprintf("%s %d", names[i], firstMetric+i*metricStep))
	}
	if inOrder {
		return steps.NoChange(), nil
	}
	return steps.Diff{
		Action: steps.Update, Via: "NetTCPIP",
		Changes: []steps.Change{{Attr: "metrics", From: strings.Join(from, ", "), To: strings.Join(to, ", ")}},
		Before:  steps.MustJSON(bindingBefore{Metrics: metrics}),
	}, nil
}

// Apply orders the cards.
func (s *Binding) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	cards, err := s.cards(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	if byMetric(n.Facts()) {
		for i, c := range cards {
			if err := setMetric(ctx, n, metric{Interface: c.Interface, Metric: int64(firstMetric + i*metricStep)}); err != nil {
				return steps.Outcome{}, err
			}
		}
		return steps.Outcome{}, nil
	}
	var guids []string
	for _, c := range cards {
		guids = append(guids, c.GUID)
	}
	changed, err := reorder(ctx, n, guids)
	return steps.Outcome{Reboot: changed}, err
}

// Undo puts order or metrics back. Cards that were added since keep their places.
func (s *Binding) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b bindingBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	if len(b.Metrics) > 0 {
		all, err := inspect.Adapters(ctx, n)
		if err != nil {
			return err
		}
		for _, m := range b.Metrics {
			if a, ok := inspect.ByGUID(all, m.GUID); ok {
				m.Interface = a.Interface
			}
			if err := setMetric(ctx, n, m); err != nil {
				return err
			}
		}
		return nil
	}
	var guids []string
	for _, entry := range b.Bind {
		guids = append(guids, guidOf(entry))
	}
	return due(reorder(ctx, n, guids))
}

func guidOf(entry string) string {
	if len(entry) > len(devicePart) && strings.EqualFold(entry[:len(devicePart)], devicePart) {
		return entry[len(devicePart):]
	}
	return entry
}

func readBind(ctx context.Context, r node.Reader) ([]string, error) {
	v, found, err := inspect.RegistryValue(ctx, r, linkage, "Bind")
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errors.New("cannot tell the binding order: the Tcpip service has no value Bind")
	}
	return node.Row{"x": v.Data}.Strings("x"), nil
}

// reorder puts the cards of guids into the places that they hold together, in the order of guids.
// Every other entry stays where it is. It says whether it changed anything, which counts after a
// restart only.
func reorder(ctx context.Context, n node.Node, guids []string) (bool, error) {
	bind, err := readBind(ctx, n)
	if err != nil {
		return false, err
	}
	var entries []string // those of guids, in the wished order
	for _, g := range guids {
		for _, e := range bind {
			if strings.EqualFold(guidOf(e), g) {
				entries = append(entries, e)
			}
		}
	}
	out := slices.Clone(bind)
	next := 0
	for i, e := range bind {
		if slices.ContainsFunc(guids, func(g string) bool { return strings.EqualFold(guidOf(e), g) }) {
			out[i] = entries[next]
			next++
		}
	}
	if slices.Equal(out, bind) {
		return false, nil
	}
	if _, err := n.Do(ctx, node.RegistrySet{Key: linkage, Name: "Bind", Type: "multi", Data: anys(out)}); err != nil {
		return false, fmt.Errorf("cannot write the binding order: %w", err)
	}
	return true, nil
}

func readMetrics(ctx context.Context, r node.Reader, cards []inspect.Adapter) ([]metric, error) {
	rows, err := r.Query(ctx, metricQuery())
	if err != nil {
		return nil, fmt.Errorf("cannot read the interface metrics: %w", err)
	}
	var out []metric
	for _, c := range cards {
		at := slices.IndexFunc(rows, func(row node.Row) bool { return row.Int("InterfaceIndex") == c.Interface })
		if at < 0 {
			return nil, fmt.Errorf("cannot tell the metric of card %s: it has no IPv4 interface", c.Name)
		}
		out = append(out, metric{c.GUID, c.Interface, rows[at].Int("InterfaceMetric"), rows[at].Int("AutomaticMetric") == 1})
	}
	return out, nil
}

func setMetric(ctx context.Context, n node.Node, m metric) error {
	params := map[string]any{"InterfaceIndex": m.Interface, "AddressFamily": "IPv4", "Confirm": false}
	if m.Automatic {
		params["AutomaticMetric"] = "Enabled"
	} else {
		params["InterfaceMetric"], params["AutomaticMetric"] = m.Metric, "Disabled"
	}
	if _, err := n.Do(ctx, node.CmdletCall{Name: "Set-NetIPInterface", Load: "NetTCPIP", Params: params}); err != nil {
		return fmt.Errorf("cannot set the metric of interface %d: %w", m.Interface, err)
	}
	return nil
}
