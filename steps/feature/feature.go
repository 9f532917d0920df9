package feature

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Feature installs Windows roles, role services and features by their ids.
type Feature struct {
	Names  []string `json:"names" required:"true" doc:"ids as Windows names them in every language, like Failover-Clustering or Web-Server" items:"1" pattern:"^[^ \t\"*?]+$" means:"ids have no blanks: Failover-Clustering, not what the window shows" check:"compared"`
	Source string   `json:"source,omitempty" doc:"folder with the installation files, for systems whose payload was removed (2012 and later)" check:"instruction:media"`
}

// before holds the named features that were there already, in lower case.
type before struct {
	Installed []string `json:"installed"`
}

// limit bounds one installation: the web server took up to a quarter of an hour on slow machines.
const limit = 45 * time.Minute

func kind() steps.Kind {
	newer := inspect.From(node.WS2012)
	return steps.Kind{
		Name:    "feature",
		OS:      "windows",
		Summary: "Installs Windows roles, role services and features by their ids.",
		Doc: "Windows Server 2008 is served by ServerManagerCmd, 2008 R2 by Add-WindowsFeature, later releases by " +
			"Install-WindowsFeature. " +
			"What a feature needs is installed with it. When Windows asks for a restart, one is due before the step counts " +
			"as done. " +
			"Windows Server 2003 has no such features: " +
			"there the step is an error, and a probe of a registry value does instead.",
		Undo: "Removes those of the named features that were not there before. What Windows had installed along with " +
			"them stays. On a member of a failover cluster, a step with Failover-Clustering is left as it is.",
		Proof: "unit-tested on a scripted machine; played in the lab; names checked against recorded tables",
		Sources: []string{"ServerManagerCmd exit codes 0, 1003, 3010",
			"ServerManager module: Add-WindowsFeature, Install-WindowsFeature"},
		Calls: append(append(inspect.FeatureCalls(), inspect.ServiceCall(inspect.From(node.WS2008))),
			node.Call{Cmdlet: "Add-WindowsFeature", Params: []string{"Name"}, Props: results, On: []node.Release{node.WS2008R2}},
			node.Call{Cmdlet: "Remove-WindowsFeature", Params: []string{"Name"}, Props: results,
				On: []node.Release{node.WS2008R2}},
			node.Call{Cmdlet: "Install-WindowsFeature", Params: []string{"Name", "Source", "Confirm"}, Props: results,
				On: newer},
			node.Call{Cmdlet: "Uninstall-WindowsFeature", Params: []string{"Name", "Confirm"}, Props: results, On: newer}),
		ReadForms: inspect.Forms(),
		New:       func() steps.Step { return &Feature{} },
		Example:   "names: [Failover-Clustering, PowerShell]\n",
	}
}

// Kind names the step.
func (s *Feature) Kind() string { return "feature" }

// Reads names what Check will ask.
func (s *Feature) Reads(f node.Facts) []node.Query { return inspect.FeatureReads(f) }

// Check tells which of the features are missing.
func (s *Feature) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	all, have, missing, err := s.split(ctx, r)
	if err != nil || len(missing) == 0 {
		return steps.NoChange(), err
	}
	// whether Windows asks for a restart shows only afterwards; who says yes must reckon with one
	for _, n := range s.brought() {
		if all[n] {
			have = append(have, n)
		}
	}
	d := steps.Diff{Action: steps.Create, Before: steps.MustJSON(before{have}), Via: via(r.Facts()),
		Effects: steps.Effects{Reboot: true, RebootMarked: r.Facts().Release != node.WS2003}}
	for _, n := range missing {
		d.Changes = append(d.Changes, steps.Change{Attr: n, From: "not installed", To: "installed"})
	}
	return d, nil
}

// split reads all features and parts the names into installed ones, in lower case, and missing
// ones. An id that the machine does not know is an error.
func (s *Feature) split(ctx context.Context, r node.Reader) (all map[string]bool, have, missing []string, err error) {
	all, err = inspect.Features(ctx, r)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, n := range s.Names {
		installed, known := all[strings.ToLower(n)]
		switch {
		case !known:
			err := fmt.Errorf("cannot install feature %s: this machine knows none of that id", n)
			ids := make([]string, 0, len(all))
			for id := range all {
				ids = append(ids, id)
			}
			slices.Sort(ids)
			if near := steps.Nearest(n, ids); near != "" {
				err = hint.Wrap(err, fmt.Sprintf("did you mean %q?", near))
			}
			return nil, nil, nil, err
		case installed:
			have = append(have, strings.ToLower(n))
		default:
			missing = append(missing, n)
		}
	}
	return all, have, missing, nil
}

func via(f node.Facts) string {
	if f.Release == node.WS2008 {
		return "ServerManagerCmd"
	}
	return "ServerManager"
}

// Apply installs what is missing.
func (s *Feature) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	_, _, missing, err := s.split(ctx, n)
	if err != nil || len(missing) == 0 {
		return steps.Outcome{}, err
	}
	switch release := n.Facts().Release; {
	case release == node.WS2008:
		reboot, err := command(ctx, n, "-install", missing)
		return steps.Outcome{Reboot: reboot}, err
	case release == node.WS2008R2:
		reboot, err := call(ctx, n, "Add-WindowsFeature", map[string]any{"Name": anys(missing)})
		return steps.Outcome{Reboot: reboot}, err
	default:
		params := map[string]any{"Name": anys(missing), "Confirm": false}
		if s.Source != "" {
			params["Source"] = anys([]string{s.Source})
		}
		reboot, err := call(ctx, n, "Install-WindowsFeature", params)
		return steps.Outcome{Reboot: reboot}, err
	}
}

// brought lists, in lower case, the features that Windows installs along with those named because
// they depend on them. Source: the dependencies that Server Manager shows for the Web Server role,
// Windows Server 2008 to 2012 R2.
func (s *Feature) brought() []string {
	for _, n := range s.Names {
		if low := strings.ToLower(n); low == "web-server" || strings.HasPrefix(low, "web-") {
			return []string{"was-config-apis", "was-net-environment", "was-process-model", "was"}
		}
	}
	return nil
}

// Undo removes the named features that were not there before, the last first, and what they had
// brought along.
func (s *Feature) Undo(ctx context.Context, n node.Node, recorded json.RawMessage) error {
	var b before
	if err := json.Unmarshal(recorded, &b); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	if has(s.Names, clustering) && !slices.Contains(b.Installed, strings.ToLower(clustering)) {
		cluster, err := memberOf(ctx, n)
		if err != nil {
			return err
		}
		if cluster != "" {
			return steps.Left(fmt.Sprintf("%s is a member of cluster %s", n.Facts().Computer, cluster))
		}
	}
	wished := slices.Clone(s.Names)
	slices.Reverse(wished)
	wished = append(wished, s.brought()...)
	due := false
	for _, name := range wished {
		now, err := inspect.Features(ctx, n) // removing one may take others along
		if err != nil {
			return err
		}
		low := strings.ToLower(name)
		if !now[low] || slices.Contains(b.Installed, low) {
			continue
		}
		reboot, err := remove(ctx, n, name)
		if err != nil {
			return err
		}
		due = due || reboot
	}
	// an undo that was cut off before its restart is repeated and finds nothing left to remove, so
	// the machine is asked as well
	_, pending, err := inspect.RegistryKey(ctx, n,
		`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`)
	if err != nil {
		return err
	}
	if due || pending {
		return steps.ErrRebootDue
	}
	return nil
}

// clustering is the feature that a member of a cluster cannot do without.
const clustering = "Failover-Clustering"

func has(names []string, id string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, id) })
}

// memberOf returns the cluster that the machine is a member of, "" for none. Its Cluster service
// starts by itself from the moment on that it is one, whether it runs now or not; only while it
// runs is the cluster's name at hand. Source: ClusSvc is disabled until the node joins a cluster.
func memberOf(ctx context.Context, r node.Reader) (string, error) {
	svc, found, err := inspect.Services(ctx, r, "ClusSvc")
	if err != nil || !found || (svc.State != "Running" && svc.Start != "Auto") {
		return "", err
	}
	v, found, err := inspect.RegistryValue(ctx, r, `HKLM\Cluster`, "ClusterName")
	if err != nil || found && v.Text() != "" {
		return v.Text(), err
	}
	return "whose service does not run", nil
}

func remove(ctx context.Context, n node.Node, name string) (reboot bool, err error) {
	switch release := n.Facts().Release; {
	case release == node.WS2008:
		return command(ctx, n, "-remove", []string{name})
	case release == node.WS2008R2:
		return call(ctx, n, "Remove-WindowsFeature", map[string]any{"Name": anys([]string{name})})
	}
	return call(ctx, n, "Uninstall-WindowsFeature", map[string]any{"Name": anys([]string{name}), "Confirm": false})
}

// Exit codes of ServerManagerCmd. Source: its documentation.
const (
	codeDone     = 0
	codeNoChange = 1003
	codeRestart  = 3010
)

// command runs ServerManagerCmd once for each id: the command line takes one.
func command(ctx context.Context, n node.Node, verb string, ids []string) (reboot bool, err error) {
	for _, id := range ids {
		res, err := n.Run(ctx, node.Cmd{Argv: []string{"ServerManagerCmd.exe", verb, id}, Timeout: limit})
		if err != nil {
			return reboot, fmt.Errorf("cannot run ServerManagerCmd %s %s: %w", verb, id, err)
		}
		switch res.Code {
		case codeDone, codeNoChange:
		case codeRestart:
			reboot = true
		default:
			return reboot, hint.Wrap(fmt.Errorf("cannot run ServerManagerCmd %s %s: %w", verb, id,
				&node.CodeError{Op: "ServerManagerCmd", Code: int64(res.Code), Text: strings.TrimSpace(string(res.Stdout))}),
				`code 1004 means that a wizard of Server Manager is open, 5 that the session is not an administrator's; more in C:\Windows\Temp\ServerManager.log`)
		}
	}
	return reboot, nil
}

// results are properties of Microsoft.Windows.ServerManager.Commands.FeatureOperationResult;
// RestartNeeded is an enumeration (No, Yes, Maybe).
var results = []string{"Success", "RestartNeeded:name", "ExitCode:name"}

func call(ctx context.Context, n node.Node, name string, params map[string]any) (reboot bool, err error) {
	rows, err := n.Do(ctx, node.CmdletCall{Name: name, Load: "ServerManager", Params: params, Select: results})
	if err != nil {
		return false, fmt.Errorf("cannot run %s: %w", name, err)
	}
	for _, row := range rows {
		if !row.Bool("Success") {
			return false, hint.Wrap(fmt.Errorf("cannot run %s: it ended with %s", name, row.String("ExitCode:name")),
				`more in C:\Windows\Logs\DISM and the Server Manager's log`)
		}
		word := strings.ToLower(row.String("RestartNeeded:name"))
		reboot = reboot || word == "yes" || word == "maybe"
	}
	if len(rows) == 0 {
		return false, fmt.Errorf("cannot run %s: no result came back", name)
	}
	return reboot, nil
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
