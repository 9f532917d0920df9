package node

import "strings"

// Request is one call to a machine, as data. Args hold only the types of package resident's codec:
// nil, bool, int64, string, []byte, []any, map[string]any.
type Request struct {
	Verb string
	Args map[string]any
}

// Op says what a request does, for people: the verb and what it is about, never a value that it
// carries.
func (r Request) Op() string {
	row := Row(r.Args)
	subject := ""
	switch r.Verb {
	case "wmi.get":
		subject = row.String("ns") + ":" + row.String("class")
	case "wmi.call":
		subject = row.String("ns") + ":" + row.String("class") + "." + row.String("method")
	case "run":
		if argv := row.Strings("argv"); len(argv) > 0 {
			subject = argv[0]
		}
	case "ad.find":
		subject = row.String("base")
	default:
		for _, name := range []string{"key", "name", "path", "dn", "id"} {
			if row.Has(name) {
				subject = row.String(name)
				break
			}
		}
	}
	return strings.TrimSpace(r.Verb + " " + subject)
}

// Query is a request that changes nothing. Only this package makes them.
type Query interface {
	Request() Request
	query()
}

// Action is a request that may change the machine. Only this package makes them.
type Action interface {
	Request() Request
	action()
}

// Registry reads the values of one key. Rows: name, type (string, expand, binary, dword, qword,
// multi, none, type-N with the number of another type, unknown), data. A value of the type unknown
// cannot be written back by this session. The default value has the name "". A missing key is
// ErrNotFound. Key begins with HKLM\ .
type Registry struct{ Key string }

// RegistryKeys lists the subkeys of a key. Rows: name.
type RegistryKeys struct{ Key string }

// WMI reads instances of a class. Rows hold the properties named in Props; Where keeps instances
// whose properties equal the given values (strings are compared without case). A class or namespace
// that is not there is ErrUnsupported.
type WMI struct {
	Namespace string // `root\cimv2`
	Class     string
	Props     []string
	Where     map[string]any
}

// Cmdlet reads with a Get- or Test- cmdlet. Rows hold the properties named in Select. Load names
// what must be there first: a module ("FailoverClusters") or, with the prefix "snapin:", a snap-in.
// A cmdlet's error arrives as a CodeError with its FullyQualifiedErrorId; category ObjectNotFound
// is ErrNotFound as well.
type Cmdlet struct {
	Name   string
	Load   string
	Params map[string]any // a bool is a switch
	Select []string
	// As names a credential of the site. A network logon (WinRM with NTLM, SSH with a key) has no
	// second hop, so a cmdlet that talks to another machine, as every cmdlet of Exchange does to a
	// domain controller, needs a logon of its own: the far end runs it in a scheduled task. "" runs it
	// in the session. The session puts user and password in its place.
	As string
}

// Tool runs a program that only reads (cluster group, dnscmd /enumrecords). Row: code, stdout,
// stderr. Every session refuses argument lists that no kind of step declares as reading (see
// ToolForm), unless TrustedReadOnly is set: the site's own author says that this program only looks
// (the check of a "command" step). No other kind sets it.
type Tool struct {
	Argv            []string
	TrustedReadOnly bool
}

// Dir lists a directory. Rows: name, dir (bool), size. A missing directory is ErrNotFound.
type Dir struct{ Path string }

// ACL reads a security descriptor. Row: sddl.
type ACL struct{ Path string }

// FileHash reads a file's SHA-256 as lower-case hex. Row: sha256, size.
type FileHash struct{ Path string }

// Directory searches Active Directory through the machine's own domain controller connection. Rows:
// dn and each of Attrs (always lists). Base "" reads the RootDSE. Scope is base, one or sub. Run it
// on a domain controller: a network logon cannot make the second hop.
type Directory struct {
	Base, Scope, Filter string
	Attrs               []string
}

// RegistrySet writes a value and makes the key when it is missing. Type as in Registry.
type RegistrySet struct {
	Key, Name, Type string
	Data            any // string, int64, []byte, []any of string
}

// RegistryDelete removes a value. A value that is not there is no error.
type RegistryDelete struct{ Key, Name string }

// RegistryDeleteKey removes a key and all below it. A key that is not there is no error.
type RegistryDeleteKey struct{ Key string }

// WMICall calls a method of one instance (or of the class when Where is empty). Row: ReturnValue
// and the out parameters.
type WMICall struct {
	Namespace, Class string
	Where            map[string]any
	Method           string
	Args             map[string]any
}

// WMISet sets properties of exactly one instance and puts it back (ManagementObject.Put). A dotted
// name, "PrivateProperties.HostRecordTTL", sets a property inside an embedded object. No instance
// is ErrNotFound. It is how the cluster's common and private properties are set from 2008 R2 on,
// where no cmdlet has a parameter for them.
type WMISet struct {
	Namespace, Class string
	Where            map[string]any
	Set              map[string]any
}

// CmdletCall runs a cmdlet that changes something. Fields as in Cmdlet. Confirmations must be
// switched off by Params.
type CmdletCall struct {
	Name   string
	Load   string
	Params map[string]any
	Select []string
	As     string
}

// MakeDir makes a directory and its parents. One that exists is no error.
type MakeDir struct{ Path string }

// Remove deletes a file, or a directory with all in it when Tree is set, or an empty directory.
// What is not there is no error.
type Remove struct {
	Path string
	Tree bool
}

// Adopt gives a file of the machine its name: Temp is verified and renamed over Path. A Temp whose
// SHA-256 (lower-case hex) is another one is deleted, and that is a CodeError with the id HashID.
// Only what places programs sends it; POSIX sessions answer ErrUnsupported.
type Adopt struct{ Temp, Path, SHA256 string }

// HashID is the id of a CodeError about a file whose content is not what it was said to be.
const HashID = "deploy.Hash"

// ACLSet replaces the discretionary list of a path with that of an SDDL string.
type ACLSet struct{ Path, SDDL string }

// SetMode sets the permission bits, the owner and the group of a path on Linux; what is not given
// is left. A user or group that does not exist is ErrNotFound. On Windows it is ErrUnsupported:
// there ACLSet does it.
type SetMode struct {
	Path         string
	Mode         *uint32 // permission bits as in FileInfo; nil leaves them
	Owner, Group string  // names or numbers; "" leaves them
}

// DirectoryAdd makes an object. DirectoryModify sets attributes (an empty list clears one).
// DirectoryDelete removes an object.
type DirectoryAdd struct {
	DN, Class string
	Attrs     map[string]any
}

// DirectoryModify sets attributes of an object; an empty list clears an attribute.
type DirectoryModify struct {
	DN  string
	Set map[string]any
}

// DirectoryDelete removes an object and all below it.
type DirectoryDelete struct{ DN string }

// Restart asks the machine to restart in about two seconds. Only the engine sends it: a step never
// reboots.
type Restart struct{ Reason string }

// JobRemove forgets a job: its task, its exit file and its output.
type JobRemove struct{ ID string }

// Request makes the wire form.
func (q Registry) Request() Request { return Request{"reg.get", map[string]any{"key": q.Key}} }

// Request makes the wire form.
func (q RegistryKeys) Request() Request { return Request{"reg.keys", map[string]any{"key": q.Key}} }

// Request makes the wire form.
func (q WMI) Request() Request {
	return Request{"wmi.get", map[string]any{"ns": q.Namespace, "class": q.Class, "props": anys(q.Props),
		"where": orEmpty(q.Where)}}
}

// Request makes the wire form.
func (q Cmdlet) Request() Request {
	return Request{"cmdlet", withAs(q.As, map[string]any{"name": q.Name, "load": q.Load, "params": orEmpty(q.Params),
		"select": anys(q.Select)})}
}

// Request makes the wire form.
func (q Tool) Request() Request { return Request{"run", map[string]any{"argv": anys(q.Argv)}} }

// Request makes the wire form.
func (q Dir) Request() Request { return Request{"dir.list", map[string]any{"path": q.Path}} }

// Request makes the wire form.
func (q ACL) Request() Request { return Request{"acl.get", map[string]any{"path": q.Path}} }

// Request makes the wire form.
func (q FileHash) Request() Request { return Request{"file.hash", map[string]any{"path": q.Path}} }

// Request makes the wire form.
func (q Directory) Request() Request {
	return Request{"ad.find", map[string]any{"base": q.Base, "scope": q.Scope, "filter": q.Filter, "attrs": anys(q.Attrs)}}
}

// Request makes the wire form.
func (a RegistrySet) Request() Request {
	return Request{"reg.set", map[string]any{"key": a.Key, "name": a.Name, "type": a.Type, "data": a.Data}}
}

// Request makes the wire form.
func (a RegistryDelete) Request() Request {
	return Request{"reg.del", map[string]any{"key": a.Key, "name": a.Name}}
}

// Request makes the wire form.
func (a RegistryDeleteKey) Request() Request {
	return Request{"reg.delkey", map[string]any{"key": a.Key}}
}

// Request makes the wire form.
func (a WMICall) Request() Request {
	return Request{"wmi.call", map[string]any{"ns": a.Namespace, "class": a.Class, "where": orEmpty(a.Where),
		"method": a.Method, "args": orEmpty(a.Args)}}
}

// Request makes the wire form.
func (a WMISet) Request() Request {
	return Request{"wmi.set", map[string]any{"ns": a.Namespace, "class": a.Class, "where": orEmpty(a.Where),
		"set": orEmpty(a.Set)}}
}

// Request makes the wire form.
func (a CmdletCall) Request() Request {
	return Request{"cmdlet", withAs(a.As, map[string]any{"name": a.Name, "load": a.Load, "params": orEmpty(a.Params),
		"select": anys(a.Select)})}
}

// Request makes the wire form.
func (a MakeDir) Request() Request { return Request{"dir.make", map[string]any{"path": a.Path}} }

// Request makes the wire form.
func (a Remove) Request() Request {
	return Request{"file.remove", map[string]any{"path": a.Path, "tree": a.Tree}}
}

// Request makes the wire form.
func (a Adopt) Request() Request {
	return Request{"file.commit", map[string]any{"temp": a.Temp, "path": a.Path, "sha256": a.SHA256}}
}

// Request makes the wire form.
func (a ACLSet) Request() Request {
	return Request{"acl.set", map[string]any{"path": a.Path, "sddl": a.SDDL}}
}

// Request makes the wire form.
func (a SetMode) Request() Request {
	args := map[string]any{"path": a.Path, "owner": a.Owner, "group": a.Group}
	if a.Mode != nil {
		args["mode"] = int64(*a.Mode)
	}
	return Request{"file.mode", args}
}

// Request makes the wire form.
func (a DirectoryAdd) Request() Request {
	return Request{"ad.add", map[string]any{"dn": a.DN, "class": a.Class, "attrs": orEmpty(a.Attrs)}}
}

// Request makes the wire form.
func (a DirectoryModify) Request() Request {
	return Request{"ad.mod", map[string]any{"dn": a.DN, "set": orEmpty(a.Set)}}
}

// Request makes the wire form.
func (a DirectoryDelete) Request() Request { return Request{"ad.del", map[string]any{"dn": a.DN}} }

// Request makes the wire form.
func (a Restart) Request() Request { return Request{"restart", map[string]any{"reason": a.Reason}} }

// Request makes the wire form.
func (a JobRemove) Request() Request { return Request{"job.remove", map[string]any{"id": a.ID}} }

func (Registry) query()     {}
func (RegistryKeys) query() {}
func (WMI) query()          {}
func (Cmdlet) query()       {}
func (Tool) query()         {}
func (Dir) query()          {}
func (ACL) query()          {}
func (FileHash) query()     {}
func (Directory) query()    {}

func (RegistrySet) action()       {}
func (RegistryDelete) action()    {}
func (RegistryDeleteKey) action() {}
func (WMICall) action()           {}
func (WMISet) action()            {}
func (CmdletCall) action()        {}
func (MakeDir) action()           {}
func (Remove) action()            {}
func (Adopt) action()             {}
func (ACLSet) action()            {}
func (SetMode) action()           {}
func (DirectoryAdd) action()      {}
func (DirectoryModify) action()   {}
func (DirectoryDelete) action()   {}
func (Restart) action()           {}
func (JobRemove) action()         {}

// withAs names the credential only where there is one, so that a request without stays as it always
// was.
func withAs(as string, args map[string]any) map[string]any {
	if as != "" {
		args["as"] = as
	}
	return args
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}
