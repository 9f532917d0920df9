package machine

import (
	"strings"
	"testing"

	"deploy/internal/node"
)

func TestShell(t *testing.T) {
	c := newLab(t, node.WS2008, "en").node1()
	for _, x := range []struct {
		line string
		code int
		out  string
	}{
		{`hostname`, 0, "mbx01-node1\r\n"},
		{`C:\Windows\System32\hostname.exe`, 0, "mbx01-node1\r\n"},
		{`%SystemRoot%\system32\hostname`, 0, "mbx01-node1\r\n"},
		{`"hostname"`, 0, "mbx01-node1\r\n"},
		{`cmd /c hostname`, 0, "mbx01-node1\r\n"},
		{`cmd.exe /c "echo a & echo b"`, 0, "a\r\nb\r\n"},
		{`echo a&&echo b||echo c`, 0, "a\r\nb\r\n"},
		{`nothing 2>nul || echo c`, 0, "c\r\n"},
		{`nothing && echo c`, 9009, ""},
		{`C:\nothing\x.exe`, 9009, ""},
		{`echo "a & b"`, 0, "\"a & b\"\r\n"},
		{`echo a^&b`, 0, "a&b\r\n"},
		{`echo %COMPUTERNAME% %NOTHING%`, 0, "mbx01-node1 %NOTHING%\r\n"},
		{`exit /b 5`, 5, ""},
		{`exit 7 & echo x`, 7, ""},
		{`ver`, 0, "\r\nMicrosoft Windows [Version 6.0.6002]\r\n"},
		{`whoami`, 0, "contoso\\deploy\r\n"},
		{`mkdir C:\a\b\c`, 0, ""},
		{`mkdir C:\a\b\c`, 1, "A subdirectory or file C:\\a\\b\\c already exists.\r\n"},
		{`if not exist "C:\a\b\" mkdir "C:\a\b"`, 0, ""},
		{`if exist C:\a (echo yes) else echo no`, 0, "yes\r\n"},
		{`if exist C:\z (echo yes) else echo no`, 0, "no\r\n"},
		{`if exist C:\Windows\system32\drivers\etc\hosts\ echo dir`, 0, ""},
		{`echo hello> C:\a\f.txt`, 0, ""},
		{`echo more>> C:\a\f.txt`, 0, ""},
		{`type C:\a\f.txt`, 0, "hello\r\nmore\r\n"},
		{`type C:\a\none.txt`, 1, "The system cannot find the file specified.\r\n"},
		{`dir /b C:\a`, 0, "b\r\nf.txt\r\n"},
		{`dir C:\none`, 1, "File Not Found\r\n"},
		{`cd /d C:\a && type f.txt`, 0, "hello\r\nmore\r\n"},
		{`del C:\a\none.txt`, 0, "Could Not Find C:\\a\\none.txt\r\n"},
		{`rmdir C:\a`, 1, "The directory is not empty.\r\n"},
		{`rd /s /q C:\a`, 0, ""},
		{`rd /s /q C:\a`, 2, "The system cannot find the file specified.\r\n"},
		{`nothing 2>nul`, 9009, ""},
		{`nothing > C:\out.txt 2>&1`, 9009, ""},
		{`type C:\out.txt`, 0, "'nothing' is not recognized as an internal or external command,\r\noperable program or " +
			"batch file.\r\n"},
		{`chcp`, 0, "Active code page: 437\r\n"},
	} {
		r := CommandLine(c, x.line, nil)
		if r.Code != x.code || x.out != "" && r.Stdout+r.Stderr != x.out {
			t.Errorf("%s left %d %q, want %d %q", x.line, r.Code, r.Stdout+r.Stderr, x.code, x.out)
		}
	}
}

// The sentence is translated, the exit code is not.
func TestNotRecognized(t *testing.T) {
	for locale, part := range map[string]string{"en": "not recognized", "fr": "reconnu", "de": "falsch geschrieben",
		"ja": "認識されていません"} {
		c := newLab(t, node.WS2019, locale).node1()
		has(t, line(t, c, "nvspbind /o", 9009), part)
		has(t, line(t, c, "servermanagercmd -q", 9009), part) // gone in 2012
	}
	if c := newLab(t, node.WS2025, "en").node1(); c.Program("wmic") != nil {
		t.Error("wmic is an optional feature of 2025")
	}
}

func TestServices(t *testing.T) {
	words := map[string]struct{ failed, done, missing string }{
		"en": {"FAILED", "SUCCESS", "does not exist"}, "fr": {"ÉCHEC(S)", "réussite(s)", "n’existe pas"},
		"de": {"FEHLER", "ERFOLG", "kein installierter Dienst"}, "ja": {"失敗", "成功", "存在しません"},
	}
	for locale, w := range words {
		c := newLab(t, node.WS2008, locale).node1()
		out := line(t, c, "sc query Spooler", 0)
		has(t, out, ": 4  RUNNING", ": 10  WIN32_OWN_PROCESS")
		if state := strings.Split(strings.ReplaceAll(out, "\r", ""), "\n")[3]; !strings.Contains(state, "4  RUNNING") {
			t.Errorf("the third line of the answer is %q", state)
		}
		has(t, line(t, c, "sc qc MSDTC", 0), ": 2   AUTO_START  (DELAYED)", "msdtc.exe", w.done)
		has(t, line(t, c, "sc query nobody", 1060), "[SC] EnumQueryServicesStatus:OpenService "+w.failed+" 1060:", w.missing)
		has(t, line(t, c, "sc start Spooler", 1056), "StartService "+w.failed+" 1056:")
		has(t, line(t, c, "sc stop Spooler", 0), "3  STOP_PENDING")
		line(t, c, "sc stop Spooler", 1062)
		has(t, line(t, c, "sc config Spooler start= disabled", 0), w.done)
		line(t, c, "sc start Spooler", 1058)
		line(t, c, "sc config Spooler start=demand", 1639) // the blank is required
		line(t, c, "sc config Spooler start= delayed-auto", 0)
		if s := Service(c, "Spooler"); s.Start != 2 || !s.Delayed {
			t.Errorf("service %+v", s)
		}
		line(t, c, "sc config Spooler start= demand", 0)
		if s := Service(c, "Spooler"); s.Start != 3 || s.Delayed {
			t.Errorf("service %+v", s)
		}
		line(t, c, "sc stop LanmanWorkstation", 1051)
		line(t, c, "net stop LanmanWorkstation", 2)
		line(t, c, "net stop LanmanWorkstation /y", 0)
		if Service(c, "Netlogon").State != 1 {
			t.Error("what depends on the service runs")
		}
		has(t, line(t, c, "net stop LanmanWorkstation", 2), "3521")
		line(t, c, "net start Netlogon", 0)
		if Service(c, "LanmanWorkstation").State != 4 {
			t.Error("what the service needs was not started")
		}
		has(t, line(t, c, "net start Netlogon", 2), "2182")
		has(t, line(t, c, "net start nobody", 2), "2185")
		line(t, c, "sc config RpcSs start= disabled", 0)
		Service(c, "RpcSs").State = 1
		line(t, c, "sc stop Schedule", 0)
		line(t, c, "sc start Schedule", 1068)
		line(t, c, `sc create Mine binPath= C:\mine.exe start= auto depend= Dhcp/Dnscache`, 0)
		line(t, c, `sc create Mine binPath= C:\mine.exe`, 1073)
		line(t, c, "sc start Mine", 0)
		line(t, c, "sc delete Mine", 0)
		line(t, c, "sc delete Mine", 1072)
		line(t, c, "sc config Mine start= auto", 1072)
		line(t, c, "sc stop Mine", 0)
		line(t, c, "sc delete Mine", 1060)
		line(t, c, `sc \\dc01 query DNS`, 5)
		c.Network = false
		has(t, line(t, c, `sc \\dc01 query DNS`, 0), "4  RUNNING")
		line(t, c, `sc \\nowhere query DNS`, 1722)
	}
	c := newLab(t, node.WS2003, "en").node1()
	line(t, c, "sc config Spooler start= delayed-auto", 1639)
	has(t, line(t, c, "sc qc ClusSvc", 0), "4   DISABLED")
}

func TestReg(t *testing.T) {
	c := newLab(t, node.WS2008, "ja").node1()
	has(t, line(t, c, `reg query HKLM\SYSTEM\CurrentControlSet\Control\Nls\CodePage /v OEMCP`, 0),
		"HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Nls\\CodePage\r\n    OEMCP    REG_SZ    932\r\n")
	has(t, line(t, c, `reg query HKLM\SYSTEM\CurrentControlSet\Services\Spooler /v Start`, 0), "Start    REG_DWORD    0x2")
	has(t, line(t, c, `reg query HKLM\SOFTWARE\None`, 1), "エラー:")
	line(t, c, `reg add HKLM\SOFTWARE\T /v A /t REG_DWORD /d 0x10 /f`, 0)
	line(t, c, `reg add HKLM\SOFTWARE\T /v M /t REG_MULTI_SZ /d a\0b /f`, 0)
	line(t, c, `reg add HKLM\SOFTWARE\T /v A /t REG_DWORD /d 3`, 1) // there: it asks, and nobody answers
	has(t, line(t, c, `reg query HKLM\SOFTWARE\T`, 0), "A    REG_DWORD    0x10", `M    REG_MULTI_SZ    a\0b`)
	line(t, c, `reg delete HKLM\SOFTWARE\T /v A /f`, 0)
	line(t, c, `reg query HKLM\SOFTWARE\T /v A`, 1)
	line(t, c, `reg delete HKLM\SOFTWARE\T /f`, 0)
	line(t, c, `reg delete HKLM\SOFTWARE\T /f`, 1)
	line(t, c, `reg frobnicate HKLM\SOFTWARE`, 1)
	has(t, line(t, newLab(t, node.WS2003, "en").node1(),
		`reg query HKLM\SYSTEM\CurrentControlSet\Control\Nls\CodePage /v ACP`, 0), "! REG.EXE VERSION 3.0",
		"ACP\tREG_SZ\t1252")
}

func TestNetsh(t *testing.T) {
	for _, locale := range []string{"en", "fr", "de", "ja"} {
		c := newLab(t, node.WS2008, locale).node1()
		a, b := c.M.Adapters[0], c.M.Adapters[1]
		line(t, c, `netsh interface set interface name="`+a.Name+`" newname="Public"`, 0)
		line(t, c, `netsh interface set interface name="`+a.Name+`" newname="`+b.Name+`"`, 1)
		line(t, c, `netsh interface set interface name="nobody" newname="x"`, 1)
		line(t, c, `netsh interface set interface name=public newname=PUBLIC`, 0)
		if a.Name != "PUBLIC" {
			t.Errorf("the connection is called %q", a.Name)
		}
		line(t, c, `netsh interface ip set address name="PUBLIC" source=static addr=10.0.0.7 mask=255.255.255.0 gateway=10.0.0.1 gwmetric=1`, 0)
		line(t, c, `netsh interface ipv4 add address PUBLIC 10.0.0.8 255.255.255.0`, 0)
		if strings.Join(a.Addresses, " ") != "10.0.0.7/24 10.0.0.8/24" || strings.Join(a.Gateways, " ") != "10.0.0.1" {
			t.Errorf("adapter %+v", a)
		}
		line(t, c, `netsh interface ip delete address PUBLIC addr=10.0.0.8`, 0)
		line(t, c, `netsh interface ip set address name="PUBLIC" source=static addr=10.0.0.7 mask=255.0.255.0`, 1)
		line(t, c, `netsh interface ip set address name="PUBLIC" source=static addr=10.0.0.7 mask=255.255.255.0 gateway=none`,
			0)
		line(t, c, `netsh interface ip set dns name="PUBLIC" source=static addr=10.0.0.5 register=primary`, 0)
		line(t, c, `netsh interface ip add dns PUBLIC 10.0.0.6`, 0)
		if len(a.Gateways) != 0 || strings.Join(a.DNS, " ") != "10.0.0.5 10.0.0.6" || !a.FullReg || a.DomainReg {
			t.Errorf("adapter %+v", a)
		}
		line(t, c, `netsh interface ip set dns name="PUBLIC" source=static addr=none register=none`, 0)
		if len(a.DNS) != 0 || a.FullReg {
			t.Errorf("adapter %+v", a)
		}
		line(t, c, `netsh interface ip set address PUBLIC dhcp`, 0)
		if !a.DHCP || !strings.HasPrefix(a.Addresses[0], "169.254.") {
			t.Errorf("adapter %+v", a)
		}
		line(t, c, `netsh interface ip show config`, 0)
		line(t, c, `netsh interface teredo show state`, 1)
		has(t, line(t, c, `ipconfig /all`, 0), "PUBLIC", "00-15-5D-01-00-01", "10.2.0.11")
	}
}

func TestServerManagerCmd(t *testing.T) {
	c := newLab(t, node.WS2008, "fr").node1()
	line(t, c, `servermanagercmd -install Web-ISAPI-Ext`, 0)
	for _, id := range []string{"Web-ISAPI-Ext", "Web-App-Dev", "Web-WebServer", "Web-Server", "WAS-Process-Model",
		"WAS"} {
		if !Feature(c.M, id) {
			t.Errorf("%s was not installed with Web-ISAPI-Ext", id)
		}
	}
	if Feature(c.M, "Web-Static-Content") {
		t.Error("a role service that nothing needs was installed")
	}
	has(t, line(t, c, `ServerManagerCmd.exe -i web-isapi-ext`, 1003), "NoChange:")
	has(t, line(t, c, `servermanagercmd -install Nothing`, 4), "ArgumentNotValid:")
	line(t, c, `servermanagercmd -frobnicate`, 4)
	line(t, c, `servermanagercmd -install Web-Server`, 1003) // installed as a parent: the defaults do not follow
	line(t, c, `servermanagercmd -install RSAT-ADDS -resultPath C:\r.xml`, 3010)
	has(t, line(t, c, `type C:\r.xml`, 0), `Id="RSAT-ADDS"`, `RequiresReboot="true"`)
	if RegKey(c, cbsPending) == nil {
		t.Error("no restart is due")
	}
	line(t, c, `servermanagercmd -query C:\q.xml`, 0)
	has(t, line(t, c, `type C:\q.xml`, 0), `Installed="true" Id="Web-ISAPI-Ext"`,
		`Installed="false" Id="Failover-Clustering"`, `Language="fr-FR"`)
	line(t, c, `servermanagercmd -install Failover-Clustering`, 0)
	if Service(c, "ClusDisk") == nil {
		t.Error("the drivers of the cluster are missing")
	}
	line(t, c, `servermanagercmd -remove Web-ISAPI-Ext`, 0)
	if Feature(c.M, "Web-App-Dev") || !Feature(c.M, "WAS") {
		t.Error("removing takes the emptied parents and leaves what was needed")
	}
	line(t, c, `servermanagercmd -inputPath C:\none.xml`, 110)
	if err := WriteFile(c, `C:\in.xml`,
		[]byte(`<ServerManagerConfiguration Action="Install" xmlns="x"><Role Id="Web-Server"/><Feature Id="Telnet-Client"/></ServerManagerConfiguration>`)); err != nil {
		t.Fatal(err)
	}
	line(t, c, `servermanagercmd -inputPath C:\in.xml`, 0)
	if !Feature(c.M, "Web-Static-Content") || !Feature(c.M, "Telnet-Client") || Service(c, "W3SVC") == nil {
		t.Error("the answer file was not carried out")
	}
	line(t, newLab(t, node.WS2003, "fr").node1(), `servermanagercmd -query`, 9009)
}

func TestWmic(t *testing.T) {
	c := newLab(t, node.WS2008, "de").node1()
	has(t, line(t, c, `wmic os get OSLanguage,Version /value`, 0), "OSLanguage=1031", "Version=6.0.6002")
	has(t, line(t, c, `wmic service where "name='Spooler'" get State,StartMode /value`, 0), "State=Running",
		"StartMode=Auto")
	// the exit code says nothing
	has(t, line(t, c, `wmic nicconfig where "Index=1" call SetTcpipNetbios (2)`, 0), "ReturnValue = 84;")
	line(t, c, `wmic nicconfig where Index=7 call SetTcpipNetbios 2`, 0)
	if c.M.Adapters[0].Netbios != 2 {
		t.Errorf("NetBIOS %d", c.M.Adapters[0].Netbios)
	}
	if r := CommandLine(c, `wmic path Win32_Nothing get Name`, nil); r.Code != 0x80041010 {
		t.Errorf("an unknown class leaves 0x%X", r.Code)
	}
}

func TestSchtasks(t *testing.T) {
	l := newLab(t, node.WS2008, "fr")
	c := l.node1()
	run := l.background(c)
	line(t, c, `schtasks /create /tn x /tr "cmd /c whoami > C:\who.txt" /sc once /st 23:59 /ru CONTOSO\deploy /rp wrong`,
		1)
	line(t, c, `schtasks /create /tn x /tr "cmd /c whoami > C:\who.txt" /sc once /st 23:59 /ru CONTOSO\deploy /rp right`,
		0)
	line(t, c, `schtasks /create /tn x /tr hostname /sc once /st 23:59 /ru SYSTEM`, 1)
	line(t, c, `schtasks /run /tn x`, 0)
	run()
	has(t, line(t, c, `type C:\who.txt`, 0), `contoso\deploy`)
	line(t, c, `schtasks /delete /tn x /f`, 0)
	line(t, c, `schtasks /run /tn x`, 1)
	if r := Exec(c, []string{"schtasks.exe", "/Create", "/SC", "ONCE", "/ST", "23:59:00", "/TN", "y", "/TR", "hostname",
		"/RU", `CONTOSO\deploy`, "/RP", "*"}, []byte("right\r\n")); r.Code != 0 {
		t.Errorf("a password on standard input: %d %s", r.Code, r.Stderr)
	}
}
