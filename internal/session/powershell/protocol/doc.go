// Package protocol is the protocol between deploy and its long-lived process on a node: a
// PowerShell that runs the embedded script (Windows 2003 to 2025, 2.0 dialect), or the lab's
// emulation of it.
//
// # Lines
//
// Both directions carry lines of UTF-8 that end in \n, at most MaxLine bytes long. A frame is
//
//	<nonce> <id> <kind> <payload>
//
// nonce is a word made for the session; a line on stdout without it comes from elsewhere
// (Write-Host, a native tool) and is kept for debugging only. id is a decimal number. The payload
// is a value in the codec of this package (no spaces). A payload longer than MaxLine is sent in
// pieces: lines of kind "+" with the same id, then the line of the real kind with the rest.
//
// Kinds to the node: Q (a request), X (leave). Kinds from the node: H (hello, id 0), R (a list of
// rows, may come several times), D (done, closes the request), E (failed, closes the request), L (a
// progress line). Ids grow; a request whose id is not greater than the last is a repeat after a
// lost answer and is dropped by the node.
//
// # Start
//
// The command line is `powershell.exe -NoProfile -NonInteractive -InputFormat None -ExecutionPolicy
// Bypass -EncodedCommand <Bootstrap>`. The bootstrap reads one line from stdin, the main script in
// base64 of UTF-8 (in pieces of at most MaxLine characters, ended by a line "."), and calls it with
// the reader and with the nonce, which is the line after it. The script answers H.
//
// # Values
//
// The codec writes nil n, true t, false f, a number i<decimal>;, text s<base64 of UTF-8>;, bytes
// d<base64>;, a list a<count>: and its elements, a map o<count>: and its pairs (key as text, then
// value; sorted by key).
//
// # Verbs
//
// A request's payload is a map {verb, args}. Requests may be sent without waiting; they are
// answered in order. Every failure is E with a map {code, id, category, type, text}; code is the
// HRESULT, Win32 or WMI number as a non-negative number below 2^32. id "deploy.NotFound" says that
// the thing asked for is absent, "deploy.Unsupported" that the machine has no such verb, class,
// namespace, cmdlet or parameter.
//
//	facts        {}                                  row: version, build, sp, computer, domain, domain_role, boot_id, powershell, ui_language, arch, privileged
//	reg.get      {key}                               rows: name, type, data (string expand binary dword qword multi none unknown)
//	reg.keys     {key}                               rows: name
//	reg.set      {key,name,type,data}                makes the key
//	reg.del      {key,name}                          absent is fine
//	reg.delkey   {key}                               absent is fine; with all below
//	wmi.get      {ns,class,props[],where{}}          rows; DateTime values stay CIM text, embedded objects become maps
//	wmi.call     {ns,class,where{},method,args{}}    row: ReturnValue and out parameters; where empty = the class itself
//	wmi.set      {ns,class,where{},set{}}            one instance (none: deploy.NotFound), set, Put(); "PrivateProperties.X" is inside an embedded object
//	cmdlet       {name,load,params{},select[]}       rows; enumerations become numbers... see below
//	run          {argv[],line,dir,stdin,timeout}     row: code, stdout (bytes), stderr (bytes); timeout in ms; line is argv[1:] as CreateProcess takes it
//	file.stat    {path}                              row: size, dir, modified (unix seconds)
//	file.read    {path,offset,count}                 row: data, size
//	file.put     {path,offset,data,packed}           writes a piece of a temporary file; offset 0 truncates; packed data is one deflate stream
//	file.commit  {temp,path,sha256}                  verifies, then renames over path
//	file.hash    {path}                              row: sha256, size
//	file.remove  {path,tree}                         absent is fine
//	dir.make     {path}
//	dir.list     {path}                              rows: name, dir, size
//	acl.get      {path}                              row: sddl (access part)
//	acl.set      {path,sddl}
//	ad.find      {base,scope,filter,attrs[]}         rows: dn, each attribute as a list
//	ad.add       {dn,class,attrs{}}
//	ad.mod       {dn,set{}}
//	ad.del       {dn}                                with all below
//	job.start    {id,argv[],line,dir,user,password,limit} a scheduled task; user "" = SYSTEM; limit in seconds; a known id does nothing
//	job.state    {id}                                row: phase (running done lost), code, output (bytes, last 64 KB)
//	job.remove   {id}
//	owner.get    {}                                  rows: site, record
//	owner.set    {site,was,record}                   replaces the record was (empty = none) by record (empty = remove); else deploy.Superseded
//	restart      {reason}                            answers, then the machine restarts in about two seconds
//
// cmdlet results: for each name in select the property of each object; names may be dotted
// (OwnerNode.Name). Enumerations come as their number, except where the name carries the suffix
// ":name" (QuorumType:name), which gives the enumeration's word. Other objects come as their text.
// A request with "as" (a credential's name) never leaves so: the session takes it out and puts user
// and password in, as for job.start; the node then runs that one cmdlet in a scheduled task of that
// user, with a full logon, waits for it and answers its rows. load is a module name, or "snapin:"
// and a snap-in; it is loaded once per session.
//
// Any request may carry the argument fence {site,journal,epoch,run,record}, see node.Fence: before
// the verb is begun it is compared with the site's owner record, and record is put in its place
// where it is not empty. "deploy.Superseded" says that it does not fit; its text is what stands
// there.
package protocol

// Protocol is the version of the talk; the hello carries it.
const Protocol = 1

// MaxLine is the longest payload put on one line. Windows PowerShell 5.1 was seen to block on very
// long lines.
const MaxLine = 60000

// Kinds of frames.
const (
	KindRequest = "Q"
	KindLeave   = "X"
	KindHello   = "H"
	KindRows    = "R"
	KindDone    = "D"
	KindError   = "E"
	KindLog     = "L"
	kindMore    = "+"
)

// Ids of failures that are not the machine's own.
const (
	IDNotFound    = "deploy.NotFound"
	IDUnsupported = "deploy.Unsupported"
	IDSuperseded  = "deploy.Superseded"
)
