package machine

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

func regTypes() map[string]string {
	return map[string]string{"REG_SZ": "string", "REG_EXPAND_SZ": "expand", "REG_DWORD": "dword", "REG_QWORD": "qword",
		"REG_BINARY": "binary", "REG_MULTI_SZ": "multi"}
}

func regTypeName(typ string) string {
	for n, t := range regTypes() {
		if t == typ {
			return n
		}
	}
	return "REG_NONE"
}

func longKey(path string) string {
	root, rest, _ := strings.Cut(path, `\`)
	long := map[string]string{"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER", "HKU": "HKEY_USERS",
		"HKCR": "HKEY_CLASSES_ROOT"}[strings.ToUpper(root)]
	if rest == "" {
		return long
	}
	return long + `\` + rest
}

func regError(c *Ctx, t [4]string) Result {
	return Result{Code: 1, Stderr: c.Pick([4]string{"ERROR: ", "ERREUR : ", "FEHLER: ", "エラー: "}) + c.Pick(t) + "\r\n"}
}

func regMissing(c *Ctx) Result {
	return regError(c, [4]string{"The system was unable to find the specified registry key or value.",
		"Impossible de trouver la clé ou la valeur de Registre spécifiée.",
		"Der angegebene Registrierungsschlüssel bzw. Wert wurde nicht gefunden.", "指定されたレジストリ キーまたは値が見つかりませんでした"})
}

func regInvalid(c *Ctx) Result {
	return regError(c, [4]string{"Invalid syntax.", "Syntaxe non valide.", "Ungültige Syntax.", "無効な構文です。"})
}

func regSuccess(c *Ctx) Result {
	return Result{Stdout: c.Pick([4]string{"The operation completed successfully.", "L’opération a réussi.",
		"Der Vorgang wurde erfolgreich beendet.", "この操作を正しく終了しました。"}) + "\r\n"}
}

// regArgs are the options of reg.exe.
type regArgs struct {
	name, typ, data string
	named, force    bool
	all, sub        bool
}

func parseReg(args []string) (o regArgs, ok bool) {
	for i := 0; i < len(args); i++ {
		value := func() string {
			if i+1 >= len(args) {
				ok = false
				return ""
			}
			i++
			return args[i]
		}
		ok = true
		switch strings.ToLower(args[i]) {
		case "/v":
			o.name, o.named = value(), true
		case "/ve":
			o.name, o.named = "", true
		case "/t":
			o.typ = strings.ToUpper(value())
		case "/d":
			o.data = value()
		case "/f":
			o.force = true
		case "/va":
			o.all = true
		case "/s":
			o.sub = true
		case "/reg:64", "/reg:32":
		default:
			return o, false
		}
		if !ok {
			return o, false
		}
	}
	return o, true
}

func regTool(c *Ctx, argv []string, _ []byte) Result {
	if len(argv) < 3 {
		return regInvalid(c)
	}
	key := argv[2]
	if strings.HasPrefix(key, `\\`) || regPath(key) == "" {
		return regError(c, [4]string{"Invalid key name.", "Nom de clé non valide.", "Ungültiger Schlüsselname.", "キー名が無効です。"})
	}
	o, ok := parseReg(argv[3:])
	if !ok {
		return regInvalid(c)
	}
	switch strings.ToLower(argv[1]) {
	case "query":
		return regQuery(c, key, o)
	case "add":
		return regAdd(c, key, o)
	case "delete":
		return regDelete(c, key, o)
	}
	return regInvalid(c)
}

func regQuery(c *Ctx, key string, o regArgs) Result {
	k := RegKey(c, key)
	if k == nil {
		return regMissing(c)
	}
	var b strings.Builder
	old := !c.AtLeast(node.WS2008)
	if old {
		b.WriteString("\r\n! REG.EXE VERSION 3.0\r\n")
	}
	found := 0
	var walk func(path string, top bool)
	walk = func(path string, top bool) {
		k := RegKey(c, path)
		var lines strings.Builder
		for _, n := range sortedKeys(k.Values) {
			v := k.Values[n]
			if o.named && !strings.EqualFold(v.Name, o.name) {
				continue
			}
			found++
			name := v.Name
			if name == "" {
				name = c.Pick([4]string{"(Default)", "(par défaut)", "(Standard)", "(既定)"})
			}
			if old {
				fmt.Fprintf(&lines, "    %s\t%s\t%s\r\n", name, regTypeName(v.Type), regText(v))
			} else {
				fmt.Fprintf(&lines, "    %s    %s    %s\r\n", name, regTypeName(v.Type), regText(v))
			}
		}
		if lines.Len() > 0 || top && !o.named {
			b.WriteString("\r\n" + longKey(spelled(path)) + "\r\n" + lines.String())
		}
		subs, _ := RegSubkeys(c, path)
		for _, s := range subs {
			if o.sub {
				walk(path+`\`+s, false)
			} else if !o.named {
				b.WriteString(longKey(spelled(path+`\`+s)) + "\r\n")
			}
		}
	}
	walk(key, true)
	if o.named && found == 0 {
		return regMissing(c)
	}
	return Result{Stdout: b.String() + "\r\n"}
}

func regText(v *model.Value) string {
	switch d := v.Data.(type) {
	case int64:
		return fmt.Sprintf("0x%x", d)
	case []byte:
		return strings.ToUpper(hex.EncodeToString(d))
	case []string:
		return strings.Join(d, `\0`)
	case string:
		return d
	}
	return ""
}

func regAdd(c *Ctx, key string, o regArgs) Result {
	if !o.named {
		RegMakeKey(c, key)
		return regSuccess(c)
	}
	if o.typ == "" {
		o.typ = "REG_SZ"
	}
	typ, ok := regTypes()[o.typ]
	if !ok {
		return regInvalid(c)
	}
	if k := RegKey(c, key); k != nil && k.Values[strings.ToLower(o.name)] != nil && !o.force {
		return Result{Code: 1, Stdout: c.Pick([4]string{"Value exists, overwrite (Yes/No)? ",
			"La valeur existe, remplacer (Oui/Non) ? ", "Wert bereits vorhanden. Überschreiben (Ja/Nein)? ",
			"値は存在します。上書きしますか? (Yes/No) "})}
	}
	var data any = o.data
	switch typ {
	case "dword", "qword":
		n, err := strconv.ParseUint(strings.TrimSpace(o.data), 0, 64)
		if err != nil && o.data != "" {
			return regInvalid(c)
		}
		data = int64(n)
	case "binary":
		raw, err := hex.DecodeString(o.data)
		if err != nil {
			return regInvalid(c)
		}
		data = raw
	case "multi":
		data = strings.Split(o.data, `\0`)
	}
	if err := RegSet(c, key, o.name, typ, data); err != nil {
		return regInvalid(c)
	}
	return regSuccess(c)
}

func regDelete(c *Ctx, key string, o regArgs) Result {
	k := RegKey(c, key)
	if k == nil || o.named && k.Values[strings.ToLower(o.name)] == nil {
		return regMissing(c)
	}
	if !o.force {
		return Result{Code: 1, Stdout: c.Pick([4]string{"Permanently delete (Yes/No)? ",
			"Supprimer définitivement (Oui/Non) ? ", "Endgültig löschen (Ja/Nein)? ", "完全に削除しますか? (Yes/No) "})}
	}
	switch {
	case o.named:
		RegDelete(c, key, o.name)
	case o.all:
		for _, v := range k.Values {
			RegDelete(c, key, v.Name)
		}
	default:
		RegDeleteKey(c, key)
	}
	return regSuccess(c)
}
