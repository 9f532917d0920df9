package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/linux"
)

// Template is a file whose text is filled in with facts of the node and with given values.
type Template struct {
	Path   string         `json:"path" required:"true" doc:"full path on the node; its directory must be there" type:"path" check:"compared"`
	Text   string         `json:"text" required:"true" doc:"the text, with places like {{ .node.hostname }} and {{ .values.servers }}; never a secret, since plan and journal show it" check:"compared"`
	Values map[string]any `json:"values" doc:"what the text may name under .values" check:"compared"`
	CRLF   bool           `json:"crlf,omitempty" doc:"write line ends as CR LF" check:"compared"`
	Access
}

// mostOutput is the longest text, in bytes, that a template may make.
const mostOutput = 1 << 20

func templateKind() steps.Kind {
	return steps.Kind{
		Name:    "template",
		Summary: "Puts a file in place whose text is filled in on the node's facts.",
		Doc: "The text is a template of Go's text/template. .node holds the facts that are only known when the node " +
			"answers: hostname, os, release, distro, version, arch, " +
			"domain, init; .values holds the step's values. What ${{ }} gives is put in before, when the playbook is read; a " +
			"template adds the facts, conditions and loops. " +
			"Beside the language's own functions there are join (LIST SEPARATOR), lower and upper; none reads anything. A " +
			"name that is not there is an error: " +
			"in the parts that are always filled in when the playbook is read, in the others on the node. The file is then " +
			"handled as by the file kind, and provides the tag file:PATH.",
		Undo:      "As the file kind's.",
		Proof:     proof + "; " + linux.Proof,
		Sources:   []string{"text/template, Go documentation", "os-release(5)"},
		Calls:     linux.Calls("getent(1), readlink(1), ln(1)", "getent", "readlink", "ln"),
		ReadForms: forms(),
		New:       func() steps.Step { return &Template{} },
		Example: "path: /etc/motd\ntext: |\n  {{ .node.hostname }} runs {{ .node.distro }} {{ .node.version }}.\n  {{- " +
			"range .values.notes }}\n  {{ . }}\n  {{- end }}\nvalues:\n  notes: [Changes are made by deploy.]\nmode: '0644'\n",
	}
}

// Kind names the step.
func (s *Template) Kind() string { return "template" }

// Provides names the file.
func (s *Template) Provides() []string { return provides(s.Path, false) }

// facts are what .node holds.
func facts(f node.Facts) map[string]any {
	return map[string]any{"hostname": f.Computer, "os": f.OS, "release": string(f.Release), "distro": f.Distro,
		"version": f.Version,
		"arch":    f.Arch, "domain": f.Domain, "init": f.Init}
}

func (s *Template) parse() (*template.Template, error) {
	return template.New("text").Option("missingkey=error").Funcs(template.FuncMap{
		"lower": strings.ToLower, "upper": strings.ToUpper,
		"join": func(list []any, sep string) string {
			parts := make([]string, 0, len(list))
			for _, x := range list {
				parts = append(parts, fmt.Sprint(x))
			}
			return strings.Join(parts, sep)
		},
	}).Parse(s.Text)
}

// Validate parses the text and holds the names that are surely used against those that there are.
func (s *Template) Validate() error {
	t, err := s.parse()
	if err != nil {
		return steps.FieldErr("text", "is not a template: %v", err)
	}
	if t.Tree != nil {
		if err := s.names(t.Root); err != nil {
			return err
		}
	}
	return s.validate(s.Path)
}

// names finds misspelt names where the dot is still the whole: not inside range, with and define.
func (s *Template) names(n parse.Node) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, x := range n.Nodes {
			if err := s.names(x); err != nil {
				return err
			}
		}
	case *parse.ActionNode:
		return s.names(n.Pipe)
	case *parse.IfNode:
		return errors.Join(s.names(n.Pipe), s.names(n.List), s.names(n.ElseList))
	case *parse.RangeNode:
		return errors.Join(s.names(n.Pipe), s.names(n.ElseList))
	case *parse.WithNode:
		return errors.Join(s.names(n.Pipe), s.names(n.ElseList))
	case *parse.PipeNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Cmds {
			for _, a := range c.Args {
				if err := s.names(a); err != nil {
					return err
				}
			}
		}
	case *parse.FieldNode:
		return s.name(n.Ident)
	case *parse.VariableNode:
		if n.Ident[0] == "$" {
			return s.name(n.Ident[1:])
		}
	}
	return nil
}

func (s *Template) name(path []string) error {
	if len(path) == 0 {
		return nil
	}
	known := []string{"node", "values"}
	if slices.Contains(known, path[0]) {
		if len(path) == 1 {
			return nil
		}
		known = known[:0]
		from := s.Values
		if path[0] == "node" {
			from = facts(node.Facts{})
		}
		for k := range from {
			known = append(known, k)
		}
		if slices.Contains(known, path[1]) {
			return nil
		}
		slices.Sort(known)
	}
	e := &steps.FieldError{Path: []string{"text"},
		Msg: fmt.Sprintf("names .%s, which is not there", strings.Join(path, "."))}
	if near := steps.Nearest(path[len(path)-1], known); near != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", near)
	} else if len(known) > 0 {
		e.Hint = "there are: " + strings.Join(known, ", ")
	}
	return e
}

// capped takes at most mostOutput bytes, so that a loop without end does.
type capped struct{ strings.Builder }

var errTooLong = fmt.Errorf("the text becomes longer than %d bytes", mostOutput)

func (c *capped) Write(b []byte) (int, error) {
	if c.Len()+len(b) > mostOutput {
		return 0, errTooLong
	}
	return c.Builder.Write(b)
}

// file fills the text in and makes the file step that does the rest.
func (s *Template) file(f node.Facts) (*File, error) {
	t, err := s.parse()
	if err != nil {
		return nil, fmt.Errorf("cannot read the template of %s: %w", s.Path, err)
	}
	values := map[string]any{}
	for k, v := range s.Values {
		values[k] = whole(v)
	}
	var out capped
	if err := t.Execute(&out, map[string]any{"node": facts(f), "values": values}); err != nil {
		return nil, hint.Wrap(fmt.Errorf("cannot fill in the template of %s: %w", s.Path, err),
			"the text names something that values and the node's facts do not have in this form")
	}
	text := out.String()
	return &File{Path: s.Path, Content: &text, CRLF: s.CRLF, Access: s.Access}, nil
}

// whole makes whole numbers of those that JSON has made fractions of, so that a million is not
// printed as 1e+06.
func whole(v any) any {
	switch v := v.(type) {
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			out = append(out, whole(x))
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = whole(x)
		}
		return out
	}
	return v
}

// Reads names what Check will ask.
func (s *Template) Reads(f node.Facts) []node.Query { return (&File{Path: s.Path}).Reads(f) }

// Check fills the text in and compares.
func (s *Template) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	f, err := s.file(r.Facts())
	if err != nil {
		return steps.Diff{}, err
	}
	return f.Check(ctx, r)
}

// Apply writes the file.
func (s *Template) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	f, err := s.file(n.Facts())
	if err != nil {
		return steps.Outcome{}, err
	}
	return f.Apply(ctx, n, d)
}

// Undo puts back what was there.
func (s *Template) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	return (&File{Path: s.Path, Access: s.Access}).Undo(ctx, n, before)
}
