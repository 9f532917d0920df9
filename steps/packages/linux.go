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
	"deploy/steps/linux"
)

// Packages are packages of a Linux distribution that are installed together, or none of them.
type Packages struct {
	Names      []string `json:"names" required:"true" doc:"names of packages; name=version wants exactly that version; an empty list is fulfilled" pattern:"^[A-Za-z0-9]" check:"compared"`
	Absent     bool     `json:"absent,omitempty" doc:"none of them shall be installed; configuration files that they leave do not count" check:"compared"`
	Refresh    bool     `json:"refresh,omitempty" doc:"Debian: fetch the package lists first (apt-get update) when there is something to install" check:"instruction:refresh"`
	Recommends bool     `json:"recommends,omitempty" doc:"install what the packages recommend as well" check:"unreadable:linux" why:"nothing keeps why a package that another one recommends is not installed: it may have been left out, or removed since"`
	Restart    string   `json:"restart,omitempty" enum:"when-due" doc:"when-due: restart the machine when the installation leaves a restart due; without it the run only warns" check:"instruction:restart"`
}

// installed is one package that is installed.
type installed struct {
	Name    string `json:"name"`
	Arch    string `json:"arch,omitempty"`
	Version string `json:"version"`
	// Half is the package manager's word for one half on its way in or out, like dpkg's iF.
	Half string `json:"half,omitempty"`
}

func (p installed) String() string {
	if p.Half != "" {
		return fmt.Sprintf("%s, half installed (%s)", p.Version, p.Half)
	}
	return p.Version
}

// packagesBefore is what undo needs.
type packagesBefore struct {
	New     []string    `json:"new,omitempty"`     // of names, those that were not there
	Came    []string    `json:"came,omitempty"`    // what a simulation said would come along
	Known   bool        `json:"known,omitempty"`   // the simulation worked
	Had     []string    `json:"had,omitempty"`     // all that was installed, when it did not or its lists were old
	Half    []installed `json:"half,omitempty"`    // of names, those that were half installed
	Changed []installed `json:"changed,omitempty"` // what another version takes the place of
	Removed []installed `json:"removed,omitempty"` // what is taken away
}

// manager is what the two families of distributions do differently.
type manager interface {
	// list asks for every package that is installed.
	list() node.Query
	parse(stdout string) []installed
	// foresee tells what a transaction would install and remove, names included; known is false
	// when the machine cannot tell.
	foresee(ctx context.Context, r node.Reader, t transaction) (come, gone []string, known bool, err error)
	// interrupted says that a transaction was cut off, which must be finished before another one.
	interrupted(ctx context.Context, r node.Reader) (bool, error)
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
// lists, finish ends a transaction that was cut off.
const (
	refresh verb = "refresh"
	finish  verb = "finish"
	install verb = "install"
	remove  verb = "remove"
	sweep   verb = "sweep"
)

func linuxKind() steps.Kind {
	return steps.Kind{
		Name:    "packages",
		OS:      "linux",
		Summary: "Installs or removes packages of a Linux distribution, all in one transaction.",
		Doc: "On Debian and its kin it looks by dpkg-query and works by apt-get; on Fedora, RHEL and their kin by rpm and " +
			"dnf. It asks no questions, keeps configuration files that were changed, " +
			"waits up to ten minutes for another installation, and runs as a job, so that a broken link does not break it. " +
			"On Debian a simulation tells in the plan what comes along or goes, and is made again after refresh: a package " +
			"that would be removed and was not in the plan stops the step. On Fedora dnf repoquery tells what else a removal " +
			"takes. An installation of others that was interrupted is finished first. A name must be that of a package, not " +
			"one that others provide. " +
			"Whether a restart is due is read before and after from /run/reboot-required (Debian and its kin) or " +
			"needs-restarting -r (dnf-utils, where installed): " +
			"what others had left due before is told as a warning, and never restarted for. " +
			"It provides the tags packages and package:NAME, for the until of a service step. " +
			"It has a name of its own beside package, since that one's wish is a setup program and a proof in the registry.",
		Undo: "Removes what was not there before: on Debian the named packages and those that came along with them, while " +
			"nothing else needs these; on Fedora the named ones, and dnf takes what only they needed. " +
			"Puts the recorded versions back, and installs what was removed, as far as the repositories still have it. " +
			"A package that others need by now is left and reported. Configuration files stay.",
		Proof: "unit-tested on a scripted machine; with apt-get played on real Debian 12 nodes against a repository of " +
			"their own; with dnf on a scripted machine, and tried by hand with dnf 4.14 and rpm 4.18",
		Sources: []string{"dpkg-query(1)", "apt-get(8)", "apt.conf(5): DPkg::Lock::Timeout", "rpm(8)", "dnf(8)",
			"needrestart: NEEDRESTART_MODE", "update-notifier: /run/reboot-required and its .pkgs", "needs-restarting(1)"},
		Calls: append(linux.Calls("dpkg-query(1), apt-get(8), rpm(8), dnf(8)", "dpkg-query", "apt-get", "rpm", "dnf"),
			append(linux.Calls("env(1): starts apt-get and dpkg(1) with DEBIAN_FRONTEND", "env"), inspect.RebootCalls()...)...),
		ReadForms: forms(),
		New:       func() steps.Step { return &Packages{} },
		Example:   "names: [chrony, rsyslog]\n",
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
			changes = append(changes, steps.Change{Attr: name, From: p.String(), To: nil})
			b.Removed = append(b.Removed, p)
		case there && p.Half != "":
			to := "installed"
			if version != "" {
				to, name = version, m.exact(installed{Name: name, Version: version})
			}
			names = append(names, name)
			name, _ = split(n)
			changes = append(changes, steps.Change{Attr: name, From: p.String(), To: to})
			b.Half = append(b.Half, p)
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
	d.Effects.Reboot, d.Effects.RebootMarked = s.Restart != "", s.Restart != ""
	if s.Absent {
		d.Action = steps.Delete
	} else if len(b.New) == 0 {
		d.Action = steps.Update
	}
	if cut, err := m.interrupted(ctx, r); err != nil {
		return steps.Diff{}, err
	} else if cut {
		d.Warnings = append(d.Warnings, "an installation was interrupted on this node: it is finished first, with all "+
			"packages that it was about")
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
			_, named := find(b.Changed, p.Name)
			if _, half := find(b.Half, p.Name); !named && !half {
				b.Changed = append(b.Changed, p)
				d.Changes = append(d.Changes,
					steps.Change{Attr: p.Name + " (comes along)", From: p.String(), To: "another version"})
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
				d.Changes = append(d.Changes, steps.Change{Attr: p.Name + " (must go too)", From: p.String(), To: nil})
			}
		}
	}
	if _, sweeps := m.(apt); sweeps && (!known || s.Refresh) && !s.Absent {
		for _, p := range have {
			b.Had = append(b.Had, p.Name+":"+p.Arch)
		}
	}
	if s.Refresh && !known {
		d.Warnings = append(d.Warnings, "what comes along or goes is known when the package lists are fetched; "+
			"the step stops there if a package would be removed")
	}
	d.Before = steps.MustJSON(b)
	d.Via = strings.TrimPrefix(fmt.Sprintf("%T", m), "packages.")
	return d, nil
}

// Apply installs or removes in one transaction.
func (s *Packages) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	m, have, err := s.read(ctx, n)
	if err != nil {
		return steps.Outcome{}, err
	}
	var b packagesBefore
	if len(d.Before) > 0 {
		if err := json.Unmarshal(d.Before, &b); err != nil {
			return steps.Outcome{}, fmt.Errorf("cannot read the recorded state: %w", err)
		}
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
	if err := complete(ctx, n, m); err != nil {
		return steps.Outcome{}, err
	}
	if err := s.change(ctx, n, m, names, b); err != nil {
		return steps.Outcome{}, err
	}
	out := steps.Outcome{}
	switch {
	case errors.Is(unknown, inspect.ErrNoRebootMark):
	case unknown != nil: // that is no reason not to install
		out.Warnings = []string{unknown.Error()}
	default:
		out, err = s.restart(ctx, n, due)
	}
	out.Warnings = append(s.alsoGone(b), out.Warnings...)
	return out, err
}

// alsoGone names what was removed though no step asks for it.
func (s *Packages) alsoGone(b packagesBefore) (out []string) {
	for _, p := range b.Removed {
		if !slices.ContainsFunc(s.Names, func(n string) bool { return bare(n) == p.Name }) {
			out = append(out, fmt.Sprintf("%s %s was removed along with it, as planned; an undo installs it again", p.Name,
				p.Version))
		}
	}
	return out
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

// complete finishes a transaction that was cut off, of whoever it was: no other one is possible
// before. Somebody else's that is under way is waited for.
func complete(ctx context.Context, n node.Node, m manager) error {
	return inspect.Wait(ctx, "the interrupted installation to be finished", lockWait,
		func(ctx context.Context) (bool, error) {
			cut, err := m.interrupted(ctx, n)
			if err != nil || !cut {
				return err == nil, err
			}
			err = run(ctx, n, "cannot finish the interrupted installation", m.argv(transaction{Verb: finish}))
			if code, ok := node.Code(err); ok && code == dpkgLocked {
				return false, nil
			}
			return err == nil, hint.Wrap(err, "`dpkg --audit` on the node shows which package is broken")
		})
}

// unshown refuses a transaction that would remove what the plan did not show.
func unshown(ctx context.Context, r node.Reader, m manager, t transaction, b packagesBefore) error {
	_, gone, _, err := m.foresee(ctx, r, t)
	if err != nil {
		return err
	}
	gone = slices.DeleteFunc(gone, func(g string) bool {
		_, shown := find(b.Removed, g)
		return shown
	})
	if len(gone) == 0 {
		return nil
	}
	return hint.Wrap(fmt.Errorf("cannot install %s: it would remove %s, which the plan did not show",
		strings.Join(t.Names, ", "), strings.Join(gone, ", ")),
		"plan again: the package lists are fresh now, and the plan shows what would be removed")
}

// change installs or removes names.
func (s *Packages) change(ctx context.Context, n node.Node, m manager, names []string, b packagesBefore) error {
	if s.Absent {
		return run(ctx, n, "cannot remove "+strings.Join(names, ", "), m.argv(transaction{Verb: remove, Names: names}))
	}
	if argv := m.argv(transaction{Verb: refresh}); s.Refresh && argv != nil {
		if err := run(ctx, n, "cannot fetch the package lists", argv); err != nil {
			return hint.Wrap(err, "can the node reach its repositories?")
		}
		if err := unshown(ctx, n, m, transaction{install, names, s.Recommends}, b); err != nil {
			return err
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
			func(p installed) bool { return p.Half == "" && (p.Name == name || p.Name+":"+p.Arch == name) }) {
			return hint.Wrap(fmt.Errorf("cannot find package %s though its installation worked", name),
				"the name may be one that another package provides: name that package")
		}
	}
	return nil
}
