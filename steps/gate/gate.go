// Package gate holds the step of a person: asked for, signed off, and then verified by looking.
package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Gate is an act of a person, asked for, signed off, and then verified by looking.
type Gate struct {
	Title    string                 `json:"title" required:"true" doc:"what is asked for, in a few words" check:"instruction:person"`
	Text     string                 `json:"text" required:"true" doc:"what to do, step by step" check:"instruction:person"`
	Operator string                 `json:"operator,omitempty" doc:"the name under which the lab plays this act" check:"instruction:lab"`
	Argument string                 `json:"argument,omitempty" doc:"what the act is about, for the lab; the default is report" check:"instruction:lab"`
	Report   string                 `json:"report,omitempty" doc:"file that must be there when the act is done; the last part of the path may hold one *" type:"path" check:"compared"`
	Newer    string                 `json:"newer_than,omitempty" doc:"a file; the report must have been written after it" type:"path" check:"compared"`
	MinSize  int                    `json:"min_size" doc:"bytes that the report must have at least; the default is 1" min:"0" check:"compared"`
	Value    *inspect.ExpectedValue `json:"registry,omitempty" doc:"registry value that must be there when the act is done"`
}

// Kinds lists the kind of this family.
func Kinds() []steps.Kind { return []steps.Kind{gateKind()} }

func gateKind() steps.Kind {
	return steps.Kind{
		Name:    "gate",
		Summary: "Asks a person to do something, waits for the sign-off, and looks whether it was done.",
		Doc: "A sign-off alone is not believed: a report file, with a least size and written after another file, or a " +
			"registry value must show " +
			"that the act was done. While they show it already, nobody is asked.",
		Undo:  "Nothing to undo: what a person did stays.",
		Proof: "unit-tested on a scripted machine; played in the lab",
		New:   func() steps.Step { return &Gate{} },
		Example: "title: Validate the cluster\ntext: |\n  Run the Validate a Configuration wizard with all tests and save " +
			"its report under the path below.\nreport: C:\\Windows\\Cluster\\Reports\\deploy-validation.mht\noperator: " +
			"validate-cluster\n",
	}
}

// Kind names the step.
func (s *Gate) Kind() string { return "gate" }

// Gate is what the person sees.
func (s *Gate) Gate() steps.Gate {
	arg := s.Argument
	if arg == "" {
		arg = s.Report
	}
	return steps.Gate{Title: s.Title, Text: s.Text, Operator: s.Operator, Argument: arg}
}

// Validate looks at the data.
func (s *Gate) Validate() error {
	if s.Report == "" && s.Value == nil {
		return steps.FieldErr("report", "give report or registry: a sign-off without anything to look at proves nothing")
	}
	if s.Report == "" && (s.Newer != "" || s.MinSize != 0) {
		return steps.FieldErr("report", "newer_than and min_size are about the report, and none is given")
	}
	dir, name := cut(s.Report)
	if strings.Contains(dir, "*") || strings.Count(name, "*") > 1 {
		return steps.FieldErr("report", "one * at most, in the last part of the path")
	}
	return nil
}

// Reads names what Check will ask.
func (s *Gate) Reads(node.Facts) []node.Query {
	if s.Value == nil {
		return nil
	}
	return []node.Query{node.Registry{Key: s.Value.Key}}
}

// Check looks for the proof.
func (s *Gate) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	missing, proof, err := s.missing(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	if missing == nil {
		return steps.Diff{Action: steps.NoOp, Proof: proof}, nil
	}
	return steps.Diff{Action: steps.Run, Changes: []steps.Change{*missing}, Via: "a person",
		Effects: steps.Effects{NothingToUndo: true}}, nil
}

// missing tells what of the proof is not there, or nil and which report is.
func (s *Gate) missing(ctx context.Context, r node.Reader) (change *steps.Change, proof string, err error) {
	if s.Report != "" {
		found, ok, err := s.report(ctx, r)
		if err != nil {
			return nil, "", err
		}
		if !ok {
			return &steps.Change{Attr: s.Report, From: found, To: "a report of the act"}, "", nil
		}
		proof = found
	}
	if s.Value != nil {
		ok, found, err := s.Value.Holds(ctx, r)
		if err != nil {
			return nil, "", err
		}
		if !ok {
			return &steps.Change{Attr: s.Value.Label(), From: found, To: s.Value.Wish()}, "", nil
		}
	}
	return nil, proof, nil
}

// report looks for a file that fits; found says which it is, or what is wrong with the best one.
func (s *Gate) report(ctx context.Context, r node.Reader) (found string, ok bool, err error) {
	var after time.Time
	if s.Newer != "" {
		info, err := r.Stat(ctx, s.Newer)
		if err != nil {
			return "", false, fmt.Errorf("cannot check %s, which the report must be newer than: %w", s.Newer, err)
		}
		after = info.Modified
	}
	paths, err := s.candidates(ctx, r)
	if err != nil {
		return "", false, err
	}
	found = "not there"
	for _, path := range paths {
		info, err := r.Stat(ctx, path)
		if errors.Is(err, node.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", false, fmt.Errorf("cannot check %s: %w", path, err)
		}
		switch {
		case info.Dir:
			found = "a directory"
		case info.Size < int64(max(s.MinSize, 1)):
			found = fmt.Sprintf("only %d bytes", info.Size)
		case s.Newer != "" && info.Modified.Before(after):
			found = "older than " + s.Newer
		default:
			return fmt.Sprintf("%s of %s", path, info.Modified.UTC().Format(time.RFC3339Nano)), true, nil
		}
	}
	return found, false, nil
}

func (s *Gate) candidates(ctx context.Context, r node.Reader) ([]string, error) {
	dir, name := cut(s.Report)
	folder, sep := dir, `\`
	if strings.HasPrefix(s.Report, "/") {
		sep = "/"
		if dir == "" {
			folder = "/"
		}
	}
	head, tail, star := strings.Cut(strings.ToLower(name), "*")
	if !star {
		return []string{s.Report}, nil
	}
	rows, err := r.Query(ctx, node.Dir{Path: folder})
	if errors.Is(err, node.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look into %s: %w", folder, err)
	}
	var out []string
	for _, row := range rows {
		low := strings.ToLower(row.String("name"))
		if !row.Bool("dir") && len(low) >= len(head)+len(tail) && strings.HasPrefix(low, head) &&
			strings.HasSuffix(low, tail) {
			out = append(out, dir+sep+row.String("name"))
		}
	}
	return out, nil
}

// cut parts a path into directory and last name.
func cut(path string) (dir, name string) {
	i := strings.LastIndexAny(path, `\/`)
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

// Apply comes after the sign-off: it looks once more and refuses when the proof is not there.
func (s *Gate) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	missing, _, err := s.missing(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	if missing != nil {
		return steps.Outcome{}, hint.Wrap(fmt.Errorf("cannot pass the gate %q: %s is %v", s.Title, missing.Attr,
			missing.From), "do what the gate asks for, then run again")
	}
	return steps.Outcome{}, nil
}
