package winenodes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// StateOptions say what of a node is looked at.
type StateOptions struct {
	Dirs    []string // on drive C:, with everything below them
	Keys    []string // of the registry, with everything below them
	Service string   // whose state is asked for; "" for none
}

// State is what a node is like, seen past everything that runs deploy: files from this side of the
// overlay, the registry by Wine's own reg.exe, a service by its sc.exe. A directory's name ends
// with a slash.
func (n *Node) State(ctx context.Context, o StateOptions) (map[string]string, error) {
	out := map[string]string{}
	written := filepath.Join(n.dir, "up", "drive_c")
	for _, dir := range o.Dirs {
		top := filepath.Join(written, dir)
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if d.IsDir() {
				if path != top { // that one may be there below the overlay
					out[path[len(written):]+"/"] = ""
				}
				return nil
			}
			b, err := os.ReadFile(path)
			out[path[len(written):]] = string(b)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, key := range o.Keys {
		group.Go(func() {
			text, err := n.Run(ctx, "reg.exe", "query", key, "/s")
			mu.Lock()
			defer mu.Unlock()
			out[key] = strings.TrimSpace(text) + fmt.Sprint(err != nil)
		})
	}
	group.Wait()
	if o.Service == "" || ctx.Err() != nil {
		return out, ctx.Err()
	}
	text, err := n.Run(ctx, "sc.exe", "query", o.Service)
	if err != nil {
		return nil, fmt.Errorf("cannot check the service %s of %s: %w: %s", o.Service, n.Name, err, text)
	}
	// the exit code of a service that never ran is another than that of one that was stopped
	for line := range strings.Lines(text) {
		if name, state, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "STATE" {
			out["service"] = strings.TrimSpace(state)
		}
	}
	return out, nil
}

// Cut ends every connection to the node's SSH server, at once and without a word, as a network that
// breaks does. What runs on the node goes on until it notices. New connections are served. That
// there is none to end is an error.
func (n *Node) Cut() error {
	var errs []error
	list, err := sessions(n.sshd.Process.Pid)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("%s has no connection to cut", n.Name)
	}
	for _, pid := range list {
		p, err := os.FindProcess(pid)
		if err == nil {
			err = p.Kill()
		}
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sessions are the processes of an OpenSSH server that hold its connections: its children and,
// where they have given up rights, the children of those. What they have started has another name.
func sessions(parent int) ([]int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it has ended
	}
	if err != nil {
		return nil, err
	}
	var out []int
	for _, word := range strings.Fields(string(b)) {
		var pid int
		if _, err := fmt.Sscan(word, &pid); err != nil {
			return nil, err
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil || !strings.HasPrefix(string(name), "sshd") {
			continue
		}
		below, err := sessions(pid)
		if err != nil {
			return nil, err
		}
		out = append(append(out, pid), below...)
	}
	return out, nil
}
