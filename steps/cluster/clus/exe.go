package clus

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"deploy/internal/node"
)

// exeHand works with cluster.exe, whose exit code is the Win32 number. Source: "Cluster" command of
// Windows Server 2003 and 2008; its exit code is used so by Microsoft's own scripts.
type exeHand struct{}

// wait is how long cluster.exe itself waits for a state, in seconds. Without a number it would wait
// for ever.
const wait = "/wait:60"

func (exeHand) Via(Op) string { return "cluster.exe" }

func (exeHand) Do(ctx context.Context, n node.Node, c Change) error {
	for _, argv := range exeArgs(c) {
		argv = append([]string{"cluster.exe"}, argv...)
		res, err := n.Run(ctx, node.Cmd{Argv: argv})
		if err != nil {
			return fmt.Errorf("cannot %s %q on %s: %w", c.Op, c.Name, n.Facts().Computer, err)
		}
		if res.Code != 0 && !stored(c.Op, int64(res.Code)) {
			return fmt.Errorf("cannot %s %q on %s: %w", c.Op, c.Name, n.Facts().Computer,
				&node.CodeError{Op: strings.Join(argv, " "), Code: int64(res.Code),
					Text: lastLine(string(res.Stdout) + "\n" + string(res.Stderr))})
		}
	}
	return nil
}

func exeArgs(c Change) [][]string {
	one := func(args ...string) [][]string { return [][]string{args} }
	switch c.Op {
	case RenameNetwork:
		return one("network", c.Name, "/rename:"+c.To)
	case SetNetworkRole:
		return one("network", c.Name, "/prop", "Role="+strconv.FormatInt(c.Number, 10)+":DWORD")
	case SetProperties:
		return one(append(propertyTarget(c.Of), propertyArgs(c.Values)...)...)
	case CreateGroup:
		return one("group", c.Name, "/create")
	case DeleteGroup:
		return one("group", c.Name, "/delete")
	case MoveGroup:
		return one("group", c.Name, "/moveto:"+c.To, wait)
	case GroupUp:
		return one("group", c.Name, "/online", wait)
	case CreateResource:
		return one("resource", c.Name, "/create", "/group:"+c.To, "/type:"+c.Type)
	case DeleteResource:
		return one("resource", c.Name, "/delete")
	case RenameResource:
		return one("resource", c.Name, "/rename:"+c.To)
	case MoveResource:
		return one("resource", c.Name, "/moveto:"+c.To)
	case ResourceUp:
		return one("resource", c.Name, "/online", wait)
	case ResourceDown:
		return one("resource", c.Name, "/offline", wait)
	case AddDependency:
		return one("resource", c.Name, "/adddep:"+c.To)
	case DropDependency:
		return one("resource", c.Name, "/removedep:"+c.To)
	case AddOwner:
		return one("resource", c.Name, "/addowner:"+c.To)
	case DropOwner:
		return one("resource", c.Name, "/removeowner:"+c.To)
	case PreferOwners:
		return one("group", c.Name, "/setowners:"+strings.Join(c.List, ","))
	}
	return nil
}

func propertyTarget(of Object) []string {
	option := "/prop"
	if of.Private {
		option = "/priv"
	}
	switch {
	case of.Resource != "":
		return []string{"resource", of.Resource, option}
	case of.Group != "":
		return []string{"group", of.Group, option}
	}
	return []string{option}
}

// propertyArgs writes name=value:format, in the order of the names. DWORD is unsigned.
func propertyArgs(values map[string]any) []string {
	names := make([]string, 0, len(values))
	for n := range values {
		names = append(names, n)
	}
	sort.Strings(names)
	var out []string
	for _, n := range names {
		switch v := values[n].(type) {
		case int64:
			out = append(out, fmt.Sprintf("%s=%d:DWORD", n, uint32(v)))
		default:
			out = append(out, fmt.Sprintf("%s=%v:STRING", n, v))
		}
	}
	return out
}
