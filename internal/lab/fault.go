package lab

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/lab/model"
)

// FaultKind describes one misbehaviour that the lab can play.
type FaultKind struct {
	Name string
	Doc  string            // one line
	Args map[string]string // argument name to one line about it
}

// FaultKinds lists the misbehaviours by name. A specification is kind:argument=value,... ; every
// kind takes machine (a node of the site, default any) and times (how often it strikes, or
// "always").
func FaultKinds() []FaultKind {
	const at = "at the n-th request that this machine is asked since the lab started; default 1"
	kinds := []FaultKind{
		{"link-drop", "cut every connection to the machine at a request; what was asked is done all the same",
			map[string]string{
				"at": at, "when": "after (default) the request was carried out, or before"}},
		{"link-freeze", "stop every byte to and from the machine at a request, without closing a connection",
			map[string]string{
				"at": at, "for": "how long (10s); default until the fault is taken away or the lab ends"}},
		{"logon-refused", "refuse a logon with the right password", nil},
		{"winrm-restarts", "the WinRM service restarts at a request, as a setup program may make it: every shell is gone",
			map[string]string{"at": at}},
		{"shell-quota", "refuse a new WinRM shell: the user has too many (2150859173)", nil},
		{"slow", "make every request take longer", map[string]string{"ms": "milliseconds more; required"}},
		{"node-lost", "switch the machine off", map[string]string{
			"at":   "at the n-th request since the lab started; default when the lab starts",
			"back": "switch it on again after (30s); default when the lab starts the next time"}},
		{"reboot-hangs", "a restart does not come to its end: the machine goes down again while it boots", map[string]string{
			"for": "how long it hangs (30s); default until the lab starts the next time"}},
		{"reboot-pending", "the machine says that a restart is due", nil},
		{"second-hop-refused", "refuse the machine's authentication to another machine, even from a full logon", nil},
		{"disk-missing", "one machine does not see a shared disk", map[string]string{"serial": "serial number; required"}},
		{"disk-full", "a write finds no room", map[string]string{"letter": "drive letter (E); default every drive",
			"path": "only below this path"}},
		{"address-late", "a new static address of a card is not shown yet, as while the network is asked whether it is " +
			"free; times says for how many looks (default 2)", nil},
		{"setup-fails", "a setup program fails half-way and leaves its watermark",
			map[string]string{"at": "the stage at which it fails; default the first that can", "code": "its exit code"}},
	}
	sort.Slice(kinds, func(i, j int) bool { return kinds[i].Name < kinds[j].Name })
	return kinds
}

// specKey keeps a fault's own text among its arguments, so that a lab that is started again knows
// which faults it had.
const specKey = "spec"

// ParseFault reads a specification. Errors carry a hint.
func ParseFault(spec string) (*model.Fault, error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(spec), ":")
	name = strings.TrimSpace(name)
	var kind *FaultKind
	var names []string
	for _, k := range FaultKinds() {
		if k.Name == name {
			kind = &k
		}
		names = append(names, k.Name)
	}
	if kind == nil {
		return nil, hint.Wrap(fmt.Errorf("cannot read fault %q: no kind %q", spec, name),
			"the kinds are "+strings.Join(names, ", "))
	}
	f := &model.Fault{Kind: name, Times: defaultTimes(name), Args: map[string]string{specKey: spec}}
	for _, part := range strings.Split(rest, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || value == "" {
			return nil, fmt.Errorf("cannot read fault %q: %q is not argument=value", spec, part)
		}
		var err error
		switch {
		case key == "machine":
			f.Machine = value
		case key == "times" && value == "always":
			f.Times = -1
		case key == "times":
			f.Times, err = number(value, 1)
		case kind.Args[key] == "":
			return nil, hint.Wrap(fmt.Errorf("cannot read fault %q: %s has no argument %q", spec, name, key),
				argumentHint(*kind))
		case key == "at" && name != "setup-fails", key == "ms":
			_, err = number(value, 1)
		case key == "for", key == "back":
			_, err = time.ParseDuration(value)
		case key == "when" && value != "before" && value != "after":
			err = errors.New(`it is "before" or "after"`)
		case key == "letter":
			f.Args["path"] = strings.TrimSuffix(value, ":") + ":"
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read fault %q: %s: %w", spec, key, err)
		}
		if key != "machine" && key != "times" {
			f.Args[key] = value
		}
	}
	for _, need := range map[string][]string{"slow": {"ms"}, "disk-missing": {"serial"}}[name] {
		if f.Args[need] == "" {
			return nil, hint.Wrap(fmt.Errorf("cannot read fault %q: %s is missing", spec, need), argumentHint(*kind))
		}
	}
	return f, nil
}

// defaultTimes: what is a state lasts, what is an event strikes once.
func defaultTimes(kind string) int {
	switch kind {
	case "slow", "disk-missing":
		return -1
	case "address-late":
		return 2
	}
	return 1
}

func number(s string, least int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least {
		return 0, fmt.Errorf("%q is not a number of at least %d", s, least)
	}
	return n, nil
}

func argumentHint(k FaultKind) string {
	names := []string{"machine", "times"}
	for n := range k.Args {
		names = append(names, n)
	}
	sort.Strings(names)
	return k.Name + " takes " + strings.Join(names, ", ")
}

// mergeFaults makes the world's faults those of specs. One that the world has already keeps how
// often it has struck, so that a run that goes on after a fault does not meet it again.
func mergeFaults(w *model.World, specs []string) error {
	old := map[string][]*model.Fault{}
	for _, f := range w.Faults {
		old[f.Args[specKey]] = append(old[f.Args[specKey]], f)
	}
	var list []*model.Fault
	for _, spec := range specs {
		f, err := ParseFault(spec)
		if err != nil {
			return err
		}
		if f.Machine != "" && w.Machine(f.Machine) == nil {
			return fmt.Errorf("cannot play fault %q: the lab has no machine %q", spec, f.Machine)
		}
		if s := f.Args["serial"]; s != "" && w.Disks[s] == nil {
			return fmt.Errorf("cannot play fault %q: the lab has no disk %q", spec, s)
		}
		if had := old[spec]; len(had) > 0 {
			f, old[spec] = had[0], had[1:]
		}
		list = append(list, f)
	}
	w.Faults = list
	for _, m := range w.Machines {
		for _, d := range m.Visible {
			d.Missing = false
			for _, f := range list {
				if f.Kind == "disk-missing" && f.Args["serial"] == d.Serial &&
					(f.Machine == "" || strings.EqualFold(f.Machine, m.Name)) {
					d.Missing = true
				}
			}
		}
	}
	return nil
}

// duration reads an argument that ParseFault has checked; 0 when it is not there.
func duration(args map[string]string, key string) time.Duration {
	d, _ := time.ParseDuration(args[key])
	return d
}

// due says whether a fault with an argument "at" strikes at request n.
func due(n int64) func(args map[string]string) bool {
	return func(args map[string]string) bool {
		at := args["at"]
		return at == "" && n >= 1 || at == strconv.FormatInt(n, 10)
	}
}
