package network

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/linux"
)

// Hosts are names in /etc/hosts.
type Hosts struct {
	Entries []HostEntry `json:"entries" required:"true" doc:"addresses and the names that stand for them"`
	Absent  bool        `json:"absent,omitempty" doc:"none of these names shall stand for its address" check:"compared"`
}

// HostEntry is one address with its names.
type HostEntry struct {
	Address string   `json:"address" required:"true" doc:"IPv4 or IPv6 address" type:"address" check:"compared"`
	Names   []string `json:"names" required:"true" doc:"names for it; the first is the full one when a line is made" items:"1" check:"compared"`
}

const hostsFile = "/etc/hosts"

type hostsBefore struct {
	Found bool   `json:"found"`
	Text  string `json:"text"`
}

func hostsKind() steps.Kind {
	return steps.Kind{
		Name:    "network.hosts",
		OS:      "linux",
		Summary: "Sets names in /etc/hosts on Linux.",
		Doc: "Every name stands for its address: it is added to the address's line, or to a new line at the end, and " +
			"taken off the lines of other addresses of the same family. " +
			"Other names, comments and the order of lines stay.",
		Undo: "Writes the recorded file back when nobody has changed it since; otherwise it takes back its own change " +
			"alone.",
		Proof:     "unit-tested on a scripted machine; " + linux.Proof,
		Sources:   []string{"hosts(5)"},
		ReadForms: forms(),
		New:       func() steps.Step { return &Hosts{} },
		Example: "entries:\n  - {address: 192.0.2.11, names: [web1.example.com, web1]}\n  - {address: 192.0.2.12, names: " +
			"[web2.example.com, web2]}\n",
	}
}

// Kind names the step.
func (s *Hosts) Kind() string { return "network.hosts" }

// Its length is asked apart: a counted repeat is compiled one by one, at every start of an agent.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)

const longestHost = 254

// Validate looks at the data.
func (s *Hosts) Validate() error {
	seen := map[string]string{}
	for i, e := range s.Entries {
		at := []string{"entries", fmt.Sprintf("[%d]", i)}
		ip, err := netip.ParseAddr(e.Address)
		if err != nil {
			return &steps.FieldError{Path: append(at, "address"), Msg: fmt.Sprintf("%q is not an address", e.Address)}
		}
		for j, n := range e.Names {
			at := append(at, "names", fmt.Sprintf("[%d]", j))
			if len(n) > longestHost || !hostForm.MatchString(n) {
				return &steps.FieldError{Path: at, Msg: fmt.Sprintf("%q is not a host name", n)}
			}
			key := strings.ToLower(n) + family(ip)
			if other, ok := seen[key]; ok && other != ip.String() {
				return &steps.FieldError{Path: at, Msg: fmt.Sprintf("%s stands for %s already", n, other)}
			}
			seen[key] = ip.String()
		}
	}
	return nil
}

func family(ip netip.Addr) string {
	if ip.Unmap().Is4() {
		return "/4"
	}
	return "/6"
}

// hostLine is a line of the file: an address and names, or neither.
type hostLine struct {
	ip    netip.Addr
	names []string
	rest  string // a comment behind them
}

func parseHost(line string) hostLine {
	text, rest := line, ""
	if i := strings.IndexByte(line, '#'); i >= 0 {
		text, rest = line[:i], line[i:]
	}
	f := strings.Fields(text)
	if len(f) < 2 {
		return hostLine{}
	}
	ip, err := netip.ParseAddr(f[0])
	if err != nil {
		return hostLine{}
	}
	return hostLine{ip, f[1:], rest}
}

func (l hostLine) String() string {
	out := l.ip.String() + "\t" + strings.Join(l.names, " ")
	if l.rest != "" {
		out += " " + l.rest
	}
	return out
}

func sameName(a, b string) bool { return strings.EqualFold(a, b) }

// edit brings the text to the wish. Lines that need no change stay byte for byte.
func (s *Hosts) edit(text string) string {
	lines := linux.Lines(text)
	for _, e := range s.Entries {
		ip, err := netip.ParseAddr(e.Address)
		if err != nil {
			continue // Validate has refused it
		}
		for _, name := range e.Names {
			lines = s.place(lines, ip, name)
		}
	}
	out := linux.Text(lines)
	if strings.TrimSuffix(out, "\n") == strings.TrimSuffix(text, "\n") {
		return text
	}
	return out
}

// place puts one name where it belongs.
func (s *Hosts) place(lines []string, ip netip.Addr, name string) []string {
	there := false
	for i := 0; i < len(lines); i++ {
		l := parseHost(lines[i])
		if !l.ip.IsValid() {
			continue
		}
		mine := l.ip == ip
		if !slices.ContainsFunc(l.names, func(n string) bool { return sameName(n, name) }) {
			continue
		}
		switch {
		case mine && !s.Absent:
			there = true
			continue
		case !mine && (s.Absent || family(l.ip) != family(ip)):
			continue
		}
		l.names = slices.DeleteFunc(l.names, func(n string) bool { return sameName(n, name) })
		if len(l.names) > 0 {
			lines[i] = l.String()
			continue
		}
		lines = slices.Delete(lines, i, i+1)
		i--
	}
	if s.Absent || there {
		return lines
	}
	return addName(lines, ip, name)
}

// addName puts a name on the first line of its address, or on a new line at the end.
func addName(lines []string, ip netip.Addr, name string) []string {
	for i := range lines {
		if l := parseHost(lines[i]); l.ip == ip {
			l.names = append(l.names, name)
			lines[i] = l.String()
			return lines
		}
	}
	return append(lines, hostLine{ip: ip, names: []string{name}}.String())
}

// Check tells which names do not stand where they shall.
func (s *Hosts) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	if err := linux.Only(r, "network.hosts"); err != nil {
		return steps.Diff{}, err
	}
	text, found, err := linux.Read(ctx, r, hostsFile)
	if err != nil {
		return steps.Diff{}, err
	}
	want := s.edit(text)
	if want == text {
		return steps.NoChange(), nil
	}
	d := steps.Diff{Action: steps.Update, Before: steps.MustJSON(hostsBefore{found, text}), Via: hostsFile}
	at := standing(text)
	for _, e := range s.Entries {
		ip, err := netip.ParseAddr(e.Address)
		if err != nil {
			return steps.Diff{}, fmt.Errorf("cannot read address %q: %w", e.Address, err)
		}
		var from []string
		right := true
		for _, name := range e.Names {
			have := slices.SortedFunc(slices.Values(at[hostKey(name, ip)]), netip.Addr.Compare)
			right = right && (s.Absent && !slices.Contains(have, ip) || !s.Absent && slices.Equal(have, []netip.Addr{ip}))
			for _, other := range have {
				switch {
				case other == ip:
					from = append(from, name)
				case !s.Absent:
					from = append(from, fmt.Sprintf("%s (at %s)", name, other))
				}
			}
		}
		if right {
			continue
		}
		c := steps.Change{Attr: e.Address, From: nil, To: strings.Join(e.Names, " ")}
		if s.Absent {
			c.To = nil
		}
		if len(from) > 0 {
			c.From = strings.Join(from, " ")
		}
		d.Changes = append(d.Changes, c)
	}
	return d, nil
}

// hostKey tells names apart, without case and by the family of their addresses.
func hostKey(name string, ip netip.Addr) string { return strings.ToLower(name) + family(ip) }

// standing tells for every name at which addresses it stands, in the order of the lines.
func standing(text string) map[string][]netip.Addr {
	out := occurring(text)
	for key, all := range out {
		var once []netip.Addr
		for _, ip := range all {
			if !slices.Contains(once, ip) {
				once = append(once, ip)
			}
		}
		out[key] = once
	}
	return out
}

// occurring is standing with an address as often as the name stands there.
func occurring(text string) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	for _, line := range linux.Lines(text) {
		l := parseHost(line)
		for _, n := range l.names {
			out[hostKey(n, l.ip)] = append(out[hostKey(n, l.ip)], l.ip)
		}
	}
	return out
}

// Apply edits the file.
func (s *Hosts) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	text, _, err := linux.Read(ctx, n, hostsFile)
	if err != nil {
		return steps.Outcome{}, err
	}
	return steps.Outcome{}, linux.Write(ctx, n, hostsFile, s.edit(text))
}

// Undo takes the change back.
func (s *Hosts) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b hostsBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	now, found, err := linux.Read(ctx, n, hostsFile)
	if err != nil {
		return err
	}
	back := s.takeBack(b.Text, now)
	switch {
	case !b.Found && back == "":
		return linux.Remove(ctx, n, hostsFile)
	case found && back == now:
		return nil
	}
	return linux.Write(ctx, n, hostsFile, back)
}

// takeBack takes the step's change out of now. Line by line where that gives every name of the step
// its addresses of before and moves no other one; otherwise somebody has changed one of the step's
// own lines since, and it is done name by name.
func (s *Hosts) takeBack(before, now string) string {
	back := linux.TakeBack(before, s.edit(before), now)
	was, is, after := occurring(before), occurring(now), occurring(back)
	ours := map[string]bool{}
	for _, e := range s.Entries {
		if ip, err := netip.ParseAddr(e.Address); err == nil {
			for _, n := range e.Names {
				ours[hostKey(n, ip)] = true
			}
		}
	}
	good := true
	for key := range is {
		good = good && (ours[key] || sameAddrs(after[key], is[key]))
	}
	for key := range ours {
		good = good && sameAddrs(after[key], was[key])
	}
	if good {
		return back
	}
	lines := linux.Lines(now)
	for _, e := range s.Entries {
		ip, err := netip.ParseAddr(e.Address)
		if err != nil {
			continue
		}
		for _, n := range e.Names {
			key := hostKey(n, ip)
			if !s.Absent && !slices.Contains(was[key], ip) {
				lines = (&Hosts{Absent: true}).place(lines, ip, n)
			}
			for _, old := range was[key] {
				if !slices.Contains(standing(linux.Text(lines))[key], old) {
					lines = addName(lines, old, n)
				}
			}
		}
	}
	return linux.Text(lines)
}

func sameAddrs(a, b []netip.Addr) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.Addr.Compare)
	slices.SortFunc(b, netip.Addr.Compare)
	return slices.Equal(a, b)
}

// onlyWindows refuses the kinds that set a card through Windows.
func onlyWindows(r node.Reader, kind string) error {
	if r.Facts().OS == "linux" {
		return hint.Wrap(fmt.Errorf("cannot use %s on a Linux node: it sets cards through Windows", kind),
			"distributions keep addresses in files of their own: put systemd-networkd's, netplan's or ifupdown's in place "+
				"with a file step, and names with network.hosts")
	}
	return nil
}
