package front

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"go.uber.org/goleak"

	"deploy/internal/lab/machine"
	"deploy/internal/session/powershell/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func encoded(script string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(script)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// shell runs one line on a host that answers with the line it was given.
func shell(t *testing.T, line, stdin string, h Host) (out, errOut string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	if h.Command == nil {
		h.Command = func(_ context.Context, _ Process, line string, stdin []byte) machine.Result {
			return machine.Result{Stdout: "[" + line + "|" + string(stdin) + "]", Code: 5}
		}
	}
	code = Run(t.Context(), Process{Line: line, Stdin: strings.NewReader(stdin), Stdout: &o, Stderr: &e, CodePage: 65001},
		h)
	return o.String(), e.String(), code
}

func TestWhatRuns(t *testing.T) {
	for _, x := range []struct {
		line, out string
		code      int
	}{
		{"hostname", "[hostname|]", 5},
		{`sc query "A B" & echo x`, `[sc query "A B" & echo x|]`, 5},
		{"sort", "[sort|in]", 5}, // reads its stdin; what else would never see its end
		{"diskpart /s x.txt", "[diskpart /s x.txt|]", 5},
		{"powershell -NoProfile -Command hostname", "[hostname|]", 1},
		{"powershell.exe hostname; exit $LASTEXITCODE", "[hostname|]", 5},
		{`C:\Windows\System32\WindowsPowerShell\v1.0\PowerShell.exe -NoP -NonI -Ex Unrestricted -enc ` +
			encoded("cluster group"), "[cluster group|]", 1},
		{"PowerShell -NoProfile -NonInteractive -ExecutionPolicy Unrestricted -EncodedCommand " +
			encoded(`reg query 'HKLM\SOFTWARE\A B' /v C`), `[reg query "HKLM\SOFTWARE\A B" /v C|]`, 1},
		{"powershell -e " + encoded(`& "C:\Program Files\x.exe" -a`), `["C:\Program Files\x.exe" -a|]`, 1},
		{"powershell -c echo a b", "a\r\nb\r\n", 0},
	} {
		if out, errOut, code := shell(t, x.line, "in", Host{PowerShell: "2.0"}); out != x.out || code != x.code ||
			errOut != "" {
			t.Errorf("%s: %q %q %d", x.line, out, errOut, code)
		}
	}
	// without PowerShell it is a program like another, which the machine then does not have
	if out, _, _ := shell(t, "powershell hostname", "", Host{}); out != "[powershell hostname|]" {
		t.Errorf("without PowerShell: %q", out)
	}
}

// TestRefused: code that the lab cannot run is refused loudly, and nothing of it is run.
func TestRefused(t *testing.T) {
	for _, line := range []string{
		"powershell", "powershell -NoProfile", "powershell -File x.ps1", "powershell -enc", "powershell -enc !!!",
		"powershell -Wat x",
		"powershell Get-Service", "powershell -enc " + encoded("a | b"), "powershell -enc " + encoded("a; b"),
		"powershell -enc " + encoded("a\nb"),
		"powershell -enc " + encoded(`a "$x"`), "powershell -enc " + encoded("a > b"), "powershell -enc " + encoded("$x = 1"),
		"powershell -enc " + encoded("a 'b"),
		"powershell dir", "powershell -enc " + encoded(" "), "powershell -",
	} {
		ran := false
		out, errOut, code := shell(t, line, "",
			Host{PowerShell: "5.1", Command: func(context.Context, Process, string, []byte) machine.Result {
				ran = true
				return machine.Result{}
			}})
		if ran || code != 1 || out != "" || !strings.HasPrefix(errOut, "#< CLIXML\r\n<Objs ") ||
			!strings.HasSuffix(errOut, "</Objs>") {
			t.Errorf("%s: ran %v, %d %q %q", line, ran, code, out, errOut)
		}
	}
}

func TestCodePages(t *testing.T) {
	for page, want := range map[int]string{437: "82", 0: "82", 850: "82", 1252: "e9", 65001: "c3a9", 932: "3f"} {
		if got := hex.EncodeToString(encodeText(page, "é")); got != want {
			t.Errorf("%d: %s", page, got)
		}
	}
	if got := hex.EncodeToString(encodeText(932, "プ")); got != "8376" {
		t.Errorf("932: %s", got)
	}
	if got := string(encodeText(437, "プé")); got != "?\x82" {
		t.Errorf("437: %q", got)
	}
}

// served plays a resident session over pipes and returns what came out.
func served(t *testing.T, preamble []byte, requests []protocol.Frame, h Host) (frames []protocol.Frame, errOut string,
	code int) {
	t.Helper()
	in := bytes.Clone(preamble)
	for _, f := range requests {
		var err error
		if in, err = protocol.AppendFrame(in, "n", f); err != nil {
			t.Fatal(err)
		}
	}
	var out, e bytes.Buffer
	h.PowerShell = "2.0"
	code = Run(t.Context(), Process{Line: protocol.CommandLine(), Stdin: bytes.NewReader(in), Stdout: &out, Stderr: &e}, h)
	r := protocol.NewReader(&out, "n")
	for {
		f, err := r.Next()
		if err == io.EOF {
			return frames, e.String(), code
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
}

func TestResident(t *testing.T) {
	var asked []string
	h := Host{Serve: func(_ context.Context, _ Process, verb string, args map[string]any) ([]machine.Object, error) {
		asked = append(asked, verb)
		switch verb {
		case "many":
			rows := make([]machine.Object, 600)
			for i := range rows {
				rows[i] = machine.Object{"n": int64(i), "e": machine.Enum{Number: 4, Name: "Running"},
					"l": []any{machine.Enum{Number: 1}}}
			}
			return rows, nil
		case "fail":
			return nil, &machine.Fail{Code: -2147024894, ID: "X,Y", Category: "ObjectNotFound", Type: "T",
				Text: "Zugriff verweigert: é"}
		}
		return nil, nil
	}}
	ask := func(id int64, verb string) protocol.Frame {
		return protocol.Frame{ID: id, Kind: protocol.KindRequest,
			Value: map[string]any{"verb": verb, "args": map[string]any{}}}
	}
	frames, errOut, code := served(t, protocol.Preamble("n"),
		[]protocol.Frame{ask(1, "many"), ask(1, "repeat"), ask(2, "fail"), ask(4, "none"), ask(3, "late"),
			{ID: 5, Kind: protocol.KindLeave}, ask(6, "after the end")}, h)
	if code != 0 || errOut != "" || strings.Join(asked, " ") != "many fail none" {
		t.Fatalf("%d %q, asked %v", code, errOut, asked)
	}
	var kinds []string
	rows := 0
	for _, f := range frames {
		kinds = append(kinds, f.Kind)
		if f.Kind == protocol.KindRows {
			for _, r := range f.Value.([]any) {
				row := r.(map[string]any)
				if row["n"] != int64(rows) || row["e"] != int64(4) || row["l"].([]any)[0] != int64(1) {
					t.Fatalf("row %d: %v", rows, row)
				}
				rows++
			}
		}
	}
	if strings.Join(kinds, "") != "HRRRDED" || rows != 600 {
		t.Errorf("%v, %d rows", kinds, rows)
	}
	e := frames[5].Value.(map[string]any)
	if e["code"] != int64(0x80070002) || e["id"] != "X,Y" || e["text"] != "Zugriff verweigert: é" {
		t.Errorf("%v", e)
	}
}

// TestOtherScript: the lab emulates one script. Whatever else is sent is not run, and says so.
func TestOtherScript(t *testing.T) {
	serve := Host{Serve: func(context.Context, Process, string, map[string]any) ([]machine.Object, error) {
		t.Error("it was served")
		return nil, nil
	}}
	other := []byte(base64.StdEncoding.EncodeToString([]byte("Remove-Item C:\\ -Recurse")) + "\n.\nn\n")
	frames, errOut, code := served(t, other, nil, serve)
	if code != 1 || len(frames) != 0 || !strings.Contains(errOut, "deploy.lab.OtherScript") {
		t.Errorf("%d %v %q", code, frames, errOut)
	}
	if _, _, code = served(t, protocol.Preamble("n")[:100], nil, serve); code != 3 {
		t.Errorf("input cut short: %d", code)
	}
	if _, errOut, code = served(t, []byte("!!!\n.\nn\n"), nil, serve); code != 1 || errOut == "" {
		t.Errorf("no base64: %d %q", code, errOut)
	}
}
