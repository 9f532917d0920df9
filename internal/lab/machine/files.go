package machine

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"deploy/internal/lab/model"

	"deploy/internal/node"
)

// expand replaces the few environment variables that a machine here has.
func (c *Ctx) expand(s string) string {
	for strings.Count(s, "%") >= 2 {
		i := strings.IndexByte(s, '%')
		j := strings.IndexByte(s[i+1:], '%')
		if j < 0 {
			break
		}
		v, ok := c.env(s[i+1 : i+1+j])
		if !ok {
			// an unknown variable stays as it stands
			return s[:i+1+j+1] + c.expand(s[i+1+j+1:])
		}
		s = s[:i] + v + s[i+1+j+1:]
	}
	return s
}

func (c *Ctx) env(name string) (string, bool) {
	switch strings.ToLower(name) {
	case "systemroot", "windir":
		return `C:\Windows`, true
	case "systemdrive":
		return `C:`, true
	case "programdata":
		return `C:\ProgramData`, c.AtLeast(node.WS2008)
	case "programfiles":
		return `C:\Program Files`, true
	case "temp", "tmp":
		return `C:\Windows\Temp`, true
	case "computername":
		return c.M.Name, true
	case "comspec":
		return `C:\Windows\system32\cmd.exe`, true
	case "processor_architecture":
		return "AMD64", true
	case "userdnsdomain":
		return strings.ToUpper(c.M.Domain), c.M.Domain != ""
	case "username":
		_, n, ok := strings.Cut(c.User, `\`)
		if !ok {
			n = c.User
		}
		return n, true
	case "errorlevel", "path":
		return "", true
	}
	return "", false
}

// abs makes a full path: backslashes, no dots, no trailing backslash except behind a drive.
func (c *Ctx) abs(path string) string {
	path = strings.ReplaceAll(strings.Trim(path, `"`), "/", `\`)
	path = strings.TrimPrefix(path, `\\?\`)
	if strings.HasPrefix(path, `\\`) {
		return `\\` + strings.Join(clean(strings.Split(path[2:], `\`)), `\`)
	}
	if len(path) < 2 || path[1] != ':' {
		dir := c.Dir
		if dir == "" {
			dir = `C:\Windows\system32`
		}
		if strings.HasPrefix(path, `\`) {
			path = dir[:2] + path
		} else {
			path = dir + `\` + path
		}
	}
	parts := clean(strings.Split(path[2:], `\`))
	drive := strings.ToUpper(path[:2])
	if len(parts) == 0 {
		return drive + `\`
	}
	return drive + `\` + strings.Join(parts, `\`)
}

func clean(parts []string) []string {
	var out []string
	for _, p := range parts {
		switch p {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, p)
		}
	}
	return out
}

// place is where a path leads: a table of files and the key in it.
type place struct {
	c     *Ctx // the machine whose disk it is, for a share
	files map[string]*model.File
	make  func() map[string]*model.File // makes the table of a shared disk when it is nil
	key   string                        // lower-case key of the path; "" is the root of a shared disk
	path  string                        // as a File keeps it
	root  bool                          // the root of a volume, which is always there
}

// at finds the place of a path: a local drive, the volume of a shared disk behind its letter, or a
// share of another machine, which takes a second hop. Errors are Win32 codes wrapped as HRESULT.
func (c *Ctx) at(path string) (place, error) {
	p := c.abs(path)
	if strings.ContainsAny(p[2:], `:*?"<>|`) {
		return place{}, c.HRESULT(errInvalidName)
	}
	if strings.HasPrefix(p, `\\`) {
		return c.share(p)
	}
	d, part, ok := letterOf(c, p[:2])
	if !ok {
		return place{}, c.HRESULT(errPathNotFound)
	}
	v := findVisible(c, d.Serial)
	rest := strings.TrimSuffix(p[2:], `\`)
	switch {
	case v == nil || v.Offline || reserved(c, d):
		return place{}, c.HRESULT(errNotReady)
	case part.FS == "":
		return place{}, c.HRESULT(errUnrecognizedVolume)
	}
	if v.Local {
		return place{c: c, files: c.M.Files, key: strings.ToLower(p[:2] + rest), path: p, root: rest == ""}, nil
	}
	prefix := ""
	if part.Number > 1 {
		prefix = fmt.Sprintf("%d|", part.Number)
	}
	return place{c: c, files: d.Files, key: prefix + strings.ToLower(rest), path: prefix + rest, root: rest == "",
		make: func() map[string]*model.File {
			if d.Files == nil {
				d.Files = map[string]*model.File{}
			}
			return d.Files
		}}, nil
}

// share resolves \\machine\share\rest on another machine. Shares stand in Extra["shares"]:
// lower-case name to path; C$ and its like are always there.
func (c *Ctx) share(p string) (place, error) {
	parts := strings.SplitN(p[2:], `\`, 3)
	m := c.W.Machine(parts[0])
	if len(parts) < 2 || m == nil || !m.Powered {
		return place{}, c.HRESULT(errBadNetPath)
	}
	if m != c.M && !c.SecondHop() {
		return place{}, c.HRESULT(errAccessDenied)
	}
	base := m.Extra["shares"][strings.ToLower(parts[1])]
	if d, admin := strings.CutSuffix(parts[1], "$"); admin && len(d) == 1 {
		base = d + `:\`
	}
	if base == "" {
		return place{}, c.HRESULT(67) // ERROR_BAD_NET_NAME
	}
	if len(parts) == 3 {
		base += `\` + parts[2]
	}
	o := c.On(m)
	o.Network = true // the other machine sees a network logon
	return o.at(base)
}

// get returns the file at a place, or nil; the root of a volume is a directory without an entry.
func (p place) get() *model.File {
	if p.root {
		return &model.File{Path: p.path, Dir: true}
	}
	return p.files[p.key]
}

func (p place) parent() place {
	i := strings.LastIndexByte(p.key, '\\')
	if i < 0 {
		p.root = true
		return p
	}
	q := p
	q.key, q.path = p.key[:i], p.path[:strings.LastIndexByte(p.path, '\\')]
	tail := q.key[strings.IndexByte(q.key, '|')+1:]
	q.root = tail == "" || (len(tail) == 2 && tail[1] == ':')
	return q
}

func (p place) put(f *model.File) {
	files := p.files
	if files == nil {
		files = p.make()
	}
	files[p.key] = f
}

// StatFile returns the file or directory at a path; an error that wraps Win32 2 or 3 says that
// there is none.
func StatFile(c *Ctx, path string) (*model.File, error) {
	p, err := c.at(path)
	if err != nil {
		return nil, err
	}
	f := p.get()
	if f == nil {
		if q := p.parent().get(); q == nil {
			return nil, c.HRESULT(errPathNotFound)
		}
		return nil, c.HRESULT(errFileNotFound)
	}
	return f, nil
}

// Exists says that a file or directory is there.
func Exists(c *Ctx, path string) bool {
	f, err := StatFile(c, path)
	return err == nil && f != nil
}

// ReadFile returns a file's bytes.
func ReadFile(c *Ctx, path string) ([]byte, error) {
	f, err := StatFile(c, path)
	if err != nil {
		return nil, err
	}
	if f.Dir {
		return nil, c.HRESULT(errAccessDenied)
	}
	return f.Data, nil
}

// WriteFile writes a file whole. The directory must be there. The fault "disk-full" strikes here
// (argument "path": a prefix).
func WriteFile(c *Ctx, path string, data []byte) error {
	p, err := c.at(path)
	if err != nil {
		return err
	}
	if err := c.room(path); err != nil {
		return err
	}
	if d := p.parent().get(); d == nil || !d.Dir {
		return c.HRESULT(errPathNotFound)
	}
	old := p.get()
	if old != nil && (old.Dir || old.ReadOnly) {
		return c.HRESULT(errAccessDenied)
	}
	f := &model.File{Path: p.path, Data: append([]byte{}, data...), Modified: c.stamp()}
	if old != nil {
		f.Path, f.SDDL = old.Path, old.SDDL
	}
	p.put(f)
	return nil
}

// appendFile writes at a file's end. Who holds its content from before keeps what they have: only
// room behind it is written.
func appendFile(c *Ctx, path string, data []byte) error {
	p, err := c.at(path)
	if err != nil {
		return err
	}
	if err := c.room(path); err != nil {
		return err
	}
	f := p.get()
	if f == nil {
		return c.HRESULT(errFileNotFound)
	}
	if f.Dir || f.ReadOnly {
		return c.HRESULT(errAccessDenied)
	}
	f.Data = append(f.Data, data...)
	f.Modified = c.stamp()
	return nil
}

// room plays the fault "disk-full".
func (c *Ctx) room(path string) error {
	full := strings.ToLower(c.abs(path))
	if _, hit := c.W.Strike("disk-full", c.M.Name, func(args map[string]string) bool {
		return strings.HasPrefix(full, strings.ToLower(args["path"]))
	}); hit {
		return c.HRESULT(errDiskFull)
	}
	return nil
}

// MakeDirs makes a directory and its parents; one that exists is no error.
func MakeDirs(c *Ctx, path string) error {
	p, err := c.at(path)
	if err != nil {
		return err
	}
	var todo []place
	for q := p; ; q = q.parent() {
		f := q.get()
		if f != nil {
			if !f.Dir {
				return c.HRESULT(errExists)
			}
			break
		}
		todo = append(todo, q)
	}
	for i := len(todo) - 1; i >= 0; i-- {
		todo[i].put(&model.File{Path: todo[i].path, Dir: true, Modified: c.stamp()})
	}
	return nil
}

func (c *Ctx) stamp() time.Time { return c.Now().UTC().Truncate(time.Second) }

// entry is one thing in a directory.
type entry struct {
	name string
	file *model.File
}

// ListDir lists a directory in the order of names.
func listDir(c *Ctx, path string) ([]entry, error) {
	p, err := c.at(path)
	if err != nil {
		return nil, err
	}
	f := p.get()
	if f == nil {
		return nil, c.HRESULT(errPathNotFound)
	}
	if !f.Dir {
		return nil, c.HRESULT(errDirectory)
	}
	var out []entry
	for k, x := range p.files {
		dir, _ := splitPath(k)
		if dir == p.key && k != p.key {
			_, name := splitPath(x.Path)
			out = append(out, entry{name, x})
		}
	}
	sort.Slice(out, func(i, j int) bool { return strings.ToLower(out[i].name) < strings.ToLower(out[j].name) })
	return out, nil
}

// RemoveFile deletes a file, an empty directory, or with tree a directory with all in it. What is
// not there is no error.
func RemoveFile(c *Ctx, path string, tree bool) error {
	p, err := c.at(path)
	if err != nil {
		if f := c.AsFail(err); f.Code == 0x80070000|errPathNotFound {
			return nil
		}
		return err
	}
	f := p.get()
	if f == nil {
		return nil
	}
	if p.root {
		return c.HRESULT(errAccessDenied)
	}
	for k := range p.files {
		if strings.HasPrefix(k, p.key+`\`) {
			if !tree {
				return c.HRESULT(errDirNotEmpty)
			}
			delete(p.files, k)
		}
	}
	delete(p.files, p.key)
	return nil
}

// MoveFile renames a file over another one, on the same machine. The fault "disk-full" strikes
// where it goes to another drive.
func MoveFile(c *Ctx, from, to string) error {
	a, err := c.at(from)
	if err != nil {
		return err
	}
	f := a.get()
	if f == nil {
		return c.HRESULT(errFileNotFound)
	}
	b, err := c.at(to)
	if err != nil {
		return err
	}
	if d := b.parent().get(); d == nil || !d.Dir {
		return c.HRESULT(errPathNotFound)
	}
	if old := b.get(); old != nil && (old.Dir || old.ReadOnly) {
		return c.HRESULT(errAccessDenied)
	}
	if !strings.EqualFold(c.abs(from)[:2], c.abs(to)[:2]) { // to another volume it is a copy, which takes room
		if err := c.room(to); err != nil {
			return err
		}
	}
	moved := *f
	moved.Path = b.path
	if old := b.get(); old != nil { // Replace keeps the old file's name and security
		moved.Path, moved.SDDL = old.Path, old.SDDL
	}
	delete(a.files, a.key)
	b.put(&moved)
	return nil
}
