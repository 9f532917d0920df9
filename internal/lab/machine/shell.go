package machine

import (
	"fmt"
	"strings"
)

// CommandLine runs a line as `cmd /c <line>` does: && || & |, redirections, a few variables, a few
// commands of cmd's own, and programs. The caller holds the world's lock. It writes the line down
// in World.History, without passwords.
func CommandLine(c *Ctx, line string, stdin []byte) (res Result) {
	c = c.guarded()
	if c.depth == 0 {
		defer func() {
			if r := recover(); r != nil {
				if r != errGone {
					panic(r)
				}
				res = Result{Code: 1}
			}
		}()
		c.record("cmd: " + strings.Join(hideArgs(Argv(line)), " "))
		c.strikeReboot()
	}
	sh := &shell{c: c}
	return sh.line(line, stdin)
}

// shell is one cmd.exe: its directory and the exit code of the last command.
type shell struct {
	c    *Ctx
	exit bool // the command exit was given
	code int
}

// piece is one command of a line with what stands before it: "", "&", "&&", "||" or "|".
type piece struct{ op, text string }

// pieces cuts a line at its operators outside quotes. ^ takes the meaning from the next character.
func pieces(line string) []piece {
	var out []piece
	var b strings.Builder
	op, quoted := "", false
	rs := []rune(line)
	cut := func(next string) {
		out = append(out, piece{op, strings.TrimSpace(b.String())})
		b.Reset()
		op = next
	}
	for i := 0; i < len(rs); i++ {
		r := rs[i]
		switch {
		case r == '"':
			quoted = !quoted
			b.WriteRune(r)
		case quoted:
			b.WriteRune(r)
		case r == '^' && i+1 < len(rs):
			i++
			b.WriteRune(rs[i])
		case r == '&' && i > 0 && rs[i-1] == '>': // 2>&1
			b.WriteRune(r)
		case (r == '&' || r == '|') && i+1 < len(rs) && rs[i+1] == r:
			cut(string(r) + string(r))
			i++
		case r == '&' || r == '|':
			cut(string(r))
		default:
			b.WriteRune(r)
		}
	}
	cut("")
	return out
}

func (s *shell) line(line string, stdin []byte) Result {
	var all Result
	var piped []byte
	list := pieces(line)
	for i, p := range list {
		if s.exit {
			break
		}
		if p.text == "" || p.op == "&&" && s.code != 0 || p.op == "||" && s.code == 0 {
			continue
		}
		in := stdin
		if p.op == "|" {
			in = piped
		}
		r := s.one(p.text, in)
		s.code = r.Code
		if i+1 < len(list) && list[i+1].op == "|" {
			piped = []byte(r.Stdout)
			r.Stdout = ""
		}
		all.Stdout += r.Stdout
		all.Stderr += r.Stderr
		if r.Goes != nil {
			all.Goes = r.Goes
			break // it has the line's streams now: what would come after it is not emulated
		}
	}
	all.Code = s.code
	return all
}

// one runs one command with its redirections.
func (s *shell) one(text string, stdin []byte) Result {
	text = strings.TrimPrefix(strings.TrimSpace(text), "@")
	if strings.HasPrefix(text, "(") && strings.HasSuffix(text, ")") {
		return s.line(text[1:len(text)-1], stdin)
	}
	if low := strings.ToLower(text); strings.HasPrefix(low, "if ") {
		return s.conditional(text[3:], stdin)
	}
	text, to := redirections(s.c.expand(text))
	r := s.run(text, stdin)
	if to.merge {
		r.Stdout += r.Stderr
		r.Stderr = ""
	}
	for _, t := range []struct {
		path   string
		append bool
		from   *string
	}{{to.out, to.appendOut, &r.Stdout}, {to.err, to.appendErr, &r.Stderr}} {
		if t.path == "" {
			continue
		}
		if !strings.EqualFold(t.path, "nul") {
			data := []byte(*t.from)
			if old, err := ReadFile(s.c, t.path); err == nil && t.append {
				data = append(append([]byte{}, old...), data...)
			}
			if err := WriteFile(s.c, t.path, data); err != nil {
				return Result{Code: 1, Stderr: s.c.AsFail(err).Text + "\r\n"}
			}
		}
		*t.from = ""
	}
	return r
}

type redirect struct {
	out, err             string
	appendOut, appendErr bool
	merge                bool
}

// redirections takes > >> 2> 2>&1 and < with their targets out of a command.
func redirections(text string) (string, redirect) {
	var to redirect
	var b strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		ch := text[i]
		if ch == '"' {
			quoted = !quoted
		}
		if quoted || (ch != '>' && ch != '<') {
			b.WriteByte(ch)
			continue
		}
		fromErr := false
		if s := b.String(); strings.HasSuffix(s, "2") && (len(s) == 1 || s[len(s)-2] == ' ') {
			fromErr = true
			b.Reset()
			b.WriteString(s[:len(s)-1])
		} else if strings.HasSuffix(s, " 1") {
			b.Reset()
			b.WriteString(s[:len(s)-1])
		}
		more := strings.HasPrefix(text[i:], ">>")
		if more {
			i++
		}
		rest := strings.TrimLeft(text[i+1:], " ")
		skipped := len(text[i+1:]) - len(rest)
		var target string
		if strings.HasPrefix(rest, `"`) && strings.Contains(rest[1:], `"`) {
			target = rest[:strings.Index(rest[1:], `"`)+2]
		} else {
			target, _, _ = strings.Cut(rest, " ")
		}
		i += skipped + len(target)
		name := strings.Trim(target, `"`)
		switch {
		case ch == '<':
		case fromErr && name == "&1":
			to.merge = true
		case fromErr:
			to.err, to.appendErr = name, more
		default:
			to.out, to.appendOut = name, more
		}
	}
	return strings.TrimSpace(b.String()), to
}

// conditional is `if [not] exist <path> <command>` and `if [/i] [not] a==b <command>`, with an else
// behind brackets.
func (s *shell) conditional(text string, stdin []byte) Result {
	text = strings.TrimSpace(text)
	fold := false
	not := false
	for {
		low := strings.ToLower(text)
		if strings.HasPrefix(low, "/i ") {
			fold, text = true, strings.TrimSpace(text[3:])
		} else if strings.HasPrefix(low, "not ") {
			not, text = !not, strings.TrimSpace(text[4:])
		} else {
			break
		}
	}
	yes := false
	switch low := strings.ToLower(text); {
	case strings.HasPrefix(low, "exist "):
		word, rest := firstWord(strings.TrimSpace(text[6:]))
		text = rest
		word = s.c.expand(word)
		f, err := StatFile(s.c, word)
		// a path with a backslash at its end asks for a directory
		yes = err == nil && (f.Dir || !strings.HasSuffix(strings.Trim(word, `"`), `\`))
	case strings.Contains(text, "=="):
		a, rest, _ := strings.Cut(text, "==")
		b, cmd := firstWord(strings.TrimSpace(rest))
		text = cmd
		a, b = s.c.expand(strings.TrimSpace(a)), s.c.expand(b)
		yes = a == b || fold && strings.EqualFold(a, b)
	default:
		return s.syntax()
	}
	text = strings.TrimSpace(text)
	other := ""
	if strings.HasPrefix(text, "(") {
		if i := strings.Index(strings.ToLower(text), ") else "); i > 0 {
			text, other = text[:i+1], strings.TrimSpace(text[i+7:])
		}
	}
	switch {
	case yes != not:
		return s.one(text, stdin)
	case other != "":
		return s.one(other, stdin)
	}
	return Result{Code: s.code}
}

func (s *shell) syntax() Result {
	return Result{Code: 255, Stderr: s.c.Pick([4]string{"The syntax of the command is incorrect.",
		"La syntaxe de la commande n’est pas correcte.",
		"Syntaxfehler.", "コマンドの構文が誤っています。"}) + "\r\n"}
}

// firstWord cuts the first word off, quotes kept together.
func firstWord(text string) (word, rest string) {
	quoted := false
	for i := 0; i < len(text); i++ {
		if text[i] == '"' {
			quoted = !quoted
		}
		if text[i] == ' ' && !quoted {
			return text[:i], strings.TrimSpace(text[i+1:])
		}
	}
	return text, ""
}

// Argv cuts a command line into arguments as CommandLineToArgvW does: quotes group, \" is a quote.
func Argv(line string) []string {
	var out []string
	var b strings.Builder
	quoted, some := false, false
	for i := 0; i < len(line); i++ {
		ch := line[i]
		if ch == '\\' {
			n := 0
			for i+n < len(line) && line[i+n] == '\\' {
				n++
			}
			some = true
			if i+n < len(line) && line[i+n] == '"' {
				b.WriteString(strings.Repeat(`\`, n/2))
				if n%2 == 1 {
					b.WriteByte('"')
					i += n
					continue
				}
				i += n - 1
				continue
			}
			b.WriteString(strings.Repeat(`\`, n))
			i += n - 1
			continue
		}
		switch {
		case ch == '"':
			quoted, some = !quoted, true
		case (ch == ' ' || ch == '\t') && !quoted:
			if some {
				out = append(out, b.String())
				b.Reset()
			}
			some = false
		default:
			b.WriteByte(ch)
			some = true
		}
	}
	if some {
		out = append(out, b.String())
	}
	return out
}

// run runs one command without operators.
func (s *shell) run(text string, stdin []byte) Result {
	if text == "" {
		return Result{Code: s.code}
	}
	word, rest := firstWord(text)
	name := strings.ToLower(strings.Trim(word, `"`))
	switch {
	case strings.HasPrefix(name, "echo."), strings.HasPrefix(name, "echo:"):
		return Result{Stdout: text[5:] + "\r\n"}
	case strings.HasPrefix(strings.ToLower(text), "cd\\"), strings.HasPrefix(strings.ToLower(text), "cd.."):
		word, rest, name = "cd", text[2:], "cd"
	}
	if f := s.builtin(name); f != nil {
		return f(rest)
	}
	argv := Argv(text)
	switch strings.TrimSuffix(strings.ToLower(argv[0][strings.LastIndexAny(argv[0], `\/`)+1:]), ".exe") {
	case "cmd":
		return s.nested(rest, stdin)
	case "start", "for", "set", "copy", "move", "ren", "call", "pushd", "popd", "goto", "setlocal", "date", "time",
		"title", "mklink":
		return Result{Code: 1, Stderr: "deploy lab: " + name + " is not emulated\r\n"}
	}
	// what a program prints while it runs goes the way of its standard output: redirected, piped or
	// shown
	var printed strings.Builder
	n := *s.c
	n.Print = func(text string) { printed.WriteString(text) }
	r := Exec(&n, argv, stdin)
	r.Stdout = printed.String() + r.Stdout
	return r
}

// nested is cmd.exe started by a command line: /c and /s /c; anything else would wait for a person.
func (s *shell) nested(rest string, stdin []byte) Result {
	low := strings.ToLower(rest)
	i := strings.Index(low, "/c")
	if i < 0 {
		i = strings.Index(low, "/k")
	}
	if i < 0 {
		return Result{Stdout: fmt.Sprintf("Microsoft Windows [Version %s]\r\n", s.c.M.Version)}
	}
	inner := strings.TrimSpace(rest[i+2:])
	if len(inner) > 1 && inner[0] == '"' && inner[len(inner)-1] == '"' {
		// quotes stay only around the name of a program with blanks in it. Source: cmd /?
		between := inner[1 : len(inner)-1]
		name := !strings.Contains(between, `"`) && !strings.ContainsAny(between, "&<>()@^|") &&
			strings.ContainsAny(between, " \t") && s.c.Program(between) != nil
		if !name || strings.Contains(low[:i], "/s") {
			inner = between
		}
	}
	n := *s.c
	n.depth++
	const deepest = 16
	if n.depth > deepest {
		return Result{Code: 1}
	}
	return (&shell{c: &n}).line(inner, stdin)
}

// CmdTool is cmd.exe started as a program with arguments of its own.
func cmdTool(c *Ctx, argv []string, stdin []byte) Result {
	rest := make([]string, 0, len(argv))
	for i, a := range argv[1:] {
		if i > 0 && strings.ContainsAny(a, " \t") && !strings.HasPrefix(a, `"`) {
			// one argument with blanks behind /c is the whole line; several are words that need their quotes
			// back
			if len(argv) > 3 {
				a = `"` + a + `"`
			}
		}
		rest = append(rest, a)
	}
	return (&shell{c: c}).nested(strings.Join(rest, " "), stdin)
}
