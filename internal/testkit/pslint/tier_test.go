package pslint

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// caught has for every rule what it must refuse, and beside it what it must let pass.
var caught = map[string]struct{ bad, good []string }{
	"characters beyond ASCII": {[]string{"$x = '\u00e9'", "# \u2013"}, []string{"$x = 'e'"}},
	"a type that .NET 2.0 lacks, or that nobody has looked up": {
		[]string{"$x = [pscustomobject]@{ a = 1 }", "$x = [ordered]@{ a = 1 }", "$x = [PSCustomObject]$y",
			"$x = New-Object System.Collections.Concurrent.ConcurrentBag",
			"$x = [System.Tuple]::Create(1)", "$x = New-Object -TypeName System.Lazy",
			"$x = New-Object System.Security.Cryptography.SHA256CryptoServiceProvider",
			"$x = [System.Collections.Generic.List[string]]$y", "$x = [nullstring]::Value"},
		[]string{"$x = [string]$y", "$x = New-Object System.Text.UTF8Encoding($false)",
			"$x = New-Object -ComObject Schedule.Service", "$x = New-Object byte[] 5", "$x = [byte[]]$y",
			"try {\n$x = 1\n}\ncatch {\n$x = New-Object System.Security.Cryptography.SHA256CryptoServiceProvider\n}",
			"function f {\nparam([Parameter(Mandatory=$true)][string]$a)\n}"},
	},
	"an operator of a later version": {[]string{"$x = $a -in $b", "$x = $a -NotIn $b", "$x = 1 -shl 2"},
		[]string{"$x = $b -contains $a", "$x = '-in'"}},
	"a variable of a later version": {[]string{"$x = $PSItem", "$x = $psscriptroot", "$x = ${PSItem}",
		"$x = $PSItem.Name"}, []string{"$x = $_", "$x = '$PSItem'"}},
	"$input": {[]string{"$x = @($input)", "$x = $Input"}, []string{"$x = $inputs"}},
	"a variable for the whole process": {
		[]string{"$script:x = 1", "$GLOBAL:y = 2", "$x = ${global:y}"}, []string{"$x = $env:SystemRoot"}},
	"Where and ForEach as methods": {[]string{"$x = $l.Where({ $_ })", "$x = $l.ForEach{ $_ }"},
		[]string{"$x = $l.Find(1)"}},
	"::new()": {[]string{"$x = [System.Text.StringBuilder]::new(5)", "$x = [string]::New('a', 2)"},
		[]string{"$x = $y.New(1)"}},
	"a member that .NET 2.0 lacks": {
		[]string{"$a.CopyTo($b)", "$x = [string]::IsNullOrWhiteSpace($y)", "$x = [Environment]::Is64BitProcess",
			"$x = [System.Enum]::TryParse($a)", "$x = $e.Exception.HResult",
			"$x = [Microsoft.Win32.Registry]::OpenBaseKey(1, 2)"},
		[]string{"$x = [string]::IsNullOrEmpty($y)", "$x = $a.Length"}},
	"Path.Combine of more than two parts": {[]string{"$x = [System.IO.Path]::Combine('a', 'b', 'c')"},
		[]string{"$x = [System.IO.Path]::Combine('a', 'b')"}},
	"Where-Object or ForEach-Object without a block": {
		[]string{"$x = $l | Where-Object Name -eq 5", "$x = $l | ForEach-Object Name"},
		[]string{"$x = $l | Where-Object { $_.Name -eq 5 }", "$x = $l | ForEach-Object -Process { $_ }"}},
	"merged or numbered streams": {[]string{"$x = f *>&1", "$x = f 2>&1", "$x = f 3> a.txt"},
		[]string{"$x = f 2> $null"}},
	"an attribute's flag without a value": {[]string{"function f {\nparam([Parameter(Mandatory)]$a)\n}"},
		[]string{"function f {\nparam([Parameter(Mandatory=$true)]$a)\n}"}},
	"classes, enumerations and using": {[]string{"class A {\n[int]$x\n}", "enum B {\nx\n}"}, []string{"$class = 1"}},
	"&& and ||":                       {[]string{"f && f", "f || f"}, []string{"$x = $a -and $b"}},
	"?: and ??":                       {nil, []string{"$x = $a"}}, // error nodes: see TestTierScriptsSyntaxRefuses
	"a command that 2.0 lacks, an alias or a program": {
		[]string{"$x = Get-CimInstance Win32_Service", "$x = ConvertTo-Json $y", "$x = Invoke-WebRequest 'x'",
			"$x = Get-FileHash a", "Expand-Archive a", "$x = Get-Disk", "$x = dir", "cmd.exe /c x",
			"$x = $l | % { $_ }", "& 'cmd.exe' /c x", "$x = Invoke-RestMethod a"},
		[]string{"$x = Get-Module -Name a", "$x = f", "$x = & $command @p"}},
	"a parameter that 2.0 lacks, or a short form": {
		[]string{"$x = Get-Content -Raw -Path a", "$x = Get-ChildItem -File", "$x = Get-Module -Na a",
			"$x = Get-Acl -LiteralPath a"},
		[]string{"$x = Get-Content -Path a", "$x = f -Anything 1", "$x = Get-Module -Name a -ErrorAction SilentlyContinue"}},
	"a script made from text": {[]string{"Invoke-Expression $x", "$x = [ScriptBlock]::Create($y)",
		"$x = $ExecutionContext.InvokeCommand.NewScriptBlock($y)", "Add-Type -TypeDefinition $x"},
		[]string{"$x = [System.IO.Directory]::CreateDirectory($y)"}},
	"output past the frames": {[]string{"Write-Host 'x'", "[Console]::WriteLine('x')", "[Console]::Out.Write('x')",
		"$x | Out-Host", "write-output 1"},
		[]string{"$x = [Console]::OpenStandardOutput()"}},
	"a value on the pipeline at the loop's own level": {
		[]string{"$x.Add(1)", "'text'", "while ($true) {\n$x.Append('a')\n}", "Get-Module -Name a", "g", "& $verb",
			"try {\n5\n}\ncatch {\n}"},
		[]string{"[void]$x.Add(1)", "$null = g", "f", "$i++", "$w.Flush()", "function h {\n5\n}", "$x = {\n5\n}",
			"Get-Module -Name a | Out-Null"}},
	"exit": {[]string{"exit 3", "if ($x) {\nexit\n}"}, []string{"function h {\nreturn 3\n}"}},
	"break or continue outside a loop": {
		[]string{"break", "function h {\ncontinue\n}", "foreach ($x in $y) {\n$z = {\nbreak\n}\n}"},
		[]string{"foreach ($x in $y) {\nbreak\n}", "switch ($x) {\n1 {\nbreak\n}\n}"}},
	"text that PowerShell expands": {[]string{`$x = "a $b"`, `$x = "$(f)"`}, []string{"$x = \"`n\"", `$x = 'a $b'`}},
	"a variable of the script's own that a caller hides": {
		[]string{"$data = 1\nfunction h {\n$x = $data\n}\nfunction i {\nforeach ($data in @(1)) {\nh\n}\n}",
			"$data = 1\nfunction h {\n$x = $data\n}\nfunction i($Data) {\nh\n}",
			"$data = 1\n$x = {\n$y = $data\n}\nfunction i {\n$data = 2\n& $x\n}"},
		[]string{"$data = 1\nfunction h {\n$x = $data\n}\nfunction i {\n$x = 2\n}",
			"$data = 1\nfunction h($data) {\n$x = $data\n}", "$data = @{}\nfunction h {\n$data['x'] = 1\n}"}},
	"a here-string": {[]string{"$x = @'\na\n'@", "$x = @\"\na\n\"@"}, []string{"$x = '@'"}},
}

// Around every case: f returns nothing, g returns something.
const around = "\nfunction f {\n$null = 1\n}\nfunction g {\n5\n}\n"

func TestTierScriptsRules(t *testing.T) {
	g := Need(t)
	names := RuleNames()
	if want := slices.Sorted(maps.Keys(caught)); !slices.Equal(want, slices.Sorted(slices.Values(names))) {
		t.Errorf("rules without a case, or cases without a rule: %v and %v", names, want)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			c := caught[name]
			var sources []string
			for _, s := range append(slices.Clone(c.bad), c.good...) {
				sources = append(sources, s+around)
			}
			trees, err := g.Parse(t.Context(), sources...)
			if err != nil {
				t.Fatal(err)
			}
			for i, tree := range trees {
				if errs := SyntaxErrors(tree); len(errs) > 0 {
					t.Errorf("%q: %v", sources[i], errs)
				}
				found, err := Check(tree, Script{})
				if err != nil {
					t.Fatal(err)
				}
				hit := slices.ContainsFunc(found, func(f Finding) bool { return f.Rule == name })
				if hit != (i < len(c.bad)) {
					t.Errorf("%q: found %v", strings.TrimSuffix(sources[i], around), found)
				}
				if i >= len(c.bad) && len(found) > 0 {
					t.Errorf("%q is good, found %v", strings.TrimSuffix(sources[i], around), found)
				}
			}
		})
	}
}

func TestTierScriptsAllowances(t *testing.T) {
	g := Need(t)
	for _, c := range []struct {
		source string
		s      Script
	}{
		{"exit 3", Script{Exit: true}},
		{"& ([ScriptBlock]::Create($x))", Script{Creates: true, Stdout: true}},
		{"'text'", Script{Stdout: true}},
		{"$x = Get-Elsewhere", Script{Functions: []string{"Get-Elsewhere"}}},
	} {
		trees, err := g.Parse(t.Context(), c.source)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := Check(trees[0], c.s); err != nil || len(found) > 0 {
			t.Errorf("%q with %+v: %v, %v", c.source, c.s, found, err)
		}
		if found, err := Check(trees[0], Script{}); err != nil || len(found) == 0 {
			t.Errorf("%q passes without its allowance: %v", c.source, err)
		}
	}
}

// The grammar must be able to refuse: later syntax, and text that is cut or broken.
func TestTierScriptsSyntaxRefuses(t *testing.T) {
	g := Need(t)
	bad := []string{"$x = $a ? 1 : 2", "$x = $a ?? $b", "$x ??= 1", "if ($x) {", "$x = @{ a = ", "'open",
		"foreach ($x of $y) { }", "$x = (1", "} $x", "param($a"}
	trees, err := g.Parse(t.Context(), bad...)
	if err != nil {
		t.Fatal(err)
	}
	for i, tree := range trees {
		if len(SyntaxErrors(tree)) == 0 {
			t.Errorf("%q has no syntax error", bad[i])
		}
	}
}

func TestCommands(t *testing.T) {
	c, err := Commands()
	if err != nil {
		t.Fatal(err)
	}
	if len(c) < 200 || !slices.Contains(c["new-object"], "ComObject") || c["convertto-json"] != nil ||
		slices.Contains(c["get-content"], "Raw") {
		t.Errorf("the table of 2.0 is not what was recorded: %d commands", len(c))
	}
}
