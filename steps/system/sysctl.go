package system

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
	"deploy/steps/linux"
)

// Sysctl is one setting of the kernel, now and after every start.
type Sysctl struct {
	Key   string `json:"key" required:"true" doc:"the setting, like net.ipv4.ip_forward; written with slashes where a part of it holds dots: net/ipv4/conf/eth0.100/forwarding" check:"compared"`
	Value string `json:"value" required:"true" doc:"its value as text; blanks and tabs between its parts are alike" pattern:"^[^\r\n]*$" means:"write one line" check:"compared"`
}

type sysctlBefore struct {
	Value string `json:"value"`
	Found bool   `json:"found"` // the file was there
	Text  string `json:"text,omitempty"`
}

const sysctlDir = "/etc/sysctl.d"

func sysctlKind() steps.Kind {
	return steps.Kind{
		Name:    "sysctl",
		OS:      "linux",
		Summary: "Sets a setting of the Linux kernel, now and after every start.",
		Doc: "Compares the running value, as sysctl -n gives it, and the file /etc/sysctl.d/60-deploy-KEY.conf, which " +
			"carries it over a restart. " +
			"Only that file is looked at: one that is read later (a higher number, or /etc/sysctl.conf) and names the same " +
			"key wins at the next start. " +
			"Some settings can only be tightened while the kernel runs (kernel.kexec_load_disabled, kernel.modules_disabled " +
			"and the like): these are a point of no return until the next start. " +
			"In a container the kernel is shared: there only the settings of its own network can be set.",
		Undo: "Puts the file's previous content back, or removes it, and writes the recorded value back. A value that the " +
			"kernel does not take back is left until the node restarts.",
		Proof:     "unit-tested on a scripted machine; " + linux.Proof,
		Sources:   []string{"sysctl(8)", "sysctl.d(5)", "Linux: Documentation/admin-guide/sysctl/kernel.rst, LSM/Yama.rst"},
		Calls:     linux.Calls("sysctl(8)", "sysctl"),
		ReadForms: forms(),
		New:       func() steps.Step { return &Sysctl{} },
		Example:   "key: net.ipv4.ip_forward\nvalue: '1'\n",
	}
}

// Kind names the step.
func (s *Sysctl) Kind() string { return "sysctl" }

var keyForm = regexp.MustCompile(`^[a-zA-Z0-9_]+([./][a-zA-Z0-9_:@.-]+)+$`)

// Validate looks at the data.
func (s *Sysctl) Validate() error {
	if !keyForm.MatchString(s.Key) || strings.Contains(s.Key, "..") {
		return steps.FieldErr("key", "%q is not a setting like net.ipv4.ip_forward", s.Key)
	}
	return nil
}

// proc is the setting's file below /proc/sys: the first separator tells which one parts. Source:
// sysctl.d(5).
func (s *Sysctl) proc() string { return "/proc/sys/" + s.name() }

// name is the setting's path below /proc/sys.
func (s *Sysctl) name() string {
	if i := strings.IndexAny(s.Key, "./"); i >= 0 && s.Key[i] == '.' {
		return strings.NewReplacer(".", "/", "/", ".").Replace(s.Key)
	}
	return s.Key
}

func (s *Sysctl) file() string {
	return sysctlDir + "/60-deploy-" + strings.ReplaceAll(s.Key, "/", ".") + ".conf"
}

func (s *Sysctl) text() string {
	return "# made by deploy\n" + s.Key + " = " + s.Value + "\n"
}

func (s *Sysctl) look() node.Query {
	return node.Tool{Argv: []string{"sysctl", "-n", s.Key}}
}

// Reads names what Check will ask.
func (s *Sysctl) Reads(f node.Facts) []node.Query {
	if f.OS != "linux" {
		return nil
	}
	return []node.Query{s.look(), node.FileHash{Path: s.file()}}
}

func parts(value string) string { return strings.Join(strings.Fields(value), " ") }

// running reads the value that the kernel has now.
func (s *Sysctl) running(ctx context.Context, r node.Reader) (string, error) {
	a, err := linux.Ask(ctx, r, "sysctl", "-n", s.Key)
	if err != nil {
		return "", err
	}
	if a.Code == 0 {
		return parts(a.Stdout), nil
	}
	if _, err := r.Stat(ctx, s.proc()); errors.Is(err, node.ErrNotFound) {
		return "", hint.Wrap(fmt.Errorf("cannot read setting %s: this kernel has none of that name", s.Key),
			"is it spelt right, and is the module loaded that brings it?")
	}
	return "", fmt.Errorf("cannot read setting %s: %w", s.Key, a.Failed("sysctl -n"))
}

// Check compares the running value and the file.
func (s *Sysctl) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := linux.Only(r, "sysctl"); err != nil {
		return steps.Diff{}, err
	}
	now, err := s.running(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	b := sysctlBefore{Value: now}
	var changes []steps.Change
	if want := parts(s.Value); now != want {
		changes = append(changes, steps.Change{Attr: s.Key, From: now, To: want})
	}
	rows, err := r.Query(ctx, node.FileHash{Path: s.file()})
	switch {
	case errors.Is(err, node.ErrNotFound):
		changes = append(changes, steps.Change{Attr: s.file(), From: nil, To: s.Value})
	case err != nil || len(rows) != 1:
		return steps.Diff{}, fmt.Errorf("cannot check %s: %w", s.file(), err)
	default:
		if sum := sha256.Sum256([]byte(s.text())); !strings.EqualFold(rows[0].String("sha256"), hex.EncodeToString(sum[:])) {
			changes = append(changes, steps.Change{Attr: s.file(), From: inspect.Fingerprint(rows[0]), To: s.Value})
		}
		if len(changes) > 0 {
			if b.Text, b.Found, err = linux.Read(ctx, r, s.file()); err != nil {
				return steps.Diff{}, err
			}
		}
	}
	if len(changes) == 0 {
		return steps.NoChange(), nil
	}
	d := steps.Diff{Action: steps.Update, Changes: changes, Before: steps.MustJSON(b), Via: "sysctl"}
	if want := parts(s.Value); now != want && oneWay(s.name(), want) {
		d.Effects.PointOfNoReturn = fmt.Sprintf("%s stays %s until the next start of the node: "+
			"the kernel does not take it back", s.Key, want)
		d.Effects.UntilRestart = true
	}
	return d, nil
}

// oneWay says that a running kernel does not go back from this value. Source: Linux,
// Documentation/admin-guide/sysctl/kernel.rst (kexec_load_disabled, kexec_load_limit_*,
// modules_disabled, unprivileged_bpf_disabled, usermodehelper) and LSM/Yama.rst.
func oneWay(name, value string) bool {
	switch name {
	case "kernel/kexec_load_disabled", "kernel/modules_disabled", "kernel/unprivileged_bpf_disabled":
		return value == "1"
	case "kernel/yama/ptrace_scope":
		return value == "3"
	case "kernel/kexec_load_limit_panic", "kernel/kexec_load_limit_reboot", "kernel/usermodehelper/bset",
		"kernel/usermodehelper/inheritable":
		return true
	}
	return false
}

// Apply sets the value first: the kernel refuses a bad one before a file carries it into the next
// start.
func (s *Sysctl) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	if err := s.set(ctx, n, s.Value); err != nil {
		return steps.Outcome{}, err
	}
	if _, err := n.Do(ctx, node.MakeDir{Path: sysctlDir}); err != nil {
		return steps.Outcome{}, fmt.Errorf("cannot make %s: %w", sysctlDir, err)
	}
	return steps.Outcome{}, linux.Write(ctx, n, s.file(), s.text())
}

func (s *Sysctl) set(ctx context.Context, n node.Node, value string) error {
	now, err := s.running(ctx, n)
	if err != nil || now == parts(value) {
		return err
	}
	if err := linux.Do(ctx, n, nil, "sysctl", "-q", "-w", s.Key+"="+value); err != nil {
		return hint.Wrap(fmt.Errorf("cannot set %s: %w", s.Key, err),
			"the kernel may not take this value, or the machine is a container that may not change it")
	}
	return nil
}

// Undo puts the file back, which carries the value over the next start, and then the value.
func (s *Sysctl) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b sysctlBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	var err error
	if b.Found {
		err = linux.Write(ctx, n, s.file(), b.Text)
	} else {
		err = linux.Remove(ctx, n, s.file())
	}
	if err != nil {
		return err
	}
	now, err := s.running(ctx, n)
	if err != nil {
		return err
	}
	if now != b.Value && oneWay(s.name(), now) {
		return steps.Left(fmt.Sprintf("%s stays %s until a restart; the file that would set it again is taken back",
			s.Key, now))
	}
	return s.set(ctx, n, b.Value)
}
