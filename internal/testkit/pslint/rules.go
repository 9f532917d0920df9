package pslint

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Finding is one thing that a script must not have.
type Finding struct {
	Rule string
	Line int // from 1
	Text string
}

func (f Finding) String() string { return fmt.Sprintf("line %d: %s: %s", f.Line, f.Rule, f.Text) }

// Script says what is particular about a script.
type Script struct {
	// Exit allows the keyword exit: for a script that answers no frames when it leaves.
	Exit bool
	// Creates allows [ScriptBlock]::Create: for the bootstrap alone, whose text is the program's own.
	Creates bool
	// Stdout allows output that no frame carries: for a script whose stdout nobody reads.
	Stdout bool
	// Functions are defined in a script that runs before this one.
	Functions []string
}

//go:embed commands-2.0.json
var commandTable []byte

// Commands are the cmdlets of Windows PowerShell 2.0 with their parameters, by lower-case name.
func Commands() (map[string][]string, error) {
	var table struct {
		Commands map[string][]string `json:"commands"`
	}
	if err := json.Unmarshal(commandTable, &table); err != nil {
		return nil, fmt.Errorf("cannot read the table of commands: %w", err)
	}
	out := map[string][]string{}
	for name, params := range table.Commands {
		out[strings.ToLower(name)] = params
	}
	return out, nil
}

// rule looks at one node.
type rule struct {
	name  string
	check func(c *checker, n *Node) bool // true: the node breaks the rule
}

type checker struct {
	script    Script
	commands  map[string][]string
	functions map[string]*Node // the script's own, by lower-case name
	quiet     map[string]bool  // those that write nothing to the pipeline
	hidden    map[*Node]bool   // assignments that hide a variable from what is called below them
}

// Check returns what a script has that Windows PowerShell 2.0 lacks, or that a script whose streams
// carry frames must not do. A tree with syntax errors says little here: see SyntaxErrors first.
func Check(tree *Node, s Script) ([]Finding, error) {
	commands, err := Commands()
	if err != nil {
		return nil, err
	}
	c := &checker{script: s, commands: commands, functions: map[string]*Node{}}
	for _, f := range s.Functions {
		c.functions[strings.ToLower(f)] = nil
	}
	for name, body := range functionsOf(tree) {
		c.functions[name] = body
	}
	c.findQuiet()
	c.findHidden(tree)
	var out []Finding
	tree.Walk(func(n *Node) {
		for _, r := range rules() {
			if r.check(c, n) {
				out = append(out, Finding{Rule: r.name, Line: n.Line, Text: short(n.Text)})
			}
		}
	})
	return out, nil
}

// RuleNames lists the rules.
func RuleNames() []string {
	var out []string
	for _, r := range rules() {
		out = append(out, r.name)
	}
	return out
}

// FunctionNames lists the functions that a script defines.
func FunctionNames(tree *Node) []string {
	var out []string
	for name := range functionsOf(tree) {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func functionsOf(tree *Node) map[string]*Node {
	out := map[string]*Node{}
	tree.Walk(func(n *Node) {
		if n.Type == "function_statement" {
			if name := n.child("function_name"); name != nil {
				out[strings.ToLower(name.Text)] = n
			}
		}
	})
	return out
}

func rules() []rule {
	return []rule{
		{"characters beyond ASCII", notASCII},
		{"a type that .NET 2.0 lacks, or that nobody has looked up", unknownType},
		{"an operator of a later version", laterOperator},
		{"a variable of a later version", laterVariable},
		{"$input", func(_ *checker, n *Node) bool { return isVariable(n, "input") }},
		{"a variable for the whole process", globalVariable},
		{"Where and ForEach as methods", collectionMethod},
		{"::new()", func(_ *checker, n *Node) bool {
			return isCall(n) && strings.EqualFold(member(n), "new") &&
				isStatic(n)
		}},
		{"a member that .NET 2.0 lacks", laterMember},
		{"Path.Combine of more than two parts", longCombine},
		{"Where-Object or ForEach-Object without a block", simplified},
		{"merged or numbered streams", redirection},
		{"an attribute's flag without a value", bareAttribute},
		{"classes, enumerations and using", func(_ *checker, n *Node) bool {
			return oneOf(n.Type, "class_statement", "enum_statement", "using_statement")
		}},
		{"&& and ||", func(_ *checker, n *Node) bool { return n.Type == "pipeline_chain_tail" }},
		{"?: and ??", laterExpression},
		{"a command that 2.0 lacks, an alias or a program", unknownCommand},
		{"a parameter that 2.0 lacks, or a short form", unknownParameter},
		{"a script made from text", codeFromText},
		{"output past the frames", hostOutput},
		{"a value on the pipeline at the loop's own level", looseOutput},
		{"exit", exits},
		{"break or continue outside a loop", strayBreak},
		{"text that PowerShell expands", func(_ *checker, n *Node) bool {
			return n.Type == "expandable_string_literal" && strings.Contains(n.Text, "$")
		}},
		{"a variable of the script's own that a caller hides", hidden},
		{"a here-string", func(_ *checker, n *Node) bool {
			return oneOf(n.Type, "expandable_here_string_literal", "verbatim_here_string_characters")
		}},
	}
}

func oneOf(s string, list ...string) bool { return slices.Contains(list, s) }

func oneOfFold(s string, list ...string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(s, x) })
}

func isVariable(n *Node, name string) bool {
	return n.Type == "variable" && strings.EqualFold(strings.Trim(n.Text, "${}"), name)
}

func isCall(n *Node) bool { return n.Type == "invokation_expression" }

func isStatic(n *Node) bool { return n.child("::") != nil }

// member is the name after the dot or the colons, of a call or an access.
func member(n *Node) string {
	if m := n.child("member_name"); m != nil {
		return m.Text
	}
	return ""
}
