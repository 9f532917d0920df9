package machine

import (
	"fmt"
	"regexp"
	"strings"
)

// wmicAliases are the few aliases of wmic that are emulated.
func wmicAliases() map[string]string {
	return map[string]string{"os": "Win32_OperatingSystem", "computersystem": "Win32_ComputerSystem",
		"service": "Win32_Service", "nic": "Win32_NetworkAdapter", "nicconfig": "Win32_NetworkAdapterConfiguration",
		"diskdrive": "Win32_DiskDrive", "logicaldisk": "Win32_LogicalDisk", "volume": "Win32_Volume",
		"qfe": "Win32_QuickFixEngineering", "process": "Win32_Process", "partition": "Win32_DiskPartition"}
}

// wmicTool is `wmic [/namespace:\\root\x] alias|path CLASS [where "a='b' and c=1"] get P,Q
// [/value]` and `... call Method [(args)]`. The exit code of a call is 0 whatever the method
// returns: the number stands in the printed block. Its other lines are translated.
func wmicTool(c *Ctx, argv []string, _ []byte) Result {
	ns, class, where, verb := cimv2, "", "", ""
	var rest []string
	value := false
	for i := 1; i < len(argv); i++ {
		low := strings.ToLower(argv[i])
		switch {
		case strings.HasPrefix(low, "/namespace:"):
			ns = strings.TrimLeft(argv[i][len("/namespace:"):], `\`)
		case low == "path" && i+1 < len(argv) && class == "":
			i++
			class = argv[i]
		case low == "where" && i+1 < len(argv):
			i++
			where = strings.Trim(argv[i], "()")
		case low == "get" || low == "call":
			verb = low
		case strings.HasPrefix(low, "/value") || strings.HasPrefix(low, "/format:list"):
			value = true
		case verb != "":
			rest = append(rest, argv[i])
		case class == "" && wmicAliases()[low] != "":
			class = wmicAliases()[low]
		default:
			return wmicFailed(c, 44124, "alias "+argv[i])
		}
	}
	if class == "" || verb == "" {
		return wmicFailed(c, 44124, "deploy lab: only get and call are emulated")
	}
	k, err := c.class(ns, class)
	if err != nil {
		f := c.AsFail(err)
		return wmicFailed(c, f.Code, f.Text)
	}
	cond, ok := wql(where)
	if !ok {
		return wmicFailed(c, wbemInvalidQuery, where)
	}
	list, err := c.instances(k, cond)
	if err != nil {
		f := c.AsFail(err)
		return wmicFailed(c, f.Code, f.Text)
	}
	if verb == "call" {
		return wmicCall(c, k, list, strings.Join(rest, " "))
	}
	var props []string
	for _, p := range strings.Split(strings.Join(rest, ","), ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		own := k.prop(c, p)
		if own == "" {
			return wmicFailed(c, wbemInvalidQuery, p)
		}
		props = append(props, own)
	}
	if len(list) == 0 {
		return Result{Stderr: c.Pick([4]string{"No Instance(s) Available.", "Aucune instance disponible.",
			"Keine Instanzen verfügbar.", "利用できるインスタンスがありません。"}) + "\r\n"}
	}
	var b strings.Builder
	if !value {
		b.WriteString(strings.Join(props, "  ") + "\r\n")
	}
	for _, o := range list {
		var cells []string
		for _, p := range props {
			v := wmicText(o[p])
			cells = append(cells, v)
			if value {
				fmt.Fprintf(&b, "\r\n%s=%s", p, v)
			}
		}
		if value {
			b.WriteString("\r\n\r\n")
		} else {
			b.WriteString(strings.Join(cells, "  ") + "\r\n")
		}
	}
	return Result{Stdout: b.String()}
}

func wmicFailed(c *Ctx, code int64, what string) Result {
	return Result{Code: int(code), Stderr: c.Pick([4]string{"ERROR:\r\nDescription = ", "ERREUR :\r\nDescription = ",
		"FEHLER:\r\nBeschreibung = ", "エラー:\r\n説明 = "}) + what + "\r\n"}
}

func wmicText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		return strings.ToUpper(fmt.Sprint(v))
	case []any:
		var s []string
		for _, x := range v {
			s = append(s, fmt.Sprintf("%q", fmt.Sprint(x)))
		}
		return "{" + strings.Join(s, ",") + "}"
	case Enum:
		return fmt.Sprint(v.Number)
	}
	return fmt.Sprint(v)
}

// wql reads conditions of equality joined by "and".
func wql(where string) (map[string]any, bool) {
	out := map[string]any{}
	if strings.TrimSpace(where) == "" {
		return out, true
	}
	form := regexp.MustCompile(`(?i)^\s*([A-Za-z0-9_]+)\s*=\s*(?:'([^']*)'|"([^"]*)"|([A-Za-z0-9.:_-]+))\s*$`)
	for _, part := range regexp.MustCompile(`(?i)\s+and\s+`).Split(where, -1) {
		m := form.FindStringSubmatch(part)
		if m == nil {
			return nil, false
		}
		out[m[1]] = strings.ReplaceAll(m[2]+m[3]+m[4], `\\`, `\`)
	}
	return out, true
}

// wmicCall calls a method on each instance. Arguments stand in the order of the method, in
// brackets.
func wmicCall(c *Ctx, k *Class, list []Object, call string) Result {
	name, rest, _ := strings.Cut(strings.TrimSpace(call), "(")
	name, more, _ := strings.Cut(strings.TrimSpace(name), " ")
	rest = strings.TrimSuffix(strings.TrimSpace(rest+more), ")")
	for n, m := range k.Methods {
		if !strings.EqualFold(n, name) {
			continue
		}
		args := map[string]any{}
		for i, a := range strings.FieldsFunc(rest, func(r rune) bool { return r == ',' }) {
			if i < len(m.Args) {
				args[m.Args[i]] = strings.Trim(strings.TrimSpace(a), `"`)
			}
		}
		var b strings.Builder
		for _, o := range list {
			out, err := m.Call(c, o, args)
			if err != nil {
				f := c.AsFail(err)
				return wmicFailed(c, f.Code, f.Text)
			}
			b.WriteString(c.Pick([4]string{"Method execution successful.", "Exécution de la méthode réussie.",
				"Methode wurde erfolgreich ausgeführt.", "メソッドが正しく実行しました。"}) +
				"\r\nOut Parameters:\r\ninstance of __PARAMETERS\r\n{\r\n")
			for _, p := range sortedKeys(out) {
				fmt.Fprintf(&b, "\t%s = %s;\r\n", p, wmicText(out[p]))
			}
			b.WriteString("};\r\n\r\n")
		}
		return Result{Stdout: b.String()}
	}
	return wmicFailed(c, 0x8004102E, name)
}
