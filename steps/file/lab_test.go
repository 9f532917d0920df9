package file

import (
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/steps"
)

const config = "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<configuration>\r\n  <!-- <add " +
	"key=\"QueueDatabasePath\" value=\"no\"/> -->\r\n" +
	"  <appSettings>\r\n    <add key=\"QueueDatabasePath\" value=\"C:\\Queue\" />\r\n  " +
	"</appSettings>\r\n</configuration>\r\n"

func TestTierConformanceInLab(t *testing.T) {
	text := "line\nnext é\n"
	for name, c := range map[string]struct {
		kind steps.Kind
		with map[string]any
	}{
		"new file": {fileKind(), map[string]any{"path": `C:\Windows\Temp\new.txt`, "content": text, "crlf": true}},
		"utf-16": {fileKind(), map[string]any{"path": `C:\Windows\Temp\new.txt`, "content": text,
			"encoding": "utf-16le"}},
		"replace": {fileKind(), map[string]any{"path": `C:\Windows\System32\drivers\etc\hosts`, "base64": "AAEC"}},
		"absent":  {fileKind(), map[string]any{"path": `C:\Windows\System32\drivers\etc\hosts`, "absent": true}},
		"directories": {directoryKind(),
			map[string]any{"path": `C:\Deploy\A\B`, "acl": []any{map[string]any{"sid": "S-1-5-20", "rights": "read"}}}},
		"rights": {directoryKind(),
			map[string]any{"path": `C:\Windows\Temp`,
				"acl": []any{map[string]any{"sid": "NS", "rights": "modify", "inherit": false}}}},
		"setting": {xmlKind(), map[string]any{"file": `C:\Windows\Temp\x.config`,
			"element": "configuration/appSettings/add[@key='QueueDatabasePath']", "value": `E:\Queue & more`}},
		"new setting": {xmlKind(), map[string]any{"file": `C:\Windows\Temp\x.config`,
			"element": "configuration/appSettings/add[@key='Other']", "value": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			conformance.InLab(t, nil, func(t *testing.T, b *conformance.Bench) {
				s := b.Session(t, conformance.Node1)
				if err := write(t.Context(), s, `C:\Windows\Temp\x.config`, []byte(config)); err != nil {
					t.Fatal(err)
				}
				conformance.Run(t, conformance.Case{Kind: c.kind, With: c.with, Open: func(*testing.T) node.Session { return s }})
				back, err := content(t.Context(), s, `C:\Windows\Temp\x.config`)
				if err != nil || string(back) != config {
					t.Errorf("the config file is not as it was: %q, %v", back, err)
				}
			})
		})
	}
}
