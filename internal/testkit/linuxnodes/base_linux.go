package linuxnodes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// buildTime bounds the building of the tree, the waiting for another process that builds it
// included.
const buildTime = 15 * time.Minute

// recipe is what the shared tree is made from. A change makes another tree, because the tree's name
// is its digest.
type recipe struct {
	codename string
	sources  []string // one-line apt sources
	aptOpts  []string
}

// included are the packages of the tree, beside the minimal Debian.
func included() []string {
	return []string{"systemd", "systemd-sysv", "dbus", "iproute2", "iputils-ping", "procps", "openssh-server", "sudo",
		"python3", "e2fsprogs",
		"ca-certificates", "kmod", "less", "cron", "passwd", "curl", "wget"}
}

// offered are packages that are not installed but lie in a repository on each node, so that a node
// without a way out can install them.
func offered() []string { return []string{"tree", "bc", "lsof"} }

// finish runs in the tree when its packages are there ($1 is its root). What it masks makes no
// sense in a namespace: devices, terminals, timers that would write in the middle of a test.
const finish = `set -eu
mkdir -p "$1/srv/packages"
chroot "$1" sh -c "cd /srv/packages && apt-get download -q -o APT::Sandbox::User=root $OFFERED"
cd "$1/srv/packages"
for f in *.deb; do
	dpkg-deb -f "$f"
	echo "Filename: ./$f"
	echo "Size: $(stat -c %s "$f")"
	echo "SHA256: $(sha256sum "$f" | cut -d' ' -f1)"
	echo
done > Packages
rm -rf "$1"/etc/apt/sources.list.d/* "$1"/var/lib/apt/lists/*
echo 'deb [trusted=yes] file:/srv/packages ./' > "$1/etc/apt/sources.list"
chroot "$1" apt-get update -q -o APT::Sandbox::User=root
for u in systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket getty.target console-getty.service apt-daily.timer \
	apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer man-db.timer systemd-timesyncd.service \
	systemd-modules-load.service; do
	ln -sf /dev/null "$1/etc/systemd/system/$u"
done
mkdir -p "$1/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n' > "$1/etc/systemd/journald.conf.d/lab.conf"
rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/machine-id" "$1/etc/hostname" "$1/etc/resolv.conf"
chroot "$1" useradd -m -s /bin/bash -p '*' admin
chroot "$1" groupadd -g 1001 operators
chroot "$1" useradd -m -s /bin/bash -g operators operator
echo "operator:$OPERATOR_PASSWORD" | chroot "$1" chpasswd
printf 'admin ALL=(ALL:ALL) NOPASSWD: ALL\noperator ALL=(ALL:ALL) ALL\n' > "$1/etc/sudoers.d/lab"
chmod 440 "$1/etc/sudoers.d/lab"
cat > "$1/etc/ssh/sshd_config" <<'C'
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PidFile none
PrintMotd no
Subsystem sftp internal-sftp
C
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' > "$1/etc/resolv.conf"
`

// machineRecipe asks this machine's apt where its packages come from.
func machineRecipe(ctx context.Context) (recipe, error) {
	var r recipe
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return r, err
	}
	for line := range strings.Lines(string(release)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			r.codename = strings.Trim(v, `"`)
		}
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format",
		"$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)", "Created-By: Packages").Output()
	if err != nil {
		return r, fmt.Errorf("cannot ask apt for its sources: %w", err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 || (f[1] != r.codename && !strings.HasPrefix(f[1], r.codename+"-")) {
			continue
		}
		// others' repositories may use the same release name; an origin that is not known yet stands
		// there as "$(ORIGIN)"
		if f[3] != "Debian" && f[3] != "Ubuntu" && !strings.HasPrefix(f[3], "$") {
			continue
		}
		if f[2] != "main" && f[2] != "universe" {
			continue
		}
		if s := strings.Join([]string{"deb", f[0], f[1], f[2]}, " "); !seen[s] {
			seen[s] = true
			r.sources = append(r.sources, s)
		}
	}
	if len(r.sources) == 0 {
		return r, fmt.Errorf("apt has no source for %q", r.codename)
	}
	if out, err = exec.CommandContext(ctx, "apt-config", "dump", "Acquire").Output(); err == nil {
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "Acquire::http::Proxy ") || strings.HasPrefix(line, "Acquire::https::Proxy ") {
				r.aptOpts = append(r.aptOpts, strings.TrimSpace(line))
			}
		}
	}
	return r, nil
}

func (r recipe) digest() string {
	h := sha256.New()
	fmt.Fprint(h, r.codename, r.sources, included(), offered(), finish)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// baseTree returns the root of the shared tree, and builds it in cache when it is not there yet.
func baseTree(ctx context.Context, cache string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	r, err := machineRecipe(ctx)
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, r.digest())
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock := flock.New(filepath.Join(cache, r.digest()+".lock"))
	if ok, err := lock.TryLockContext(ctx, 200*time.Millisecond); !ok {
		return "", fmt.Errorf("cannot lock the tree: %w", err)
	}
	defer func() { _ = lock.Unlock() }()
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	// the lock is ours: whatever stands under the temporary name is of a process that was killed
	temp := final + ".new"
	if err := os.RemoveAll(temp); err != nil {
		return "", err
	}
	args := []string{"--quiet", "--mode=root", "--variant=minbase", "--format=directory",
		"--include=" + strings.Join(included(), ","),
		"--skip=cleanup/apt/lists", "--customize-hook=" + finish}
	for _, o := range r.aptOpts {
		args = append(args, "--aptopt="+o)
	}
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(append(args, r.codename, temp), r.sources...)...)
	cmd.Env = append(os.Environ(), "OFFERED="+strings.Join(offered(), " "), "OPERATOR_PASSWORD="+OperatorPassword,
		"LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("cannot build the nodes' tree: %w\n%s", err, lastOf(log.String()))
	}
	return final, os.Rename(temp, final)
}

func lastOf(s string) string {
	const most = 3000
	if len(s) > most {
		return "..." + s[len(s)-most:]
	}
	return s
}
