package psproof

import (
	"encoding/base64"
	"fmt"
	"slices"
	"sort"
	"strings"

	"deploy/internal/node"
	"deploy/steps/all"
)

// nasty is in every value that travels.
const nasty = "' \" ` $(exit 9) \u65e5\u672c \U0001f4a9\r\nnext"

// calls are all that the kinds declare, each once.
func calls() []node.Call {
	reg := all.Kinds()
	var out []node.Call
	seen := map[string]bool{}
	for _, name := range reg.Names() {
		k, _ := reg.Get(name)
		for _, c := range k.Calls {
			key := fmt.Sprint(c.Cmdlet, c.Params, c.WMI, c.Props, c.Method, c.Args)
			if (c.Cmdlet != "" || c.WMI != "") && !seen[key] {
				seen[key] = true
				out = append(out, c)
			}
		}
	}
	return out
}

// class is what WMI holds of one class: the same properties in two instances.
type class struct {
	props   []string
	methods map[string][]string
}

func classOf(wmi string) string {
	_, name, _ := strings.Cut(wmi, ":")
	return name
}

func classes() map[string]*class {
	out := map[string]*class{}
	get := func(name string) *class {
		if out[name] == nil {
			out[name] = &class{methods: map[string][]string{}}
		}
		return out[name]
	}
	for _, c := range calls() {
		if c.WMI == "" {
			continue
		}
		k := get(classOf(c.WMI))
		for _, p := range c.Props {
			if p, _, _ = strings.Cut(p, "."); !slices.Contains(k.props, p) {
				k.props = append(k.props, p)
			}
		}
		if c.Method != "" {
			for _, a := range append([]string{}, c.Args...) {
				if !slices.Contains(k.methods[c.Method], a) {
					k.methods[c.Method] = append(k.methods[c.Method], a)
				}
			}
			if k.methods[c.Method] == nil {
				k.methods[c.Method] = []string{}
			}
		}
	}
	return out
}

// typeOf is the type of a property or argument in the stand-in's world.
func typeOf(name string) string {
	switch name {
	case "IPAddress", "IPSubnet", "SubnetMask", "DefaultIPGateway", "DNSServerSearchOrder":
		return "String[]"
	case "IPEnabled", "DHCPEnabled", "CoreResource":
		return "Boolean"
	case "PrivateProperties":
		return "Object"
	case "Role", "State", "Index":
		return "UInt32"
	}
	return "String"
}

// raw is a property's value as the world's file has it.
func raw(name string, i int) string {
	switch typeOf(name) {
	case "UInt32":
		return fmt.Sprint(3000000000 + i)
	case "Boolean":
		return "True"
	case "Object":
		return "Inner"
	}
	return fmt.Sprintf("%s %d %s", name, i, nasty)
}

// value is the same as the codec carries it.
func value(name string, i int) any {
	switch typeOf(name) {
	case "UInt32":
		return int64(3000000000 + i)
	case "Boolean":
		return true
	case "Object":
		return obj("Inner", "inner")
	case "String[]":
		return []any{raw(name, i), raw(name, i) + "2"}
	}
	return raw(name, i)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func worldText() string {
	var b strings.Builder
	line := func(w ...string) {
		for i := range w {
			w[i] = b64(w[i])
		}
		b.WriteString(strings.Join(w, " ") + "\n")
	}
	all := classes()
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		for i := range 2 {
			for _, p := range all[n].props {
				line("prop", n, fmt.Sprint(i), p, typeOf(p), raw(p, i))
			}
		}
		methods := all[n].methods
		order := make([]string, 0, len(methods))
		for m := range methods {
			order = append(order, m)
		}
		sort.Strings(order)
		for _, m := range order {
			w := []string{"method", n, m}
			for _, a := range methods[m] {
				w = append(w, a+":"+typeOf(a))
			}
			line(w...)
		}
	}
	for _, p := range [][3]string{
		{"Version", "String", "6.0.6002"}, {"BuildNumber", "String", "6002"}, {"ServicePackMajorVersion", "UInt32", "2"},
		{"LastBootUpTime", "String", "20261128100000.000000+000"},
	} {
		line("prop", "Win32_OperatingSystem", "0", p[0], p[1], p[2])
	}
	line("method", "Win32_OperatingSystem", "Win32ShutdownTracker", "Timeout:UInt32", "Comment:String",
		"ReasonCode:UInt32", "Flags:UInt32")
	for _, p := range [][3]string{{"Name", "String", "PROOF"}, {"Domain", "String", "contoso.com"},
		{"DomainRole", "UInt32", "3"}} {
		line("prop", "Win32_ComputerSystem", "0", p[0], p[1], p[2])
	}
	for i := range 2 {
		line("prop", "Proof_Thing", fmt.Sprint(i), "Name", "String", fmt.Sprint("thing", i))
		line("prop", "Proof_Thing", fmt.Sprint(i), "Same", "String", "same")
		line("prop", "Proof_Thing", fmt.Sprint(i), "Count", "UInt32", "7")
		line("prop", "Proof_Thing", fmt.Sprint(i), "Private", "Object", "Inner")
		line("prop", "Proof_Thing", fmt.Sprint(i), "List", "String[]", "one")
	}
	return b.String()
}

// moduleText is a module with a function for every cmdlet that the kinds declare, and the traps.
func moduleText() string {
	params := map[string][]string{}
	props := map[string][]string{}
	for _, c := range calls() {
		if c.Cmdlet == "" {
			continue
		}
		for _, p := range c.Params {
			if !slices.Contains(params[c.Cmdlet], p) {
				params[c.Cmdlet] = append(params[c.Cmdlet], p)
			}
		}
		for _, p := range c.Props {
			if !slices.Contains(props[c.Cmdlet], p) {
				props[c.Cmdlet] = append(props[c.Cmdlet], p)
			}
		}
		if params[c.Cmdlet] == nil {
			params[c.Cmdlet] = []string{}
		}
	}
	names := make([]string, 0, len(params))
	for n := range params {
		names = append(names, n)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "function %s {\n    [CmdletBinding()]\n    param(", n)
		for i, p := range params[n] {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("$" + p)
		}
		b.WriteString(")\n    foreach ($key in @($PSBoundParameters.Keys)) {\n        [DeployStub.Record]::Param($key, " +
			"$PSBoundParameters[$key])\n    }\n")
		fmt.Fprintf(&b, "    [DeployStub.Record]::Call('%s')\n", n)
		if len(props[n]) > 0 {
			b.WriteString("    " + tree(props[n]) + "\n")
		}
		b.WriteString("}\n")
	}
	return b.String() + traps
}

// tree writes an object with properties of dotted names: each is "value of NAME", and an
// enumeration where the name asks for its word.
func tree(paths []string) string {
	inner := map[string][]string{}
	var order []string
	for _, p := range paths {
		head, rest, _ := strings.Cut(strings.TrimSuffix(p, ":name"), ".")
		if _, ok := inner[head]; !ok {
			order = append(order, head)
		}
		if rest != "" {
			inner[head] = append(inner[head], rest)
		} else if strings.HasSuffix(p, ":name") {
			inner[head] = []string{":name"}
		} else {
			inner[head] = nil
		}
	}
	parts := make([]string, 0, len(order))
	for _, head := range order {
		switch {
		case len(inner[head]) == 1 && inner[head][0] == ":name":
			parts = append(parts, head+" = [System.DayOfWeek]::Friday")
		case len(inner[head]) > 0:
			parts = append(parts, head+" = ("+tree(inner[head])+")")
		default:
			parts = append(parts, head+" = 'value of "+head+"'")
		}
	}
	return "New-Object PSObject -Property @{ " + strings.Join(parts, "; ") + " }"
}

// selected is what tree's object has under a path.
func selected(path string) any {
	if strings.HasSuffix(path, ":name") {
		return "Friday"
	}
	return "value of " + path[strings.LastIndex(path, ".")+1:]
}

// show writes a value as stubs.cs does.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "s:" + b64(v)
	case bool:
		if v {
			return "Boolean:True"
		}
		return "Boolean:False"
	case int64:
		return fmt.Sprintf("Int64:%d", v)
	case []any:
		return "Object[]{" + joined(v) + "}"
	case []string:
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		return "String[]{" + joined(list) + "}"
	}
	return fmt.Sprintf("? %T", v)
}

func joined(v []any) string {
	parts := make([]string, len(v))
	for i := range v {
		parts[i] = show(v[i])
	}
	return strings.Join(parts, ",")
}

const traps = `
function Get-TrapBreak {
    break
}
function Get-TrapContinue {
    continue
}
function Get-TrapExit {
    exit 7
}
function Get-TrapNoise {
    Write-Host 'noise of a host'
    [Console]::Out.WriteLine('othernonce 1 D n')
    [Console]::Error.WriteLine('noise on stderr')
    [Console]::Out.Write('noise without an end')
    'value'
}
function Set-TrapState {
    [System.Threading.Thread]::CurrentThread.CurrentCulture = New-Object System.Globalization.CultureInfo('fr-FR')
    Set-Location ([System.IO.Path]::GetTempPath())
    $global:ErrorActionPreference = 'SilentlyContinue'
    $global:ProgressPreference = 'Continue'
}
function Get-TrapState {
    $here = (Get-Location).Path.TrimEnd('/', '\')
    New-Object PSObject -Property @{ Text = (1.5).ToString(); Preference = [string]$ErrorActionPreference
        Home = ($here -eq $env:SystemDrive.TrimEnd('/', '\')) }
}
function Get-TrapSoft {
    [CmdletBinding()]
    param($Name)
    Write-Error 'an error that does not end a command'
    'value'
}
function Get-TrapThrow {
    throw 'free text $(exit 9)'
}
function Get-TrapNet {
    [void][System.IO.File]::OpenRead($env:SystemDrive + '/absent')
}
function Get-TrapArrays {
    $o = New-Object PSObject
    Add-Member -InputObject $o -MemberType NoteProperty -Name One -Value @(1)
    Add-Member -InputObject $o -MemberType NoteProperty -Name Two -Value @(1, 2)
    Add-Member -InputObject $o -MemberType NoteProperty -Name None -Value @()
    Add-Member -InputObject $o -MemberType NoteProperty -Name Null -Value $null
    Add-Member -InputObject $o -MemberType NoteProperty -Name Nulls -Value @($null, $null)
    Add-Member -InputObject $o -MemberType NoteProperty -Name Deep -Value @(@(1), @(2, 3))
    $o
}
function Get-TrapTypes {
    $bytes = [byte[]]@(0, 255)
    $utc = [datetime]::SpecifyKind((New-Object datetime 2026, 1, 31, 10, 20, 30), [System.DateTimeKind]::Utc)
    New-Object PSObject -Property @{
        Long = [int64]::MaxValue
        Wide = [uint64]::MaxValue
        Double = 1.5
        Decimal = [decimal]2.5
        Date = $utc
        Char = [char]'x'
        Yes = $true
        Bytes = $bytes
        Day = [System.DayOfWeek]::Friday
        Span = [System.TimeSpan]::FromSeconds(93784)
        Map = @{ b = 1; a = 'x' }
    }
}
function Get-TrapMany {
    for ($i = 0; $i -lt 3000; $i++) {
        New-Object PSObject -Property @{ Number = $i; Text = 'x' * 300 }
    }
}
`
