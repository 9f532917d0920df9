package pslint

import "strings"

// The rules of powershell's version: what Windows PowerShell 2.0 and .NET 2.0 (3.5 where a line
// says so) do not have.

// typesOf2 are the types that scripts may name, all of .NET 2.0 unless a comment says otherwise. A
// new one is looked up in the vendor's documentation before it is entered here.
var typesOf2 = strings.Fields(`
	bool byte char datetime decimal double int int16 int32 int64 long sbyte single string uint16 uint32 uint64 void object
	byte[] bool[] int[] string[] uint16[] uint32[] object[]
	bitconverter console convert environment guid math scriptblock array timespan
	microsoft.win32.registry microsoft.win32.registryvaluekind microsoft.win32.registryvalueoptions
	system.collections.arraylist system.collections.idictionary system.collections.ienumerable
	system.componentmodel.win32exception system.convert system.dbnull system.enum system.stringcomparer system.stringcomparison
	system.diagnostics.process system.diagnostics.processstartinfo system.diagnostics.stopwatch
	system.directoryservices.directoryentry system.directoryservices.directorysearcher system.directoryservices.searchscope
	system.globalization.cultureinfo
	system.io.directory system.io.directoryinfo system.io.directorynotfoundexception system.io.drivenotfoundexception
	system.io.file system.io.fileaccess system.io.fileattributes system.io.fileinfo system.io.filemode system.io.filenotfoundexception
	system.io.fileshare system.io.filestream system.io.memorystream system.io.path system.io.seekorigin
	system.io.streamreader system.io.streamwriter
	system.io.compression.deflatestream system.io.compression.compressionmode
	system.management.authenticationlevel system.management.managementbaseobject system.management.managementclass
	system.management.managementexception system.management.managementobjectsearcher system.management.managementpath
	system.management.managementscope system.management.objectquery
	system.reflection.assembly system.runtime.interopservices.comexception system.runtime.interopservices.marshal
	system.security.accesscontrol.accesscontrolsections system.security.accesscontrol.directorysecurity system.security.accesscontrol.filesecurity
	system.security.cryptography.sha256
	system.security.principal.ntaccount system.security.principal.securityidentifier system.security.principal.windowsbuiltinrole
	system.security.principal.windowsidentity system.security.principal.windowsprincipal
	system.text.stringbuilder system.text.utf8encoding
	system.threading.thread system.threading.waithandle system.threading.waithandle[]
`)

// laterTypes35 are of .NET 3.5: a script names them only behind a catch.
var laterTypes35 = []string{"system.security.cryptography.sha256cryptoserviceprovider"}

func unknownType(_ *checker, n *Node) bool {
	name := ""
	switch n.Type {
	case "type_literal":
		if n.Parent != nil && n.Parent.Type == "attribute" {
			return false
		}
		name = strings.Trim(n.Text, "[]")
		if strings.HasSuffix(n.Text, "[]]") {
			name += "[]"
		}
	case "command":
		// New-Object's first argument names a type, too
		if !strings.EqualFold(commandName(n), "New-Object") {
			return false
		}
		for i, a := range arguments(n) {
			if a.Type == "command_parameter" {
				if strings.EqualFold(a.Text, "-ComObject") {
					return false
				}
				continue
			}
			if i == 0 || strings.EqualFold(arguments(n)[0].Text, "-TypeName") {
				name, _, _ = strings.Cut(a.Text, "(")
				break
			}
		}
	default:
		return false
	}
	name = strings.ToLower(strings.Join(strings.Fields(name), ""))
	if name == "" || oneOf(name, typesOf2...) {
		return false
	}
	return !oneOf(name, laterTypes35...) || !n.inside([]string{"catch_clause"})
}

func laterOperator(_ *checker, n *Node) bool {
	return len(n.Children) == 0 && oneOfFold(n.Text, "-in", "-notin", "-cin", "-cnotin", "-iin", "-inotin", "-shl",
		"-shr") && n.Type != "command_parameter"
}

func laterVariable(_ *checker, n *Node) bool {
	for _, name := range []string{"PSItem", "PSScriptRoot", "PSCommandPath", "PSDefaultParameterValues", "IsWindows",
		"IsLinux", "IsCoreCLR", "PSEdition", "PSSenderInfo"} {
		if isVariable(n, name) {
			return true
		}
	}
	return false
}

func collectionMethod(_ *checker, n *Node) bool {
	return n.Type == "invokation_foreach_expression" || isCall(n) && !isStatic(n) &&
		oneOfFold(member(n), "Where", "ForEach")
}

// laterMember knows members by name alone: a tree does not tell the type of what they are asked of.
func laterMember(_ *checker, n *Node) bool {
	if !isCall(n) && n.Type != "member_access" {
		return false
	}
	return oneOfFold(member(n), "CopyTo", "CopyToAsync", "IsNullOrWhiteSpace", "Is64BitProcess", "Is64BitOperatingSystem",
		"TryParse", "HResult", "OpenBaseKey",
		"RegistryView", "HasFlag", "GetAwaiter", "EnumerateFiles", "EnumerateDirectories", "EnumerateFileSystemInfos",
		"EnumerateFileSystemEntries", "ReadLines",
		"Restart", "ReadAsync", "WriteAsync", "FlushAsync", "ToUnixTimeSeconds", "Empty")
}

func longCombine(_ *checker, n *Node) bool {
	if !isCall(n) || !strings.EqualFold(member(n), "Combine") {
		return false
	}
	list := n.Find("argument_expression_list")
	if list == nil {
		return false
	}
	count := 0
	for _, a := range list.Children {
		if a.Type == "argument_expression" {
			count++
		}
	}
	return count > 2
}

func simplified(_ *checker, n *Node) bool {
	if n.Type != "command" || !oneOfFold(commandName(n), "Where-Object", "ForEach-Object", "where", "foreach", "?", "%") {
		return false
	}
	args := arguments(n)
	if len(args) == 0 {
		return true
	}
	if args[0].Type == "command_parameter" {
		return !oneOfFold(args[0].Text, "-FilterScript", "-Process", "-Begin", "-End", "-InputObject")
	}
	return args[0].Find("script_block_expression") == nil && args[0].Find("variable") == nil
}

func redirection(_ *checker, n *Node) bool {
	switch n.Type {
	case "merging_redirection_operator":
		return true
	case "file_redirection_operator":
		return !oneOf(n.Text, ">", ">>", "2>", "2>>")
	}
	return false
}

func bareAttribute(_ *checker, n *Node) bool {
	return n.Type == "attribute_argument" && n.child("simple_name") != nil && n.child("=") == nil
}

// laterExpression is for a newer grammar: the present one gives an error node.
func laterExpression(_ *checker, n *Node) bool {
	return strings.Contains(n.Type, "ternary") || strings.Contains(n.Type, "coalesc") || n.Type == "??" || n.Type == "??="
}

// commandName is the plain name that a command begins with; "" for one that is called through a
// variable.
func commandName(n *Node) string {
	if name := n.child("command_name"); name != nil {
		return name.Text
	}
	if name := n.child("command_name_expr"); name != nil &&
		name.Find("variable", "parenthesized_expression", "script_block_expression") == nil {
		return strings.Trim(name.Text, `'"`)
	}
	return ""
}

// arguments are what follows a command's name, without the spaces.
func arguments(n *Node) []*Node {
	elements := n.child("command_elements")
	if elements == nil {
		return nil
	}
	var out []*Node
	for _, e := range elements.Children {
		if e.Type != "command_argument_sep" {
			out = append(out, e)
		}
	}
	return out
}

func unknownCommand(c *checker, n *Node) bool {
	if n.Type != "command" {
		return false
	}
	name := strings.ToLower(commandName(n))
	if name == "" {
		return false
	}
	_, cmdlet := c.commands[name]
	_, own := c.functions[name]
	return !cmdlet && !own
}

func unknownParameter(c *checker, n *Node) bool {
	if n.Type != "command_parameter" || n.Parent == nil || n.Parent.Parent == nil {
		return false
	}
	name := strings.ToLower(commandName(n.Parent.Parent))
	if _, own := c.functions[name]; own {
		return false
	}
	params, ok := c.commands[name]
	text := strings.TrimSuffix(strings.TrimPrefix(n.Text, "-"), ":")
	return ok && !oneOfFold(text, params...) && !oneOfFold(text, "ErrorAction", "ErrorVariable", "WarningAction",
		"WarningVariable", "OutVariable", "OutBuffer", "Verbose", "Debug")
}
