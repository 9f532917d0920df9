package packages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
	"deploy/steps/jobs"
)

// Package runs an MSI file or a setup program and knows by the registry whether it is installed.
type Package struct {
	Path        string   `json:"path" required:"true" doc:"the .msi file or the setup program on the node" check:"instruction:media"`
	Arguments   []string `json:"arguments" doc:"arguments, one each; for an .msi file the properties after /i FILE /qn /norestart" check:"unreadable:windows" why:"an installer keeps no record of its arguments that all of them share; what they bring about is told by detect where it stands in the registry"`
	Directory   string   `json:"directory,omitempty" doc:"working directory" check:"instruction:media"`
	ProductCode string   `json:"product_code,omitempty" doc:"product code {GUID} under the uninstall key that says that it is installed" pattern:"^\\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\\}$" means:"write the GUID in braces" check:"compared"`
	Detect      *Detect  `json:"detect,omitempty" doc:"a registry value that says that it is installed; use this or product_code"`
	Codes       []int    `json:"codes" doc:"exit codes that mean done, beside 0; 3010 and 1641 mean done with a restart due and need not be named" check:"instruction:codes"`
	As          string   `json:"as,omitempty" doc:"name of the site's credential to run it with; it is then a job, which outlives the session" type:"credential" check:"instruction:account"`
	Uninstall   []string `json:"uninstall,omitempty" doc:"program and arguments that take it off again; for an .msi file with product_code it is known" check:"instruction:undo"`
}

// Detect is a registry value that tells whether a product is installed.
type Detect struct {
	Key  string `json:"key" required:"true" doc:"registry key, begins with HKLM\\" pattern:"^[Hh][Kk][Ll][Mm]\\\\" means:"begin it with HKLM\\" check:"compared"`
	Name string `json:"name" doc:"value name; no name and no data means that the key itself must exist" check:"compared"`
	Data string `json:"data" doc:"what the value must be, as text; no key means that it must exist" check:"compared"`
}

// before tells nothing but that the product was not there: Apply is never asked to replace one.
type before struct {
	Installed bool `json:"installed"`
}

const (
	uninstallKey   = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\`
	uninstallKey32 = `HKLM\SOFTWARE\Wow6432Node\Microsoft\Windows\CurrentVersion\Uninstall\`
	limit          = 4 * time.Hour
)

// Exit codes of Windows Installer that setup programs share. Source: MsiExec.exe and InstMsi.exe
// error messages.
const (
	codeDone          = 0
	codeUnknown       = 1605 // ERROR_UNKNOWN_PRODUCT: not installed, so an uninstallation is done
	codeOther         = 1618 // ERROR_INSTALL_ALREADY_RUNNING
	codeRebootStarted = 1641
	codeReboot        = 3010
)

func kind() steps.Kind {
	return steps.Kind{
		Name:    "package",
		OS:      "windows",
		Summary: "Installs an MSI file or a setup program.",
		Doc: "Whether it is installed is read from the registry: by the product code under the uninstall keys, or by a " +
			"value of your own. " +
			"It runs the program when it is not, waits for its end and judges by the exit code. With as it runs as a job " +
			"with that " +
			"credential, which is what setups need that reach other machines. A restart that was due before is told as a " +
			"warning, and never restarted for. It is for Windows: packages of a Linux distribution, which have names and not " +
			"files, are the kind packages.",
		Undo: "Runs the uninstall command, or msiexec /x for an .msi file with its product code. Without either the " +
			"step is a point of no return.",
		Proof:   "unit-tested on a scripted machine",
		Sources: []string{"Windows Installer exit codes 0, 1605, 1618, 1641, 3010", "Uninstall registry key"},
		Calls: []node.Call{{Tool: "msiexec.exe", On: node.WindowsReleases(),
			Source: "msiexec, Windows Installer command-line options"}},
		ReadForms: forms(),
		New:       func() steps.Step { return &Package{} },
		Example: "path: D:\\media\\tool.msi\narguments: [ALLUSERS=1]\nproduct_code: " +
			"'{8E5233E1-7495-44FB-8DEB-4BE906D59619}'\n",
	}
}

// Kind names the step.
func (s *Package) Kind() string { return "package" }

// Validate looks at the data.
func (s *Package) Validate() error {
	if (s.ProductCode == "") == (s.Detect == nil) {
		return steps.FieldErr("product_code", "give either product_code or detect, so that it can be told whether it is "+
			"installed")
	}
	return nil
}

func (s *Package) keys() []string {
	if s.Detect != nil {
		return []string{s.Detect.Key}
	}
	return []string{uninstallKey + s.ProductCode, uninstallKey32 + s.ProductCode}
}

// Reads names what Check will ask.
func (s *Package) Reads(node.Facts) []node.Query {
	return []node.Query{node.Registry{Key: s.keys()[0]}}
}

// Check reads the registry.
func (s *Package) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if r.Facts().OS == "linux" {
		return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot run setup program %s on a Linux node: the kind package is for "+
			"Windows", s.Path),
			"use packages, which installs by name with apt or dnf")
	}
	installed, err := s.installed(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	if installed {
		return steps.NoChange(), nil
	}
	d := steps.Diff{Action: steps.Create, Changes: []steps.Change{{Attr: s.Path, From: "not installed", To: "installed"}},
		Before: steps.MustJSON(before{}), Via: "setup program", Effects: steps.Effects{MayReboot: true}}
	if s.msi() {
		d.Via = "msiexec"
	}
	if len(s.uninstall()) == 0 {
		d.Effects.PointOfNoReturn = "no uninstall command is given"
	}
	return d, nil
}

func (s *Package) installed(ctx context.Context, r node.Reader) (bool, error) {
	for _, key := range s.keys() {
		values, found, err := inspect.RegistryKey(ctx, r, key)
		if err != nil {
			return false, err
		}
		if !found {
			continue
		}
		if s.Detect == nil || (s.Detect.Name == "" && s.Detect.Data == "") {
			return true, nil
		}
		for _, v := range values {
			if strings.EqualFold(v.Name, s.Detect.Name) && (s.Detect.Data == "" || strings.EqualFold(v.Text(), s.Detect.Data)) {
				return true, nil
			}
		}
	}
	return false, nil
}

func (s *Package) msi() bool { return strings.HasSuffix(strings.ToLower(s.Path), ".msi") }

func (s *Package) install() []string {
	if s.msi() {
		return append([]string{"msiexec.exe", "/i", s.Path, "/qn", "/norestart"}, s.Arguments...)
	}
	return append([]string{s.Path}, s.Arguments...)
}

func (s *Package) uninstall() []string {
	if len(s.Uninstall) > 0 {
		return s.Uninstall
	}
	if s.msi() && s.ProductCode != "" {
		return []string{"msiexec.exe", "/x", s.ProductCode, "/qn", "/norestart"}
	}
	return nil
}

// Apply runs the program. Whether a restart is due because of it says its exit code alone; what was
// due before is somebody else's, and only told.
func (s *Package) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	due, _, err := inspect.PendingReboot(ctx, n)
	var broken *node.LinkError
	if errors.As(err, &broken) {
		return steps.Outcome{}, err
	}
	before := strings.Join(due, ", ") // empty as well where it cannot be told: that is no reason not to install
	code, text, err := s.run(ctx, n, s.install())
	if err != nil {
		return steps.Outcome{}, err
	}
	var out steps.Outcome
	switch {
	case code == codeDone, slices.Contains(s.Codes, code):
		if before != "" {
			out.Warnings = []string{fmt.Sprintf("a restart of %s was due before this (%s); it is left to whoever asked for it",
				n.Facts().Computer, before)}
		}
		return out, nil
	case code == codeReboot, code == codeRebootStarted:
		out.Reboot = true
		return out, nil
	}
	err = fmt.Errorf("cannot install %s: %w", s.Path, &node.CodeError{Op: "setup", Code: int64(code), Text: text})
	switch {
	case code == codeOther:
		err = hint.Wrap(err, "another installation is running on the machine: wait for its end")
	case before != "":
		err = hint.Wrap(err, fmt.Sprintf("a restart of %s was due before (%s), which many setup programs refuse: restart "+
			"the machine, then run again", n.Facts().Computer, before))
	}
	return steps.Outcome{}, err
}

// Undo runs the uninstallation, unless the product is gone already.
func (s *Package) Undo(ctx context.Context, n node.Node, recorded json.RawMessage) error {
	var b before
	if err := json.Unmarshal(recorded, &b); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	installed, err := s.installed(ctx, n)
	if err != nil || !installed {
		return err
	}
	argv := s.uninstall()
	if len(argv) == 0 {
		return hint.Wrap(fmt.Errorf("cannot take %s off again: no uninstall command is given", s.Path),
			"give the step uninstall, or do it by hand")
	}
	code, text, err := s.run(ctx, n, argv)
	if err != nil {
		return err
	}
	switch code {
	case codeDone, codeUnknown:
		return nil
	case codeReboot, codeRebootStarted:
		return steps.ErrRebootDue
	}
	if slices.Contains(s.Codes, code) {
		return nil
	}
	return fmt.Errorf("cannot take %s off again: %w", s.Path,
		&node.CodeError{Op: "uninstallation", Code: int64(code), Text: text})
}

// run starts a program as a job when it needs a credential, and waits for it in the session
// otherwise.
func (s *Package) run(ctx context.Context, n node.Node, argv []string) (code int, text string, err error) {
	c := node.Cmd{Argv: argv, Dir: s.Directory, As: s.As, Timeout: limit}
	if s.As == "" {
		res, err := n.Run(ctx, c)
		if err != nil {
			return 0, "", fmt.Errorf("cannot run %s: %w", argv[0], err)
		}
		return res.Code, tail(string(res.Stdout) + string(res.Stderr)), nil
	}
	state, err := jobs.Run(ctx, n, jobs.ID("package", append([]string{s.Directory, s.As, strconv.Itoa(len(argv))},
		argv...)...), c, 0)
	if err != nil {
		return 0, "", err
	}
	return state.Code, tail(state.Output), nil
}

// tail keeps the end of a program's output: that is where it says why.
func tail(text string) string {
	const most = 500
	r := []rune(strings.TrimSpace(text))
	if len(r) > most {
		r = r[len(r)-most:]
	}
	return string(r)
}
