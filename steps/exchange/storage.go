package exchange

import (
	"context"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// storageGroup and database are what Exchange says of a server's storage.
type storageGroup struct{ Name, Logs, System string }

type database struct {
	Name, StorageGroup, File string
	Mounted                  bool
}

func storageCalls() []node.Call {
	return []node.Call{
		selecting(shellCall("Get-StorageGroup", "Server"), "Name", "LogFolderPath.PathName", "SystemFolderPath.PathName"),
		selecting(shellCall("Get-MailboxDatabase", "Server", "Status"), "Name", "StorageGroupName", "EdbFilePath.PathName",
			"Mounted"),
	}
}

func storageGroups(ctx context.Context, r node.Reader, as, server string) ([]storageGroup, error) {
	rows, err := ask(ctx, r, as, "Get-StorageGroup", map[string]any{"Server": server}, "Name", "LogFolderPath.PathName",
		"SystemFolderPath.PathName")
	var out []storageGroup
	for _, row := range rows {
		out = append(out, storageGroup{row.String("Name"), row.String("LogFolderPath.PathName"),
			row.String("SystemFolderPath.PathName")})
	}
	return out, err
}

func databases(ctx context.Context, r node.Reader, as, server string) ([]database, error) {
	rows, err := ask(ctx, r, as, "Get-MailboxDatabase", map[string]any{"Server": server, "Status": true}, "Name",
		"StorageGroupName", "EdbFilePath.PathName", "Mounted")
	var out []database
	for _, row := range rows {
		out = append(out, database{row.String("Name"), row.String("StorageGroupName"), row.String("EdbFilePath.PathName"),
			row.Bool("Mounted")})
	}
	return out, err
}

// oneGroup finds a storage group by name, or the only one: its name is in the language of the setup
// that made it.
func oneGroup(list []storageGroup, server, name string) (storageGroup, error) {
	if name == "" && len(list) == 1 {
		return list[0], nil
	}
	var names []string
	for _, g := range list {
		if strings.EqualFold(g.Name, name) {
			return g, nil
		}
		names = append(names, g.Name)
	}
	return storageGroup{}, hint.Wrap(fmt.Errorf("cannot tell which storage group of %s is meant by %q: %w", server, name,
		node.ErrNotFound),
		fmt.Sprintf("it has %q", names))
}

func oneDatabase(list []database, server, group, name string) (database, error) {
	var in []database
	var names []string
	for _, d := range list {
		if strings.EqualFold(d.StorageGroup, group) {
			in = append(in, d)
			names = append(names, d.Name)
		}
	}
	if name == "" && len(in) == 1 {
		return in[0], nil
	}
	for _, d := range in {
		if strings.EqualFold(d.Name, name) {
			return d, nil
		}
	}
	return database{}, hint.Wrap(fmt.Errorf("cannot tell which database of %s\\%s is meant by %q: %w", server, group, name,
		node.ErrNotFound),
		fmt.Sprintf("it has %q", names))
}

// samePath compares paths as Windows does.
func samePath(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, `\`), strings.TrimRight(b, `\`))
}

// letter returns the drive letter of a path in the form E:, or "".
func letter(path string) string {
	if len(path) < 2 || path[1] != ':' {
		return ""
	}
	return strings.ToUpper(path[:2])
}
