package packages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
	"deploy/steps/jobs"
	"deploy/steps/linux"
)

// Packages are packages of a Linux distribution that are installed together, or none of them.
type Packages struct {
	Names      []string `json:"names" required:"true" doc:"names of packages; name=version wants exactly that version; an empty list is fulfilled"`
	Absent     bool     `json:"absent,omitempty" doc:"none of them shall be installed; configuration files that they leave do not count"`
	Refresh    bool     `json:"refresh,omitempty" doc:"Debian: fetch the package lists first (apt-get update) when there is something to install"`
	Recommends bool     `json:"recommends,omitempty" doc:"install what the packages recommend as well"`
	Restart    string   `json:"restart,omitempty" enum:"when-due" doc:"when-due: restart the machine when the installation leaves a restart due; without it the run only warns"`
}

// installed is one package that is installed.
type installed struct {
	Name    string `json:"name"`
	Arch    string `json:"arch,omitempty"`
	Version string `json:"version"`
}

// packagesBefore is what undo needs.
type packagesBefore struct {
	New     []string    `json:"new,omitempty"`     // of names, those that were not there
	Came    []string    `json:"came,omitempty"`    // what a simulation said would come along
	Known   bool        `json:"known,omitempty"`   // the simulation worked
	Had     []string    `json:"had,omitempty"`     // all that was installed, when it did not
	Changed []installed `json:"changed,omitempty"` // what another version takes the place of
	Removed []installed `json:"removed,omitempty"` // what is taken away
}

// manager is what the two families of distributions do differently.
type manager interface {
	// list asks for every package that is installed.
	list() node.Query
	parse(stdout string) []installed
	// foresee tells what a transaction would install and remove, names included; known is false when
	// the machine cannot tell.
	foresee(ctx context.Context, r node.Reader, t transaction) (come, gone []string, known bool, err error)
	// argv is the program for a transaction; nil for one that this manager does not need.
	argv(t transaction) []string
	// exact is the name by which exactly this version is installed.
	exact(p installed) string
	same(have, want string) bool
}

// transaction is what is foreseen.
type transaction struct {
	Verb       verb
	Names      []string
	Recommends bool
}

type verb string

// sweep removes as remove does, and whatever nothing needs any more. refresh fetches the package
// lists.
const (
	refresh verb = "refresh"
	install verb = "install"
	remove  verb = "remove"
	sweep   verb = "sweep"
)

func linuxKind() steps.Kind {
	return steps.Kind{
		Name:    "packages",
		Summary: "Installs or removes packages of a Linux distribution, all in one transaction.",
		Doc: "On Debian and its kin it looks by dpkg-query and works by apt-get; on Fedora, RHEL and their kin by rpm and " +
			"dnf. It asks no questions, keeps configuration files that were changed, " +
			"waits up to ten minutes for another installation, and runs as a job, so that a broken link does not break it. " +
			"On Debian a simulation tells in the plan what comes along or goes. A name must be that of a package, not one " +
			"that others provide. " +
			"Whether a restart is due is read before and after from /run/reboot-required (Debian and its kin) or " +
			"needs-restarting -r (dnf-utils, where installed): " +
			"what others had left due before is told as a warning, and never restarted for. " +
			"It provides the tags packages and package:NAME, for the until of a service step. " +
			"It has a name of its own beside package, since that one's wish is a setup program and a proof in the registry.",
		Undo: "Removes what was not there before: on Debian the named packages and those that came along with them, while " +
			"nothing else needs these; on Fedora the named ones, and dnf takes what only they needed. " +
			"Puts the recorded versions back, and installs what was removed, as far as the repositories still have it. " +
			"Configuration files stay.",
		Proof: "unit-tested on a scripted machine; with apt-get played on real Debian 12 nodes against a repository of " +
			"their own; with dnf on a scripted machine, and tried by hand with dnf 4.14 and rpm 4.18",
		Sources: []string{"dpkg-query(1)", "apt-get(8)", "apt.conf(5): DPkg::Lock::Timeout", "rpm(8)", "dnf(8)",
			"needrestart: NEEDRESTART_MODE", "update-notifier: /run/reboot-required and its .pkgs", "needs-restarting(1)"},
		Calls: append(linux.Calls("dpkg-query(1), apt-get(8), rpm(8), dnf(8)", "dpkg-query", "apt-get", "rpm", "dnf"),
			append(linux.Calls("env(1): starts apt-get with DEBIAN_FRONTEND", "env"), inspect.RebootCalls()...)...),
		New:     func() steps.Step { return &Packages{} },
		Example: "names: [chrony, rsyslog]\n",
	}
}

// Kind names the step.
func (s *Packages) Kind() string { return "packages" }

// Provides names the packages, and all of them together.
func (s *Packages) Provides() []string {
	if s.Absent || len(s.Names) == 0 {
		return nil
	}
	out := []string{"packages"}
	for _, n := range s.Names {
		name, _ := split(n)
		out = append(out, "package:"+name)
	}
	return out
}

// Debian policy 5.6.7 (plus :architecture), and RPM's names; version as both families write them. A
// dash at the end would tell apt-get to remove the package.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9+._-]*[A-Za-z0-9+])?(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~^_-]+)?$`)

// Validate looks at the data.
func (s *Packages) Validate() error {
	seen := map[string]bool{}
	for i, n := range s.Names {
		at := []string{"names", fmt.Sprintf("[%d]", i)}
		name, version := split(n)
		switch {
		case !nameForm.MatchString(n):
			return &steps.FieldError{Path: at, Msg: fmt.Sprintf("%q is not the name of a package", n),
				Hint: "write name or name=version"}
		case seen[name]:
			return &steps.FieldError{Path: at, Msg: fmt.Sprintf("%s is there twice", name)}
		case s.Absent && version != "":
			return &steps.FieldError{Path: at, Msg: "what shall be absent has no version"}
		}
		seen[name] = true
	}
	if s.Absent && (s.Refresh || s.Recommends) {
		return steps.FieldErr("absent", "excludes refresh and recommends")
	}
	return nil
}

func split(n string) (name, version string) {
	name, version, _ = strings.Cut(n, "=")
	return name, version
}

// managerOf chooses by the distribution; one that is not known is told by its tools' absence when
// they are called.
func managerOf(f node.Facts) (manager, error) {
	switch f.Distro {
	case "debian", "ubuntu", "raspbian", "linuxmint", "pop", "kali", "devuan":
		return apt{}, nil
	case "rhel", "centos", "rocky", "almalinux", "fedora", "ol", "amzn":
		return dnf{}, nil
	}
	return nil, hint.Wrap(fmt.Errorf("cannot install packages on this node: its distribution is %q", f.Distro),
		"known are Debian, Ubuntu, Fedora, RHEL and their near kin; use a command step")
}

// Reads names what Check will ask.
func (s *Packages) Reads(f node.Facts) []node.Query {
	m, err := managerOf(f)
	if f.OS != "linux" || err != nil || len(s.Names) == 0 {
		return nil
	}
	return []node.Query{m.list()}
}

func (s *Packages) read(ctx context.Context, r node.Reader) (manager, []installed, error) {
	m, err := managerOf(r.Facts())
	if err != nil {
		return nil, nil, err
	}
	argv := m.list().(node.Tool).Argv
	a, err := linux.Ask(ctx, r, argv...)
	if err != nil {
		return nil, nil, err
	}
	have := m.parse(a.Stdout)
	if a.Code != 0 || len(have) == 0 { // not even the package manager's own package is installed: then it cannot be told
		return nil, nil, fmt.Errorf("cannot list the packages: %w", a.Failed(argv[0]))
	}
	return m, have, nil
}

// find returns a package by name, or name:architecture.
func find(have []installed, name string) (installed, bool) {
	for _, p := range have {
		if p.Name == name || p.Name+":"+p.Arch == name {
			return p, true
		}
	}
	return installed{}, false
}

// todo tells what is to be installed or removed, and the changes.
func (s *Packages) todo(m manager, have []installed) (names []string, changes []steps.Change, b packagesBefore) {
	for _, n := range s.Names {
		name, version := split(n)
		p, there := find(have, name)
		switch {
		case s.Absent && there:
			names = append(names, name)
			changes = append(changes, steps.Change{Attr: name, From: p.Version, To: nil})
			b.Removed = append(b.Removed, p)
		case s.Absent, there && (version == "" || m.same(p.Version, version)):
		case there:
			names = append(names, m.exact(installed{Name: name, Version: version}))
			changes = append(changes, steps.Change{Attr: name, From: p.Version, To: version})
			b.Changed = append(b.Changed, p)
		default:
			to := "installed"
			if version != "" {
				to, name = version, m.exact(installed{Name: name, Version: version})
			}
			names = append(names, name)
			name, _ = split(n)
			changes = append(changes, steps.Change{Attr: name, From: nil, To: to})
			b.New = append(b.New, name)
		}
	}
	return names, changes, b
}

// Check compares the declared packages with those that are installed.
func (s *Packages) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := linux.Only(r, "packages"); err != nil {
		return steps.Diff{}, err
	}
	if len(s.Names) == 0 {
		return steps.NoChange(), nil
	}
	m, have, err := s.read(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	names, changes, b := s.todo(m, have)
	if len(changes) == 0 {
		return steps.NoChange(), nil
	}
	d := steps.Diff{Action: steps.Create, Changes: changes}
	d.Effects.Reboot = s.Restart != ""
	if s.Absent {
		d.Action = steps.Delete
	} else if len(b.New) == 0 {
		d.Action = steps.Update
	}
	t := transaction{install, names, s.Recommends}
	if s.Absent {
		t.Verb = remove
	}
	come, gone, known, err := m.foresee(ctx, r, t)
	if err != nil {
		return steps.Diff{}, err
	}
	b.Known = known
	for _, c := range come {
		if p, there := find(have, c); there {
			if _, named := find(b.Changed, p.Name); !named {
				b.Changed = append(b.Changed, p)
				d.Changes = append(d.Changes, steps.Change{Attr: p.Name + " (comes along)", From: p.Version, To: "another version"})
			}
		} else if !slices.Contains(b.New, c) {
			b.Came = append(b.Came, c)
			d.Changes = append(d.Changes, steps.Change{Attr: c + " (comes along)", From: nil, To: "installed"})
		}
	}
	for _, g := range gone {
		if p, there := find(have, g); there {
			if _, named := find(b.Removed, p.Name); !named {
				b.Removed = append(b.Removed, p)
				d.Changes = append(d.Changes, steps.Change{Attr: p.Name + " (must go too)", From: p.Version, To: nil})
			}
		}
	}
	if _, sweeps := m.(apt); sweeps && !known && !s.Absent {
		for _, p := range have {
			b.Had = append(b.Had, p.Name+":"+p.Arch)
		}
	}
	d.Before = steps.MustJSON(b)
	d.Via = strings.TrimPrefix(fmt.Sprintf("%T", m), "packages.")
	return d, nil
}

// Apply installs or removes in one transaction.
func (s *Packages) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	m, have, err := s.read(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	names, _, _ := s.todo(m, have)
	if len(names) == 0 {
		return steps.Outcome{}, nil
	}
	due, unknown := inspect.RestartDue(ctx, n)
	var broken *node.LinkError
	if errors.As(unknown, &broken) {
		return steps.Outcome{}, unknown
	}
	if err := s.change(ctx, n, m, names); err != nil {
		return steps.Outcome{}, err
	}
	switch {
	case errors.Is(unknown, inspect.ErrNoRebootMark):
		return steps.Outcome{}, nil
	case unknown != nil: // that is no reason not to install
		return steps.Outcome{Warnings: []string{unknown.Error()}}, nil
	}
	return s.restart(ctx, n, due)
}

// restart tells what follows when the installation has left a restart due. What was due before is
// not this step's.
func (s *Packages) restart(ctx context.Context, r node.Reader, before inspect.Due) (out steps.Outcome, err error) {
	name := r.Facts().Computer
	now, err := inspect.RestartDue(ctx, r)
	var broken *node.LinkError
	switch fresh := now.Since(before); {
	case errors.As(err, &broken):
		return out, err
	case err != nil: // the packages are there all the same
		out.Warnings = []string{err.Error()}
	case len(fresh) > 0 && s.Restart != "":
		out.Reboot, out.Note = true, "a restart is due: "+strings.Join(fresh, ", ")
	case len(fresh) > 0:
		out.Warnings = []string{fmt.Sprintf("a restart of %s is due because of this (%s): restart it, or let the step do "+
			"so with restart: when-due", name, strings.Join(fresh, ", "))}
	case len(now.Reasons) > 0:
		out.Warnings = []string{fmt.Sprintf("a restart of %s was due before this (%s); it is left to whoever asked for it",
			name, strings.Join(now.Reasons, ", "))}
	}
	return out, nil
}

// change installs or removes names.
func (s *Packages) change(ctx context.Context, n node.Node, m manager, names []string) error {
	if s.Absent {
		return run(ctx, n, "cannot remove "+strings.Join(names, ", "), m.argv(transaction{Verb: remove, Names: names}))
	}
	if argv := m.argv(transaction{Verb: refresh}); s.Refresh && argv != nil {
		if err := run(ctx, n, "cannot fetch the package lists", argv); err != nil {
			return hint.Wrap(err, "can the node reach its repositories?")
		}
	}
	err := run(ctx, n, "cannot install "+strings.Join(names, ", "), m.argv(transaction{install, names, s.Recommends}))
	if err != nil {
		return hint.Wrap(err, "is the name right, can the node reach its repositories, and are the package lists fresh "+
			"(refresh: true)?")
	}
	_, have, err := s.read(ctx, n)
	if err != nil {
		return err
	}
	for _, want := range s.Names {
		if name, _ := split(want); !slices.ContainsFunc(have,
			func(p installed) bool { return p.Name == name || p.Name+":"+p.Arch == name }) {
			return hint.Wrap(fmt.Errorf("cannot find package %s though its installation worked", name),
				"the name may be one that another package provides: name that package")
		}
	}
	return nil
}

// run runs a transaction as a job, so that it outlives the link, or in the session where that has
// no jobs.
func run(ctx context.Context, n node.Node, what string, argv []string) error {
	c := node.Cmd{Argv: argv, Timeout: limit}
	state, err := jobs.Run(ctx, n, jobs.ID("packages", argv...), c, 0)
	if errors.Is(err, node.ErrUnsupported) {
		res, err := n.Run(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		state = node.JobState{Code: res.Code, Output: string(res.Stdout) + string(res.Stderr)}
	} else if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if state.Code != 0 {
		return fmt.Errorf("%s: %w", what, &node.CodeError{Op: "the package manager", Code: int64(state.Code),
			Text: tail(state.Output)})
	}
	return nil
}

// Undo puts back what was recorded.
func (s *Packages) Undo(ctx context.Context, n node.Node, recorded json.RawMessage) error {
	var b packagesBefore
	if err := json.Unmarshal(recorded, &b); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	m, have, err := s.read(ctx, n)
	if err != nil {
		return err
	}
	var back []string
	for _, p := range append(slices.Clone(b.Changed), b.Removed...) {
		if now, there := find(have, p.Name+":"+p.Arch); !there || now.Version != p.Version {
			back = append(back, m.exact(p))
		}
	}
	if len(back) > 0 {
		if err := run(ctx, n, "cannot put back "+strings.Join(back, ", "),
			m.argv(transaction{Verb: install, Names: back})); err != nil {
			return hint.Wrap(err, "do the repositories still have these versions?")
		}
	}
	names, err := surplus(ctx, n, m, have, b)
	if err != nil || len(names) == 0 {
		return err
	}
	return run(ctx, n, "cannot take off again "+strings.Join(names, ", "), m.argv(transaction{Verb: remove, Names: names}))
}

// surplus tells what undo removes: the named packages that were not there, and what came along
// while nothing else needs it.
func surplus(ctx context.Context, r node.Reader, m manager, have []installed, b packagesBefore) ([]string, error) {
	here := func(names []string) (out []string) {
		for _, n := range names {
			if _, there := find(have, n); there {
				out = append(out, n)
			}
		}
		return out
	}
	named, came := here(b.New), here(b.Came)
	if len(named)+len(came) == 0 {
		return nil, nil
	}
	for _, names := range [][]string{append(slices.Clone(named), came...), named} {
		if len(names) == 0 {
			continue
		}
		more, err := others(ctx, r, m, names)
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			left, err := unforeseen(ctx, r, m, have, b, names)
			return append(names, left...), err
		}
		if len(names) == len(named) {
			return nil, hint.Wrap(fmt.Errorf("cannot take off %s again: %s, which came later, would go with it",
				strings.Join(named, ", "), strings.Join(more, ", ")),
				"remove those first, or leave it")
		}
	}
	return nil, nil
}

// others tells what would go though it is not named.
func others(ctx context.Context, r node.Reader, m manager, names []string) (out []string, err error) {
	_, gone, _, err := m.foresee(ctx, r, transaction{Verb: remove, Names: names})
	for _, g := range gone {
		if !slices.Contains(names, g) {
			out = append(out, g)
		}
	}
	return out, err
}

// unforeseen tells what came along with names when that could not be foreseen: what nothing needs
// once they are gone, and was not there before.
func unforeseen(ctx context.Context, r node.Reader, m manager, have []installed, b packagesBefore,
	names []string) (out []string, err error) {
	if b.Known || len(b.Had) == 0 {
		return nil, nil
	}
	_, gone, _, err := m.foresee(ctx, r, transaction{Verb: sweep, Names: names})
	for _, g := range gone {
		if p, there := find(have, g); there && !slices.Contains(names, g) && !slices.Contains(b.Had, p.Name+":"+p.Arch) {
			out = append(out, g)
		}
	}
	return out, err
}
