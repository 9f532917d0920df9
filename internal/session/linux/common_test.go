package linux

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/node"
)

// Real files: Debian 12, Rocky 9, openSUSE Tumbleweed shortened, Alpine 3.20, Arch (which has no
// VERSION_ID).
const (
	debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian " +
		"GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 " +
		"(bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\nHOME_URL=\"https://www.debian.org/\"\n"
	rocky = "NAME=\"Rocky Linux\"\nVERSION=\"9.4 (Blue Onyx)\"\nID=\"rocky\"\nID_LIKE=\"rhel centos " +
		"fedora\"\nVERSION_ID=\"9.4\"\nANSI_COLOR=\"0;32\"\n"
	alpine = "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.3\n\n# a comment\n"
	arch   = "NAME=\"Arch Linux\"\nID=arch\nBUILD_ID=rolling\n"
)

func TestRelease(t *testing.T) {
	for _, tc := range []struct{ text, id, version string }{
		{debian, "debian", "12"}, {rocky, "rocky", "9.4"}, {alpine, "alpine", "3.20.3"}, {arch, "arch", ""}, {"", "", ""},
		{"ID='a b'\nVERSION_ID=\"a\\\"b\\$c\\\\d\\`e\"", "a b", "a\"b$c\\d`e"},
		{"ID=\n  VERSION_ID=1\r\n", "", "1"},
	} {
		got, err := ParseRelease(tc.text)
		if err != nil || got["ID"] != tc.id || got["VERSION_ID"] != tc.version {
			t.Errorf("%q: %v %v", tc.text, got, err)
		}
	}
	for _, bad := range []string{"ID", "ID = x", "1D=x", "ID=a b", "ID=\"a", "ID='a", "ID=\"a\"b", "ID='a'b'",
		"ID=$(reboot)", "ID=\"$HOME\"", "ID=`id`", "ID=a;b", "<html>", "-=x"} {
		if got, err := ParseRelease(bad); err == nil {
			t.Errorf("%q was understood as %v", bad, got)
		}
	}
}

func TestFacts(t *testing.T) {
	raw := Raw{Release: debian, BootID: "b0-07\n", Init: "1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 " +
		"9 9\n", Machine: "aarch64\n", Computer: "mail1\n", Systemd: true}
	want := node.Facts{OS: "linux", Release: node.Linux, Version: "12", Distro: "debian", Arch: "arm64", Init: "systemd",
		Computer: "mail1", BootID: "b0-07-4711", Privileged: true}
	if got, err := raw.Facts(); err != nil || got != want {
		t.Errorf("%v %s", err, cmp.Diff(want, got))
	}
	again := raw
	again.Init = strings.Replace(raw.Init, "4711", "4712", 1)
	if got, err := again.Facts(); err != nil || got.BootID == want.BootID {
		t.Error("a restarted container is the same boot", err)
	}
	none := raw
	none.Release, none.UID, none.Systemd = "", 1000, false
	if got, err := none.Facts(); err != nil || got.Distro != "linux" || got.Privileged || got.Init != "" {
		t.Errorf("%+v %v", got, err)
	}
	for name, spoil := range map[string]func(r *Raw){
		"release": func(r *Raw) { r.Release = "what?" },
		"boot":    func(r *Raw) { r.BootID = " \n" },
		"init":    func(r *Raw) { r.Init = "1 (systemd) S 0" },
		"no init": func(r *Raw) { r.Init = "" },
		"name":    func(r *Raw) { r.Computer = "" },
	} {
		bad := raw
		spoil(&bad)
		if got, err := bad.Facts(); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestArch(t *testing.T) {
	for machine, want := range map[string]string{"x86_64": "amd64", "i686": "386", "aarch64": "arm64", "armv7l": "arm",
		"s390x": "s390x", "riscv64\n": "riscv64"} {
		if got := Arch(machine); got != want {
			t.Errorf("%s is %s", machine, got)
		}
	}
}

// TestJobNames: a name is a plain file and unit name, and no two ids share one.
func TestJobNames(t *testing.T) {
	seen := map[string]string{}
	for _, id := range []string{"a", "a-b.c_d9", "../a", "..", ".", "a/b", "a_b", "a b", "-a", "é", "",
		strings.Repeat("x", 100), strings.Repeat("x", 101), strings.Repeat("x", 102), "a\nb", "a@b", "$a", "%n"} {
		name := JobName(id)
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" ||
			strings.Trim(name, ".") == "" || name[0] == '-' || len(name) > 100 {
			t.Errorf("%q has the name %q", id, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %q have the name %q", id, other, name)
		}
		seen[name] = id
	}
	if JobName("exchange-setup.1") != "exchange-setup.1" {
		t.Error("a plain id has another name")
	}
}

func TestParseState(t *testing.T) {
	for text, want := range map[string]node.JobState{
		"running 0\n":           {Phase: node.JobRunning},
		"done 7\na\nb":          {Phase: node.JobDone, Code: 7, Output: "a\nb"},
		"lost 0\n\xff":          {Phase: node.JobLost, Output: "\xff"},
		"running 0\ndone 3\nxx": {Phase: node.JobRunning, Output: "done 3\nxx"},
	} {
		if got, err := ParseState([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "done 7", "done\n", "done x\n", "asleep 0\n"} {
		if got, err := ParseState([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, got)
		}
	}
}

// TestFailure: what a script says becomes a number, whatever program said it.
func TestFailure(t *testing.T) {
	for _, tc := range []struct {
		exit int
		text string
		code int64
		id   string
	}{
		{40, "no user x", ENOENT, IDNotFound}, {41, "", ENOTSUP, IDUnsupported}, {42, "x", EBUSY, IDBusy},
		{43, "x", EPERM, IDRefused}, {44, "x", EBADMSG, IDHash}, {45, "x", ENOTDIR, IDNotDirectory},
		{1, "stat: cannot statx '/x: Permission denied': No such file or directory\n", ENOENT, ""},
		{2, "/bin/sh: 1: cannot create /x/y: Directory nonexistent", ENOENT, ""},
		{1, "deploy: can't create /x/y: nonexistent directory", ENOENT, ""},
		{1, "warning: odd\ncat: write error: No space left on device", ENOSPC, ""},
		{1, "mv: cannot move 'a' to 'b': Read-only file system", EROFS, ""},
		{1, "rmdir: failed to remove '/x': Directory not empty", ENOTEMPTY, ""},
		{1, "what is this", EIO, ""}, {137, "", EIO, ""},
	} {
		if c := Failure("op", tc.exit, []byte(tc.text)); c.Code != tc.code || c.ID != tc.id || c.Op != "op" {
			t.Errorf("%d %q: %+v", tc.exit, tc.text, c)
		}
	}
}

// TestErrorTexts holds the texts against those of the C library's programs here.
func TestErrorTexts(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"f", "d/f"} {
		if strings.HasPrefix(f, "d/") {
			if err := os.Mkdir(dir+"/d", 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(dir+"/"+f, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for script, want := range map[string]int64{
		"stat none": ENOENT, "stat f/x": ENOTDIR, "cat d": EISDIR, "rmdir d": ENOTEMPTY, "mkdir d": EEXIST,
		"cat <none": ENOENT, ": >none/x": ENOENT, "ln -s l l; cat l": ELOOP,
		"echo x | cat >/dev/full": ENOSPC, "cat f d/f f | head -c 1; echo x | cat >/dev/full": ENOSPC,
		"stat $(printf %0300d 1)": ENAMETOOLONG, "echo x >/proc/version": EACCES,
		"chmod 600 none": ENOENT, "sha256sum <d": EISDIR,
	} {
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		var errs strings.Builder
		cmd.Stderr = &errs
		if err := cmd.Run(); err == nil {
			t.Errorf("%s does not fail", script)
		}
		got := errnoOf(strings.TrimSpace(errs.String()))
		if got != want && !(script == "echo x >/proc/version" && got == EIO) { // root may open it, and then cannot write
			t.Errorf("%s: %q is %d", script, errs.String(), got)
		}
	}
}

func TestJobScriptRefusesNull(t *testing.T) {
	for _, j := range []Job{{ID: "x", Argv: []string{"a\x00"}}, {ID: "x", Argv: []string{"a"}, Dir: "\x00"},
		{ID: "x", Argv: []string{"a"}, User: "\x00"}} {
		if _, err := j.Start(); err == nil {
			t.Errorf("%q", j)
		}
	}
	s, err := Job{State: "/s", ID: "x", Argv: []string{"a", "it's"}, Limit: 1500 * time.Millisecond}.Start()
	if err != nil || !strings.Contains(s.Args[6], `'it'\''s'`) || !strings.Contains(s.Args[6], "limit=2\n") {
		t.Errorf("%v %q", err, s.Args)
	}
}

// words has a real shell take apart what Quote or Line made.
func words(t *testing.T, quoted string) []string {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-c", `n='
'; set -- `+quoted+`; for w do printf '%s\000' "$w"; done`).Output()
	if err != nil {
		t.Fatalf("%q: %v", quoted, err)
	}
	list := strings.Split(string(out), "\x00")
	return list[:len(list)-1]
}

// FuzzQuote: a shell takes a list apart into what it was, on several lines and on one.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "a'b", "''", "'", `\`, "$n", `"$n"`, "\n", "a\n\n", "'\n'", "$(id)`id`", "!a",
		"é漢", "\x80\x81\x88\xff", "-n", "*", "~", "#", strings.Repeat("x'\n", 3000)} {
		f.Add(s, "last")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		list := []string{a, b, a + b}
		quoted, err := Quote(list)
		if strings.ContainsRune(a+b, 0) {
			if err == nil {
				t.Fatal("a null byte was quoted")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(quoted) > 100_000 {
			return // longer than one argument may be
		}
		if d := cmp.Diff(list, words(t, quoted)); d != "" {
			t.Error(d)
		}
		line, err := Line(list)
		if err != nil || strings.Contains(line, "\n") {
			t.Fatalf("%q %v", line, err)
		}
		if d := cmp.Diff(list, words(t, line)); d != "" {
			t.Error(d)
		}
	})
}

// TestScriptsParse: every shell that may be /bin/sh somewhere takes the scripts.
func TestScriptsParse(t *testing.T) {
	shells := 0
	for _, shell := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		path, err := exec.LookPath(shell[0])
		if errors.Is(err, exec.ErrNotFound) {
			continue
		}
		shells++
		for name, text := range map[string]string{"start": common + jobStart, "run": common + jobRun,
			"state": common + jobState + jobShow, "remove": common + jobState + jobRemove, "restart": common + restart} {
			if out, err := exec.Command(path, append(shell[1:], "-n", "-c", text)...).CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v %s", shell[0], name, err, out)
			}
		}
	}
	if shells == 0 {
		t.Error("no shell")
	}
}
