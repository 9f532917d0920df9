package machine

import (
	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
)

// ownerKey is where a machine keeps which controllers work on it, see package protocol.
const (
	deployKey = `HKLM\SOFTWARE\deploy`
	ownerKey  = deployKey + `\Owner`
)

// errRevision is ERROR_REVISION_MISMATCH.
const errRevision = 1306

func ownerRecord(c *Ctx, site string) string {
	text, _ := RegValue(c, ownerKey, site).(string)
	return text
}

func setOwnerRecord(c *Ctx, site, text string) error {
	if text == "" {
		RegDelete(c, ownerKey, site)
		for _, key := range []string{ownerKey, deployKey} {
			if names, _ := RegSubkeys(c, key); len(names) > 0 || !empty(c, key) {
				break
			}
			RegDeleteKey(c, key)
		}
		return nil
	}
	return RegSet(c, ownerKey, site, "string", text)
}

func empty(c *Ctx, key string) bool {
	k := RegKey(c, key)
	return k != nil && len(k.Values) == 0
}

func superseded(text string) *Fail {
	return &Fail{Code: errRevision, ID: protocol.IDSuperseded, Text: text}
}

// passFence refuses a request of a controller that is not in charge any more.
func passFence(c *Ctx, f node.Fence) error {
	text := ownerRecord(c, f.Site)
	if !f.Passes(text) {
		return superseded(text)
	}
	if f.Record != "" && f.Record != text {
		return setOwnerRecord(c, f.Site, f.Record)
	}
	return nil
}

func verbOwnerGet(c *Ctx, _ map[string]any) ([]Object, error) {
	k := RegKey(c, ownerKey)
	if k == nil {
		return nil, nil
	}
	var rows []Object
	for _, n := range sortedKeys(k.Values) {
		text, _ := k.Values[n].Data.(string)
		rows = append(rows, Object{"site": k.Values[n].Name, "record": text})
	}
	return rows, nil
}

func verbOwnerSet(c *Ctx, args map[string]any) ([]Object, error) {
	site := ArgString(args, "site")
	if text := ownerRecord(c, site); text != ArgString(args, "was") {
		return nil, superseded(text)
	}
	return nil, setOwnerRecord(c, site, ArgString(args, "record"))
}
