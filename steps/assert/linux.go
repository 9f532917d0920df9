package assert

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
	"deploy/steps/linux"
)

func onLinux(f node.Facts) bool { return f.OS == "linux" }

// refuse names the first thing of a probe that the node's system does not have.
func (s *Probe) refuse(f node.Facts) error {
	for _, x := range []struct {
		key   string
		named bool
		linux bool
	}{
		{"min_service_pack", s.ServicePack > 0, false}, {"features", len(s.Features) > 0, false},
		{"registry", s.Registry != nil, false},
		{"free_letter", s.FreeLetter != "", false}, {"min_adapters", s.Adapters > 0, false},
		{"plain_adapters", len(s.Plain) > 0, false}, {"disks", len(s.Disks) > 0, false},
		{"distros", len(s.Distros) > 0, true}, {"listens", s.Listens > 0, true},
	} {
		if x.named && f.OS != "" && x.linux != onLinux(f) {
			return hint.Wrap(fmt.Errorf("cannot probe %s on a %s node", x.key, f.OS),
				"the reference of the kind probe says which key is for which system; narrow the step's on:")
		}
	}
	return nil
}

// unit is the service assertion on systemd.
func (s *Probe) unit(ctx context.Context, r node.Reader) (*steps.Change, error) {
	u, found, err := inspect.Units(ctx, r, s.Service.Name)
	if err != nil {
		return nil, err
	}
	attr := "service " + s.Service.Name
	if found == s.Service.Absent {
		return broken(attr, inspect.There(found), inspect.There(!found))
	}
	if !found {
		return nil, nil
	}
	if s.Service.State == "running" && !u.Running() || s.Service.State == "stopped" && !u.Stopped() {
		return broken(attr, u.Active, s.Service.State)
	}
	if s.Service.Start != "" && u.Start() != s.Service.Start {
		return broken(attr+" start", u.Start(), s.Service.Start)
	}
	return nil, nil
}

// listening is the state of a TCP socket that waits for connections. Source: proc(5),
// /proc/net/tcp; include/net/tcp_states.h.
const listening = "0A"

// listens looks for a TCP socket in both families' tables.
func (s *Probe) listens(ctx context.Context, r node.Reader) (*steps.Change, error) {
	tables := 0
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, found, err := linux.Read(ctx, r, table)
		if err != nil {
			return nil, err
		}
		if !found {
			continue // a kernel without IPv6 has one table
		}
		tables++
		for _, line := range linux.Lines(text) {
			f := strings.Fields(line)
			if len(f) < 4 || f[3] != listening {
				continue
			}
			if port, err := strconv.ParseUint(f[1][strings.LastIndexByte(f[1], ':')+1:], 16, 16); err == nil &&
				int(port) == s.Listens {
				return nil, nil
			}
		}
	}
	if tables == 0 {
		return nil, fmt.Errorf("cannot tell what listens: /proc/net/tcp is not there")
	}
	return broken("TCP port "+strconv.Itoa(s.Listens), "nobody listens", "open")
}

func (s *Probe) distro(_ context.Context, r node.Reader) (*steps.Change, error) {
	if have := r.Facts().Distro; !slices.Contains(s.Distros, have) {
		return broken("distribution", have, strings.Join(s.Distros, " or "))
	}
	return nil, nil
}
