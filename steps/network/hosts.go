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
	Absent  bool        `json:"absent,omitempty" doc:"none of these names shall stand for its address"`
}

// HostEntry is one address with its names.
type HostEntry struct {
	Address string   `json:"address" required:"true" doc:"IPv4 or IPv6 address"`
	Names   []string `json:"names" required:"true" doc:"names for it; the first is the full one when a line is made"`
}

const hostsFile = "/etc/hosts"

type hostsBefore struct {
	Found bool   `json:"found"`
	Text  string `json:"text"`
}

func hostsKind() steps.Kind {
	return steps.Kind{
		Name:    "network.hosts",
		Summary: "Sets names in /etc/hosts on Linux.",
		Doc: "Every name stands for its address: it is added to the address's line, or to a new line at the end, and " +
			"taken off the lines of other addresses of the same family. " +
			"Other names, comments and the order of lines stay.",
		Undo: "Writes the recorded file back when nobody has changed it since; otherwise it takes back its own change " +
			"alone.",
		Proof:   "unit-tested on a scripted machine; " + linux.Proof,
		Sources: []string{"hosts(5)"},
		New:     func() steps.Step { return &Hosts{} },
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
		if len(e.Names) == 0 {
			return &steps.FieldError{Path: append(at, "names"), Msg: "give at least one name"}
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
	there, home := false, -1
	for i := 0; i < len(lines); i++ {
		l := parseHost(lines[i])
		if !l.ip.IsValid() {
			continue
		}
		mine := l.ip == ip
		if mine && home < 0 {
			home = i
		}
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
		if home > i {
			home--
		}
		i--
	}
	switch {
	case s.Absent || there:
	case home >= 0:
		l := parseHost(lines[home])
		l.names = append(l.names, name)
		lines[home] = l.String()
	default:
		lines = append(lines, hostLine{ip: ip, names: []string{name}}.String())
	}
	return lines
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
	for _, e := range s.Entries {
		if one := (&Hosts{Entries: []HostEntry{e}, Absent: s.Absent}); one.edit(text) != text {
			c := steps.Change{Attr: e.Address, From: nil, To: strings.Join(e.Names, " ")}
			if s.Absent {
				c.From, c.To = c.To, nil
			}
			d.Changes = append(d.Changes, c)
		}
	}
	return d, nil
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
	back := linux.TakeBack(b.Text, s.edit(b.Text), now)
	switch {
	case !b.Found && back == "":
		return linux.Remove(ctx, n, hostsFile)
	case found && back == now:
		return nil
	}
	return linux.Write(ctx, n, hostsFile, back)
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
