package front

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"deploy/internal/session/powershell/protocol"
)

// psCommand is a powershell.exe command line taken apart.
type psCommand struct {
	Script  string
	Encoded bool
	Err     error // why the command line cannot be run
}

// switches of powershell.exe with whether each takes a value. Windows PowerShell accepts any
// prefix. Source: powershell.exe /?, Windows PowerShell 2.0 to 5.1.
func psSwitches() []struct {
	name  string
	value bool
} {
	return []struct {
		name  string
		value bool
	}{
		{"noprofile", false}, {"noninteractive", false}, {"nologo", false}, {"noexit", false}, {"sta", false}, {"mta", false},
		{"executionpolicy", true}, {"inputformat", true}, {"outputformat", true}, {"windowstyle", true}, {"version", true},
		{"psconsolefile", true}, {"configurationname", true},
	}
}

// parsePowerShell takes a command line apart. ok is false when its program is not powershell.exe.
func parsePowerShell(line string) (cmd psCommand, ok bool) {
	words := splitLine(line)
	if len(words) == 0 {
		return cmd, false
	}
	name := strings.ToLower(words[0][strings.LastIndexAny(words[0], `\/`)+1:])
	if name != "powershell" && name != "powershell.exe" {
		return cmd, false
	}
	for i := 1; i < len(words); i++ {
		w := strings.ToLower(words[i])
		if !strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "/") || w == "-" {
			cmd.Script = strings.Join(words[i:], " ")
			return cmd, true
		}
		w = w[1:]
		switch {
		case w == "ec" || strings.HasPrefix("encodedcommand", w):
			cmd.Encoded = true
			if i+1 >= len(words) {
				cmd.Err = errors.New("no command follows -EncodedCommand")
				return cmd, true
			}
			cmd.Script, cmd.Err = decodeCommand(words[i+1])
			return cmd, true
		case strings.HasPrefix("command", w):
			cmd.Script = strings.Join(words[i+1:], " ")
			return cmd, true
		}
		known := false
		for _, s := range psSwitches() {
			if strings.HasPrefix(s.name, w) || w == "ep" && s.name == "executionpolicy" {
				known = true
				if s.value {
					i++
				}
				break
			}
		}
		if !known {
			cmd.Err = fmt.Errorf("%s is not supported here", words[i])
			return cmd, true
		}
	}
	cmd.Err = errors.New("an interactive session is not supported here")
	return cmd, true
}

// splitLine cuts a command line at blanks outside double quotes and takes the quotes away.
func splitLine(line string) []string {
	var words []string
	var b strings.Builder
	quoted, some := false, false
	for _, r := range line {
		switch {
		case r == '"':
			quoted, some = !quoted, true
		case (r == ' ' || r == '\t') && !quoted:
			if some {
				words = append(words, b.String())
				b.Reset()
			}
			some = false
		default:
			b.WriteRune(r)
			some = true
		}
	}
	if some {
		words = append(words, b.String())
	}
	return words
}

// decodeCommand reads what -EncodedCommand takes: base64 of UTF-16, low byte first.
func decodeCommand(s string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(raw)%2 != 0 {
		return "", errors.New("the command is not base64 of UTF-16")
	}
	u := make([]uint16, len(raw)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	return string(utf16.Decode(u)), nil
}

func runPowerShell(ctx context.Context, p Process, h Host, cmd psCommand) int {
	if cmd.Err != nil {
		return complain(p, cmd.Err.Error(), "deploy.lab.CommandLine")
	}
	if cmd.Encoded && protocol.IsBootstrap(p.Line) {
		return serveResident(ctx, p, h)
	}
	if strings.TrimSpace(cmd.Script) == "-" {
		return complain(p, "commands from stdin are not supported here", "deploy.lab.CommandLine")
	}
	native, err := parseNative(cmd.Script)
	if err != nil {
		return complain(p, err.Error(), "deploy.lab.NotEmulated")
	}
	if native.echo {
		_, _ = p.Stdout.Write(encodeText(p.CodePage, native.line))
		return 0
	}
	code := runCommand(ctx, p, h, native.line)
	if code != 0 && !native.keepCode {
		// without an exit statement the process tells only whether the last command went well
		return 1
	}
	return code
}

// complain refuses as a non-interactive powershell.exe does: CLIXML on stderr, exit code 1.
func complain(p Process, text, id string) int {
	var b strings.Builder
	for _, l := range []string{text, "    + CategoryInfo          : NotImplemented: (:) [], RuntimeException",
		"    + FullyQualifiedErrorId : " + id, " "} {
		b.WriteString(`<S S="Error">` + clixmlText(l) + `_x000D__x000A_</S>`)
	}
	_, _ = p.Stderr.Write([]byte("#< CLIXML\r\n" +
		`<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">` + b.String() + `</Objs>`))
	return 1
}

// clixmlText escapes text for a CLIXML string: XML, and _x for what would look like its own escape.
func clixmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "_x", "_x005F_x", "\r", "_x000D_",
		"\n", "_x000A_").Replace(s)
}

// native is a script that is one native command line.
type native struct {
	line     string
	keepCode bool // it ends with exit $LASTEXITCODE
	echo     bool // it only prints; line is the text
}

// internalCommands are words that cmd.exe knows by itself and PowerShell knows otherwise or not at
// all.
const internalCommands = " call cd chdir cls copy date del dir endlocal erase for goto if md mkdir move path pause " +
	"popd prompt pushd rd rem ren rename rmdir set setlocal shift start time title type ver verify vol "

// parseNative reads a script that runs one program and nothing else. Anything that needs
// PowerShell's language is an error.
//
// In Windows PowerShell `sc` is an alias of Set-Content, so `sc query` fails there; the lab runs
// sc.exe, because a person who tries a lab machine by hand means that. deploy itself never sends
// it.
func parseNative(script string) (native, error) {
	var out native
	s := strings.TrimSpace(script)
	if head, tail, ok := strings.Cut(s, ";"); ok && strings.EqualFold(strings.Join(strings.Fields(tail), " "),
		"exit $lastexitcode") {
		s, out.keepCode = strings.TrimSpace(head), true
	}
	s = strings.TrimSpace(strings.TrimPrefix(s, "& "))
	words, err := psWords(s)
	if err != nil {
		return out, err
	}
	if len(words) == 0 {
		return out, errors.New("the script is empty")
	}
	name := strings.ToLower(words[0])
	if name == "echo" || name == "write-output" || name == "write-host" {
		out.echo, out.line = true, strings.Join(words[1:], "\r\n")+"\r\n"
		return out, nil
	}
	verb, noun, dashed := strings.Cut(name, "-")
	if dashed && verb != "" && noun != "" && !strings.ContainsAny(name, `.\`) ||
		strings.Contains(internalCommands, " "+name+" ") {
		return out, fmt.Errorf("the lab's powershell.exe has no %s: it runs the resident script of deploy, and single "+
			"native command lines", words[0])
	}
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t") {
			words[i] = `"` + w + `"`
		}
	}
	out.line = strings.Join(words, " ")
	return out, nil
}

// psWords cuts a command into words by PowerShell's quoting. Whatever is more than words is an
// error.
func psWords(s string) ([]string, error) {
	var words []string
	var b strings.Builder
	var quote rune
	some := false
	for _, r := range s {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
				break
			}
			if quote == '"' && (r == '$' || r == '`') {
				return nil, errLanguage
			}
			b.WriteRune(r)
		case r == '\'' || r == '"':
			quote, some = r, true
		case r == ' ' || r == '\t':
			if some {
				words = append(words, b.String())
				b.Reset()
			}
			some = false
		case strings.ContainsRune("|;&(){}$`<>@#,\r\n", r):
			return nil, errLanguage
		default:
			b.WriteRune(r)
			some = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if some {
		words = append(words, b.String())
	}
	return words, nil
}

var errLanguage = errors.New("the lab's powershell.exe does not run PowerShell code: it runs the resident script of " +
	"deploy, and single native command lines")
