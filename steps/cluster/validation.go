package cluster

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/cluster/clus"
	"deploy/steps/inspect"
)

// Validation runs the cluster's own configuration tests and keeps the report.
type Validation struct {
	Report string   `json:"report" doc:"folder on the node that keeps the reports; it must be there" required:"true" example:"C:\\ClusterReports" type:"path" check:"compared"`
	Name   string   `json:"name" doc:"name of the report without an extension" required:"true" example:"before-exchange" pattern:"^[^\\\\/:*?\"<>|]+$" means:"use what a file name may hold" check:"compared"`
	Nodes  []string `json:"nodes" doc:"computer names to test; the members of the cluster when empty" type:"hostname" check:"fixed"`
	Ignore []string `json:"ignore" doc:"test categories or tests to leave out, as Test-Cluster -List shows them on that node" check:"fixed"`
	As     string   `json:"as" doc:"credential of the site under which the tests run: they log on to the other nodes" required:"true" example:"admin" type:"credential" check:"instruction:account"`
}

type validationBefore struct {
	Made []string `json:"made"`
}

// reportSizeLimit is the most of a report that is read: real ones have a few megabytes.
const reportSizeLimit = 64 << 20

func validationKind() steps.Kind {
	return steps.Kind{
		Name:    "cluster.validation",
		OS:      "windows",
		Summary: "Runs the cluster's configuration tests.",
		Doc: "Runs Test-Cluster and keeps its report. The verdict is read from the XML report, by the levels of its " +
			"messages, which are not translated. " +
			"A report of that name that holds no failure means nothing to do; choose a new name to test again. Windows " +
			"Server 2008 has no command for it: use a gate there.",
		Undo:      "Deletes the report that it made.",
		Proof:     "lab-proven; the report's XML form is UNCONFIRMED on real systems",
		Sources:   []string{"Test-Cluster"},
		Calls:     calls(clus.ReadCalls(), []node.Call{clus.Cmdlet("Test-Cluster", "Node", "Ignore", "ReportName")}),
		ReadForms: clus.Forms(),
		New:       func() steps.Step { return &Validation{} },
		Example:   "report: C:\\ClusterReports\nname: before-exchange\nas: admin\n",
	}
}

// Kind names the step.
func (s *Validation) Kind() string { return "cluster.validation" }

func (s *Validation) path(ext string) string {
	return strings.TrimRight(s.Report, `\`) + `\` + s.Name + ext
}

// Check looks for a report without failures.
func (s *Validation) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if !r.Facts().Release.AtLeast(node.WS2008R2) {
		return steps.Diff{}, hint.Wrap(
			fmt.Errorf("cannot run the configuration tests on %s: %w before Windows Server 2008 R2", r.Facts().Computer,
				node.ErrUnsupported),
			"use a gate: a person runs the wizard of the failover cluster console and saves the report")
	}
	failed, found, err := s.verdict(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	if found && failed == 0 {
		warnings, err := s.sameTests(ctx, r)
		return steps.Diff{Action: steps.NoOp, Warnings: warnings}, err
	}
	if len(s.Nodes) == 0 {
		if _, err := clus.Open(ctx, r); err != nil {
			return steps.Diff{}, err
		}
	}
	d := steps.Diff{Action: steps.Run, Via: clus.Module,
		Changes: []steps.Change{{Attr: "report", From: nil, To: s.path(".xml")}}}
	b := validationBefore{}
	for _, ext := range []string{".xml", ".htm", ".mht", testsExt} {
		there, err := inspect.Exists(ctx, r, s.path(ext))
		if err != nil {
			return steps.Diff{}, err
		}
		if !there {
			b.Made = append(b.Made, s.path(ext))
		}
	}
	d.Before = steps.MustJSON(b)
	return d, nil
}

// testsExt ends the name of the file that says which tests a report is about: the report itself
// tells it in words of the system's language only.
const testsExt = ".tests.txt"

// tests is the content of that file.
func (s *Validation) tests() string {
	one := func(list []string, none string) string {
		if len(list) == 0 {
			return none
		}
		return strings.Join(slices.Sorted(slices.Values(list)), ", ")
	}
	return "nodes: " + one(s.Nodes, "the members") + "; left out: " + one(s.Ignore, "nothing")
}

// sameTests compares the nodes and the tests of a report that is there.
func (s *Validation) sameTests(ctx context.Context, r node.Reader) (warnings []string, err error) {
	f, err := r.Open(ctx, s.path(testsExt))
	if errors.Is(err, node.ErrNotFound) {
		if len(s.Nodes)+len(s.Ignore) == 0 {
			return nil, nil
		}
		return []string{"nodes and ignore of " + s.path(".xml") + " cannot be compared: the report was made by hand, or " +
			"before deploy wrote them down"}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read which tests the report is about: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	have, err := io.ReadAll(io.LimitReader(f, reportSizeLimit))
	if err != nil {
		return nil, fmt.Errorf("cannot read which tests the report is about: %w", err)
	}
	if !strings.EqualFold(string(have), s.tests()) {
		return nil, steps.FixedErr("report "+s.path(".xml"), "tests of", string(have), s.tests(),
			"choose a new name to test again")
	}
	return nil, nil
}

// verdict counts the messages of level Fail in the report.
func (s *Validation) verdict(ctx context.Context, r node.Reader) (failed int, found bool, err error) {
	f, err := r.Open(ctx, s.path(".xml"))
	if errors.Is(err, node.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("cannot read the report %s: %w", s.path(".xml"), err)
	}
	defer func() { _ = f.Close() }()
	failed, err = failures(io.LimitReader(f, reportSizeLimit))
	if err != nil {
		return 0, false, fmt.Errorf("cannot read the report %s: %w", s.path(".xml"), err)
	}
	return failed, true, nil
}

func failures(r io.Reader) (int, error) {
	d := xml.NewDecoder(r)
	// the declaration may say utf-16 for text that has been turned into UTF-8 on its way
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	n, elements := 0, 0
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			if elements == 0 {
				return 0, errors.New("it is empty")
			}
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		if e, ok := t.(xml.StartElement); ok {
			elements++
			for _, a := range e.Attr {
				if strings.EqualFold(a.Name.Local, "Level") && strings.EqualFold(a.Value, "Fail") {
					n++
				}
			}
		}
	}
}

// Apply runs the tests and reads the verdict.
func (s *Validation) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	params := map[string]any{"ReportName": s.path("")}
	if len(s.Nodes) > 0 {
		params["Node"] = anys(s.Nodes)
	}
	if len(s.Ignore) > 0 {
		params["Ignore"] = anys(s.Ignore)
	}
	if _, err := n.Do(ctx, node.CmdletCall{Name: "Test-Cluster", Load: clus.Module, As: s.As,
		Params: params}); err != nil {
		return steps.Outcome{}, fmt.Errorf("cannot run the configuration tests on %s: %w", n.Facts().Computer, err)
	}
	failed, found, err := s.verdict(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	if err := n.Write(ctx, s.path(testsExt), strings.NewReader(s.tests()), node.WriteOptions{}); err != nil {
		return steps.Outcome{}, fmt.Errorf("cannot write down which tests the report is about: %w", err)
	}
	if !found {
		return steps.Outcome{}, fmt.Errorf("cannot tell how the configuration tests went: %s is not there", s.path(".xml"))
	}
	if failed > 0 {
		return steps.Outcome{}, hint.Wrap(fmt.Errorf("the configuration tests found %d failures", failed),
			"read the report "+s.path(".xml")+" on "+n.Facts().Computer)
	}
	return steps.Outcome{}, nil
}

// Undo deletes the report.
func (s *Validation) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b validationBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	for _, p := range b.Made {
		if _, err := n.Do(ctx, node.Remove{Path: p}); err != nil {
			return fmt.Errorf("cannot delete the report %s: %w", p, err)
		}
	}
	return nil
}
