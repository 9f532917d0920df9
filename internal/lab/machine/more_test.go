package machine

import (
	"strings"
	"testing"

	"deploy/internal/node"
)

// cmd.exe started by a program: one argument behind /c is a whole line, several are words.
func TestCmdAsProgram(t *testing.T) {
	c := newLab(t, node.WS2008, "en").node1()
	for _, x := range []struct {
		argv []string
		code int
		out  string
	}{
		{[]string{"cmd.exe", "/c", "echo a && echo b"}, 0, "a\r\nb\r\n"},
		{[]string{"cmd", "/c", "mkdir", `C:\with blank\sub`}, 0, ""},
		{[]string{"cmd", "/s", "/c", `"type "C:\with blank\none.txt""`}, 1, c.Text(errFileNotFound) + "\r\n"},
		{[]string{"cmd", "/c", "exit", "3"}, 3, ""},
		{[]string{"cmd", "/c", "if", "exist", `C:\with blank\`, "echo", "there"}, 0, "there\r\n"},
		{[]string{"cmd", "/c", "if nonsense"}, 255, ""},
		{[]string{"cmd", "/c", "for %i in (1) do echo %i"}, 1, ""},
	} {
		if r := Exec(c, x.argv, nil); r.Code != x.code || x.out != "" && r.Stdout+r.Stderr != x.out {
			t.Errorf("%q left %d %q", x.argv, r.Code, r.Stdout+r.Stderr)
		}
	}
	if r := CommandLine(c, strings.Repeat("cmd /c ", 40)+"echo deep", nil); r.Code == 0 {
		t.Error("shells nest without end")
	}
}

func TestShares(t *testing.T) {
	l := newLab(t, node.WS2008, "de")
	dc, c := l.on("dc01"), l.node1()
	line(t, dc, `net share w=C:\none`, 2)
	line(t, dc, `mkdir C:\w & net share w=C:\w`, 0)
	has(t, line(t, dc, `net share w=C:\w`, 2), "2118")
	has(t, line(t, dc, `net share`, 0), `C:\w`)
	c.Network = false
	if err := WriteFile(c, `\\dc01\W\f.txt`, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadFile(dc, `C:\w\f.txt`); err != nil || string(b) != "x" {
		t.Errorf("on the server: %q %v", b, err)
	}
	line(t, dc, `net share w /delete`, 0)
	has(t, line(t, dc, `net share w`, 2), "2310")
	if _, err := ReadFile(c, `\\dc01\w\f.txt`); c.AsFail(err).Code != 0x80070043 {
		t.Errorf("a share that is gone: %v", err)
	}
	dc.M.Powered = false
	if _, err := ReadFile(c, `\\dc01\c$\x`); c.AsFail(err).Code != 0x80070035 {
		t.Errorf("a machine that is off: %v", err)
	}
}

func TestIcaclsListsAccountsInTheMachinesLanguage(t *testing.T) {
	for locale, name := range map[string]string{"en": `BUILTIN\Administrators`, "fr": `BUILTIN\Administrateurs`,
		"de": `VORDEFINIERT\Administratoren`, "ja": `BUILTIN\Administrators`} {
		c := newLab(t, node.WS2008, locale).node1()
		line(t, c, `mkdir C:\d`, 0)
		has(t, line(t, c, `icacls C:\d`, 0), name+":(I)(OI)(CI)(F)")
		line(t, c, `icacls C:\d /grant:r *S-1-1-0:(OI)(CI)M /grant *S-1-5-20:R`, 0)
		line(t, c, `icacls C:\d /inheritance:r`, 0)
		if got, _ := GetACL(c, `C:\d`); got != "D:PAI(A;OICI;0x1301bf;;;WD)(A;;FR;;;NS)" {
			t.Errorf("list %s", got)
		}
		line(t, c, `icacls C:\d /remove *S-1-1-0`, 0)
		if got, _ := GetACL(c, `C:\d`); got != "D:PAI(A;;FR;;;NS)" {
			t.Errorf("list %s", got)
		}
		line(t, c, `icacls C:\none`, 2)
		line(t, c, `icacls C:\d /grant Nobody:F`, 1332)
	}
	c := newLab(t, node.WS2008, "fr").node1()
	line(t, c, `mkdir C:\d`, 0)
	line(t, c, `icacls C:\d /grant "NETWORK SERVICE:(OI)(CI)F"`, 1332) // the name is another one in French
	line(t, c, `icacls C:\d /grant "SERVICE RÉSEAU:(OI)(CI)F"`, 0)
}

func TestSanPolicy(t *testing.T) {
	c := newLab(t, node.WS2008, "en").node1()
	has(t, script(t, c, "san").Stdout, "offlineshared")
	if r := script(t, c, "san policy=OnlineAll"); r.Code != 0 || RegValue(c, sanKey, "SanPolicy") != int64(sanOnlineAll) {
		t.Errorf("policy %v", RegValue(c, sanKey, "SanPolicy"))
	}
	if r := script(t, c, "san policy=Never"); r.Code != 5 {
		t.Errorf("left %d", r.Code)
	}
}

func TestServiceMethods(t *testing.T) {
	c := newLab(t, node.WS2012R2, "en").node1()
	create := map[string]any{"Name": "Mine", "PathName": `C:\m.exe`, "StartMode": "Automatic", "ServiceType": int64(16),
		"ServiceDependencies": []any{"Dhcp"}}
	for _, want := range []int64{0, 23} {
		if got := serve(t, c, "wmi.call", call("Win32_Service", "Create", nil, create))[0]["ReturnValue"]; got != want {
			t.Errorf("create returned %v, want %d", got, want)
		}
	}
	mine := map[string]any{"Name": "Mine"}
	serve(t, c, "wmi.call", call("Win32_Service", "Change", mine,
		map[string]any{"DisplayName": "My own", "StartName": `CONTOSO\svc`}))
	if s := Service(c, "Mine"); s.Display != "My own" || s.Account != `CONTOSO\svc` || s.Start != 2 ||
		len(s.DependsOn) != 1 {
		t.Errorf("service %+v", s)
	}
	if _, err := RunCmdlet(c, "Set-Service", "",
		map[string]any{"Name": "Mine", "StartupType": "Disabled", "Status": "Stopped"}); err != nil ||
		Service(c, "Mine").Start != 4 {
		t.Errorf("%v %+v", err, Service(c, "Mine"))
	}
	fails(t, c, "CouldNotStartService,Microsoft.PowerShell.Commands.StartServiceCommand", "", "Start-Service",
		map[string]any{"Name": "Mine"})
	if got := serve(t, c, "wmi.call", call("Win32_Service", "Delete", mine, nil))[0]["ReturnValue"]; got != int64(0) ||
		Service(c, "Mine") != nil {
		t.Errorf("delete returned %v", got)
	}
	if list, err := RunCmdlet(c, "Restart-Service", "",
		map[string]any{"Name": "LanmanWorkstation", "Force": true, "PassThru": true}); err != nil || len(list) != 1 ||
		Service(c, "Netlogon").State != 4 {
		t.Errorf("%v %v", list, err)
	}
}

func TestAdapterLookup(t *testing.T) {
	m := newLab(t, node.WS2008, "en").node1().M
	a := m.Adapters[1]
	for _, find := range []func() any{
		func() any { return AdapterInSubnet(m, "10.2.0.0/24") }, func() any { return AdapterInSubnet(m, "10.2.0.99") },
		func() any { return AdapterByGUID(m, strings.ToLower(strings.Trim(a.GUID, "{}"))) },
		func() any { return AdapterByName(m, strings.ToUpper(a.Name)) },
	} {
		if find() != a {
			t.Errorf("found %v", find())
		}
	}
	if AdapterInSubnet(m, "172.16.0.0/12") != nil || AdapterInSubnet(m, "x") != nil {
		t.Error("a card was found in a foreign network")
	}
}

// A cmdlet that runs under a credential of its own has a second hop; the session's has none.
func TestCmdletForAnotherUser(t *testing.T) {
	c := newLab(t, node.WS2016, "en").node1()
	var hop []bool
	var users []string
	c.B.Cmdlets = append(c.B.Cmdlets, &Cmdlet{Name: "Test-Hop", Run: func(c *Ctx, _ map[string]any) ([]Object, error) {
		hop, users = append(hop, c.SecondHop()), append(users, c.User)
		return nil, nil
	}})
	serve(t, c, "cmdlet", cmdletArgs("", "Test-Hop", nil))
	as := cmdletArgs("", "Test-Hop", nil)
	as["user"], as["password"] = `contoso.com\deploy`, "right"
	serve(t, c, "cmdlet", as)
	as["password"] = "wrong"
	refusal(t, c, "cmdlet", as, "", 0x8007052E)
	if len(hop) != 2 || hop[0] || !hop[1] || users[1] != `contoso.com\deploy` {
		t.Errorf("second hop %v as %v", hop, users)
	}
	for _, user := range []string{"deploy", "deploy@contoso.com", `CONTOSO\Deploy`} {
		if !CheckPassword(c.W, user, "right") || CheckPassword(c.W, user, "") {
			t.Errorf("password of %s", user)
		}
	}
	if CheckPassword(c.W, `OTHER\deploy`, "right") || CheckPassword(c.W, "deploy@other.com", "right") ||
		CheckPassword(c.W, "nobody", "") {
		t.Error("a stranger was let in")
	}
}

// Families may not bring a tool that is there already.
func TestAddRefusesDoubles(t *testing.T) {
	for name, o := range map[string]*Module{
		"tool": {Tools: map[string]Tool{"sc.exe": scTool}},
		"have": {Have: map[string]func(*Ctx) bool{"wmic.exe": between("", "")}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: a double was taken", name)
				}
			}()
			Base().Add(o)
		}()
	}
}

// A key goes without a trace in the kept registry when what is around it is there anyhow, and its
// parent stays when it is not.
func TestDeletedKeyLeavesNoEntry(t *testing.T) {
	l := newLab(t, node.WS2008, "en")
	c := l.node1()
	before := len(c.M.Registry)
	for _, key := range []string{`HKLM\SOFTWARE\Microsoft\Exchange\v8.0`,
		`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Ours`} {
		if err := RegSet(c, key, "A", "string", "b"); err != nil {
			t.Fatal(err)
		}
		parent := key[:strings.LastIndexByte(key, '\\')]
		RegDeleteKey(c, key)
		if RegKey(c, key) != nil || RegKey(c, parent) == nil {
			t.Errorf("%s is there: %v, its parent: %v", key, RegKey(c, key) != nil, RegKey(c, parent) != nil)
		}
		if strings.HasSuffix(key, "v8.0") {
			RegDeleteKey(c, parent)
		}
	}
	if after := len(c.M.Registry); after != before {
		t.Errorf("%d keys before and %d after", before, after)
	}
}
