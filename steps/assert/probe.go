// Package assert holds the kind that only looks: what a playbook demands of a machine before it
// goes on, with the rule that demands it.
package assert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
	"deploy/steps/linux"
	"deploy/steps/storage"
)

// Probe asserts facts about a node and changes nothing. All that is named must hold.
type Probe struct {
	Rule          string                 `json:"rule,omitempty" doc:"id of the rule in the catalogue, like SCC-01" check:"instruction:person"`
	Message       string                 `json:"message" required:"true" doc:"what is wrong when it does not hold" check:"instruction:person"`
	Hint          string                 `json:"hint,omitempty" doc:"what a person can do about it" check:"instruction:person"`
	Severity      string                 `json:"severity" enum:"must|should" doc:"must stops the run; should only warns" check:"instruction:severity"`
	Releases      []string               `json:"releases,omitempty" doc:"the node's release is one of these: 2003 2008 2008r2 2012 2012r2 2016 2019 2022 2025 linux" enum:"2003|2008|2008r2|2012|2012r2|2016|2019|2022|2025|linux" check:"compared"`
	Distros       []string               `json:"distros,omitempty" doc:"Linux: the distribution is one of these, by the ID of os-release: debian ubuntu rhel rocky" check:"compared"`
	ServicePack   int                    `json:"min_service_pack,omitempty" doc:"Windows: service pack number at least" min:"0" check:"compared"`
	Arch          string                 `json:"arch,omitempty" enum:"amd64|386|arm64" doc:"processor architecture" check:"compared"`
	Features      []string               `json:"features,omitempty" doc:"Windows: feature ids that are installed" check:"compared"`
	Service       *Running               `json:"service,omitempty" doc:"a service, or a unit of systemd, and how it must stand"`
	Registry      *inspect.ExpectedValue `json:"registry,omitempty" doc:"Windows: a registry value that must be there, or not"`
	File          string                 `json:"file,omitempty" doc:"a file or directory that exists" type:"path" check:"compared"`
	NoFile        string                 `json:"no_file,omitempty" doc:"a file or directory that does not exist" type:"path" check:"compared"`
	FreeLetter    string                 `json:"free_letter,omitempty" doc:"Windows: a drive letter that nothing holds" type:"letter" check:"compared"`
	Domain        string                 `json:"domain,omitempty" doc:"DNS name of the domain that the node is a member of" type:"domain" check:"compared"`
	Adapters      int                    `json:"min_adapters,omitempty" doc:"Windows: number of network cards at least" min:"0" check:"compared"`
	Plain         []string               `json:"plain_adapters,omitempty" doc:"Windows from 2008 on: hardware addresses of network cards that are cards, and no team or other card that only a driver makes" type:"mac" check:"compared"`
	PendingReboot string                 `json:"pending_reboot,omitempty" enum:"none" doc:"none: no restart is due; on Linux by the mark that Debian and its kin keep, or by needs-restarting" check:"compared"`
	Disks         []string               `json:"disks,omitempty" doc:"Windows: serial numbers of disks that are visible" check:"compared"`
	Listens       int                    `json:"listens,omitempty" doc:"Linux: number of a TCP port on which something listens" min:"0" max:"65535" check:"compared"`
}

// Running is how a service must stand.
type Running struct {
	Name   string `json:"name" required:"true" doc:"service name" check:"compared"`
	State  string `json:"state,omitempty" enum:"running|stopped" doc:"whether it runs" check:"compared"`
	Start  string `json:"start,omitempty" enum:"auto|manual|disabled" doc:"start type; on Linux enabled, disabled or masked" check:"compared"`
	Absent bool   `json:"absent,omitempty" doc:"there is no such service" check:"compared"`
}

// Kinds lists the kind of this family.
func Kinds() []steps.Kind { return []steps.Kind{probeKind()} }

func probeKind() steps.Kind {
	return steps.Kind{
		Name:    "probe",
		Summary: "Asserts facts about a node and changes nothing.",
		Doc: "Everything that is named must hold. When it does not, a probe of severity must shows it in the plan and " +
			"stops the run when its " +
			"turn comes; one of severity should only warns. A plan shows a broken probe without failing, since an earlier " +
			"step may still repair it.",
		Undo: "Nothing to undo.",
		Proof: "unit-tested on a scripted machine; played in the lab; names checked against recorded tables; " +
			linux.Proof,
		Sources: []string{"the rule catalogue", "proc(5): /proc/net/tcp", "os-release(5)"},
		Calls: slices.Concat(inspect.FeatureCalls(), inspect.RebootCalls(), inspect.AdapterCalls(), inspect.PhysicalCalls(),
			storage.Calls(),
			[]node.Call{inspect.ServiceCall(node.WindowsReleases()), inspect.UnitCall()}),
		ReadForms: forms(),
		New:       func() steps.Step { return &Probe{Severity: "must"} },
		Example: "rule: SCC-01\nmessage: Exchange Server 2007 is not supported on Windows Server 2008 R2\nreleases: " +
			"['2008']\n",
	}
}

// Kind names the step.
func (s *Probe) Kind() string { return "probe" }

// Validate looks at the data.
func (s *Probe) Validate() error {
	if len(s.asserts()) == 0 {
		return steps.FieldErr("message", "the probe asserts nothing: give releases, features, service, registry, file or "+
			"another one")
	}
	return nil
}

// Reads names what Check will ask.
func (s *Probe) Reads(f node.Facts) []node.Query {
	var out []node.Query
	if onLinux(f) {
		if s.Service != nil && f.Init == "systemd" && s.refuse(f) == nil {
			out = append(out, inspect.UnitQuery(s.Service.Name))
		}
		return out
	}
	if len(s.Features) > 0 {
		out = append(out, inspect.FeatureReads(f)...)
	}
	if s.Service != nil {
		out = append(out, inspect.ServiceQuery(s.Service.Name))
	}
	if s.Registry != nil {
		out = append(out, node.Registry{Key: s.Registry.Key})
	}
	if s.FreeLetter != "" {
		out = append(out, inspect.LettersQuery())
	}
	if s.Adapters > 0 {
		out = append(out, inspect.AdapterReads(f)...)
	}
	if len(s.Plain) > 0 {
		out = append(out, inspect.PhysicalReads(f)...)
	}
	if s.PendingReboot != "" {
		out = append(out, inspect.RebootReads()...)
	}
	if len(s.Disks) > 0 {
		out = append(out, storage.Reads(f)...)
	}
	return out
}

// assert looks at one thing; nil means that it holds.
type assert func(ctx context.Context, r node.Reader) (*steps.Change, error)

func broken(attr string, from, to any) (*steps.Change, error) {
	return &steps.Change{Attr: attr, From: from, To: to}, nil
}

// asserts lists what the probe names.
func (s *Probe) asserts() []assert {
	var out []assert
	add := func(named bool, a assert) {
		if named {
			out = append(out, a)
		}
	}
	add(len(s.Releases) > 0, s.release)
	add(len(s.Distros) > 0, s.distro)
	add(s.Listens > 0, s.listens)
	add(s.ServicePack > 0, func(_ context.Context, r node.Reader) (*steps.Change, error) {
		if have := r.Facts().ServicePack; have < s.ServicePack {
			return broken("service pack", have, s.ServicePack)
		}
		return nil, nil
	})
	add(s.Arch != "", func(_ context.Context, r node.Reader) (*steps.Change, error) {
		if have := r.Facts().Arch; have != s.Arch {
			return broken("arch", have, s.Arch)
		}
		return nil, nil
	})
	add(s.Domain != "", func(_ context.Context, r node.Reader) (*steps.Change, error) {
		if have := r.Facts().Domain; !strings.EqualFold(have, s.Domain) {
			return broken("domain", have, s.Domain)
		}
		return nil, nil
	})
	add(len(s.Features) > 0, s.features)
	add(s.Service != nil, s.service)
	add(s.Registry != nil, func(ctx context.Context, r node.Reader) (*steps.Change, error) {
		ok, found, err := s.Registry.Holds(ctx, r)
		if err != nil || ok {
			return nil, err
		}
		return broken(s.Registry.Label(), found, s.Registry.Wish())
	})
	add(s.File != "", exists(s.File, true))
	add(s.NoFile != "", exists(s.NoFile, false))
	add(s.FreeLetter != "", func(ctx context.Context, r node.Reader) (*steps.Change, error) {
		used, err := inspect.Letters(ctx, r)
		if err != nil || !used[inspect.Letter(s.FreeLetter)] {
			return nil, err
		}
		return broken("letter "+inspect.Letter(s.FreeLetter), "in use", "free")
	})
	add(s.Adapters > 0, func(ctx context.Context, r node.Reader) (*steps.Change, error) {
		list, err := inspect.Adapters(ctx, r)
		if err != nil || len(list) >= s.Adapters {
			return nil, err
		}
		return broken("network cards", len(list), s.Adapters)
	})
	add(len(s.Plain) > 0, s.plain)
	add(s.PendingReboot != "", func(ctx context.Context, r node.Reader) (*steps.Change, error) {
		reasons, _, err := inspect.PendingReboot(ctx, r)
		if errors.Is(err, inspect.ErrNoRebootMark) {
			return nil, hint.Wrap(err, "install what tells it (dnf-utils), or use a command step with the distribution's own "+
				"tool")
		}
		if err != nil || len(reasons) == 0 {
			return nil, err
		}
		return broken("pending restart", strings.Join(reasons, ", "), "none")
	})
	add(len(s.Disks) > 0, s.disks)
	return out
}

func exists(path string, wish bool) assert {
	return func(ctx context.Context, r node.Reader) (*steps.Change, error) {
		there, err := inspect.Exists(ctx, r, path)
		if err != nil || there == wish {
			return nil, err
		}
		return broken(path, inspect.There(there), inspect.There(wish))
	}
}

func (s *Probe) release(_ context.Context, r node.Reader) (*steps.Change, error) {
	have := r.Facts().Release
	if have == "" {
		return nil, fmt.Errorf("cannot tell the release of the node: version %s, build %d is not known", r.Facts().Version,
			r.Facts().Build)
	}
	if slices.Contains(s.Releases, string(have)) {
		return nil, nil
	}
	return broken("release", string(have), strings.Join(s.Releases, " or "))
}

func (s *Probe) features(ctx context.Context, r node.Reader) (*steps.Change, error) {
	all, err := inspect.Features(ctx, r)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, n := range s.Features {
		if !all[strings.ToLower(n)] {
			missing = append(missing, n)
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	return broken("features", "not installed: "+strings.Join(missing, ", "), "installed")
}

func (s *Probe) service(ctx context.Context, r node.Reader) (*steps.Change, error) {
	if onLinux(r.Facts()) {
		return s.unit(ctx, r)
	}
	svc, found, err := inspect.Services(ctx, r, s.Service.Name)
	if err != nil {
		return nil, err
	}
	attr := "service " + s.Service.Name
	if found == s.Service.Absent {
		return broken(attr, inspect.There(found), inspect.There(!found))
	}
	if !found {
		return nil, nil
	}
	if running := strings.EqualFold(svc.State, "Running"); s.Service.State != "" &&
		running != (s.Service.State == "running") {
		return broken(attr, strings.ToLower(svc.State), s.Service.State)
	}
	if s.Service.Start != "" && !strings.EqualFold(svc.Start, s.Service.Start) {
		return broken(attr+" start", strings.ToLower(svc.Start), s.Service.Start)
	}
	return nil, nil
}

func (s *Probe) plain(ctx context.Context, r node.Reader) (*steps.Change, error) {
	var teams []string
	for _, mac := range s.Plain {
		names, err := inspect.Logical(ctx, r, mac)
		if err != nil {
			return nil, err
		}
		teams = append(teams, names...)
	}
	if len(teams) == 0 {
		return nil, nil
	}
	return broken("network card "+strings.Join(teams, ", "), "made by a driver, as a team is", "hardware")
}

func (s *Probe) disks(ctx context.Context, r node.Reader) (*steps.Change, error) {
	var missing []string
	for _, serial := range s.Disks {
		ok, err := storage.Visible(ctx, r, serial)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, serial)
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	return broken("disks", "not visible: "+strings.Join(missing, ", "), "visible")
}

// Check looks at everything that is named.
func (s *Probe) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := s.refuse(r.Facts()); err != nil {
		return steps.Diff{}, err
	}
	var changes []steps.Change
	for _, a := range s.asserts() {
		c, err := a(ctx, r)
		if err != nil {
			return steps.Diff{}, err
		}
		if c != nil {
			changes = append(changes, *c)
		}
	}
	if len(changes) == 0 {
		return steps.NoChange(), nil
	}
	if s.Severity == "should" {
		return steps.Diff{Action: steps.NoOp, Warnings: []string{s.text(changes)},
			Effects: steps.Effects{NothingToUndo: true}}, nil
	}
	return steps.Diff{Action: steps.Run, Changes: changes, Warnings: []string{"will stop the run: " + s.text(changes)},
		Effects: steps.Effects{NothingToUndo: true}}, nil
}

// text says what is wrong, with the rule's id in front.
func (s *Probe) text(changes []steps.Change) string {
	parts := make([]string, 0, len(changes))
	for _, c := range changes {
		parts = append(parts, fmt.Sprintf("%s is %v, must be %v", c.Attr, c.From, c.To))
	}
	t := s.Message + " (" + strings.Join(parts, "; ") + ")"
	if s.Rule != "" {
		t = s.Rule + ": " + t
	}
	return t
}

// Apply looks again, since earlier steps may have repaired it, and stops the run when it still does
// not hold.
func (s *Probe) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	d, err := s.Check(ctx, n)
	if err != nil || d.Action == steps.NoOp {
		return steps.Outcome{Warnings: d.Warnings}, err
	}
	err = errors.New(s.text(d.Changes))
	if s.Hint != "" {
		err = hint.Wrap(err, s.Hint)
	}
	return steps.Outcome{}, err
}
