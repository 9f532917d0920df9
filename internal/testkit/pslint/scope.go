package pslint

import "strings"

// PowerShell's scopes are dynamic: a function that reads a variable which it has not set takes it
// from whoever called it, before it looks at the script's top. So a caller's variable of the same
// name takes the place of the script's own.

// unit is a function, a block, or the script's top (nil).
type unit struct {
	sets  map[string][]*Node // by lower-case name: where it is set, as a parameter, an assignment or a loop's variable
	reads map[string]bool
}

func variableName(n *Node) string {
	return strings.ToLower(strings.TrimLeft(strings.Trim(n.Text, "{}"), "$@{"))
}

// owner is the function or block that a node belongs to; nil is the top. A block that is called at
// once with & is still its own scope.
func owner(n *Node) *Node {
	for p := n.Parent; p != nil; p = p.Parent {
		if p.Type == "function_statement" || p.Type == "script_block_expression" {
			return p
		}
	}
	return nil
}

func setsVariable(n *Node) bool {
	if n.Parent == nil {
		return false
	}
	switch n.Parent.Type {
	case "script_parameter", "foreach_statement":
		return true
	}
	// on the left of an assignment with nothing around it but the wrappers of precedence
	at := n
	for p := n.Parent; p != nil && len(p.Children) == 1; p = p.Parent {
		at = p
		if p.Type == "left_assignment_expression" {
			return true
		}
	}
	return at.Type == "left_assignment_expression"
}

func (c *checker) findHidden(tree *Node) {
	units := map[*Node]*unit{}
	tree.Walk(func(n *Node) {
		if n.Type != "variable" {
			return
		}
		o := owner(n)
		u := units[o]
		if u == nil {
			u = &unit{sets: map[string][]*Node{}, reads: map[string]bool{}}
			units[o] = u
		}
		name := variableName(n)
		if setsVariable(n) {
			u.sets[name] = append(u.sets[name], n)
		} else {
			u.reads[name] = true
		}
	})
	c.hidden = map[*Node]bool{}
	top := units[nil]
	if top == nil {
		return
	}
	for name := range top.sets {
		if name == "null" || strings.HasSuffix(name, "preference") {
			continue // no variable; and preferences are meant for what is called
		}
		free := false
		for o, u := range units {
			free = free || o != nil && u.reads[name] && u.sets[name] == nil
		}
		for o, u := range units {
			if o == nil || !free {
				continue
			}
			for _, n := range u.sets[name] {
				c.hidden[n] = true
			}
		}
	}
}

func hidden(c *checker, n *Node) bool { return c.hidden[n] }
