package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"deploy/internal/hint"
	"deploy/inventory"
	"deploy/playbooks"
	"deploy/steps"
)

// siteFlags are the flags of the commands that read a site. A command adds those that mean
// something to it.
type siteFlags struct {
	lab      bool
	labDelay string
	faults   []string
	state    string
	json     bool
	verbose  bool
	debug    string
}

// addState adds what says whose journal is meant.
func (f *siteFlags) addState(fs *pflag.FlagSet) {
	fs.StringVar(&f.state, "state-dir", "", "directory of the journal, its lock and the lab (default "+
		".deploy/<site> beside the site file)")
}

func (f *siteFlags) addLab(fs *pflag.FlagSet) {
	fs.BoolVar(&f.lab, "lab", false, "use emulated machines instead of the real ones, with a separate journal")
}

// addLabStart adds what a lab is started with.
func (f *siteFlags) addLabStart(fs *pflag.FlagSet) {
	fs.StringVar(&f.labDelay, "lab-delay", "", "with --lab: delay added to every request, for example 5ms")
	fs.StringArrayVar(&f.faults, "fault", nil, "with --lab: inject a fault, see deploy lab faults (repeatable)")
}

func (f *siteFlags) addDebug(fs *pflag.FlagSet) {
	fs.StringVar(&f.debug, "debug-log", "", "write a debug log without secrets to this file")
}

func (f *siteFlags) addJSON(fs *pflag.FlagSet) {
	fs.BoolVar(&f.json, "json", false, "write JSON instead of text")
}

func (f *siteFlags) addVerbose(fs *pflag.FlagSet) {
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "also show unchanged steps")
}

// addMachines adds everything that a command which reaches machines takes.
func (f *siteFlags) addMachines(fs *pflag.FlagSet) {
	f.addLab(fs)
	f.addLabStart(fs)
	f.addState(fs)
	f.addJSON(fs)
	f.addVerbose(fs)
	f.addDebug(fs)
}

// place is a site file and where its journal and lab live.
type place struct {
	site  *inventory.Site
	state string
}

// loaded is a site with its playbook, compiled.
type loaded struct {
	place
	program  *steps.Program
	findings []playbooks.Finding
}

// place reads the site file alone. The lab's runs have a state directory of their own, below that
// of the real machines: what was done in the lab was not done to them.
func (a *App) place(path string, f siteFlags) (place, error) {
	if !f.lab && (f.labDelay != "" || len(f.faults) > 0) {
		return place{}, hint.Wrap(errors.New("--fault and --lab-delay require --lab"),
			"add --lab")
	}
	site, err := inventory.Load(path)
	if err != nil {
		return place{}, err
	}
	state := f.state
	if state == "" {
		state = filepath.Join(filepath.Dir(path), ".deploy", site.Name)
	}
	if f.lab {
		state = filepath.Join(state, "lab")
	}
	return place{site, state}, nil
}

// load reads, compiles and judges. Nothing is touched. Rules that must hold are errors, the others
// are findings.
func (a *App) load(path string, f siteFlags) (*loaded, error) {
	p, err := a.place(path, f)
	if err != nil {
		return nil, err
	}
	return a.compile(p)
}

func (a *App) compile(p place) (*loaded, error) {
	book, err := playbooks.Load(p.site)
	if err != nil {
		return nil, err
	}
	program, findings, err := book.Compile(p.site, a.Registry)
	if err != nil {
		return nil, err
	}
	return &loaded{place: p, program: program, findings: findings}, nil
}

// labDir is where the lab's machines live, beside the journal of the lab's runs.
func (p place) labDir() string { return filepath.Join(p.state, "machines") }

// showFindings prints the warnings of the rules, once, on stderr. Each says itself that it is one.
func (a *App) showFindings(l *loaded) {
	for _, f := range l.findings {
		fmt.Fprintln(a.Stderr, strings.TrimRight(f.String(), "\n"))
	}
}
