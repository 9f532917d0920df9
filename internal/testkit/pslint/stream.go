package pslint

import "strings"

// The rules of the stream: what a script must not do whose stdin and stdout carry frames (see
// package resident).

func globalVariable(_ *checker, n *Node) bool {
	t := strings.ToLower(n.Text)
	return n.Type == "variable" && (strings.HasPrefix(t, "$script:") || strings.HasPrefix(t, "$global:") ||
		strings.HasPrefix(t, "${script:") || strings.HasPrefix(t, "${global:"))
}

func codeFromText(c *checker, n *Node) bool {
	switch {
	case n.Type == "command":
		return oneOfFold(commandName(n), "Invoke-Expression", "iex", "Invoke-Command", "Add-Type", "New-Alias", "Set-Alias")
	case isCall(n) && isStatic(n) && strings.EqualFold(member(n), "Create"):
		return !c.script.Creates && len(n.Children) > 0 && strings.EqualFold(n.Children[0].Text, "[ScriptBlock]")
	case isCall(n):
		return oneOfFold(member(n), "NewScriptBlock", "InvokeScript", "ExpandString", "AddScript")
	}
	return false
}

func hostOutput(c *checker, n *Node) bool {
	if c.script.Stdout {
		return false
	}
	if n.Type == "command" {
		return oneOfFold(commandName(n), "Write-Host", "Write-Output", "Write-Warning", "Write-Verbose", "Write-Debug",
			"Write-Progress", "Write-Error", "Out-Host",
			"Out-Default", "Out-String", "Read-Host", "echo", "Format-Table", "Format-List", "Start-Transcript")
	}
	if isCall(n) || n.Type == "member_access" {
		return len(n.Children) > 0 && oneOfFold(n.Children[0].Text, "[Console]", "[System.Console]") &&
			oneOfFold(member(n), "Write", "WriteLine", "Out", "Error", "In", "Read", "ReadLine", "ReadKey", "SetOut", "SetIn",
				"SetError") || oneOfFold(member(n), "WriteErrorLine")
	}
	return false
}

func exits(c *checker, n *Node) bool {
	return !c.script.Exit && n.Type == "flow_control_statement" && len(n.Children) > 0 &&
		strings.EqualFold(n.Children[0].Text, "exit")
}

var loops = []string{"while_statement", "for_statement", "foreach_statement", "do_statement", "switch_statement"}

// strayBreak: such a break leaves whatever loop called, which may be the one that answers.
func strayBreak(_ *checker, n *Node) bool {
	if n.Type != "flow_control_statement" || len(n.Children) == 0 || !oneOfFold(n.Children[0].Text, "break", "continue") {
		return false
	}
	return len(n.Children) > 1 || !n.inside(loops, "function_statement", "script_block_expression")
}

// silent are methods that return nothing.
var silent = []string{"Write", "WriteLine", "Flush", "Close", "Clear", "Dispose", "Connect", "Sort", "SetValue",
	"DeleteValue", "DeleteSubKeyTree", "Delete", "Move", "Replace",
	"SetAttributes", "WriteAllText", "WriteAllBytes", "WriteAllLines", "Kill", "Sleep"}

// statement returns what a pipeline statement does: its one command or its one expression; nil for
// an assignment.
func statement(n *Node) *Node {
	if n.Type != "pipeline" || n.Parent == nil || n.Parent.Type != "statement_list" ||
		n.child("assignment_expression") != nil {
		return nil
	}
	return n
}

// speaks says that a statement may leave a value on the pipeline.
func (c *checker) speaks(n *Node) bool {
	chain := n.child("pipeline_chain")
	if chain == nil || n.child("pipeline_chain_tail") != nil {
		return true
	}
	last := chain.Children[len(chain.Children)-1]
	if last.Type == "command" {
		name := strings.ToLower(commandName(last))
		return name != "out-null" && !c.quiet[name]
	}
	e := chain.skin()
	switch e.Type {
	case "expression_with_unary_operator":
		cast := e.child("cast_expression")
		if e.Type == "expression_with_unary_operator" && cast != nil {
			e = cast
		}
		return len(e.Children) == 0 || !strings.EqualFold(e.Children[0].Text, "[void]")
	case "cast_expression":
		return !strings.EqualFold(e.Children[0].Text, "[void]")
	case "post_increment_expression", "pre_increment_expression", "post_decrement_expression", "pre_decrement_expression":
		return false
	case "invokation_expression":
		return !oneOfFold(member(e), silent...)
	}
	return true
}

// findQuiet finds the functions that leave nothing on the pipeline, as far as the tree can tell.
func (c *checker) findQuiet() {
	c.quiet = map[string]bool{}
	for changed := true; changed; {
		changed = false
		for name, body := range c.functions {
			if body == nil || c.quiet[name] {
				continue
			}
			loud := false
			body.Walk(func(n *Node) {
				if statement(n) != nil && !n.inside([]string{"script_block_expression"}, "function_statement") && c.speaks(n) {
					loud = true
				}
				if n.Type == "flow_control_statement" && strings.EqualFold(n.Children[0].Text, "return") && len(n.Children) > 1 {
					loud = true
				}
			})
			if !loud {
				c.quiet[name], changed = true, true
			}
		}
	}
}

// looseOutput: at the top of a script and in its own loops nobody takes a value but stdout.
func looseOutput(c *checker, n *Node) bool {
	if c.script.Stdout || statement(n) == nil {
		return false
	}
	return !n.inside([]string{"function_statement", "script_block_expression", "sub_expression", "array_expression"}) &&
		c.speaks(n)
}

// notASCII: Windows PowerShell reads a script file without a byte order mark in the machine's old
// code page.
func notASCII(_ *checker, n *Node) bool {
	return n.Parent == nil && strings.IndexFunc(n.Text,
		func(r rune) bool { return r > '~' || r < ' ' && r != '\n' && r != '\t' }) >= 0
}
