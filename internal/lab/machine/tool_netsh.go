package machine

import (
	"fmt"
	"slices"
	"strings"

	"deploy/internal/lab/model"
)

// netsh options: `tag=value`, or values in the order of the command's tags.
func netshArgs(args []string, order ...string) (map[string]string, bool) {
	out := map[string]string{}
	at := 0
	for _, a := range args {
		key, value, ok := strings.Cut(a, "=")
		if ok {
			// a tag may be cut short as long as it is clear, as netsh allows
			i := slices.IndexFunc(order, func(o string) bool { return strings.HasPrefix(o, strings.ToLower(key)) })
			if i < 0 {
				return nil, false
			}
			out[order[i]] = strings.Trim(value, `"`)
			continue
		}
		if at >= len(order) {
			return nil, false
		}
		out[order[at]] = strings.Trim(a, `"`)
		at++
	}
	return out, true
}

func netshUnknown(c *Ctx, args []string) Result {
	return Result{Code: 1, Stdout: c.Pick([4]string{
		"The following command was not found: ", "La commande suivante n’a pas été trouvée : ",
		"Der folgende Befehl wurde nicht gefunden: ", "次のコマンドは見つかりませんでした: "}) + strings.Join(args, " ") + ".\r\n"}
}

func netshBad(c *Ctx) Result {
	return Result{Code: 1, Stdout: c.Pick([4]string{
		"The syntax supplied for this command is not valid. Check help for the correct syntax.\r\n",
		"La syntaxe fournie pour cette commande n’est pas valide. Consultez l’aide pour plus d’informations.\r\n",
		"Die Syntax dieses Befehls ist falsch. Weitere Informationen finden Sie in der Hilfe.\r\n",
		"このコマンドに対して指定された構文が正しくありません。正しい構文についてはヘルプを参照してください。\r\n"})}
}

func netshNoInterface(c *Ctx) Result {
	return Result{Code: 1, Stdout: c.Pick([4]string{
		"An interface with this name is not registered with the router.\r\n",
		"Aucune interface portant ce nom n’est inscrite auprès du routeur.\r\n",
		"Es ist keine Schnittstelle mit diesem Namen beim Router registriert.\r\n", "この名前のインターフェイスはルーターに登録されていません。\r\n"})}
}

// netshTool emulates the contexts interface, interface ip and interface ipv4. Success prints "Ok."
// in translation or nothing.
func netshTool(c *Ctx, argv []string, _ []byte) Result {
	a := argv[1:]
	low := make([]string, len(a))
	for i := range a {
		low[i] = strings.ToLower(a[i])
	}
	if len(a) < 2 || !(low[0] == "interface" || low[0] == "int") {
		return netshUnknown(c, argv)
	}
	if low[1] == "ip" || low[1] == "ipv4" {
		if len(a) < 4 {
			return netshUnknown(c, argv)
		}
		return netshIP(c, low[2], low[3], a[4:], argv)
	}
	if len(a) >= 3 && low[1] == "set" && low[2] == "interface" {
		o, ok := netshArgs(a[3:], "name", "admin", "connect", "newname")
		if !ok || o["name"] == "" {
			return netshBad(c)
		}
		card := AdapterByName(c.M, o["name"])
		if card == nil {
			return netshNoInterface(c)
		}
		if n := o["newname"]; n != "" {
			if other := AdapterByName(c.M, n); other != nil && other != card {
				return Result{Code: 1, Stdout: c.Text(errExists) + "\r\n"}
			}
			if strings.ContainsAny(n, `\/:*?"<>|`) || strings.TrimSpace(n) == "" {
				return Result{Code: 1, Stdout: c.Text(errInvalidName) + "\r\n"}
			}
			card.Name = n
		}
		switch strings.ToLower(o["admin"]) {
		case "":
		case "enabled", "enable":
			card.LinkDown = false
		case "disabled", "disable":
			card.LinkDown = true
		default:
			return netshBad(c)
		}
		return Result{Stdout: "\r\n"}
	}
	if len(a) >= 3 && low[1] == "show" && low[2] == "interface" {
		return netshInterfaces(c)
	}
	return netshUnknown(c, argv)
}

func netshInterfaces(c *Ctx) Result {
	var b strings.Builder
	b.WriteString("\r\n" + c.Pick([4]string{"Admin State    State          Type             Interface Name",
		"État admin     État           Type             Nom de l’interface",
		"Admin-Status   Status         Typ              Schnittstellenname",
		"管理状態      状態          種類             インターフェイス名"}) + "\r\n" + strings.Repeat("-", 73) + "\r\n")
	for _, a := range c.M.Adapters {
		state := c.Pick([4]string{"Connected", "Connecté", "Verbunden", "接続"})
		if a.LinkDown {
			state = c.Pick([4]string{"Disconnected", "Déconnecté", "Getrennt", "切断"})
		}
		fmt.Fprintf(&b, "%-14s %-14s %-16s %s\r\n", c.Pick([4]string{"Enabled", "Activé", "Aktiviert", "有効"}), state,
			c.Pick([4]string{"Dedicated", "Dédié", "Dediziert", "専用"}), a.Name)
	}
	return Result{Stdout: b.String() + "\r\n"}
}

// netshCode turns a WMI code of the shared setters into netsh's answer.
func netshCode(c *Ctx, code int64) Result {
	switch code {
	case 0:
		return Result{Stdout: "\r\n"}
	case 66:
		return Result{Code: 1, Stdout: c.Pick([4]string{"Invalid mask parameter.", "Paramètre de masque non valide.",
			"Ungültiger Maskenparameter.", "無効なマスク パラメーターです。"}) + "\r\n"}
	}
	return Result{Code: 1, Stdout: c.Text(errInvalidParameter) + "\r\n"}
}

func netshIP(c *Ctx, verb, noun string, args, argv []string) Result {
	orders := map[string][]string{
		"set address":    {"name", "source", "address", "mask", "gateway", "gwmetric"},
		"add address":    {"name", "address", "mask", "gateway", "gwmetric"},
		"delete address": {"name", "address", "gateway"},
		"set dns":        {"name", "source", "address", "register", "validate"},
		"add dns":        {"name", "address", "index", "validate"}, "delete dns": {"name", "address", "validate"},
		"set interface": {"interface", "metric"},
	}
	for _, n := range []string{"address", "dns", "dnsservers", "dnsserver", "interface", "config", "addresses"} {
		if noun != "" && strings.HasPrefix(n, noun) {
			noun = strings.TrimSuffix(strings.TrimSuffix(n, "servers"), "server")
			break
		}
	}
	if noun == "addr" || noun == "addresses" {
		noun = "address"
	}
	if verb == "show" {
		return netshShow(c, noun, args, argv)
	}
	order, known := orders[verb+" "+noun]
	if !known {
		return netshUnknown(c, argv)
	}
	for i, x := range args { // addr= is what most scripts write for address=
		if strings.HasPrefix(strings.ToLower(x), "addr=") {
			args = slices.Clone(args)
			args[i] = "address=" + x[5:]
		}
	}
	o, ok := netshArgs(args, order...)
	if !ok {
		return netshBad(c)
	}
	name := o["name"] + o["interface"]
	a := AdapterByName(c.M, name)
	if a == nil {
		a = findAdapter(c.M, func(a *model.Adapter) bool { return fmt.Sprint(interfaceIndex(a)) == name })
	}
	if a == nil {
		return netshNoInterface(c)
	}
	switch verb + " " + noun {
	case "set address":
		return netshSetAddress(c, a, o)
	case "add address":
		ips, masks := ipv4(a)
		if a.DHCP {
			ips, masks = nil, nil
		}
		if slices.Contains(ips, o["address"]) {
			return Result{Code: 1, Stdout: c.Text(5010) + "\r\n"}
		}
		return netshCode(c, setStatic(a, append(ips, o["address"]), append(masks, o["mask"])))
	case "delete address":
		i := slices.IndexFunc(a.Addresses, func(s string) bool { return strings.HasPrefix(s, o["address"]+"/") })
		if i < 0 || a.DHCP {
			return Result{Code: 1, Stdout: c.Text(errInvalidParameter) + "\r\n"}
		}
		a.Addresses = slices.Delete(a.Addresses, i, i+1)
		return Result{Stdout: "\r\n"}
	case "set interface":
		n, ok := toInt(o["metric"])
		if !ok || n < 0 || n > 9999 {
			return netshBad(c)
		}
		a.Metric = int(n)
		return Result{Stdout: "\r\n"}
	}
	return netshDNS(c, a, verb, o)
}

func netshSetAddress(c *Ctx, a *model.Adapter, o map[string]string) Result {
	switch strings.ToLower(o["source"]) {
	case "dhcp":
		return netshCode(c, setDHCP(a))
	case "static", "":
		if o["address"] == "" {
			return netshBad(c)
		}
		ip, m := o["address"], o["mask"]
		if addr, bits, ok := strings.Cut(ip, "/"); ok {
			n, _ := toInt(bits)
			ip, m = addr, mask(int(n))
		}
		if m == "" {
			m = "255.255.255.0"
		}
		if r := setStatic(a, []string{ip}, []string{m}); r != 0 {
			return netshCode(c, r)
		}
		switch g := o["gateway"]; strings.ToLower(g) {
		case "", "none":
			a.Gateways = nil
		default:
			return netshCode(c, setGateways(a, []string{g}))
		}
		return Result{Stdout: "\r\n"}
	}
	return netshBad(c)
}

func netshDNS(c *Ctx, a *model.Adapter, verb string, o map[string]string) Result {
	switch verb {
	case "set":
		switch strings.ToLower(o["source"]) {
		case "dhcp":
			a.DNS = nil
		case "static", "":
			var list []string
			if ip := o["address"]; ip != "" && !strings.EqualFold(ip, "none") {
				list = []string{ip}
			}
			if r := setDNS(a, list); r != 0 {
				return netshCode(c, r)
			}
		default:
			return netshBad(c)
		}
		switch strings.ToLower(o["register"]) {
		case "":
		case "none":
			a.FullReg, a.DomainReg = false, false
		case "primary":
			a.FullReg, a.DomainReg = true, false
		case "both":
			a.FullReg, a.DomainReg = true, true
		default:
			return netshBad(c)
		}
		return Result{Stdout: "\r\n"}
	case "add":
		if !unicast(o["address"]) {
			return netshCode(c, 70)
		}
		at := len(a.DNS)
		if n, ok := toInt(o["index"]); ok && n >= 1 && int(n) <= len(a.DNS) {
			at = int(n) - 1
		}
		a.DNS = slices.Insert(a.DNS, at, o["address"])
		return Result{Stdout: "\r\n"}
	}
	if ip := o["address"]; ip == "" || strings.EqualFold(ip, "all") {
		a.DNS = nil
	} else {
		i := slices.Index(a.DNS, ip)
		if i < 0 {
			return Result{Code: 1, Stdout: c.Text(errFileNotFound) + "\r\n"}
		}
		a.DNS = slices.Delete(a.DNS, i, i+1)
	}
	return Result{Stdout: "\r\n"}
}

func netshShow(c *Ctx, noun string, args, argv []string) Result {
	switch noun {
	case "config", "address", "dns", "interface":
	default:
		return netshUnknown(c, argv)
	}
	want := ""
	if len(args) > 0 {
		_, v, ok := strings.Cut(args[0], "=")
		if !ok {
			v = args[0]
		}
		want = strings.Trim(v, `"`)
	}
	yes, no := c.Pick([4]string{"Yes", "Oui", "Ja", "はい"}), c.Pick([4]string{"No", "Non", "Nein", "いいえ"})
	var b strings.Builder
	found := want == ""
	for _, a := range c.M.Adapters {
		if want != "" && !strings.EqualFold(a.Name, want) {
			continue
		}
		found = true
		fmt.Fprintf(&b, "\r\n%s \"%s\"\r\n", c.Pick([4]string{"Configuration for interface", "Configuration pour " +
			"l’interface", "Konfiguration der Schnittstelle", "インターフェイスの構成"}), a.Name)
		dhcp := no
		if a.DHCP {
			dhcp = yes
		}
		line := func(t [4]string, v string) { fmt.Fprintf(&b, "    %-38s%s\r\n", c.Pick(t)+":", v) }
		if noun != "dns" {
			line([4]string{"DHCP enabled", "DHCP activé", "DHCP aktiviert", "DHCP 有効"}, dhcp)
			ips, masks := ipv4(a)
			for i := range ips {
				line([4]string{"IP Address", "Adresse IP", "IP-Adresse", "IP アドレス"}, ips[i])
				line([4]string{"Subnet Mask", "Masque de sous-réseau", "Subnetzmaske", "サブネット マスク"}, masks[i])
			}
			for _, g := range a.Gateways {
				line([4]string{"Default Gateway", "Passerelle par défaut", "Standardgateway", "デフォルト ゲートウェイ"}, g)
			}
			line([4]string{"InterfaceMetric", "Métrique d’interface", "Schnittstellenmetrik",
				"インターフェイス メトリック"}, fmt.Sprint(interfaceMetric(c, a)))
		}
		for _, d := range a.DNS {
			line([4]string{"Statically Configured DNS Servers", "Serveurs DNS configurés statiquement",
				"Statisch konfigurierte DNS-Server", "静的に構成された DNS サーバー"}, d)
		}
	}
	if !found {
		return netshNoInterface(c)
	}
	return Result{Stdout: b.String() + "\r\n"}
}
