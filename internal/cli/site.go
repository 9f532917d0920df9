package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"deploy/inventory"
	"deploy/playbooks"
	"deploy/steps"
)

// siteFlags are the flags of every command that reads a site.
type siteFlags struct {
	lab      bool
	labDelay string
	faults   []string
	state    string
	json     bool
	verbose  bool
	debug    string
}

func (f *siteFlags) add(fs *pflag.FlagSet) {
	fs.BoolVar(&f.lab, "lab", false, "run on the site's emulated machines instead of the real ones")
	fs.StringVar(&f.labDelay, "lab-delay", "", "with --lab: delay added to every request, like 5ms")
	fs.StringArrayVar(&f.faults, "fault", nil, "with --lab: a fault to play, see deploy lab faults (may be given several times)")
	fs.StringVar(&f.state, "state-dir", "", "where journal and lock live (default .deploy/<site> beside the site file)")
	fs.BoolVar(&f.json, "json", false, "write JSON instead of text")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "show also what needed nothing")
	fs.StringVar(&f.debug, "debug-log", "", "write a debug log to this file; it holds no secrets")
}

// loaded is a site with its playbook, compiled.
type loaded struct {
	site     *inventory.Site
	book     *playbooks.Playbook
	program  *steps.Program
	findings []playbooks.Finding
	state    string
}

// load reads, compiles and judges. Nothing is touched. Rules that must hold are errors, the others are findings.
func (a *App) load(path string, f siteFlags) (*loaded, error) {
	site, err := inventory.Load(path)
	if err != nil {
		return nil, err
	}
	book, err := playbooks.Load(site)
	if err != nil {
		return nil, err
	}
	program, findings, err := book.Compile(site, a.Registry)
	if err != nil {
		return nil, err
	}
	state := f.state
	if state == "" {
		state = stateDir(path, site.Name)
	}
	return &loaded{site: site, book: book, program: program, findings: findings, state: state}, nil
}

// stateDir is where a site's journal lives by default.
func stateDir(path, site string) string {
	return filepath.Join(filepath.Dir(path), ".deploy", site)
}

// labDir is where the lab's machines live.
func (l *loaded) labDir() string { return filepath.Join(l.state, "lab") }

// showFindings prints the warnings of the rules, once, on stderr.
func (a *App) showFindings(l *loaded) {
	for _, f := range l.findings {
		fmt.Fprintln(a.Stderr, strings.TrimRight("warning: "+f.String(), "\n"))
	}
}
