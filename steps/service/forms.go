package service

import (
	"strings"

	"deploy/internal/node"
	"deploy/steps/inspect"
)

// forms are the forms of sc.exe and systemctl that only look.
func forms() []node.ToolForm {
	return append(inspect.Forms(), node.ToolForm{Program: "sc", Reads: scReads})
}

// scReads: another machine may be named. Source: sc, Windows Server command reference.
func scReads(args []string) bool {
	if len(args) > 0 && strings.HasPrefix(args[0], `\\`) {
		args = args[1:]
	}
	if len(args) == 0 {
		return false
	}
	switch args[0] {
	case "query", "queryex", "qc", "qdescription", "qfailure", "qtriggerinfo", "sdshow", "enumdepend", "getdisplayname",
		"getkeyname":
		return true
	}
	return false
}
