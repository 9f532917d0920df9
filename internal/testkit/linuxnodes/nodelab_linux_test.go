package linuxnodes

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Child()
	goleak.VerifyTestMain(m)
}

// eventually waits for a condition that another process brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (n *Node) sh(t *testing.T, script string) string {
	t.Helper()
	out, err := n.Exec(t.Context(), "sh", "-c", script)
	must(t, err)
	return strings.TrimSpace(out)
}

func TestTierNodesLife(t *testing.T) {
	Tier(t, "nodes")
	l := New(t, Options{Systemd: 1, Plain: 1, DiskMB: 64})
	must(t, l.Wait(t.Context()))
	for _, n := range l.Nodes() {
		kind := map[bool]string{true: "systemd", false: "sshd"}[n.Systemd]
		t.Run(kind, func(t *testing.T) {
			if got := n.sh(t, "cat /proc/1/comm"); got != kind {
				t.Errorf("process 1 is %q", got)
			}
			got := n.sh(t, "hostname; ip -br -4 address show dev eth1 | awk '{print $3}'; "+
				"cat /sys/class/net/eth0/address")
			if got !=
				n.Name+"\n"+n.Interconnect+"/16\n"+map[bool]string{true: "02:77:00:00:00:00",
					false: "02:77:00:00:00:01"}[n.Systemd] {
				t.Errorf("the node says of itself: %q", got)
			}
			t.Run("disk stays over a power cut", func(t *testing.T) {
				n.sh(t, "echo kept > /root/mark; echo lost > /run/mark")
				must(t, n.PowerOff())
				if err := n.greeting(t.Context()); err == nil {
					t.Error("it answers without power")
				}
				must(t, n.PowerOn())
				must(t, n.Wait(t.Context()))
				if got := n.sh(t, "cat /root/mark; ls /run/mark 2>/dev/null || true"); got != "kept" {
					t.Errorf("after the power cut: %q", got)
				}
			})
			t.Run("full disk", func(t *testing.T) {
				must(t, n.FillDisk())
				if out := n.sh(t, "dd if=/dev/zero of=/root/big bs=64k count=1 2>&1 || true"); !strings.Contains(out,
					"No space left") {
					t.Errorf("a full disk said: %s", out)
				}
				must(t, n.FreeDisk())
				n.sh(t, "dd if=/dev/zero of=/root/big bs=64k count=1 2>&1; rm /root/big")
			})
			t.Run("read-only root", func(t *testing.T) {
				must(t, n.ReadOnlyRoot(t.Context(), true))
				if out := n.sh(t, "touch /root/x 2>&1 || true"); !strings.Contains(out, "Read-only file system") {
					t.Errorf("a read-only root said: %s", out)
				}
				must(t, n.ReadOnlyRoot(t.Context(), false))
				n.sh(t, "touch /root/x; rm /root/x")
			})
			t.Run("link", func(t *testing.T) {
				must(t, n.LinkDown())
				if err := n.greeting(t.Context()); err == nil {
					t.Error("it answers through a cut cable")
				}
				must(t, n.LinkUp())
				must(t, n.WaitSSH(t.Context()))
			})
			t.Run("frozen", func(t *testing.T) {
				must(t, n.Freeze())
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				if err := n.greeting(ctx); err == nil {
					t.Error("it greets while it is frozen")
				}
				must(t, n.Thaw())
				must(t, n.WaitSSH(t.Context()))
				must(t, n.Freeze())
				must(t, n.PowerOff()) // frozen or not
				must(t, n.PowerOn())
				must(t, n.Wait(t.Context()))
			})
			t.Run("slow link", func(t *testing.T) {
				must(t, n.Delay(40*time.Millisecond, 0, 0))
				must(t, n.WaitSSH(t.Context())) // the first frames also pay for ARP
				start := time.Now()
				must(t, n.greeting(t.Context()))
				if d := time.Since(start); d < 160*time.Millisecond { // two round trips: connect, greeting
					t.Errorf("two round trips of 80 ms took %s", d)
				}
				n.Undelay()
				must(t, n.WaitSSH(t.Context()))
			})
			t.Run("packages", func(t *testing.T) {
				n.sh(t, "DEBIAN_FRONTEND=noninteractive apt-get install -y -q tree && tree --version")
			})
			t.Run("state", func(t *testing.T) {
				must(t, n.Reset())
				must(t, n.Wait(t.Context()))
				before, err := n.State(t.Context(), StateOptions{})
				must(t, err)
				n.sh(t, "echo x > /etc/new; chmod 600 /etc/hosts; useradd eve; echo 7 > "+
					"/proc/sys/net/ipv4/conf/all/mc_forwarding 2>/dev/null; echo 1 > /proc/sys/net/ipv4/ip_forward; ln -s x /srv/link")
				changed, err := n.State(t.Context(), StateOptions{Ignore: []string{"/etc/hosts"}})
				must(t, err)
				for _, k := range []string{"file /etc/new", "file /srv/link", "account eve:1002:1002::/home/eve:/bin/sh",
					"sysctl net.ipv4.ip_forward = 1"} {
					if before[k] != "" || changed[k] == "" {
						t.Errorf("%s: %q, then %q", k, before[k], changed[k])
					}
				}
				if changed["file /etc/hosts"] != "" {
					t.Error("what is to be ignored was looked at")
				}
				must(t, n.Reset())
				must(t, n.Wait(t.Context()))
				again, err := n.State(t.Context(), StateOptions{})
				must(t, err)
				if d := cmp.Diff(before, again); d != "" {
					t.Errorf("two fresh nodes differ: %s", d)
				}
			})
		})
	}
	t.Run("reboot and shutdown from inside", func(t *testing.T) {
		n := l.Node(0)
		boots := n.Boots()
		n.sh(t, "echo kept > /root/mark; systemctl reboot")
		eventually(t, "the reboot", func() bool { return n.Boots() == boots+1 })
		must(t, n.Wait(t.Context()))
		if got := n.sh(t, "cat /root/mark"); got != "kept" {
			t.Errorf("after the reboot: %q", got)
		}
		n.sh(t, "systemctl poweroff")
		eventually(t, "the end", func() bool { return !n.On() })
		must(t, n.PowerOn())
		must(t, n.Wait(t.Context()))
	})
	t.Run("nothing leads out", func(t *testing.T) {
		out, _ := l.Node(0).Exec(t.Context(), "sh", "-c", "ip route get 192.0.2.1; ping -c1 -W1 192.0.2.1")
		if !strings.Contains(out, "100% packet loss") {
			t.Errorf("a node reaches what it must not: %s", out)
		}
		cmd := exec.Command("ip", "-br", "link")
		var b strings.Builder
		cmd.Stdout = &b
		must(t, l.Start(cmd))
		must(t, cmd.Wait())
		if strings.Count(b.String(), "\n") != 3+2*2 {
			t.Errorf("the lab's own networks are\n%s", b.String())
		}
	})
}

// A lab whose process is killed leaves no process, no mount and no network; the next lab sweeps the
// rest.
func TestTierNodesKilledLab(t *testing.T) {
	Tier(t, "nodes")
	const inner = "DEPLOY_NODELAB_INNER"
	if os.Getenv(inner) != "" {
		l := New(t, Options{Plain: 2})
		must(t, l.Wait(t.Context()))
		must(t, os.WriteFile(os.Getenv(inner), []byte(l.id), 0o600))
		time.Sleep(5 * time.Minute)
		return
	}
	mark := filepath.Join(t.TempDir(), "mark")
	cmd := exec.Command(os.Args[0], "-test.run", "^TestTierNodesKilledLab$")
	cmd.Env = append(os.Environ(), inner+"="+mark)
	must(t, cmd.Start())
	var id string
	eventually(t, "the inner lab", func() bool {
		b, _ := os.ReadFile(mark)
		id = string(b)
		return id != ""
	})
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	eventually(t, "the end of the dead lab's processes", func() bool {
		files, err := filepath.Glob("/proc/[0-9]*/mountinfo")
		must(t, err)
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), id) {
				return false
			}
		}
		return true
	})
	if _, err := os.Stat(filepath.Join(os.TempDir(), id)); err != nil {
		t.Fatalf("the killed lab should have left its empty directory: %v", err)
	}
	sweep()
	if _, err := os.Stat(filepath.Join(os.TempDir(), id)); !os.IsNotExist(err) {
		t.Errorf("it is not swept: %v", err)
	}
}
