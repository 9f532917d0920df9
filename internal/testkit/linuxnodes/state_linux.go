package linuxnodes

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// State is what a node is like, fit to be compared with what it was or with what another is: one
// line per file, account, unit, mount, address and network setting. What differs between any two
// boots or machines (keys, ids, times, salts, process ids) is not in it.
type State map[string]string

// StateOptions say what to look at.
type StateOptions struct {
	Dirs []string // absolute; nil means /etc /home /opt /root /srv /usr/local /var/lib /var/spool
	// patterns (path.Match) of absolute names that are passed over with all that is below, beside what
	// is volatile anyway
	Ignore []string
}

// volatile are names whose content differs between machines or times that are alike in all that
// anybody wishes.
func volatile() []string {
	return []string{"/etc/ssh/ssh_host_*", "/etc/machine-id", "/etc/hostname", "/etc/.pwd.lock", "/etc/*-", "/etc/mtab",
		"/etc/ld.so.cache",
		"/var/lib/systemd/*", "/var/lib/private", "/var/lib/private/*", "/var/lib/dbus/*", "/var/lib/apt/*",
		"/var/lib/dpkg/*-old", "/var/lib/dpkg/lock*",
		"/var/lib/dpkg/triggers/*", "/var/lib/sudo/*", "/var/lib/ucf/*", "/var/lib/dpkg/info/*", "/var/lib/dpkg/status",
		"/var/lib/dpkg/updates/*"}
}

func ignored(name string, patterns []string) bool {
	for ; name != "/" && name != "."; name = path.Dir(name) { // what is below an ignored name is ignored as well
		for _, p := range patterns {
			if ok, err := path.Match(p, name); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// State looks at a node that is on.
func (n *Node) State(ctx context.Context, o StateOptions) (State, error) {
	if o.Dirs == nil {
		o.Dirs = []string{"/etc", "/home", "/opt", "/root", "/srv", "/usr/local", "/var/lib", "/var/spool"}
	}
	pid, err := n.pid()
	if err != nil {
		return nil, err
	}
	s := State{}
	for _, d := range o.Dirs {
		if err := s.files(fmt.Sprintf("/proc/%d/root", pid), d, append(volatile(), o.Ignore...)); err != nil {
			return nil, fmt.Errorf("cannot check %s on %s: %w", d, n.Name, err)
		}
	}
	for what, script := range map[string]string{
		"account": `cut -d: -f1,3-7 /etc/passwd; sed 's/^/group /' /etc/group`,
		// a password's salt and the day of its change do not count, but whether there is one does
		"shadow":  `awk -F: '{ print $1 ":" ($2 ~ /^[!*]/ ? $2 : substr($2, 1, 3)) ":" $5 ":" $8 }' /etc/shadow`,
		"package": `dpkg-query -W -f='${Package} ${Version} ${Status}\n'`,
		"mount":   `awk '{ print $5, $6 }' /proc/self/mountinfo | grep -v -E '^/(run/(user|credentials)|proc|sys|dev)'`,
		"address": `ip -o address show | awk '{ print $2, $3, $4 }' | grep -v inet6`,
		"route":   `ip route show`,
		"host":    `hostname`,
		// counters and what the kernel works out by itself are no settings
		"sysctl": `sysctl -a 2>/dev/null | grep '^net\.ipv[46]\.\(ip_\|tcp_\|udp_\|icmp_\|conf\.\(all\|default\|lo\|eth.\)\.\)\|^net\.core' | ` +
			`grep -v -E 'tcp_fastopen_key|stable_secret|tcp_mem|udp_mem|entropy|max_newid_cost'`,
	} {
		if err := n.lines(ctx, s, what, script); err != nil {
			return nil, err
		}
	}
	if n.Systemd {
		// what is enabled or masked for good are links below /etc; to ask systemd for all unit files
		// takes a second of the processor
		err = errors.Join(n.lines(ctx, s, "unit",
			`find /run/systemd/system -mindepth 1 \( -type f -o -type l \) -printf '%p %l\n'`),
			n.lines(ctx, s, "active", `systemctl list-units --type=service,timer,socket --state=active,failed --no-legend --no-pager --plain | awk '{ print $1, $3, $4 }' | `+
				`grep -v -E '^(run-|session-|user|systemd-(tmpfiles-clean|initctl))'`))
	}
	return s, err
}

func (n *Node) lines(ctx context.Context, s State, what, script string) error {
	out, err := n.Exec(ctx, "sh", "-c", script)
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		s[what+" "+strings.TrimSpace(line)] = "there"
	}
	return nil
}

// files adds what is in a directory of the node. It follows no link, so it never leaves the node's
// root.
func (s State) files(root, dir string, ignore []string) error {
	return filepath.WalkDir(root+dir, func(p string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(p, root)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went while we looked
		}
		if err != nil {
			return err
		}
		if ignored(name, ignore) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return errors.New("no owner is known")
		}
		line := fmt.Sprintf("%s %d:%d", info.Mode(), st.Uid, st.Gid)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line += " -> " + to
		case info.Mode().IsRegular() && !shadowed(name):
			sum, err := digest(p)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			line += " " + sum
		}
		s["file "+name] = line
		return nil
	})
}

// shadowed are files of which only a part counts; State asks for that part by itself.
func shadowed(name string) bool { return name == "/etc/shadow" || name == "/etc/gshadow" }

func digest(p string) (string, error) {
	f, err := os.Open(p)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12]), nil
}
