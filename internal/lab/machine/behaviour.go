// Package machine emulates a Windows machine: it takes the verbs of package protocol and command
// lines, and applies them to the model as documented for each Windows release. It refuses what it
// does not know.
//
// A machine's abilities are a set of Modules: tools, WMI classes, cmdlets and hooks. The base set
// is in this package; families (failover clustering, directory and DNS, Exchange) add theirs.
// Nothing registers itself: package lab builds the set.
package machine

import (
	"context"
	"io"
	"net/http"
	"time"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// Ctx is one request on one machine. Its holder has the world's lock.
type Ctx struct {
	context.Context
	W *model.World
	M *model.Machine
	B *Module
	// User is who is logged on (DOMAIN\name). Network says that it is a network logon, which has no
	// second hop: what needs another machine's authentication is refused with access denied (5), see
	// FirstHop.
	User    string
	Network bool
	Dir     string
	// Sleep waits in emulated time. It gives up the world's lock while it waits, so look again after
	// it. Never nil.
	Sleep func(d time.Duration)
	Now   func() time.Time
	// Print gives text to whoever runs the tool while it runs (a job's output file). Never nil.
	Print func(text string)
	// Go starts work that outlives the request: a job, a restart that is due. It calls work once, in a
	// goroutine of its own, with a Ctx that has the same W, M, B and User, a Context that ends when
	// the lab stops, a Sleep that watches that Context, and the world's lock held. nil: see Spawn.
	Go func(work func(c *Ctx))
	// Logon says whether a user (DOMAIN\name or name) has that password. nil: World.Forest.Users
	// decides.
	Logon func(user, password string) bool

	guard bool                  // Sleep is wrapped, see guarded
	alive func() bool           // what runs is still wanted; nil is yes
	wait  func(d time.Duration) // the unwrapped Sleep
	depth int                   // nesting of command lines
}

// Result is what a tool leaves behind.
type Result struct {
	Code   int
	Stdout string
	Stderr string
	// Goes is set by a program that goes on talking with whoever started it. It is called without the
	// world's lock, with the caller's streams, after Stdout and Stderr were written; its result is the
	// exit code. A program that is started without streams of its own cannot go on.
	Goes func(ctx context.Context, in io.Reader, out, errOut io.Writer) int
}

// Tool emulates one program. argv[0] is its name as called.
type Tool func(c *Ctx, argv []string, stdin []byte) Result

// Object is one instance or one cmdlet result: property name to value (nil, bool, int64, string,
// []byte, []any, map[string]any). A property that is an enumeration in PowerShell is an Enum. A
// property that is an object of its own is an Object, whose entry with the empty name is its text
// (ToString).
type Object map[string]any

// Enum is an enumeration value: its number, and its name for ":name" selections.
type Enum struct {
	Number int64
	Name   string
}

// Class emulates one WMI class.
type Class struct {
	Namespace string // `root\cimv2`
	Name      string
	Props     []string                       // property names it has; asking for another one is WBEM_E_INVALID_QUERY-like
	PropSince map[string]node.Release        // properties that came later
	Since     node.Release                   // "" means 2003
	Until     node.Release                   // last release that has it; "" means all
	Present   func(c *Ctx) bool              // nil means always; false makes the class unknown (namespace not installed)
	List      func(c *Ctx) ([]Object, error) // every instance
	Methods   map[string]Method
	// Put carries out wmi.set on one instance: names of set may be dotted ("PrivateProperties.X"). nil
	// makes the class read-only.
	Put    func(c *Ctx, inst Object, set map[string]any) error
	Static map[string]Method // methods called on the class; inst is nil
}

// Hive computes a part of the registry from the model, so that it cannot disagree with it
// (services, adapters, the cluster).
type Hive struct {
	Root string // key path that it covers, like `HKLM\Cluster`; keys below it that were written are still there as well
	// Load returns computed keys at and below Root. Its values win over written ones.
	Load func(c *Ctx) model.Registry
	// Set takes a write to a computed value. handled false stores the value as any other. nil means
	// that nothing is handled.
	Set func(c *Ctx, key, name, typ string, data any) (handled bool, err error)
	// Delete takes a deletion of a computed value. nil means that nothing is handled.
	Delete func(c *Ctx, key, name string) (handled bool)
}

// Method emulates a WMI method; the result holds ReturnValue and out parameters.
type Method struct {
	Args []string
	Call func(c *Ctx, inst Object, args map[string]any) (Object, error)
}

// Cmdlet emulates one cmdlet.
type Cmdlet struct {
	Name string
	Load string // "" (built in), "FailoverClusters", "snapin:Microsoft.Exchange.Management.PowerShell.Admin"
	// an unknown one is refused as PowerShell does: NamedParameterNotFound; "Id=UniqueId" declares an
	// alias
	Params []string
	// ParamSince are parameters that came later than the cmdlet.
	ParamSince map[string]node.Release
	Since      node.Release
	Until      node.Release
	Present    func(c *Ctx) bool // the module or snap-in is installed
	Run        func(c *Ctx, params map[string]any) ([]Object, error)
}

// Verb carries out one request.
type Verb func(c *Ctx, args map[string]any) ([]Object, error)

// Module is what a machine can do.
type Module struct {
	Tools   map[string]Tool // by lower-case name with extension: "cluster.exe", "sc.exe", "setup.com"
	Classes []*Class
	Cmdlets []*Cmdlet
	OnBoot  []func(c *Ctx) // after a machine has come up
	OnDown  []func(c *Ctx) // when a machine has gone down (power, restart): its resources fail over
	// Verbs of package resident that a family carries out ("ad.find"); the base set has all the
	// others.
	Verbs map[string]Verb
	// Operate are acts of a person that the lab can play at a gate, by name ("validate-cluster"); arg
	// is what the act is about.
	Operate map[string]func(c *Ctx, arg string) error
	// Lookup finds a program by full path for products on media (D:\Exchange\setup.com); nil entries
	// are skipped.
	Lookup []func(c *Ctx, path string) Tool
	// Have says whether a tool is on the machine (a release, an installed feature); a tool without an
	// entry always is.
	Have map[string]func(c *Ctx) bool
	// Outside reaches servers that are no machines of the lab, for programs that fetch over HTTP. nil:
	// there are none, and no name has an address.
	Outside http.RoundTripper
	// Texts are system messages by Win32 code in the order of Locales.
	Texts map[int][4]string
	// OnFeature runs after a role or feature was installed or removed: services and tools come and go
	// with it.
	OnFeature []func(c *Ctx, id string, installed bool)
	// OnService runs after a service was started or stopped (sc, net, WMI, cmdlets); name as in the
	// registry. A family may set the service's state again: the Cluster service of a machine without a
	// cluster stops at once.
	OnService []func(c *Ctx, name string)
	// Hives are the computed parts of the registry.
	Hives []*Hive
}

// Add merges families into one set. A tool, class or cmdlet that is there twice is a mistake in the
// program and panics.
func (b *Module) Add(o *Module) *Module {
	if b.Tools == nil {
		b.Tools = map[string]Tool{}
	}
	for n, t := range o.Tools {
		if b.Tools[n] != nil {
			panic("tool registered twice: " + n)
		}
		b.Tools[n] = t
	}
	for n, v := range o.Verbs {
		if b.Verbs == nil {
			b.Verbs = map[string]Verb{}
		}
		if b.Verbs[n] != nil {
			panic("verb registered twice: " + n)
		}
		b.Verbs[n] = v
	}
	for n, f := range o.Operate {
		if b.Operate == nil {
			b.Operate = map[string]func(c *Ctx, arg string) error{}
		}
		if b.Operate[n] != nil {
			panic("operator act registered twice: " + n)
		}
		b.Operate[n] = f
	}
	b.Classes = append(b.Classes, o.Classes...)
	b.Cmdlets = append(b.Cmdlets, o.Cmdlets...)
	b.OnBoot = append(b.OnBoot, o.OnBoot...)
	b.OnDown = append(b.OnDown, o.OnDown...)
	b.Lookup = append(b.Lookup, o.Lookup...)
	for n, f := range o.Have {
		if b.Have == nil {
			b.Have = map[string]func(c *Ctx) bool{}
		}
		if b.Have[n] != nil {
			panic("presence of a tool registered twice: " + n)
		}
		b.Have[n] = f
	}
	for n, t := range o.Texts {
		if b.Texts == nil {
			b.Texts = map[int][4]string{}
		}
		b.Texts[n] = t
	}
	if o.Outside != nil {
		b.Outside = o.Outside
	}
	b.Hives = append(b.Hives, o.Hives...)
	b.OnFeature = append(b.OnFeature, o.OnFeature...)
	b.OnService = append(b.OnService, o.OnService...)
	return b
}

// Fail is a typed refusal: what a CodeError at the other end will hold.
type Fail struct {
	Code     int64
	ID       string // FullyQualifiedErrorId, or one of package resident's
	Category string
	Type     string // .NET type name
	Text     string // in the machine's language
}

func (f *Fail) Error() string { return f.Text }
