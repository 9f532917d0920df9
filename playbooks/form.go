package playbooks

import (
	"strings"

	"deploy/internal/yamlx/shape"
)

// What names may look like. Parameters and roles are read in expressions, where a hyphen would be a
// minus.
const (
	namePattern = `^[A-Za-z][A-Za-z0-9_]*$`
	idPattern   = `^[a-z0-9][a-z0-9-]{0,62}$`
	idMeans     = "use small letters, digits and hyphens"
)

func field(name string, t *shape.Type) shape.Field { return shape.Field{Name: name, Type: t} }

func id(doc string) *shape.Type {
	return &shape.Type{Kind: "string", Doc: doc, Pattern: idPattern, Means: idMeans, Required: true}
}

func whatNumber(doc string) *shape.Type { return shape.Of("number", doc) }

func count(doc string) *shape.Type {
	low := 0.0
	return &shape.Type{Kind: "integer", Doc: doc, Min: &low}
}

// parameterType declares the declaration of a parameter. It contains itself.
func parameterType() *shape.Type {
	kinds := shape.Enum("type of the value: "+strings.Join(shape.Kinds(), ", "), shape.Kinds()...)
	t := &shape.Type{Kind: "object", Name: "parameter", Doc: "declaration of a value",
		Or: shape.Enum("short for {type: ...}", shape.Kinds()...)}
	t.Fields = []shape.Field{
		field("type", shape.Need(kinds)),
		field("doc", shape.Text("what it is; shown as a hint and in editors")),
		field("required", shape.Of("boolean", "it must be given")),
		field("default", shape.Of("any", "value when it is not given; a required value cannot have one")),
		field("example", shape.Of("any", "a value to show in editors")),
		field("enum", shape.ListOf(shape.Text(""), "allowed values of a text")),
		field("pattern", shape.Text("regular expression (RE2) that a text must match")),
		field("means", shape.Text("what the pattern means, for the message")),
		field("min", whatNumber("smallest number")),
		field("max", whatNumber("largest number")),
		field("min_items", count("fewest elements of a list")),
		field("max_items", count("most elements of a list")),
		field("unique", &shape.Type{Kind: "boolean", Or: shape.Text("field by which no two elements may be equal"),
			Doc: "no two elements of the list may be equal, or no two in the field that is named; " +
				"case does not count"}),
		field("of", t),
		field("fields", shape.MapOf(t, "keys of an object; one that is given takes no other keys")),
	}
	return t
}

func expressionType(doc string) *shape.Type { return shape.Text(doc) }

func stepType(with *shape.Type) *shape.Type {
	return shape.Object("one step",
		field("id", id("name of the step within its phase")),
		field("title", shape.Text("what it does, for people")),
		field("uses", shape.Need(shape.Text("kind of the step; `deploy steps` lists the kinds, `deploy steps KIND` documents "+
			"one"))),
		field("on", shape.Need(expressionType("expression for the node or nodes: role.cluster, first(role.cluster), nodes, "+
			"node('srv1'). No braces needed"))),
		field("each", &shape.Type{Kind: "string", Doc: "list, or expression for one, to repeat the step for; the step then " +
			"reads item and index (from 0)",
			Or: shape.ListOf(shape.Of("any", ""), "")}),
		field("key", shape.Text("what stands in the task's id for an item, like '${{ item.serial }}'; default the item "+
			"itself. Needed where items are not plain texts. It must be different for each item, without [ ] @")),
		field("if", &shape.Type{Kind: "string", Or: shape.Of("boolean", ""), Doc: "condition, asked for every node " +
			"and item: ${{ len(role.cluster) > 2 }}; default true"}),
		field("order", shape.Enum("order among the nodes; default together", "together", "one-by-one",
			"first-then-rest")),
		field("timeout", shape.Of("duration", "how long one check, one act or one undo may take; default "+
			"--step-timeout, 10m")),
		field("with", with),
	)
}

func ruleType() *shape.Type {
	return shape.Object("a rule that the site must meet",
		field("rule", shape.Need(shape.Text("id of the rule in the catalogue; `deploy rules` lists them"))),
		field("assert", shape.Need(expressionType("expression that is true when the rule is met"))),
		field("at", shape.Text("path in the site file that the message points to: parameters.networks.private; "+
			"default parameters")),
		field("message", shape.Text("what is wrong, for this site; default the rule's own text")),
		field("hint", shape.Text("what to do about it, for this site; instead of the rule's own hint")),
		field("each", expressionType("list to check the rule for; assert, at and message then read item and index")),
		field("if", expressionType("the rule is checked only when this is true")),
		field("severity", shape.Enum("instead of the rule's own severity; must refuses the site, should warns",
			"must", "should")),
	)
}

func playbookType(step *shape.Type) *shape.Type {
	parameter := parameterType()
	role := shape.Object("a role that nodes can have",
		field("doc", shape.Text("what the role means")),
		field("min", count("fewest nodes")),
		field("max", count("most nodes")),
	)
	phase := shape.Object("a phase; it ends with a checkpoint",
		field("id", id("name of the phase")),
		field("title", shape.Text("what it does, for people")),
		field("needs", shape.ListOf(shape.Text(""), "phases that must be done before. Phases run in the order of the "+
			"file, each after those that it needs. A circle is an error")),
		field("on-failure", shape.Enum("what to do when a step fails; default stop: everything stays and the next run "+
			"continues there. rollback: what this phase did is undone, newest first, back to the checkpoint before "+
			"it", "stop", "rollback")),
		field("steps", &shape.Type{Kind: "list", Of: step, MinItems: 1, Required: true, Doc: "the steps, in order"}),
	)
	return shape.Object("",
		field("playbook", id("name of the playbook: small letters, digits, hyphens, at most 63")),
		field("title", shape.Text("what it does, for people")),
		field("description", shape.Text("description, for people")),
		field("parameters", shape.MapOf(parameter, "what a site can or must say under `parameters`")),
		field("node_parameters", shape.MapOf(parameter, "what a site can or must say under a node's `parameters`")),
		field("roles", shape.MapOf(role, "roles that nodes can have, {doc, min, max}; min and max count the nodes of the "+
			"site. A role that is not declared is an error in the site")),
		field("rules", shape.ListOf(ruleType(), "requirements that are checked on the site file")),
		field("phases", &shape.Type{Kind: "list", Of: phase, MinItems: 1, Required: true, Doc: "the stages"}),
	)
}
