package failover

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// clusterExe emulates cluster.exe. Syntax: cluster [[/cluster:]<name>] [<object> [<name>]]
// /<option>. Options may be cut short as far as the documents show it. The exit code is the Win32
// error; the last lines on failure are the system error and its message. Sources: the command's
// pages for 2003 (cc781201, cc785087, cc783967, cc776201) and 2008 (cc732694; /destroy: cc771174).
func (f *Family) clusterExe(c *machine.Ctx, argv []string, _ []byte) machine.Result {
	f.Settle(c)
	t := &tool{f: f, c: c, w: lang(c.M.Locale)}
	code := t.run(argv[1:])
	return machine.Result{Code: code, Stdout: t.out.String()}
}

// tool is one run of cluster.exe.
type tool struct {
	f       *Family
	c       *machine.Ctx
	w       words
	out     strings.Builder
	cluster string // as named on the command line
	cl      *model.Cluster
	object  string // "", node, group, resource, restype, network, netinterface
	name    string
	opts    []option
}

// option is one /option[:value] with the words that follow it.
type option struct {
	name  string
	value string
	given bool // a value was given
	words []string
}

// Objects of the command line, by every spelling that the documents show.
var objects = map[string]string{
	"node": "node", "group": "group", "resource": "resource", "res": "resource", "resourcetype": "restype",
	"restype": "restype",
	"network": "network", "netinterface": "netinterface", "netint": "netinterface",
}

// spelling is an option with the letters that may be left out in brackets.
type spelling string

// match says that a word is the option, whole or cut short within the brackets.
func (s spelling) match(word string) bool {
	must, rest, _ := strings.Cut(string(s), "[")
	full := must + strings.TrimSuffix(rest, "]")
	word = strings.ToLower(word)
	return len(word) >= len(must) && strings.HasPrefix(full, word)
}

func (s spelling) full() string { return strings.NewReplacer("[", "", "]", "").Replace(string(s)) }

// options by object. Those of node, network and netinterface are UNCONFIRMED except status, evict,
// force, rename, prop and priv.
var options = map[string][]spelling{
	"": {"create", "ipaddr[ess]", "pass[word]", "user", "node", "verb[ose]", "unattend[ed]", "min[imum]", "add[nodes]",
		"ren[ame]", "ver[sion]",
		"listnetpri[ority]", "setnetpri[ority]", "quorum[resource]", "path", "maxlogsize", "prop[erties]", "priv[properties]",
		"usedefault", "list", "destroy", "cleanupactivedirectory"},
	"node": {"stat[us]", "pause", "resume", "evict", "force[cleanup]", "start", "stop", "listint[erfaces]", "wait",
		"prop[erties]", "priv[properties]", "usedefault"},
	"group": {"stat[us]", "create", "delete", "ren[ame]", "move[to]", "on[line]", "off[line]", "wait", "node",
		"prop[erties]", "priv[properties]", "usedefault", "listowners", "setowners"},
	"resource": {"stat[us]", "create", "group", "type", "separate", "delete", "ren[ame]", "addowner", "removeowner",
		"listowners", "move[to]", "prop[erties]", "priv[properties]", "usedefault", "fail", "on[line]", "off[line]", "wait",
		"listdep[endencies]", "adddep[endency]", "removedep[endency]", "registerdns"},
	"restype":      {"list", "listowners", "stat[us]", "prop[erties]", "priv[properties]", "usedefault"},
	"network":      {"stat[us]", "ren[ame]", "listint[erfaces]", "prop[erties]", "priv[properties]", "usedefault"},
	"netinterface": {"stat[us]", "node", "net[work]", "prop[erties]", "priv[properties]", "usedefault"},
}

func (t *tool) run(args []string) int {
	if err := t.parse(args); err != nil {
		return t.fail(err)
	}
	if t.object == "" {
		return t.fail(t.runCluster())
	}
	if t.object == "node" && (t.has("forcecleanup") || t.has("start")) {
		return t.fail(t.runNodeLocal())
	}
	if err := t.connect(); err != nil {
		// a node whose service was stopped is evicted with the help of the others, as the documents have
		// it
		t.cl = clusterOf(t.c.W, t.c.M)
		if !t.has("evict") || t.cluster != "" || t.cl == nil || len(upNodes(t.cl)) == 0 {
			return t.fail(err)
		}
	}
	if t.slow() {
		if err := t.f.wait(t.c, t.cl); err != nil {
			return t.fail(err)
		}
	}
	var err error
	switch t.object {
	case "node":
		err = t.runNode()
	case "group":
		err = t.runGroup()
	case "resource":
		err = t.runResource()
	case "restype":
		err = t.runType()
	case "network":
		err = t.runNetwork()
	case "netinterface":
		err = t.runInterface()
	}
	return t.fail(err)
}

// parse takes the command line apart. What it does not know is 87.
func (t *tool) parse(args []string) error {
	if len(args) > 0 {
		if v, ok := cutFold(args[0], "/cluster:"); ok {
			t.cluster, args = v, args[1:]
		} else if !strings.HasPrefix(args[0], "/") && objects[strings.ToLower(args[0])] == "" {
			t.cluster, args = args[0], args[1:]
		}
	}
	if len(args) > 0 && objects[strings.ToLower(args[0])] != "" {
		t.object, args = objects[strings.ToLower(args[0])], args[1:]
		if len(args) > 0 && !strings.HasPrefix(args[0], "/") {
			t.name, args = args[0], args[1:]
		}
	}
	for _, a := range args {
		word, ok := strings.CutPrefix(a, "/")
		if !ok {
			if len(t.opts) == 0 {
				return InvalidParameter
			}
			last := &t.opts[len(t.opts)-1]
			if last.name != "properties" && last.name != "privproperties" {
				return InvalidParameter
			}
			last.words = append(last.words, a)
			continue
		}
		name, value, given := strings.Cut(word, ":")
		full := ""
		for _, s := range options[t.object] {
			if s.match(name) {
				full = s.full()
				break
			}
		}
		if full == "" {
			return InvalidParameter
		}
		t.opts = append(t.opts, option{name: full, value: value, given: given})
	}
	return nil
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

func (t *tool) opt(name string) *option {
	for i := range t.opts {
		if t.opts[i].name == name {
			return &t.opts[i]
		}
	}
	return nil
}

func (t *tool) has(name string) bool { return t.opt(name) != nil }

func (t *tool) value(name string) string {
	if o := t.opt(name); o != nil {
		return o.value
	}
	return ""
}

// slow says that the command changes states, which takes time.
func (t *tool) slow() bool {
	return t.has("moveto") || t.has("online") || t.has("offline") || t.has("evict") || t.has("stop") || t.has("fail")
}

// connect finds the cluster: the local one, or one by its name or by the name of a member.
func (t *tool) connect() error {
	cl, err := connect(t.c, t.cluster)
	t.cl = cl
	return err
}

// connect opens a cluster for this logon. 1753: the Cluster service does not run here; 1722: no
// such cluster, or nobody there answers; 5: another computer's cluster, by a logon without a second
// hop.
func connect(c *machine.Ctx, name string) (*model.Cluster, error) {
	local := FindCluster(c)
	if name == "" || name == "." {
		if local == nil {
			return nil, NoEndpoint
		}
		return local, nil
	}
	name = short(name)
	if local != nil && (strings.EqualFold(local.Name, name) || nodeOf(local, name) != nil) {
		return local, nil
	}
	var found *model.Cluster
	for _, cl := range clusters(c.W) {
		if strings.EqualFold(cl.Name, name) {
			found = cl
		} else if n := nodeOf(cl, name); n != nil && isUp(n) {
			found = cl
		}
	}
	if found == nil || len(upNodes(found)) == 0 {
		if m := c.W.Machine(name); m != nil && m.Powered {
			return nil, NoEndpoint
		}
		return nil, RPCUnavailable
	}
	if !c.SecondHop() {
		return nil, AccessDenied
	}
	return found, nil
}

func (t *tool) line(s string) { t.out.WriteString(s + "\r\n") }

func (t *tool) linef(format string, a ...any) { t.line(fmt.Sprintf(format, a...)) }

// fail ends the run: the code of the error, with its last lines. A stored property that waits for
// the next online is a warning, and its code is the exit code as well (seen in public installation
// scripts, which expect 5024 from /priv HostRecordTTL).
func (t *tool) fail(err error) int {
	if err == nil {
		return 0
	}
	code := CodeOf(err)
	t.line("")
	if code == PropertiesStored {
		t.linef(t.w.warning, int(code), int(code))
	} else {
		t.linef(t.w.system, int(code), int(code))
	}
	t.line(t.c.Text(int(code)))
	return int(code)
}

// column of a table: its heading and width; right-aligned columns are numbers.
type column struct {
	head  string
	width int
	right bool
}

// table prints a heading, the row of dashes and the rows. What is longer than its column pushes the
// rest to the right.
func (t *tool) table(cols []column, rows [][]string) {
	heads, dashes := make([]string, len(cols)), make([]string, len(cols))
	for i, col := range cols {
		heads[i] = pad(col.head, col.width, false, i == len(cols)-1)
		dashes[i] = strings.Repeat("-", col.width)
	}
	t.line(strings.Join(heads, " "))
	t.line(strings.Join(dashes, " "))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = pad(cell, cols[i].width, cols[i].right, i == len(row)-1)
		}
		t.line(strings.Join(cells, " "))
	}
	t.line("")
}

func pad(s string, width int, right, last bool) string {
	n := width - utf8.RuneCountInString(s)
	switch {
	case n <= 0 || (last && !right):
		return s
	case right:
		return strings.Repeat(" ", n) + s
	}
	return s + strings.Repeat(" ", n)
}

// list splits a comma list.
func list(s string) []string {
	var out []string
	for _, x := range strings.Split(s, ",") {
		if x = strings.TrimSpace(x); x != "" {
			out = append(out, x)
		}
	}
	return out
}
