package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
)

// Table is what the plays of the tier have shown of every field: one line each, `kind.field class
// release`, as a page of Markdown. missing are the fields of which no play has shown anything.
func Table(kinds *steps.Registry, dir string) (page string, missing []string, err error) {
	var b strings.Builder
	total, count := 0, map[steps.Class]int{}
	var rows, why []string
	for _, name := range kinds.Names() {
		k, _ := kinds.Get(name)
		seen, err := seenOf(dir, name)
		if err != nil {
			return "", nil, err
		}
		steps.Leaves(k.Fields(), func(path string, f steps.Field) {
			total++
			count[f.Class]++
			if len(seen[path]) == 0 && !only(f) {
				missing = append(missing, name+"."+path)
			}
			rows = append(rows, fmt.Sprintf("| `%s.%s` | %s | %s |", name, path, f.Class, span(seen[path])))
			if f.Class == steps.Unreadable {
				on := strings.Join(f.On, ", ")
				if on == "" {
					on = "everywhere"
				}
				why = append(why, fmt.Sprintf("- `%s.%s` (%s): %s", name, path, on, f.Why))
			}
		})
	}
	fmt.Fprint(&b, `# Fields and how a check treats them

Made by the conformance tier (`+"`make docs-fields`"+`): after an apply it changes every field of every
kind, one at a time, and looks again. A change of a field that is compared or fixed must be seen; one
of an instruction must not. The releases are those on which that was shown. Do not edit.

`)
	fmt.Fprintf(&b, "%d fields: %d compared, %d fixed, %d unreadable (%.1f %%), %d instructions.\n\n", total,
		count[steps.Compared], count[steps.Fixed], count[steps.Unreadable],
		100*float64(count[steps.Unreadable])/float64(total), count[steps.Instruction])
	fmt.Fprintf(&b, "| field | class | shown on |\n|---|---|---|\n%s\n\nUnreadable:\n\n%s\n", strings.Join(rows, "\n"),
		strings.Join(why, "\n"))
	return b.String(), missing, nil
}

// only says that the type allows one value, which nothing can change.
func only(f steps.Field) bool { return len(f.Enum) == 1 }

// seenOf reads which fields of a kind were shown on which releases.
func seenOf(dir, kind string) (map[string][]node.Release, error) {
	files, err := filepath.Glob(filepath.Join(dir, "fields:"+kind+"@*"))
	if err != nil {
		return nil, err
	}
	out := map[string][]node.Release{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		release := node.Release(file[strings.LastIndexByte(file, '@')+1:])
		for _, field := range strings.Fields(string(raw)) {
			if !slices.Contains(out[field], release) {
				out[field] = append(out[field], release)
			}
		}
	}
	return out, nil
}

// span writes releases in their order, a row of them as "2008-2025".
func span(have []node.Release) string {
	var parts []string
	all := node.WindowsReleases()
	for i := 0; i < len(all); i++ {
		if !slices.Contains(have, all[i]) {
			continue
		}
		j := i
		for j+1 < len(all) && slices.Contains(have, all[j+1]) {
			j++
		}
		if j > i+1 {
			parts = append(parts, string(all[i])+"-"+string(all[j]))
			i = j
			continue
		}
		parts = append(parts, string(all[i]))
	}
	if slices.Contains(have, node.Linux) {
		parts = append(parts, string(node.Linux))
	}
	return strings.Join(parts, ", ")
}
