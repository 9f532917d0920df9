package machine

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"deploy/internal/lab/model"
	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
)

func state(t *testing.T, c *Ctx, id string) (phase string, code int64, output string) {
	t.Helper()
	r := serve(t, c, "job.state", map[string]any{"id": id})[0]
	return r["phase"].(string), r["code"].(int64), string(r["output"].([]byte))
}

func TestJobs(t *testing.T) {
	l := newLab(t, node.WS2008, "en")
	c := l.node1()
	hop := false
	l.b.Tools["probe.exe"] = func(c *Ctx, argv []string, _ []byte) Result {
		hop = c.SecondHop()
		c.Print("half\r\n")
		c.Sleep(time.Minute)
		return Result{Code: 7, Stdout: c.User + "\r\n"}
	}
	run := l.background(c)
	refusal(t, c, "job.start", map[string]any{"id": "../x", "argv": []any{"probe.exe"}}, "deploy.BadName", 87)
	refusal(t, c, "job.start", map[string]any{"id": "a", "argv": []any{"probe.exe"}, "user": `CONTOSO\deploy`,
		"password": "wrong"}, "", 0x8007052E)
	args := map[string]any{"id": "a", "argv": []any{"probe.exe"}, "user": `CONTOSO\deploy`, "password": "right"}
	serve(t, c, "job.start", args)
	serve(t, c, "job.start", args) // a known id does nothing
	if phase, _, _ := state(t, c, "a"); phase != "running" {
		t.Errorf("phase %s", phase)
	}
	refusal(t, c, "job.remove", map[string]any{"id": "a"}, "deploy.Busy", 170)
	run()
	if phase, code, out := state(t, c, "a"); phase != "done" || code != 7 || out != "half\r\nCONTOSO\\deploy\r\n" || !hop {
		t.Errorf("job %s %d %q, second hop %t", phase, code, out, hop)
	}
	serve(t, c, "job.remove", map[string]any{"id": "a"})
	refusal(t, c, "job.state", map[string]any{"id": "a"}, protocol.IDNotFound, 2)

	serve(t, c, "job.start", map[string]any{"id": "gone", "argv": []any{"nothing.exe"}})
	serve(t, c, "job.start", map[string]any{"id": "slow", "argv": []any{"probe.exe"}, "limit": int64(30)})
	run()
	if phase, code, _ := state(t, c, "gone"); phase != "done" || code != 2 {
		t.Errorf("a program that is not there: %s %d", phase, code)
	}
	if phase, code, _ := state(t, c, "slow"); phase != "done" || code != 1460 {
		t.Errorf("a job over its limit: %s %d", phase, code)
	}
}

// A restart ends whatever runs; what was under way changes nothing more.
func TestRestart(t *testing.T) {
	l := newLab(t, node.WS2008, "fr")
	c := l.node1()
	var hooks []string
	l.b.OnDown = append(l.b.OnDown, func(c *Ctx) { hooks = append(hooks, "down") })
	l.b.OnBoot = append(l.b.OnBoot, func(c *Ctx) { hooks = append(hooks, "boot") })
	finished := false
	l.b.Tools["long.exe"] = func(c *Ctx, _ []string, _ []byte) Result {
		Restart(c)
		c.Sleep(time.Second)
		finished = true
		return Result{}
	}
	Service(c, "Spooler").Start = 4
	if code := StartService(c, "BITS"); code != 0 {
		t.Fatalf("BITS: %d", code)
	}
	StopService(c, "W32Time", true)
	PendReboot(c, "x", "cbs")
	PendReboot(c, "y", "rename")
	if DeleteService(c, "RemoteRegistry") != 0 || Service(c, "RemoteRegistry") == nil {
		t.Error("a running service is deleted at once")
	}
	run := l.background(c)
	before := serve(t, c, "facts", nil)[0]["boot_id"]
	serve(t, c, "job.start", map[string]any{"id": "j", "argv": []any{"long.exe"}})
	run()
	if finished || strings.Join(hooks, " ") != "down boot" {
		t.Errorf("finished %t, hooks %v", finished, hooks)
	}
	if phase, _, _ := state(t, c, "j"); phase != "lost" {
		t.Errorf("the job that was running is %s", phase)
	}
	if serve(t, c, "facts", nil)[0]["boot_id"] == before || c.M.Boots != 2 {
		t.Error("the boot did not count")
	}
	if RegKey(c, cbsPending) != nil || RegValue(c, sessionManager, "PendingFileRenameOperations") != nil ||
		len(c.M.Pending) != 0 {
		t.Error("a restart is still due")
	}
	for name, want := range map[string]int{"Spooler": 1, "BITS": 1, "W32Time": 4, "Dnscache": 4} {
		if got := Service(c, name).State; got != want {
			t.Errorf("%s is in state %d, want %d", name, got, want)
		}
	}
	if Service(c, "RemoteRegistry") != nil {
		t.Error("a deleted service survived the restart")
	}
}

func TestRestartVerbAndTools(t *testing.T) {
	for _, how := range []func(c *Ctx){
		func(c *Ctx) { serve(t, c, "restart", map[string]any{"reason": "x"}) },
		func(c *Ctx) { line(t, c, "shutdown /r /t 0 /f", 0) },
		func(c *Ctx) {
			serve(t, c, "wmi.call", call("Win32_OperatingSystem", "Win32Shutdown", map[string]any{"Primary": true},
				map[string]any{"Flags": int64(6)}))
		},
		func(c *Ctx) {
			serve(t, c, "wmi.call", call("Win32_OperatingSystem", "Reboot", map[string]any{"Primary": true}, nil))
		},
	} {
		l := newLab(t, node.WS2016, "en")
		c := l.node1()
		run := l.background(c)
		how(c)
		if c.M.Boots != 1 || !c.M.Powered {
			t.Error("the answer came after the restart")
		}
		run()
		if c.M.Boots != 2 || !c.M.Powered {
			t.Errorf("boots %d, powered %t", c.M.Boots, c.M.Powered)
		}
	}
}

// Without a front, work that outlives its request runs on a goroutine and takes the world's lock
// itself.
func TestSpawnWithoutFront(t *testing.T) {
	l := newLab(t, node.WS2008, "en")
	c := l.node1()
	l.w.Lock()
	serve(t, c, "job.start", map[string]any{"id": "j", "argv": []any{"hostname.exe"}})
	l.w.Unlock()
	for range 1000 {
		l.w.Lock()
		phase, code, out := state(t, c, "j")
		l.w.Unlock()
		if phase == "done" {
			if code != 0 || out != "mbx01-node1\r\n" {
				t.Errorf("job left %d %q", code, out)
			}
			return
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
	t.Error("the job did not end")
}

func TestLoseJobs(t *testing.T) {
	l := newLab(t, node.WS2008, "en")
	c := l.node1()
	l.background(c)
	serve(t, c, "job.start", map[string]any{"id": "j", "argv": []any{"hostname.exe"}})
	LoseJobs(l.w)
	if phase, _, _ := state(t, c, "j"); phase != "lost" {
		t.Errorf("phase %s", phase)
	}
}

func TestFaults(t *testing.T) {
	l := newLab(t, node.WS2008, "en")
	c := l.node1()
	l.w.Faults = []*model.Fault{
		{Kind: "reboot-pending", Machine: "mbx01-node1", Times: 1},
		{Kind: "disk-missing", Machine: "mbx01-node1", Args: map[string]string{"serial": "E1"}, Times: -1},
		{Kind: "disk-full", Args: map[string]string{"path": `C:\Windows`}, Times: 1},
		{Kind: "second-hop-refused", Machine: "dc01", Times: 1},
	}
	serve(t, c, "facts", nil)
	if RegKey(c, cbsPending) == nil {
		t.Error("no restart is due")
	}
	if n := len(Disks(c)); n != 2 {
		t.Errorf("%d disks are seen", n)
	}
	if n := len(Disks(l.on("mbx01-node2"))); n != 3 {
		t.Errorf("the other machine sees %d disks", n)
	}
	refusal(t, c, "file.put", map[string]any{"path": `C:\Windows\a`, "offset": int64(0), "data": []byte("x")}, "",
		0x80070070)
	serve(t, c, "file.put", map[string]any{"path": `C:\Windows\a`, "offset": int64(0), "data": []byte("x")})
	d := l.on("dc01")
	d.Network = false
	if d.SecondHop() || !d.SecondHop() {
		t.Error("the second hop is to be refused once")
	}
	if c.Network = true; c.SecondHop() {
		t.Error("a network logon has a second hop")
	}
	pending := newLab(t, node.WS2003, "en").node1()
	PendReboot(pending, "x", "cbs")
	if RegKey(pending, cbsPending) != nil || RegKey(pending, wuPending) == nil {
		t.Error("2003 has no Component Based Servicing")
	}
}
