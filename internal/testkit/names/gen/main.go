// Command gen makes the names test's tables: of each fact file it keeps the entries that the
// registered kinds name.
//
//	go run ./internal/testkit/names/gen FACTS > internal/testkit/names/testdata/tables.json
//
// FACTS is a directory with the recorded fact files. Commands and classes that no kind names are
// left out.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"deploy/internal/testkit/names"
	"deploy/steps/all"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen FACTS")
		os.Exit(2)
	}
	t, err := tables(os.Args[1])
	if err == nil {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", " ")
		e.SetEscapeHTML(false)
		err = e.Encode(t)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func tables(dir string) (names.Tables, error) {
	wanted := map[string]bool{}
	reg := all.Kinds()
	for _, n := range reg.Names() {
		k, _ := reg.Get(n)
		for _, c := range k.Calls {
			_, class, _ := strings.Cut(c.WMI, ":")
			for _, name := range []string{c.Cmdlet, class, c.Property} {
				if name != "" {
					wanted[strings.ToLower(name)] = true
				}
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	out := names.Tables{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var f struct {
			Environment, Source           string
			Commands, Classes, Properties map[string]map[string]any
		}
		if err := json.Unmarshal(data, &f); err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", file, err)
		}
		t := names.Table{Environment: f.Environment, Source: f.Source, Entries: map[string]map[string]any{}}
		for _, group := range []map[string]map[string]any{f.Commands, f.Classes, f.Properties} {
			for n := range group {
				// properties of several objects share a name: the file keys them by page and names them inside
				property, _ := group[n]["property"].(string)
				if wanted[strings.ToLower(n)] || wanted[strings.ToLower(property)] {
					keep(t.Entries, group, n)
				}
			}
		}
		if len(t.Entries) > 0 {
			out[strings.TrimSuffix(filepath.Base(file), ".json")] = t
		}
	}
	return out, nil
}

// keep takes an entry with the classes that it inherits from.
func keep(to, from map[string]map[string]any, name string) {
	e := from[name]
	if e == nil || to[name] != nil {
		return
	}
	to[name] = e
	if base, _ := e["$base"].(string); base != "" {
		keep(to, from, base)
	}
}
