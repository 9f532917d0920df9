package winenodes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/local"
	"deploy/internal/testkit/conformance"
	"deploy/steps"
	"deploy/steps/all"
)

// serviceFlag makes the test binary a service.
const serviceFlag = "be-a-service"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == serviceFlag {
		if err := svc.Run(os.Args[2], idle{}); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// idle is a service that does nothing until it is stopped.
type idle struct{}

func (idle) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop}
	for r := range requests {
		switch r.Cmd {
		case svc.Interrogate:
			status <- r.CurrentStatus
		case svc.Stop, svc.Shutdown:
			status <- svc.Status{State: svc.StopPending}
			return false, 0
		}
	}
	return false, 0
}

// service makes a service whose program is this test binary.
func service(t *testing.T, start uint32) string {
	t.Helper()
	m, err := mgr.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Disconnect() }()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("DeployKinds%d", time.Now().UnixNano())
	s, err := m.CreateService(name, exe, mgr.Config{DisplayName: name, StartType: start}, serviceFlag, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = s.Control(svc.Stop)
		if err := errors.Join(s.Delete(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return name
}

func openHere(t *testing.T) node.Session {
	t.Helper()
	s, err := local.Open(t.Context(), local.Options{Options: session.Options{Node: "here",
		ReadOnly: all.Kinds().ReadOnly()}, Agent: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTierWineKinds plays the kinds that Wine may judge: each by itself on the session that an
// agent serves, then by the engine, with and without an agent.
func TestTierWineKinds(t *testing.T) {
	if os.Getenv("DEPLOY_TIER") != "wine" {
		t.Skip("belongs to the tier wine: make test-wine")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put(t, at("old.txt"), "what was there\r\n")
	put(t, at("app.config"), "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<configuration>\r\n  "+
		"<appSettings>\r\n    <add key=\"A\" value=\"1\" />\r\n  </appSettings>\r\n</configuration>\r\n")
	put(t, at("check.cmd"), "@if exist \"%~1\" (exit /b 0) else (exit /b 1)\r\n")
	put(t, at("make.cmd"), "@echo made > \"%~1\"\r\n")
	put(t, at("undo.cmd"), "@del \"%~1\"\r\n")
	const key = `HKLM\SOFTWARE\DeployKinds`
	for name, c := range map[string]struct {
		kind     string
		with     map[string]any
		programs []string
	}{
		"registry/new key": {kind: "registry", with: map[string]any{"key": key + `\Deep\Deeper`, "name": "Text",
			"data": "été 世"}},
		"registry/dword": {kind: "registry", with: map[string]any{"key": key, "name": "N", "type": "dword",
			"data": float64(4294967295)}},
		"registry/qword": {kind: "registry", with: map[string]any{"key": key, "name": "Q", "type": "qword",
			"data": "0x7fffffffffffffff"}},
		"registry/multi": {kind: "registry", with: map[string]any{"key": key, "name": "L", "type": "multi",
			"data": []any{"a", "b c"}}},
		"registry/binary": {kind: "registry", with: map[string]any{"key": key, "name": "B", "type": "binary",
			"data": "00 ff 10"}},
		"registry/expand": {kind: "registry", with: map[string]any{"key": key, "name": "E", "type": "expand",
			"data": `%SystemRoot%\x`}},
		"registry/replace": {kind: "registry",
			with: map[string]any{"key": `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "name": "productname",
				"data": "other"}},
		"registry/absent": {kind: "registry",
			with: map[string]any{"key": `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "name": "ProductName",
				"absent": true}},
		"service/start type": {kind: "service",
			with: map[string]any{"name": service(t, mgr.StartManual), "start": "auto"}},
		"service/runs": {kind: "service",
			with: map[string]any{"name": service(t, mgr.StartManual), "state": "running"}},
		"service/disabled": {kind: "service",
			with: map[string]any{"name": service(t, mgr.StartManual), "start": "disabled"}},
		"service/enabled and runs": {kind: "service",
			with: map[string]any{"name": service(t, mgr.StartDisabled), "start": "manual", "state": "running"}},
		"file/new": {kind: "file",
			with: map[string]any{"path": at("new file.txt"), "content": "line\nnext é\n", "crlf": true}},
		"file/utf-16": {kind: "file", with: map[string]any{"path": at("new16.txt"), "content": "world 世\n",
			"encoding": "utf-16le"}},
		"file/replace":  {kind: "file", with: map[string]any{"path": at("old.txt"), "base64": "AAEC"}},
		"file/absent":   {kind: "file", with: map[string]any{"path": at("old.txt"), "absent": true}},
		"directory/new": {kind: "directory", with: map[string]any{"path": at(`a\b\c`)}},
		"xmlsetting/change": {kind: "xmlsetting",
			with: map[string]any{"file": at("app.config"), "element": "configuration/appSettings/add[@key='A']",
				"value": `E:\Queue & more`}},
		"xmlsetting/new": {kind: "xmlsetting",
			with: map[string]any{"file": at("app.config"), "element": "configuration/appSettings/add[@key='B']", "value": "2"}},
		"package/msi": {kind: "package", with: map[string]any{"path": ProductPath, "product_code": ProductCode}},
		"command/reg": {kind: "command", with: map[string]any{"check": []any{"reg.exe", "query", key + `\Cmd`},
			"apply": []any{"reg.exe", "add", key + `\Cmd`, "/f"},
			"undo":  []any{"reg.exe", "delete", key + `\Cmd`, "/f"}}, programs: []string{"reg.exe"}},
		"command/batch": {kind: "command", with: map[string]any{"check": []any{at("check.cmd"), at("mark, of it.txt")},
			"apply": []any{at("make.cmd"), at("mark, of it.txt")},
			"undo":  []any{at("undo.cmd"), at("mark, of it.txt")}},
			programs: []string{at("check.cmd"), at("make.cmd"), at("undo.cmd")}},
	} {
		t.Run(name, func(t *testing.T) {
			kind, ok := all.Kinds().Get(c.kind)
			if !ok {
				t.Fatal("there is no such kind")
			}
			conformance.Run(t, conformance.Case{Kind: kind, With: c.with, Programs: c.programs, Open: openHere})
		})
	}
}

// TestTierWinePackage: what Windows Installer leaves is what the package says, and a package that
// is not there is no success.
func TestTierWinePackage(t *testing.T) {
	if os.Getenv("DEPLOY_TIER") != "wine" {
		t.Skip("belongs to the tier wine: make test-wine")
	}
	s := openHere(t)
	apply := func(with map[string]any) (steps.Step, steps.Diff, error) {
		t.Helper()
		kind, _ := all.Kinds().Get("package")
		step, err := kind.Decode(with)
		if err != nil {
			t.Fatal(err)
		}
		d, err := step.Check(t.Context(), s)
		if err != nil || d.Action != steps.Create {
			t.Fatalf("%+v, %v", d, err)
		}
		_, err = step.Apply(t.Context(), s, d)
		return step, d, err
	}
	step, d, err := apply(map[string]any{"path": ProductPath, "product_code": ProductCode})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.Query(t.Context(), node.Registry{Key: ProductKey})
	if err != nil || len(rows) != 1 || rows[0].String("data") != "1.2.3" {
		t.Errorf("%v, %v", rows, err)
	}
	f, err := s.Open(t.Context(), ProductFile)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil || !strings.Contains(string(b), "Deploy test product") {
		t.Errorf("%q, %v", b, err)
	}
	_ = f.Close()
	if err := step.(steps.Undoer).Undo(t.Context(), s, d.Before); err != nil {
		t.Error(err)
	}
	if _, err := s.Stat(t.Context(), ProductFile); !errors.Is(err, node.ErrNotFound) {
		t.Error(err)
	}
	if _, _, err := apply(map[string]any{"path": `C:\media\not there.msi`,
		"product_code": "{00000000-1495-44FB-8DEB-4BE906D59619}"}); err == nil {
		t.Error("a package that is not there was installed")
	}
}

// TestTierWineFalseSuccess: a step whose tool Wine only pretends to have fails with the loud code,
// and does not pass for done.
func TestTierWineFalseSuccess(t *testing.T) {
	if os.Getenv("DEPLOY_TIER") != "wine" {
		t.Skip("belongs to the tier wine: make test-wine")
	}
	s := openHere(t)
	for _, argv := range [][]string{{"netsh.exe", "interface", "show", "interface"}, {"icacls.exe", `C:\x`},
		{"powershell.exe", "-Command", "exit 0"}, {"schtasks.exe", "/query"}, {"net.exe", "user"}} {
		res, err := s.Run(t.Context(), node.Cmd{Argv: argv})
		if err != nil || res.Code != LoudCode {
			t.Errorf("%v: %+v, %v", argv, res, err)
		}
	}
}
