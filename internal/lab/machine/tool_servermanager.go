package machine

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Exit codes of ServerManagerCmd. Source: technet cc733119 (windows.md 8.1).
const (
	smSuccess     = 0
	smBadArgument = 4
	smReadError   = 110
	smNoChange    = 1003
	smRestart     = 3010
)

// serverManagerTool is ServerManagerCmd.exe of 2008 and 2008 R2: -query, -install, -remove and
// -inputPath with their abbreviations.
func serverManagerTool(c *Ctx, argv []string, _ []byte) Result {
	verb, result, input := "", "", ""
	var ids []string
	var query string
	all, whatIf := false, false
	value := func(i *int) string {
		if *i+1 < len(argv) && !strings.HasPrefix(argv[*i+1], "-") {
			*i++
			return argv[*i]
		}
		return ""
	}
	for i := 1; i < len(argv); i++ {
		switch low := strings.ToLower(argv[i]); low {
		case "-query", "-q":
			verb, query = "query", value(&i)
		case "-install", "-i":
			verb, ids = "install", append(ids, value(&i))
		case "-remove", "-r":
			verb, ids = "remove", append(ids, value(&i))
		case "-inputpath", "-ip":
			verb, input = "input", value(&i)
		case "-allsubfeatures", "-a":
			all = true
		case "-resultpath", "-rp":
			result = value(&i)
		case "-logpath", "-l":
			value(&i)
		case "-restart":
		case "-whatif", "-w":
			whatIf = true
		case "-version", "-v":
			return Result{Stdout: c.M.Version + "\r\n"}
		default:
			return smBad(c, argv[i])
		}
	}
	if verb == "query" {
		return smQuery(c, query)
	}
	install := verb == "install"
	if verb == "input" {
		data, err := ReadFile(c, input)
		if err != nil {
			return Result{Code: smReadError, Stdout: "ReadError: " + c.AsFail(err).Text + "\r\n"}
		}
		var bad bool
		if ids, install, bad = answerFile(data); bad {
			return Result{Code: smReadError, Stdout: "ReadError: " + c.Text(errInvalidData) + "\r\n"}
		}
	}
	if len(ids) == 0 || ids[0] == "" {
		return smBad(c, verb)
	}
	for _, id := range ids {
		if _, ok := findFeature(c, id); !ok {
			return smBad(c, id)
		}
	}
	if whatIf {
		return Result{Stdout: "WhatIf: " + strings.Join(ids, ", ") + "\r\n"}
	}
	var changed []string
	var restart bool
	if install {
		changed, restart, _ = InstallFeatures(c, ids, all)
	} else {
		changed, restart, _ = RemoveFeatures(c, ids)
	}
	r := Result{Code: smSuccess, Stdout: "Success: " + c.Pick([4]string{"the operation succeeded.",
		"l’opération a réussi.", "der Vorgang war erfolgreich.", "操作は成功しました。"}) + "\r\n"}
	switch {
	case len(changed) == 0:
		r = Result{Code: smNoChange, Stdout: "NoChange: " + c.Pick([4]string{"no changes were made.",
			"aucune modification n’a été apportée.", "es wurden keine Änderungen vorgenommen.", "変更は行われませんでした。"}) + "\r\n"}
	case restart:
		r = Result{Code: smRestart, Stdout: "Success: " + c.Pick([4]string{"a restart is required.",
			"un redémarrage est nécessaire.", "ein Neustart ist erforderlich.", "再起動が必要です。"}) + "\r\n"}
	}
	if result != "" {
		if err := WriteFile(c, result, smResult(c, changed, restart)); err != nil {
			return Result{Code: 1, Stdout: "Error: " + c.AsFail(err).Text + "\r\n"}
		}
	}
	return r
}

func smBad(c *Ctx, what string) Result {
	return Result{Code: smBadArgument,
		Stdout: "ArgumentNotValid: " + fmt.Sprintf(c.Pick([4]string{"%s is not valid.", "%s n’est pas valide.",
			"%s ist ungültig.", "%s は無効です。"}), what) + "\r\n"}
}

// smQuery lists what is installed, as text or, with a file, as XML with Id and Installed.
func smQuery(c *Ctx, file string) Result {
	var text, x strings.Builder
	x.WriteString(`<?xml version="1.0" encoding="utf-8"?>` + "\r\n")
	fmt.Fprintf(&x, `<ServerManagerConfigurationQuery Time="%s" Language="%s" xmlns="http://schemas.microsoft.com/sdm/Windows/ServerManager/Configuration/2007/1">`+"\r\n",
		c.Now().UTC().Format("2006-01-02T15:04:05"), c.Pick([4]string{"en-US", "fr-FR", "de-DE", "ja-JP"}))
	var walk func(parent string, depth int)
	walk = func(parent string, depth int) {
		for _, f := range features() {
			if f.parent != parent || !f.on(c.M.Release) {
				continue
			}
			name := map[featureKind]string{aFeature: "Feature", aRole: "Role", aRoleService: "RoleService"}[f.kind]
			mark := "[ ]"
			on := Feature(c.M, f.id)
			if on {
				mark = "[X]"
			}
			pad := strings.Repeat("    ", depth)
			fmt.Fprintf(&text, "%s%s %s  [%s]\r\n", pad, mark, c.Pick(f.display), f.id)
			fmt.Fprintf(&x, `%s<%s DisplayName="%s" Installed="%t" Id="%s">`+"\r\n", pad, name, escape(c.Pick(f.display)), on,
				f.id)
			walk(f.id, depth+1)
			fmt.Fprintf(&x, "%s</%s>\r\n", pad, name)
		}
	}
	walk("", 1)
	x.WriteString("</ServerManagerConfigurationQuery>\r\n")
	if file != "" {
		if err := WriteFile(c, file, []byte(x.String())); err != nil {
			return Result{Code: 1, Stdout: "Error: " + c.AsFail(err).Text + "\r\n"}
		}
		return Result{}
	}
	return Result{Stdout: text.String()}
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

func smResult(c *Ctx, ids []string, restart bool) []byte {
	var x strings.Builder
	x.WriteString(`<?xml version="1.0" encoding="utf-8"?>` + "\r\n")
	fmt.Fprintf(&x, `<ServerManagerConfigurationResult Time="%s" Success="true" RequiresReboot="%t" xmlns="http://schemas.microsoft.com/sdm/Windows/ServerManager/Configuration/2007/1">`+"\r\n",
		c.Now().UTC().Format("2006-01-02T15:04:05"), restart)
	for _, id := range ids {
		fmt.Fprintf(&x, `  <Item Id="%s" Installed="%t"/>`+"\r\n", id, Feature(c.M, id))
	}
	x.WriteString("</ServerManagerConfigurationResult>\r\n")
	return []byte(x.String())
}

// answerFile reads the ids of an answer file (-inputPath) and whether they are to be installed.
func answerFile(data []byte) (ids []string, install, bad bool) {
	install = true
	d := xml.NewDecoder(strings.NewReader(string(data)))
	root := true
	for {
		t, err := d.Token()
		if err != nil {
			return ids, install, err.Error() != "EOF" || len(ids) == 0
		}
		e, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range e.Attr {
			if root && a.Name.Local == "Action" {
				install = strings.EqualFold(a.Value, "Install")
			}
			if !root && a.Name.Local == "Id" {
				ids = append(ids, a.Value)
			}
		}
		root = false
	}
}
