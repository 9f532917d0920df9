package names

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"deploy/internal/node"
	"deploy/steps/all"
)

func load(t *testing.T) Tables {
	t.Helper()
	tables, err := Load("testdata/tables.json")
	if err != nil {
		t.Fatal(err)
	}
	// what no recording has was collected by hand, with its source
	hand, err := os.ReadFile("testdata/by-hand.json")
	if err != nil {
		t.Fatal(err)
	}
	var more Tables
	if err := json.Unmarshal(hand, &more); err != nil {
		t.Fatal(err)
	}
	for name, table := range more {
		if have, ok := tables[name]; ok {
			maps.Copy(have.Entries, table.Entries)
			continue
		}
		tables[name] = table
	}
	return tables
}

// Every name that a kind may send to a machine is in the tables, for every release that the kind
// claims.
func TestTierNames(t *testing.T) {
	tables := load(t)
	reg := all.Kinds()
	calls := 0
	for _, name := range reg.Names() {
		k, _ := reg.Get(name)
		t.Run(name, func(t *testing.T) {
			for _, c := range k.Calls {
				calls++
				for _, err := range tables.Check(c) {
					t.Error(err)
				}
			}
		})
	}
	if calls < 30 {
		t.Errorf("only %d calls are declared", calls)
	}
}

// The check itself must be able to fail.
func TestTierNamesRefuses(t *testing.T) {
	tables := load(t)
	for name, c := range map[string]node.Call{
		"unknown cmdlet":    {Cmdlet: "Get-Nothing", On: []node.Release{node.WS2016}},
		"unknown parameter": {Cmdlet: "Get-Disk", Params: []string{"Serial"}, On: []node.Release{node.WS2016}},
		"too early":         {Cmdlet: "Get-Disk", On: []node.Release{node.WS2008R2, node.WS2008}},
		"no release":        {Cmdlet: "Get-Disk"},
		"unknown class":     {WMI: `root\cimv2:Win32_Nothing`, On: node.WindowsReleases()},
		"unknown property":  {WMI: `root\cimv2:Win32_Service`, Props: []string{"Colour"}, On: node.WindowsReleases()},
		"unknown method":    {WMI: `root\cimv2:Win32_Service`, Method: "Dance", On: node.WindowsReleases()},
		"unknown argument": {WMI: `root\cimv2:Win32_Service`, Method: "ChangeStartMode", Args: []string{"Mode"},
			On: node.WindowsReleases()},
		"unknown namespace":    {WMI: `root\nowhere:X`, On: node.WindowsReleases()},
		"unknown property cl.": {Property: "Nothing"},
		"tool without source":  {Tool: "x.exe"},
		"nothing":              {},
	} {
		if len(tables.Check(c)) == 0 {
			t.Errorf("%s was accepted", name)
		}
	}
	ok := node.Call{WMI: `root\cimv2:Win32_Service`, Props: []string{"Name", "StartMode"}, Method: "ChangeStartMode",
		Args: []string{"StartMode"}, On: node.WindowsReleases()}
	if errs := tables.Check(ok); len(errs) > 0 {
		t.Errorf("a good call was refused: %v", errs)
	}
	if len(slices.Collect(maps.Keys(tables))) < 10 {
		t.Error("tables are missing")
	}
}
