package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"sort"
	"strings"

	"deploy/internal/lab/model"
)

// Show is the whole state of the machines as JSON: {"state": ..., "volatile": ...}. "state" holds
// what a person would call the state: two runs that did the same have the same bytes there. What
// differs between such runs (times, boot counts, jobs, faults, products' logs) is under "volatile",
// and ids that the lab made up are numbered in the order in which they are met.
func (l *Lab) Show() ([]byte, error) {
	l.world.Lock()
	defer l.world.Unlock()
	return show(l.world)
}

// Show reads the state of a lab from its directory. An error that wraps fs.ErrNotExist says that
// there is none.
func Show(dir string) ([]byte, error) {
	w, err := loadWorld(dir)
	if err != nil {
		return nil, err
	}
	if w == nil {
		return nil, fmt.Errorf("cannot show the lab in %s: it was never started: %w", dir, fs.ErrNotExist)
	}
	return show(w)
}

// ShowWorld is Show for a world that no servers stand before. The caller holds its lock.
func ShowWorld(w *model.World) ([]byte, error) { return show(w) }

func show(w *model.World) ([]byte, error) {
	raw, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("cannot show the lab: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var state map[string]any
	if err := dec.Decode(&state); err != nil {
		return nil, fmt.Errorf("cannot show the lab: %w", err)
	}
	volatile := map[string]any{}
	take(state, volatile, "serial", "faults")
	if machines, ok := state["machines"].(map[string]any); ok {
		moved := map[string]any{}
		for name, m := range machines {
			m, _ := m.(map[string]any)
			v := map[string]any{}
			take(m, v, "boots", "booted", "jobs")
			if files, ok := m["files"].(map[string]any); ok {
				takeLogs(files, v)
			}
			if keys, ok := m["registry"].(map[string]any); ok {
				takeOwners(keys, v)
			}
			moved[name] = v
		}
		volatile["machines"] = moved
	}
	drop(state, "modified")
	order(state, "records", "addresses")
	out, err := json.MarshalIndent(map[string]any{"state": relabel(state), "volatile": volatile}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("cannot show the lab: %w", err)
	}
	return append(out, '\n'), nil
}

// takeOwners moves the owner records, which name runs and times, and the key above them where there
// is nothing else in it.
func takeOwners(keys, to map[string]any) {
	const above = `hklm\software\deploy`
	owners, ok := keys[above+`\owner`].(map[string]any)
	if !ok {
		return
	}
	delete(keys, above+`\owner`)
	if values, _ := owners["values"].(map[string]any); len(values) > 0 {
		to["owners"] = values
	}
	for path := range keys {
		if strings.HasPrefix(path, above+`\`) {
			return
		}
	}
	if k, _ := keys[above].(map[string]any); k != nil {
		if values, _ := k["values"].(map[string]any); len(values) == 0 {
			delete(keys, above)
		}
	}
}

// take moves entries from one map to another.
func take(from, to map[string]any, names ...string) {
	for _, n := range names {
		if v, ok := from[n]; ok {
			to[n] = v
			delete(from, n)
		}
	}
}

// takeLogs moves what products write about themselves: logs and reports hold times and every try.
func takeLogs(files, to map[string]any) {
	logs := map[string]any{}
	const reports = `c:\windows\cluster\reports`
	for path, f := range files {
		m, _ := f.(map[string]any)
		if m["volatile"] == true || path == reports || strings.HasPrefix(path, reports+`\`) {
			logs[path] = f
			delete(files, path)
		}
	}
	if len(logs) > 0 {
		to["logs"] = logs
	}
}

// drop removes an entry wherever it stands.
func drop(v any, name string) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, name)
		for _, x := range v {
			drop(x, name)
		}
	case []any:
		for _, x := range v {
			drop(x, name)
		}
	}
}

// order sorts lists whose order is that in which things happened to come: a zone's records, and a
// card's addresses, among which those of cluster resources come and go.
func order(v any, names ...string) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if list, ok := x.([]any); ok && slices.Contains(names, k) {
				sort.SliceStable(list, func(i, j int) bool { return fmt.Sprint(list[i]) < fmt.Sprint(list[j]) })
			}
			order(x, names...)
		}
	case []any:
		for _, x := range v {
			order(x, names...)
		}
	}
}

// relabel replaces every id that the lab made up by a number in the order in which a walk meets it.
// The walk's order may not hang on the ids, so maps are walked by their keys, and equal keys by
// their contents, with all ids blanked.
func relabel(state map[string]any) any {
	r := &relabeler{id: regexp.MustCompile(`(?i)[0-9a-f]{8}-4c41-4b0d-8a[0-9a-f]{2}-[0-9a-f]{12}`),
		labels: map[string]string{}, signatures: map[string]string{}}
	r.disks(state)
	r.walk(state)
	return r.apply(state, "")
}

type relabeler struct {
	id         *regexp.Regexp
	labels     map[string]string // lower-case id to label
	signatures map[string]string // disk signature to label
}

// disks gives the signatures of disks labels that come from the disks' serial numbers.
func (r *relabeler) disks(state map[string]any) {
	disks, _ := state["disks"].(map[string]any)
	for serial, d := range disks {
		d, _ := d.(map[string]any)
		if n, ok := d["signature"].(json.Number); ok && n != "0" {
			r.signatures[n.String()] = "signature of " + serial
		}
	}
}

// blank renders a value without ids.
func (r *relabeler) blank(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "" // it was decoded from JSON
	}
	return r.id.ReplaceAllString(string(raw), "id")
}

func (r *relabeler) note(s string) {
	for _, id := range r.id.FindAllString(s, -1) {
		id = strings.ToLower(id)
		if r.labels[id] == "" {
			r.labels[id] = fmt.Sprintf("id-%04d", len(r.labels)+1)
		}
	}
}

func (r *relabeler) walk(v any) {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		rank := map[string]string{}
		for k := range v {
			keys = append(keys, k)
			rank[k] = r.id.ReplaceAllString(k, "id")
		}
		sort.Slice(keys, func(i, j int) bool {
			a, b := keys[i], keys[j]
			if rank[a] != rank[b] {
				return rank[a] < rank[b]
			}
			return r.blank(v[a]) < r.blank(v[b])
		})
		for _, k := range keys {
			r.note(k)
			r.walk(v[k])
		}
	case []any:
		for _, x := range v {
			r.walk(x)
		}
	case string:
		r.note(v)
	}
}

func (r *relabeler) replace(s string) string {
	return r.id.ReplaceAllStringFunc(s, func(id string) string { return r.labels[strings.ToLower(id)] })
}

// apply makes a copy with the labels. key is the name under which v stands.
func (r *relabeler) apply(v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[r.replace(k)] = r.apply(x, k)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = r.apply(x, key)
		}
		return out
	case string:
		return r.replace(v)
	case json.Number:
		if l := r.signatures[v.String()]; l != "" && strings.Contains(strings.ToLower(key), "signature") {
			return l
		}
	}
	return v
}
