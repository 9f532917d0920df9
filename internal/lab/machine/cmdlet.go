package machine

import (
	"slices"
	"strings"
)

// PSFail makes a PowerShell error: its FullyQualifiedErrorId and category, which no language pack
// translates.
func PSFail(id, category, typ string, code int64, text string) *Fail {
	return &Fail{Code: code, ID: id, Category: category, Type: typ, Text: text}
}

const corSystem = 0x80131501 // COR_E_SYSTEM: what PowerShell's own exceptions carry

func (k *Cmdlet) has(c *Ctx) bool {
	if k.Since != "" && !c.AtLeast(k.Since) {
		return false
	}
	if k.Until != "" && c.M.Release != k.Until && c.AtLeast(k.Until) {
		return false
	}
	return k.Present == nil || k.Present(c)
}

// builtinModules are there on every machine with PowerShell and hold the cmdlets that need no load.
func builtinModule(name string) bool {
	switch strings.ToLower(name) {
	case "", "microsoft.powershell.management", "microsoft.powershell.core", "microsoft.powershell.utility":
		return true
	}
	return false
}

// load checks that a module or snap-in is there.
func (c *Ctx) load(name string) error {
	if builtinModule(name) {
		return nil
	}
	for _, k := range c.B.Cmdlets {
		if strings.EqualFold(k.Load, name) && k.has(c) {
			return nil
		}
	}
	if snap, ok := strings.CutPrefix(name, "snapin:"); ok {
		return PSFail("AddPSSnapInRead,Microsoft.PowerShell.Commands.AddPSSnapinCommand", "InvalidArgument",
			"System.Management.Automation.PSArgumentException", 0x80070057, c.Pick([4]string{
				"The Windows PowerShell snap-in '" + snap + "' is not installed on this machine.",
				"Le composant logiciel enfichable Windows PowerShell « " + snap + " » n’est pas installé sur cet ordinateur.",
				"Das Windows PowerShell-Snap-In \"" + snap + "\" ist auf diesem Computer nicht installiert.",
				"Windows PowerShell スナップイン '" + snap + "' はこのコンピューターにインストールされていません。"}))
	}
	return PSFail("Modules_ModuleNotFound,Microsoft.PowerShell.Commands.ImportModuleCommand", "ResourceUnavailable",
		"System.IO.FileNotFoundException", 0x80070002, c.Pick([4]string{
			"The specified module '" + name + "' was not loaded because no valid module file was found in any module directory.",
			"Le module « " + name + " » spécifié n’a pas été chargé, car aucun fichier de module valide n’a été trouvé.",
			"Das angegebene Modul \"" + name + "\" wurde nicht geladen, da in keinem Modulverzeichnis eine gültige " +
				"Moduldatei gefunden wurde.",
			"どのモジュール ディレクトリにも有効なモジュール ファイルが見つからなかったため、指定されたモジュール '" + name + "' は読み込まれませんでした。"}))
}

// cmdlet finds a cmdlet. Modules load themselves from PowerShell 3.0 on; in 2.0 a cmdlet whose
// module was not loaded is unknown.
func (c *Ctx) cmdlet(name, load string) (*Cmdlet, error) {
	if err := c.load(load); err != nil {
		return nil, err
	}
	for _, k := range c.B.Cmdlets {
		if !strings.EqualFold(k.Name, name) || !k.has(c) {
			continue
		}
		auto := c.M.PSVer >= "3" && !strings.HasPrefix(k.Load, "snapin:")
		if strings.EqualFold(k.Load, load) || builtinModule(k.Load) || auto {
			return k, nil
		}
	}
	return nil, PSFail("CommandNotFoundException", "ObjectNotFound",
		"System.Management.Automation.CommandNotFoundException", corSystem, c.Pick([4]string{
			"The term '" + name + "' is not recognized as the name of a cmdlet, function, script file, or operable program.",
			"Le terme « " + name + " » n’est pas reconnu comme nom d’applet de commande, fonction, fichier de script ou " +
				"programme exécutable.",
			"Die Benennung \"" + name + "\" wurde nicht als Name eines Cmdlet, einer Funktion, einer Skriptdatei oder eines " +
				"ausführbaren Programms erkannt.",
			"用語 '" + name + "' は、コマンドレット、関数、スクリプト ファイル、または操作可能なプログラムの名前として認識されません。"}))
}

// RunCmdlet runs one cmdlet by name with parameters as data: the verb "cmdlet" without the
// selection of properties. load "" finds cmdlets whose module loads by itself.
func RunCmdlet(c *Ctx, name, load string, params map[string]any) ([]Object, error) {
	k, err := c.cmdlet(name, load)
	if err != nil {
		return nil, err
	}
	given := map[string]any{}
	for n, v := range params {
		p := k.param(c, n)
		if p == "" {
			return nil, PSFail("NamedParameterNotFound,"+k.Name, "InvalidArgument",
				"System.Management.Automation.ParameterBindingException", corSystem, c.Pick([4]string{
					"A parameter cannot be found that matches parameter name '" + n + "'.",
					"Impossible de trouver un paramètre correspondant au nom « " + n + " ».",
					"Es wurde kein Parameter gefunden, der dem Parameternamen \"" + n + "\" entspricht.",
					"パラメーター名 '" + n + "' に一致するパラメーターが見つかりません。"}))
		}
		if b, ok := v.(bool); ok && !b && common(p) && !strings.EqualFold(p, "Confirm") {
			continue // a switch that is off; -Confirm:$false says something, by keeping a cmdlet from asking
		}
		given[p] = v
	}
	return k.Run(c, given)
}

// common says that a parameter belongs to every cmdlet. ErrorAction and its like change nothing
// here.
func common(name string) bool {
	switch strings.ToLower(name) {
	case "erroraction", "warningaction", "verbose", "debug", "errorvariable", "warningvariable", "outvariable",
		"outbuffer", "confirm", "whatif":
		return true
	}
	return false
}

// param returns the cmdlet's spelling of a parameter, through its aliases, or "" for one that the
// release does not have.
func (k *Cmdlet) param(c *Ctx, name string) string {
	i := slices.IndexFunc(k.Params, func(p string) bool {
		own, _, _ := strings.Cut(p, "=")
		return strings.EqualFold(own, name)
	})
	if i >= 0 {
		own, target, alias := strings.Cut(k.Params[i], "=")
		if since, later := k.ParamSince[own]; later && !c.AtLeast(since) {
			return ""
		}
		if alias {
			return target
		}
		return own
	}
	switch strings.ToLower(name) {
	case "erroraction", "warningaction", "verbose", "debug", "errorvariable", "warningvariable", "outvariable",
		"outbuffer":
		return name
	}
	return ""
}

func verbCmdlet(c *Ctx, args map[string]any) ([]Object, error) {
	if user := ArgString(args, "user"); user != "" {
		// one cmdlet as a scheduled task of that user: a full logon, with a second hop
		if !c.logon(user, ArgString(args, "password")) {
			return nil, c.HRESULT(errLogonFailure)
		}
		n := *c
		n.User, n.Network = user, false
		c = &n
	}
	list, err := RunCmdlet(c, ArgString(args, "name"), ArgString(args, "load"), mapArg(args, "params"))
	if err != nil {
		return nil, err
	}
	sel := ArgStrings(args, "select")
	rows := make([]Object, 0, len(list))
	for _, o := range list {
		row := Object{}
		for _, s := range sel {
			row[s] = Select(o, s)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Select reads a property by a dotted name; the suffix ":name" gives an enumeration's word. See
// package resident.
func Select(o Object, name string) any {
	name, word := strings.CutSuffix(name, ":name")
	return textual(follow(o, strings.Split(name, ".")), word)
}

// follow walks a dotted name; a list on the way gives the list of what its elements have.
func follow(v any, parts []string) any {
	if len(parts) == 0 {
		return v
	}
	if list, ok := v.([]any); ok {
		out := make([]any, len(list))
		for i, x := range list {
			out[i] = follow(x, parts)
		}
		return out
	}
	m, ok := asObject(v)
	if !ok {
		return nil
	}
	for k, x := range m {
		if k != "" && strings.EqualFold(k, parts[0]) {
			return follow(x, parts[1:])
		}
	}
	return nil
}

func asObject(v any) (Object, bool) {
	switch v := v.(type) {
	case Object:
		return v, true
	case map[string]any:
		return v, true
	}
	return nil, false
}

func textual(v any, word bool) any {
	switch v := v.(type) {
	case Enum:
		if word {
			return v.Name
		}
		return v.Number
	case Object:
		if t, ok := v[""].(string); ok {
			return t
		}
		return plain(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = textual(x, word)
		}
		return out
	}
	return plain(v)
}
