package winargs

import (
	"slices"
	"strings"
	"testing"
)

// split reads a command line's arguments by the documented rules of CommandLineToArgvW, for what
// follows the program's name.
func split(line string) []string {
	var args []string
	i := 0
	for {
		for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
			i++
		}
		if i == len(line) {
			return args
		}
		var b strings.Builder
		quoted := false
		for i < len(line) && (quoted || line[i] != ' ' && line[i] != '\t') {
			n := 0
			for i < len(line) && line[i] == '\\' {
				n++
				i++
			}
			switch {
			case i < len(line) && line[i] == '"':
				// 2n backslashes and a quote: n backslashes, and the quote opens or closes; 2n+1: n backslashes
				// and the quote itself
				b.WriteString(strings.Repeat(`\`, n/2))
				if n%2 == 1 {
					b.WriteByte('"')
				} else {
					quoted = !quoted
				}
				i++
			case n > 0:
				b.WriteString(strings.Repeat(`\`, n))
			default:
				b.WriteByte(line[i])
				i++
			}
		}
		args = append(args, b.String())
	}
}

func TestQuote(t *testing.T) {
	for _, tt := range []struct {
		argv []string
		want string
	}{
		{[]string{"x"}, ""},
		{[]string{"x", "a", "b c"}, `a "b c"`},
		{[]string{"x", ""}, `""`},
		{[]string{"x", `C:\dir with\`}, `"C:\dir with\\"`},
		{[]string{"x", `C:\dir\`}, `C:\dir\`},
		{[]string{"x", `say "hi"`}, `"say \"hi\""`},
		{[]string{"x", `\\"`}, `"\\\\\""`},
		{[]string{"x.cmd", "plain", `C:\dir name\`, "a,b", `C:\dir\`, ""}, `plain "C:\dir name\" "a,b" C:\dir\ ""`},
	} {
		if got, err := Quote(tt.argv); err != nil || got != tt.want {
			t.Errorf("Quote(%q) = %s, %v; want %s", tt.argv, got, err, tt.want)
		}
	}
	for _, argv := range [][]string{nil, {""}, {`a"b`}, {"x", "a\x00b"}, {"x.cmd", "a&b"}, {"X.BAT", `"`},
		{"x.bat", "%PATH%"}, {"x.bat.", "%PATH%"}, {`C:\x.CMD .. `, "a&b"}, {"x", strings.Repeat("a", 33000)}} {
		if got, err := Quote(argv); err == nil {
			t.Errorf("Quote(%.60q) = %.60s, and no error", argv, got)
		}
	}
	if _, err := Quote([]string{"x.cmd", "plain", `C:\dir name`}); err != nil {
		t.Error(err)
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("a b", `\"`, "")
	f.Add(`\\server\share\`, "tab\there", `"`)
	f.Add("日本", " ", "\v\n")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		argv := []string{"x.exe", a, b, c}
		line, err := Quote(argv)
		if err != nil {
			return
		}
		if got := split(line); !slices.Equal(got, argv[1:]) {
			t.Errorf("%q became %q by way of %s", argv[1:], got, line)
		}
	})
}

func TestCommandLine(t *testing.T) {
	for want, argv := range map[string][]string{
		`"x"`:                              {"x"},
		`"C:\Program Files\x.exe" a "b c"`: {`C:\Program Files\x.exe`, "a", "b c"},
	} {
		if got, err := CommandLine(argv); err != nil || got != want {
			t.Errorf("CommandLine(%q) = %s, %v; want %s", argv, got, err, want)
		}
	}
	if _, err := CommandLine([]string{"x.bat", "%A%"}); err == nil {
		t.Error("a batch file's argument with a percent sign was taken")
	}
}
