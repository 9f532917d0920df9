package machine

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
)

// Serve carries out one verb of package resident. The caller holds the world's lock. Every error is
// a *Fail. It writes the request down in World.History, without passwords and without file
// contents, so the front need not.
func Serve(c *Ctx, verb string, args map[string]any) (rows []Object, err error) {
	c = c.guarded()
	defer func() {
		if r := recover(); r != nil {
			if r != errGone {
				panic(r)
			}
			rows, err = nil, c.Win32(errShutdown)
		}
	}()
	c.record(verb + describe(args))
	c.strikeReboot()
	v := c.B.Verbs[verb]
	if v == nil {
		v = baseVerbs()[verb]
	}
	if v == nil {
		return nil, unsupported("this machine has no verb %q", verb)
	}
	if fence, ok := node.FenceOf(args); ok {
		if err := passFence(c, fence); err != nil {
			return nil, asResident(c.AsFail(err))
		}
	}
	rows, err = v(c, args)
	if err != nil {
		return nil, asResident(c.AsFail(err))
	}
	return rows, nil
}

// asResident gives a refusal the id that the resident process puts on it: what the machine does not
// have is "deploy.Unsupported", what is not there is "deploy.NotFound". The code stays. See the
// scripts of package resident.
func asResident(f *Fail) *Fail {
	out := *f
	switch {
	case f.Code == wbemInvalidNamespace, f.Code == wbemInvalidClass, f.Code == wbemInvalidQuery,
		strings.HasPrefix(f.ID, "NamedParameterNotFound"):
		out.ID = protocol.IDUnsupported
	case f.ID == "CommandNotFoundException", strings.HasPrefix(f.ID, "Modules_ModuleNotFound"),
		strings.HasPrefix(f.ID, "AddPSSnapInRead"):
		// the resident process looks before it calls, so these never reach PowerShell
		out.ID, out.Code, out.Category, out.Type = protocol.IDUnsupported, errNotSupported, "", ""
	case f.Code == wbemNotFound:
		out.ID = protocol.IDNotFound
	}
	return &out
}

// baseVerbs are the verbs that every machine has.
func baseVerbs() map[string]Verb {
	return map[string]Verb{
		"facts": verbFacts,

		"reg.get": verbRegGet, "reg.keys": verbRegKeys, "reg.set": verbRegSet, "reg.del": verbRegDel,
		"reg.delkey": verbRegDelKey,

		"wmi.get": verbWMIGet, "wmi.call": verbWMICall, "wmi.set": verbWMISet,

		"cmdlet": verbCmdlet, "run": verbRun,

		"file.stat": verbFileStat, "file.read": verbFileRead, "file.put": verbFilePut, "file.commit": verbFileCommit,
		"file.hash": verbFileHash, "file.remove": verbFileRemove,
		"dir.make": verbDirMake, "dir.list": verbDirList, "acl.get": verbACLGet, "acl.set": verbACLSet,

		"job.start": verbJobStart, "job.state": verbJobState, "job.remove": verbJobRemove,
		"owner.get": verbOwnerGet, "owner.set": verbOwnerSet,
		"restart": verbRestart,
	}
}

// Verbs lists the names of the base verbs; families add theirs through Module.Verbs.
func Verbs() []string {
	var out []string
	for n := range baseVerbs() {
		out = append(out, n)
	}
	return out
}

// describe makes arguments readable for the history. Secrets and bulk are left out, not masked by
// guess: only what is known to be harmless is written.
func describe(args map[string]any) string {
	var b strings.Builder
	for _, k := range sortedKeys(args) {
		switch k {
		case node.FenceArg, "was", "record": // who is in charge is no act
		case "password", "data", "stdin", "args", "params", "set", "attrs":
			// cmdlet and method arguments may hold a credential; their names are enough to follow what
			// happened
			if m, ok := args[k].(map[string]any); ok && len(m) > 0 {
				fmt.Fprintf(&b, " %s(%s)", k, strings.Join(sortedKeys(m), ","))
			}
		case "argv":
			fmt.Fprintf(&b, " %s", strings.Join(hideArgs(stringList(args[k])), " "))
		default:
			fmt.Fprintf(&b, " %s=%v", k, args[k])
		}
	}
	return b.String()
}

// hideArgs leaves out what stands behind a switch that carries a password (schtasks /rp, cluster
// /pass:, net user).
func hideArgs(argv []string) []string {
	out := make([]string, len(argv))
	hide := false
	for i, a := range argv {
		low := strings.ToLower(a)
		switch {
		case hide:
			out[i], hide = "***", false
		case i > 2 && isNet(argv) && !strings.HasPrefix(a, "/"): // net user NAME PASSWORD, net use SHARE PASSWORD
			out[i] = "***"
		case low == "/rp" || low == "/p" || low == "-p" || low == "/pwd" || low == "password=":
			out[i], hide = a, true
		case strings.HasPrefix(low, "/pass") || strings.HasPrefix(low, "password=") || strings.HasPrefix(low, "/pwd:"):
			cut := strings.IndexAny(a, ":=")
			if cut < 0 {
				out[i] = a
				continue
			}
			out[i] = a[:cut+1] + "***"
		default:
			out[i] = a
		}
	}
	return out
}

// isNet says that a command line is net user or net use, which take a password without a switch.
func isNet(argv []string) bool {
	name := strings.TrimSuffix(strings.ToLower(argv[0][strings.LastIndexAny(argv[0], `\/`)+1:]), ".exe")
	return (name == "net" || name == "net1") && (strings.EqualFold(argv[1], "user") || strings.EqualFold(argv[1], "use"))
}

// record adds a line to the history.
func (c *Ctx) record(what string) {
	const most = 400
	if r := []rune(what); len(r) > most {
		what = string(r[:most]) + "..."
	}
	c.W.History = append(c.W.History, model.HistoryEntry{Time: c.Now(), Machine: c.M.Name, User: c.User, What: what})
}

// errGone unwinds a request whose machine went down under it.
var errGone = errors.New("the machine went down")

// guarded returns a copy of c whose Sleep notices that the machine went down meanwhile. What was
// running on it is gone then: the request or job unwinds to its start and changes nothing more.
func (c *Ctx) guarded() *Ctx {
	n := *c
	if n.guard {
		return &n
	}
	n.guard = true
	raw, boot := c.Sleep, c.M.Boots
	n.wait = raw
	n.Sleep = func(d duration) {
		raw(d)
		if n.M.Boots != boot || !n.M.Powered || (n.Context != nil && n.Err() != nil) || (n.alive != nil && !n.alive()) {
			panic(errGone)
		}
	}
	return &n
}

// Spawn starts work that outlives the request, see Ctx.Go. Without one it is a plain goroutine that
// nothing cancels.
func (c *Ctx) Spawn(work func(c *Ctx)) {
	n := *c
	n.guard = false
	if c.wait != nil {
		n.Sleep, n.wait = c.wait, nil
	}
	if c.Go != nil {
		c.Go(func(b *Ctx) {
			b.User, b.Network, b.Dir = n.User, n.Network, n.Dir
			b.M = n.M
			work(b)
		})
		return
	}
	n.Context = withoutCancel(c.Context)
	go func() {
		n.W.Lock()
		defer n.W.Unlock()
		work(&n)
	}()
	runtime.Gosched()
}

func unsupported(format string, a ...any) *Fail {
	return &Fail{Code: 50, ID: protocol.IDUnsupported, Category: "NotImplemented", Text: fmt.Sprintf(format, a...)}
}

func notFound(code int64, text string) *Fail {
	return &Fail{Code: code, ID: protocol.IDNotFound, Category: "ObjectNotFound", Text: text}
}
