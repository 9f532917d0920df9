package linuxnodes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Group makes a control group (version 2, without controllers) for programs of the controller's
// place, and returns its directory as this process reaches it. What it is for: a program that is
// started into it cannot leave a child behind unseen, and cpu.stat there counts them all. The name
// must not be that of a node.
func (l *Lab) Group(name string) (string, error) {
	dir := filepath.Join(l.outside, "cgroup", l.id, name)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("cannot make the control group %s: %w", name, err)
	}
	return dir, nil
}

// Group is the directory of the control group that all processes of the node are in, as this
// process reaches it.
func (n *Node) Group() string { return n.group() }
