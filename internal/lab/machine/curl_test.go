package machine

import (
	"strings"
	"testing"

	"deploy/internal/node"
)

// What curl.exe refuses before it asks anybody, and where there is none. What it does with a server
// is played in package remote.
func TestCurl(t *testing.T) {
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"curl.exe": {2, "no URL specified!"},
		"curl.exe --no-such-option https://a.example/": {2, "option --no-such-option: is unknown"},
		"curl.exe -sZ https://a.example/":              {2, "option -Z: is unknown"},
		"curl.exe https://a.example/ -o":               {2, "option -o: requires parameter"},
		"curl.exe --max-time soon https://a.example/": {2,
			"option --max-time: expected a proper numerical parameter"},
		"curl.exe -L https://a.example/":                         {2, "redirections are not emulated"},
		"curl.exe --proto =https http://a.example/":              {1, `Protocol "http" not supported`},
		"curl.exe ftp://a.example/":                              {1, `Protocol "ftp" not supported`},
		"curl.exe -q https:///x":                                 {3, "malformed"},
		"curl.exe -q -sS -f --proto =https https://a.example/x":  {6, "Could not resolve host: a.example"},
		"curl.exe -s https://a.example/x":                        {6, ""},
		`curl.exe -o C:\Windows\Temp\x --tlsv1.2 https://a.b/x`:  {6, "Could not resolve host: a.b"},
		`C:\Windows\System32\curl.exe --noproxy * https://a.b/x`: {6, "Could not resolve host: a.b"},
		`curl.exe --noproxy a.example https://a.example/x`:       {2, "of --noproxy only"},
		`curl.exe --proto =http,https https://a.example/x`:       {2, "of --proto only"},
		`curl.exe https://a.example/x https://a.example/y`:       {2, "only one address"},
	} {
		c := newLab(t, node.WS2019, "en").node1()
		got := Exec(c, Argv(line), nil)
		if got.Code != want.code || !strings.Contains(got.Stderr, want.text) || want.text == "" && got.Stderr != "" {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
	}
	for _, r := range []node.Release{node.WS2003, node.WS2016} {
		if got := Exec(newLab(t, r, "en").node1(), []string{"curl.exe", "https://a.example/"}, nil); got.Code != Code9009 {
			t.Errorf("on %s: %+v", r, got)
		}
	}
}

// A file is measured and renamed as a person would do it by hand.
func TestHashAndMove(t *testing.T) {
	c := newLab(t, node.WS2019, "de").node1()
	const sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of "abc": FIPS 180-2, B.1
	for i, step := range []struct {
		line, out string
		code      int
	}{
		{`cmd /c echo x>C:\Windows\Temp\old`, "", 0},
		{`certutil -hashfile C:\Windows\Temp\new SHA256`, "0x80070002", -2147024894},
		{`certutil -hashfile C:\Windows\Temp\abc SHA256`, "\r\n" + sum + "\r\n", 0},
		{`certutil -hashfile C:\Windows\Temp\abc`, "", 2},
		{`move C:\Windows\Temp\abc C:\Windows\Temp\old`, "", 1},
		{`cmd.exe /d /c "move /y C:\Windows\Temp\abc C:\Windows\Temp\old"`, "1 Datei(en)", 0},
		{`move /y C:\Windows\Temp\abc C:\Windows\Temp\old`, "", 1},
		{`certutil -hashfile C:\Windows\Temp\old SHA256`, sum, 0},
		{`move /y C:\Windows\Temp\old`, "", 255},
	} {
		if i == 0 {
			if err := WriteFile(c, `C:\Windows\Temp\abc`, []byte("abc")); err != nil {
				t.Fatal(err)
			}
		}
		if got := CommandLine(c, step.line, nil); got.Code != step.code || !strings.Contains(got.Stdout, step.out) {
			t.Errorf("%s: %+v", step.line, got)
		}
	}
	old := newLab(t, node.WS2008, "en").node1()
	if err := WriteFile(old, `C:\Windows\Temp\abc`, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	if got := CommandLine(old, `certutil -hashfile C:\Windows\Temp\abc sha256`, nil); !strings.Contains(got.Stdout,
		"\r\nba 78 16 bf ") {
		t.Errorf("%+v", got)
	}
}
