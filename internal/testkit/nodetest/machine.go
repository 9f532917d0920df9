// Package nodetest is a scripted machine for unit tests: a node.Session over tables that a test
// fills. It knows nothing of Windows beyond how the requests of package node are shaped; what a
// method, cmdlet or program does is a function of the test.
package nodetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"time"

	"deploy/internal/node"
)

// Value is one registry value.
type Value struct {
	Name string
	Type string
	Data any
}

// File is a file or a directory.
type File struct {
	Path     string
	Dir      bool
	Data     []byte
	Modified time.Time
	SDDL     string
	Mode     uint32 // Linux: permission bits, owner and group
	Owner    string
	Group    string
}

// Method is what a WMI method does: it may change the instance's row and answers the out
// parameters.
type Method func(instance node.Row, args map[string]any) (node.Row, error)

// Cmdlet is what a cmdlet does. Rows need all properties that steps select.
type Cmdlet func(params map[string]any) ([]node.Row, error)

// Machine is the scripted machine. Maps are keyed in lower case; use the Set methods to fill them.
// A zero Machine answers that nothing is there.
type Machine struct {
	F        node.Facts
	Registry map[string]map[string]Value
	Files    map[string]*File
	Classes  map[string][]node.Row // by `root\cimv2:win32_service`
	Methods  map[string]Method     // by `root\cimv2:win32_service.startservice`
	Cmdlets  map[string]Cmdlet
	Programs map[string]func(argv []string) node.Result // by name as called
	// Break returns an error for a request that is to fail; nil breaks nothing.
	Break func(r node.Request) error

	posix  bool
	owners map[string]string // owner records by site
	fence  node.Fence
	mu     sync.Mutex
	jobs   map[string]node.JobState
	log    []node.Request
}

// New makes a machine of a release.
func New(release node.Release) *Machine {
	return &Machine{
		F: node.Facts{OS: "windows", Release: release, Computer: "NODE1", Domain: "contoso.com", DomainRole: 3,
			BootID: "1", Privileged: true},
		Registry: map[string]map[string]Value{}, Files: map[string]*File{}, Classes: map[string][]node.Row{},
		Methods: map[string]Method{},
		Cmdlets: map[string]Cmdlet{}, Programs: map[string]func([]string) node.Result{}, jobs: map[string]node.JobState{},
		owners: map[string]string{},
	}
}

// SetKey makes a registry key and its parents.
func (m *Machine) SetKey(key string) {
	for k := strings.ToLower(key); k != ""; k = parentOf(k) {
		if m.Registry[k] == nil {
			m.Registry[k] = map[string]Value{}
		}
	}
}

// SetValue makes a registry value.
func (m *Machine) SetValue(key, name, typ string, data any) {
	m.SetKey(key)
	m.Registry[strings.ToLower(key)][strings.ToLower(name)] = Value{name, typ, data}
}

// SetFile makes a file and the directories above it.
func (m *Machine) SetFile(path string, data []byte) {
	m.SetDir(m.above(path))
	m.Files[m.fold(path)] = m.fresh(path, false, data)
}

// SetDir makes a directory and those above it.
func (m *Machine) SetDir(path string) {
	if !m.posix {
		path = strings.TrimRight(path, `\`)
	}
	for p := path; p != ""; p = m.above(p) {
		if m.Files[m.fold(p)] == nil {
			m.Files[m.fold(p)] = m.fresh(p, true, nil)
		}
	}
}

// SetClass gives a WMI class its instances; namespace:class.
func (m *Machine) SetClass(name string, rows ...node.Row) { m.Classes[strings.ToLower(name)] = rows }

// SetMethod gives a WMI class a method.
func (m *Machine) SetMethod(class, method string, f Method) {
	m.Methods[strings.ToLower(class+"."+method)] = f
}

// Log returns what was asked so far.
func (m *Machine) Log() []node.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]node.Request{}, m.log...)
}

// Asked says how often a verb was asked whose arguments, printed, hold text.
func (m *Machine) Asked(verb, text string) int {
	n := 0
	for _, r := range m.Log() {
		if r.Verb == verb && strings.Contains(strings.ToLower(fmt.Sprint(r.Args)), strings.ToLower(text)) {
			n++
		}
	}
	return n
}

func (m *Machine) note(r node.Request) error {
	m.mu.Lock()
	m.log = append(m.log, r)
	m.mu.Unlock()
	if m.Break != nil {
		return m.Break(r)
	}
	return nil
}

func parentOf(path string) string {
	i := strings.LastIndexByte(path, '\\')
	if i < 0 {
		return ""
	}
	return path[:i]
}

// Facts are the machine's facts.
func (m *Machine) Facts() node.Facts { return m.F }

// Mode is "direct".
func (m *Machine) Mode() string { return "direct" }

// Close does nothing.
func (m *Machine) Close() error { return nil }

// Prefetch does nothing: every answer is at hand.
func (m *Machine) Prefetch(context.Context, []node.Query) error { return nil }

func (m *Machine) file(path string) *File {
	return m.Files[m.fold(path)]
}

// Stat looks at a file.
func (m *Machine) Stat(_ context.Context, path string) (node.FileInfo, error) {
	if err := m.note(node.Request{Verb: "file.stat", Args: map[string]any{"path": path}}); err != nil {
		return node.FileInfo{}, err
	}
	f := m.file(path)
	if f == nil {
		return node.FileInfo{}, node.ErrNotFound
	}
	return node.FileInfo{Size: int64(len(f.Data)), Dir: f.Dir, Modified: f.Modified, Mode: f.Mode, Owner: f.Owner,
		Group: f.Group}, nil
}

// Open reads a file.
func (m *Machine) Open(_ context.Context, path string) (io.ReadCloser, error) {
	if err := m.note(node.Request{Verb: "file.read", Args: map[string]any{"path": path}}); err != nil {
		return nil, err
	}
	f := m.file(path)
	if f == nil {
		return nil, node.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(f.Data)), nil
}

// Write writes a file; its directory must be there.
func (m *Machine) Write(_ context.Context, path string, r io.Reader, o node.WriteOptions) error {
	if err := m.act(node.Request{Verb: "file.put", Args: map[string]any{"path": path}}); err != nil {
		return err
	}
	if m.file(m.above(path)) == nil {
		return node.ErrNotFound
	}
	old := m.file(path)
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.SetFile(path, b)
	m.file(path).options(o, old)
	return nil
}

// Run runs a program of the test; one that is not there is ErrUnsupported.
func (m *Machine) Run(_ context.Context, c node.Cmd) (node.Result, error) {
	if err := m.act(node.Request{Verb: "run", Args: map[string]any{"argv": c.Argv, "dir": c.Dir}}); err != nil {
		return node.Result{}, err
	}
	p := m.Programs[strings.ToLower(c.Argv[0])]
	if p == nil {
		return node.Result{}, fmt.Errorf("no program %s: %w", c.Argv[0], node.ErrUnsupported)
	}
	return p(c.Argv), nil
}

// StartJob runs the program at once; a known id does nothing.
func (m *Machine) StartJob(_ context.Context, id string, c node.Cmd) error {
	if err := m.act(node.Request{Verb: "job.start",
		Args: map[string]any{"id": id, "argv": c.Argv, "as": c.As}}); err != nil {
		return err
	}
	if _, ok := m.jobs[id]; ok {
		return nil
	}
	p := m.Programs[strings.ToLower(c.Argv[0])]
	if p == nil {
		return fmt.Errorf("no program %s: %w", c.Argv[0], node.ErrUnsupported)
	}
	res := p(c.Argv)
	m.jobs[id] = node.JobState{Phase: node.JobDone, Code: res.Code, Output: string(res.Stdout)}
	return nil
}

// SetJob puts a job into a state, as an earlier run may have left it.
func (m *Machine) SetJob(id string, s node.JobState) { m.jobs[id] = s }

// Job tells how a job stands.
func (m *Machine) Job(_ context.Context, id string) (node.JobState, error) {
	if err := m.note(node.Request{Verb: "job.state", Args: map[string]any{"id": id}}); err != nil {
		return node.JobState{}, err
	}
	s, ok := m.jobs[id]
	if !ok {
		return node.JobState{}, node.ErrNotFound
	}
	return s, nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
