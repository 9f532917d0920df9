package machine

import (
	"strings"

	"deploy/internal/node"
)

// featureCmdlets are the module ServerManager: Add-/Remove- on 2008 R2, Install-/Uninstall- from
// 2012 with the old names as aliases.
func featureCmdlets() []*Cmdlet {
	const module = "ServerManager"
	get := []string{"Name", "LogPath"}
	add := []string{"Name", "IncludeAllSubFeature", "LogPath", "Restart", "Confirm", "WhatIf"}
	remove := []string{"Name", "LogPath", "Restart", "Confirm", "WhatIf"}
	r2, v12 := node.WS2008R2, node.WS2012
	return []*Cmdlet{
		{Name: "Get-WindowsFeature", Load: module, Params: get, Since: r2, Run: getFeature},
		{Name: "Add-WindowsFeature", Load: module, Params: add, Since: r2, Until: r2, Run: installFeature},
		{Name: "Remove-WindowsFeature", Load: module, Params: remove, Since: r2, Until: r2, Run: uninstallFeature},
		{Name: "Install-WindowsFeature", Load: module, Params: append([]string{"IncludeManagementTools", "Source"}, add...),
			Since: v12, Run: installFeature},
		{Name: "Uninstall-WindowsFeature", Load: module, Params: append([]string{"IncludeManagementTools", "Remove"},
			remove...), Since: v12, Run: uninstallFeature},
	}
}

func featureObject(c *Ctx, f feature) Object {
	on := Feature(c.M, f.id)
	state := Enum{0, "Available"}
	if on {
		state = Enum{1, "Installed"}
	}
	kind := map[featureKind]string{aFeature: "Feature", aRole: "Role", aRoleService: "Role Service"}[f.kind]
	depth := int64(1)
	for p, ok := findFeature(c, f.parent); ok; p, ok = findFeature(c, p.parent) {
		depth++
	}
	var parent any
	if f.parent != "" {
		parent = f.parent
	}
	o := Object{"": f.id, "Name": f.id, "DisplayName": c.Pick(f.display), "Description": c.Pick(f.display),
		"Installed": on, "FeatureType": kind, "Depth": depth, "Parent": parent, "Path": f.id}
	if c.AtLeast(node.WS2012) {
		o["InstallState"] = state
	}
	return o
}

func getFeature(c *Ctx, params map[string]any) ([]Object, error) {
	names := ArgStrings(params, "Name")
	var out []Object
	for _, f := range features() {
		if !f.on(c.M.Release) {
			continue
		}
		if len(names) == 0 || matchAny(names, f.id) {
			out = append(out, featureObject(c, f))
		}
	}
	return out, nil
}

// matchAny compares a name with patterns that may hold *, without case.
func matchAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if wild(strings.ToLower(p), strings.ToLower(name)) {
			return true
		}
	}
	return false
}

func wild(p, s string) bool {
	parts := strings.Split(p, "*")
	if len(parts) == 1 {
		return p == s
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, x := range parts[1 : len(parts)-1] {
		i := strings.Index(s, x)
		if i < 0 {
			return false
		}
		s = s[i+len(x):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

// featureResult is what the cmdlets of the module answer. RestartNeeded and ExitCode are
// enumerations; NoChangeNeeded is 1003.
func featureResult(c *Ctx, changed []string, restart bool) []Object {
	need, code := Enum{0, "No"}, Enum{0, "Success"}
	switch {
	case len(changed) == 0:
		code = Enum{1003, "NoChangeNeeded"}
	case restart:
		need, code = Enum{1, "Yes"}, Enum{3010, "SuccessRestartRequired"}
	}
	list := []any{}
	for _, id := range changed {
		if f, ok := findFeature(c, id); ok {
			list = append(list, featureObject(c, f))
		}
	}
	return []Object{{"Success": true, "RestartNeeded": need, "ExitCode": code, "FeatureResult": list}}
}

func featureUnknown(c *Ctx, cmdlet, id string) error {
	return PSFail("NameDoesNotExist,Microsoft.Windows.ServerManager.Commands."+cmdlet, "InvalidArgument",
		"System.Exception", 0x80131500, c.Pick([4]string{
			"The target of the specified cmdlet cannot be: '" + id + "' does not exist.",
			"La fonctionnalité « " + id + " » n’existe pas.",
			"Das Feature \"" + id + "\" ist nicht vorhanden.", "機能 '" + id + "' は存在しません。"}))
}

func installFeature(c *Ctx, params map[string]any) ([]Object, error) {
	cmdlet := "AddWindowsFeatureCommand"
	ids := ArgStrings(params, "Name")
	if len(ids) == 0 {
		return nil, missingParameter(c, "Name", "Install-WindowsFeature")
	}
	if ArgBool(params, "IncludeManagementTools") {
		for _, id := range ids {
			if f, ok := findFeature(c, id); ok {
				ids = append(ids, f.tools...)
			}
		}
	}
	list, unknown := planInstall(c, ids, ArgBool(params, "IncludeAllSubFeature"))
	if unknown != "" {
		return nil, featureUnknown(c, cmdlet, unknown)
	}
	if ArgBool(params, "WhatIf") {
		return nil, nil
	}
	// .NET Framework 3.5 is not on the disk of 2012 and later: without -Source it is not found
	for _, f := range list {
		if f.id == "NET-Framework-Core" && c.AtLeast(node.WS2012) && ArgString(params, "Source") == "" {
			return nil, PSFail("DISMAPI_Error__Failed_To_Enable_Updates,Microsoft.Windows.ServerManager.Commands."+cmdlet,
				"InvalidOperation", "System.Exception", 0x800F081F, c.Pick([4]string{
					"The source files could not be found.", "Les fichiers source sont introuvables.",
					"Die Quelldateien wurden nicht gefunden.", "ソース ファイルが見つかりませんでした。"}))
		}
	}
	changed, restart, _ := InstallFeatures(c, ids, ArgBool(params, "IncludeAllSubFeature"))
	out := featureResult(c, changed, restart)
	if restart && ArgBool(params, "Restart") {
		RestartSoon(c, restartDelay)
	}
	return out, nil
}

func uninstallFeature(c *Ctx, params map[string]any) ([]Object, error) {
	ids := ArgStrings(params, "Name")
	if len(ids) == 0 {
		return nil, missingParameter(c, "Name", "Uninstall-WindowsFeature")
	}
	for _, id := range ids {
		f, ok := findFeature(c, id)
		if !ok {
			return nil, featureUnknown(c, "RemoveWindowsFeatureCommand", id)
		}
		if ArgBool(params, "IncludeManagementTools") {
			ids = append(ids, f.tools...)
		}
	}
	if ArgBool(params, "WhatIf") {
		return nil, nil
	}
	changed, restart, _ := RemoveFeatures(c, ids)
	out := featureResult(c, changed, restart)
	if restart && ArgBool(params, "Restart") {
		RestartSoon(c, restartDelay)
	}
	return out, nil
}

// missingParameter is PowerShell's refusal in a session that cannot ask for a mandatory parameter.
func missingParameter(c *Ctx, name, cmdlet string) error {
	return PSFail("MissingMandatoryParameter,"+cmdlet, "InvalidArgument",
		"System.Management.Automation.ParameterBindingException", corSystem, c.Pick([4]string{
			"Cannot process command because of one or more missing mandatory parameters: " + name + ".",
			"Impossible de traiter la commande, car un ou plusieurs paramètres obligatoires sont manquants : " + name + ".",
			"Der Befehl kann aufgrund mindestens eines fehlenden obligatorischen Parameters nicht verarbeitet werden: " + name +
				".", "1 つ以上の必須パラメーターが指定されていないため、コマンドを処理できません: " + name + "。"}))
}

// ambiguousSet is the refusal of parameters that stand in different parameter sets.
func ambiguousSet(c *Ctx, cmdlet string) error {
	return PSFail("AmbiguousParameterSet,"+cmdlet, "InvalidArgument",
		"System.Management.Automation.ParameterBindingException", corSystem, c.Pick([4]string{
			"Parameter set cannot be resolved using the specified named parameters.",
			"Le jeu de paramètres ne peut pas être résolu à l’aide des paramètres nommés spécifiés.",
			"Der Parametersatz kann mit den angegebenen benannten Parametern nicht aufgelöst werden.",
			"指定された名前付きパラメーターを使用してパラメーター セットを解決できません。"}))
}
