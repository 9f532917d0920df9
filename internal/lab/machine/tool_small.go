package machine

import (
	"fmt"
	"strings"
	"time"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

func hostnameTool(c *Ctx, argv []string, _ []byte) Result {
	if len(argv) > 1 {
		return Result{Code: 1, Stderr: c.Pick([4]string{"sethostname: Use the Network Control Panel Applet to set hostname.",
			"sethostname : utilisez le Panneau de configuration.", "sethostname: Verwenden Sie die Systemsteuerung.",
			"sethostname: コントロール パネルを使用してください。"}) + "\r\n"}
	}
	return Result{Stdout: c.M.Name + "\r\n"}
}

// whoamiTool prints the user; with /groups or /user the SIDs that a script may look for. High
// integrity is S-1-16-12288 (2008+).
func whoamiTool(c *Ctx, argv []string, _ []byte) Result {
	user := strings.ToLower(c.User)
	if user == "" {
		user = `nt authority\system`
	}
	switch {
	case len(argv) == 1:
		return Result{Stdout: user + "\r\n"}
	case strings.EqualFold(argv[1], "/user"):
		return Result{Stdout: "\r\n" + user + " " + userSID(c) + "\r\n"}
	case strings.EqualFold(argv[1], "/groups"):
		out := "\r\nBUILTIN\\" + c.Pick([4]string{"Administrators", "Administrateurs", "Administratoren", "Administrators"}) +
			"  Alias  S-1-5-32-544\r\n"
		if c.AtLeast(node.WS2008) {
			out += "Mandatory Label\\High Mandatory Level  Label  S-1-16-12288\r\n"
		}
		return Result{Stdout: out}
	}
	return Result{Code: 1, Stderr: c.Text(errInvalidParameter) + "\r\n"}
}

// userSID is a made-up SID of the user in the domain of the lab.
func userSID(c *Ctx) string {
	_, name, ok := strings.Cut(strings.ToLower(c.User), `\`)
	switch {
	case !ok || name == "system":
		return "S-1-5-18"
	case name == "administrator":
		return "S-1-5-21-1004336348-1177238915-682003330-500"
	}
	n := 1104
	for _, r := range name {
		n += int(r)
	}
	return fmt.Sprintf("S-1-5-21-1004336348-1177238915-682003330-%d", n)
}

func chcpTool(c *Ctx, argv []string, _ []byte) Result {
	_, page := codePages(c.M.Locale)
	if len(argv) > 1 {
		page = argv[1]
	}
	return Result{Stdout: c.Pick([4]string{"Active code page: ", "Page de codes active : ", "Aktive Codepage: ",
		"現在のコード ページ: "}) + page + "\r\n"}
}

func ipconfigTool(c *Ctx, argv []string, _ []byte) Result {
	all := false
	if len(argv) > 1 {
		switch strings.ToLower(argv[1]) {
		case "/all":
			all = true
		case "/flushdns", "/registerdns", "/release", "/renew":
			return Result{Stdout: "\r\n" + c.Pick([4]string{"Windows IP Configuration", "Configuration IP de Windows",
				"Windows-IP-Konfiguration", "Windows IP 構成"}) + "\r\n\r\n" + c.Text(0) + "\r\n"}
		default:
			return Result{Code: 1, Stderr: c.Text(errInvalidParameter) + "\r\n"}
		}
	}
	var b strings.Builder
	line := func(t [4]string, v string) {
		label := []rune(c.Pick(t))
		for len(label) < 35 {
			if len(label)%2 == 1 {
				label = append(label, '.')
			} else {
				label = append(label, ' ')
			}
		}
		fmt.Fprintf(&b, "   %s: %s\r\n", string(label), v)
	}
	yes, no := c.Pick([4]string{"Yes", "Oui", "Ja", "はい"}), c.Pick([4]string{"No", "Non", "Nein", "いいえ"})
	truth := func(on bool) string {
		if on {
			return yes
		}
		return no
	}
	b.WriteString("\r\n" + c.Pick([4]string{"Windows IP Configuration", "Configuration IP de Windows",
		"Windows-IP-Konfiguration", "Windows IP 構成"}) + "\r\n")
	if all {
		b.WriteString("\r\n")
		line([4]string{"Host Name", "Nom de l’hôte", "Hostname", "ホスト名"}, c.M.Name)
		line([4]string{"Primary Dns Suffix", "Suffixe DNS principal", "Primäres DNS-Suffix", "プライマリ DNS サフィックス"}, c.M.Domain)
	}
	for _, a := range c.M.Adapters {
		fmt.Fprintf(&b, "\r\n%s %s%s\r\n\r\n",
			c.Pick([4]string{"Ethernet adapter", "Carte Ethernet", "Ethernet-Adapter", "イーサネット アダプター"}),
			a.Name, c.Pick([4]string{":", " :", ":", ":"}))
		if a.LinkDown {
			line([4]string{"Media State", "Statut du média", "Medienstatus", "メディアの状態"},
				c.Pick([4]string{"Media disconnected", "Média déconnecté", "Medium getrennt", "メディアは接続されていません"}))
			continue
		}
		if all {
			line([4]string{"Description", "Description", "Beschreibung", "説明"}, a.Desc)
			line([4]string{"Physical Address", "Adresse physique", "Physikalische Adresse", "物理アドレス"},
				strings.ReplaceAll(a.MAC, ":", "-"))
			line([4]string{"DHCP Enabled", "DHCP activé", "DHCP aktiviert", "DHCP 有効"}, truth(a.DHCP))
		}
		if a.IPv6 {
			line([4]string{"Link-local IPv6 Address", "Adresse IPv6 de liaison locale", "Verbindungslokale IPv6-Adresse",
				"リンクローカル IPv6 アドレス"}, linkLocal(a)+fmt.Sprintf("%%%d", interfaceIndex(a)))
		}
		ips, masks := ipv4(a)
		for i := range ips {
			line([4]string{"IPv4 Address", "Adresse IPv4", "IPv4-Adresse", "IPv4 アドレス"}, ips[i])
			line([4]string{"Subnet Mask", "Masque de sous-réseau", "Subnetzmaske", "サブネット マスク"}, masks[i])
		}
		line([4]string{"Default Gateway", "Passerelle par défaut", "Standardgateway", "デフォルト ゲートウェイ"},
			strings.Join(a.Gateways, ", "))
		if all {
			line([4]string{"DNS Servers", "Serveurs DNS", "DNS-Server", "DNS サーバー"}, strings.Join(a.DNS, ", "))
			line([4]string{"NetBIOS over Tcpip", "NetBIOS sur Tcpip", "NetBIOS über TCP/IP", "NetBIOS over TCP/IP"},
				truth(a.Netbios != 2))
		}
	}
	return Result{Stdout: b.String()}
}

// shutdownTool is shutdown /r, /s and /a with /t.
func shutdownTool(c *Ctx, argv []string, _ []byte) Result {
	restart, off, wait := false, false, 30
	for i := 1; i < len(argv); i++ {
		switch strings.ToLower(strings.Replace(argv[i], "-", "/", 1)) {
		case "/r", "/g":
			restart = true
		case "/s", "/p":
			off = true
		case "/f":
		case "/t", "/d", "/c":
			if i+1 < len(argv) {
				if n, ok := toInt(argv[i+1]); ok && strings.HasSuffix(strings.ToLower(argv[i]), "t") {
					wait = int(n)
				}
				i++
			}
		case "/a":
			return netFailed(c, 1116) // ERROR_NO_SHUTDOWN_IN_PROGRESS: nothing that is under way here can be aborted
		default:
			return Result{Code: 1, Stderr: c.Text(errInvalidParameter) + "\r\n"}
		}
	}
	switch {
	case restart:
		RestartSoon(c, time.Duration(wait)*time.Second)
	case off:
		boot := c.M.Boots
		c.Spawn(func(b *Ctx) {
			b.Sleep(time.Duration(wait) * time.Second)
			if b.M.Boots == boot {
				GoDown(b)
			}
		})
	default:
		return Result{Code: 1, Stderr: c.Text(errInvalidParameter) + "\r\n"}
	}
	return Result{}
}

// schtasksTool keeps the few options that a task run once needs: /create /run /query /delete with
// /tn /tr /ru /rp /sc /st /f.
func schtasksTool(c *Ctx, argv []string, stdin []byte) Result {
	o := map[string]string{}
	verb := ""
	for i := 1; i < len(argv); i++ {
		switch k := strings.ToLower(argv[i]); k {
		case "/create", "/run", "/query", "/delete", "/end", "/change":
			verb = k
		case "/f", "/v", "/np", "/z", "/it":
			o[k] = "yes"
		case "/tn", "/tr", "/ru", "/rp", "/sc", "/st", "/sd", "/fo", "/rl", "/d", "/mo":
			if i+1 < len(argv) {
				i++
				o[k] = argv[i]
			}
		default:
			return schtasksFailed(c, errInvalidParameter)
		}
	}
	name := strings.TrimPrefix(o["/tn"], `\`)
	task := c.M.Tasks[strings.ToLower(name)]
	switch verb {
	case "/create":
		if name == "" || o["/tr"] == "" || o["/sc"] == "" {
			return schtasksFailed(c, errInvalidParameter)
		}
		if task != nil && o["/f"] == "" {
			return schtasksFailed(c, errExists)
		}
		user := o["/ru"]
		switch {
		case user == "":
			user = c.User
		case strings.EqualFold(user, "SYSTEM"), strings.EqualFold(user, `NT AUTHORITY\SYSTEM`):
			user = `NT AUTHORITY\SYSTEM`
		default:
			password := o["/rp"]
			if password == "*" {
				password = strings.TrimRight(string(stdin), "\r\n")
			}
			if !c.logon(user, password) {
				return schtasksFailed(c, errLogonFailure)
			}
		}
		if c.M.Tasks == nil {
			c.M.Tasks = map[string]*model.Task{}
		}
		c.M.Tasks[strings.ToLower(name)] = &model.Task{Name: name, Command: o["/tr"], User: user}
		return schtasksDone(c, name)
	case "/run":
		if task == nil {
			return schtasksFailed(c, errFileNotFound)
		}
		run := *task
		c.Spawn(func(b *Ctx) {
			b.User, b.Network = run.User, false
			defer func() {
				if r := recover(); r != nil && r != errGone {
					panic(r)
				}
			}()
			b = b.guarded()
			b.depth = 1 // a task is no shell: it leaves no line of its own in the history
			CommandLine(b, run.Command, nil)
		})
		return schtasksDone(c, name)
	case "/delete":
		if task == nil {
			return schtasksFailed(c, errFileNotFound)
		}
		delete(c.M.Tasks, strings.ToLower(name))
		return schtasksDone(c, name)
	case "/query":
		if name != "" && task == nil {
			return schtasksFailed(c, errFileNotFound)
		}
		var b strings.Builder
		for _, k := range sortedKeys(c.M.Tasks) {
			if t := c.M.Tasks[k]; task == nil || t == task {
				fmt.Fprintf(&b, "\\%s\r\n", t.Name)
			}
		}
		return Result{Stdout: b.String()}
	}
	return schtasksFailed(c, errNotSupported)
}

func schtasksFailed(c *Ctx, code int) Result {
	return Result{Code: 1, Stderr: c.Pick([4]string{"ERROR: ", "ERREUR : ", "FEHLER: ", "エラー: "}) + c.Text(code) + "\r\n"}
}

func schtasksDone(c *Ctx, name string) Result {
	return Result{Stdout: fmt.Sprintf(c.Pick([4]string{"SUCCESS: the task \"%s\" was processed.",
		"OPÉRATION RÉUSSIE : la tâche « %s » a été traitée.", "ERFOLGREICH: Die Aufgabe \"%s\" wurde verarbeitet.",
		"成功: タスク \"%s\" は処理されました。"}), name) + "\r\n"}
}
