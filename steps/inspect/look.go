// Package look holds reads that several families of steps make in the same way, so that equal
// questions are equal requests and travel once. It only ever sees a node.Reader.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"deploy/internal/node"
)

// CIMv2 is the WMI namespace of the machine's own classes.
const CIMv2 = `root\cimv2`

// Value is one registry value as found. Type as in node.Registry.
type Value struct {
	Name string
	Type string
	Data any
}

// Text returns the data as text for comparing: numbers in decimal, lists joined by a line end.
func (v Value) Text() string {
	row := node.Row{"data": v.Data}
	if list, ok := v.Data.([]any); ok {
		parts := make([]string, 0, len(list))
		for _, x := range list {
			parts = append(parts, node.Row{"x": x}.String("x"))
		}
		return strings.Join(parts, "\n")
	}
	return row.String("data")
}

// RegistryValue reads one value; names are compared without case. found is false when the key or
// the value is absent.
func RegistryValue(ctx context.Context, r node.Reader, key, name string) (v Value, found bool, err error) {
	rows, found, err := RegistryKey(ctx, r, key)
	if err != nil || !found {
		return Value{}, false, err
	}
	for _, row := range rows {
		if strings.EqualFold(row.Name, name) {
			return row, true, nil
		}
	}
	return Value{}, false, nil
}

// RegistryKey reads all values of a key; found is false when there is no such key.
func RegistryKey(ctx context.Context, r node.Reader, key string) (values []Value, found bool, err error) {
	rows, err := r.Query(ctx, node.Registry{Key: key})
	if errors.Is(err, node.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("cannot read registry key %s: %w", key, err)
	}
	for _, row := range rows {
		values = append(values, Value{Name: row.String("name"), Type: row.String("type"), Data: row["data"]})
	}
	return values, true, nil
}

// Exists says whether a file or directory is there.
func Exists(ctx context.Context, r node.Reader, path string) (bool, error) {
	_, err := r.Stat(ctx, path)
	if errors.Is(err, node.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot check %s: %w", path, err)
	}
	return true, nil
}

// Letter brings a drive letter to the form "E:". It returns "" for what is none.
func Letter(s string) string {
	s = strings.ToUpper(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(s), `\`), ":"))
	if len(s) != 1 || s[0] < 'A' || s[0] > 'Z' {
		return ""
	}
	return s + ":"
}

var letterProps = []string{"DeviceID", "DriveType", "FileSystem", "VolumeName"}

// LettersQuery asks for every drive letter of the machine, of disks, optical drives and connected
// shares, and for what is behind it.
func LettersQuery() node.Query {
	return node.WMI{Namespace: CIMv2, Class: "Win32_LogicalDisk", Props: letterProps}
}

// LettersCall declares LettersQuery.
func LettersCall(on []node.Release) node.Call {
	return node.Call{WMI: CIMv2 + ":Win32_LogicalDisk", Props: letterProps, On: on}
}

// Letters returns the drive letters in use, in the form of Letter.
func Letters(ctx context.Context, r node.Reader) (map[string]bool, error) {
	rows, err := r.Query(ctx, LettersQuery())
	if err != nil {
		return nil, fmt.Errorf("cannot list the drive letters: %w", err)
	}
	used := map[string]bool{}
	for _, row := range rows {
		if l := Letter(row.String("DeviceID")); l != "" {
			used[l] = true
		}
	}
	return used, nil
}

// ServiceQuery asks for one service.
func ServiceQuery(name string) node.Query {
	return node.WMI{Namespace: CIMv2, Class: "Win32_Service", Props: []string{"Name", "StartMode", "State"},
		Where: map[string]any{"Name": name}}
}

// ServiceCall declares ServiceQuery.
func ServiceCall(on []node.Release) node.Call {
	return node.Call{WMI: CIMv2 + ":Win32_Service", Props: []string{"Name", "StartMode", "State"}, On: on}
}

// Service is how a service stands. Start is Win32_Service.StartMode (Auto, Manual, Disabled, Boot,
// System), State its State (Running, Stopped, Start Pending ...); both are constants in every
// language.
type Service struct {
	Name  string
	Start string
	State string
}

// Services reads one service; found is false when there is none of that name.
func Services(ctx context.Context, r node.Reader, name string) (s Service, found bool, err error) {
	rows, err := r.Query(ctx, ServiceQuery(name))
	if errors.Is(err, node.ErrNotFound) || (err == nil && len(rows) == 0) {
		return Service{}, false, nil
	}
	if err != nil {
		return Service{}, false, fmt.Errorf("cannot read service %s: %w", name, err)
	}
	row := rows[0]
	return Service{Name: row.String("Name"), Start: row.String("StartMode"), State: row.String("State")}, true, nil
}

// From returns the Windows releases from oldest on.
func From(oldest node.Release) []node.Release {
	var out []node.Release
	for _, r := range node.WindowsReleases() {
		if r.AtLeast(oldest) {
			out = append(out, r)
		}
	}
	return out
}

// Between returns the Windows releases from oldest to newest, both included.
func Between(oldest, newest node.Release) []node.Release {
	var out []node.Release
	for _, r := range node.WindowsReleases() {
		if r.AtLeast(oldest) && newest.AtLeast(r) {
			out = append(out, r)
		}
	}
	return out
}
