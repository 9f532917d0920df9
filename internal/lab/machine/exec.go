package machine

import (
	"strings"
)

// Code9009 is cmd.exe's exit code for a command that is neither a program nor one of its own.
const Code9009 = 9009

// Exec runs a program with its arguments, as CreateProcess does; the caller holds the world's lock.
// A program that the machine does not have leaves 9009 and cmd.exe's sentence in the machine's
// language.
func Exec(c *Ctx, argv []string, stdin []byte) Result {
	if len(argv) == 0 {
		return Result{}
	}
	const deepest = 16 // cmd /c cmd /c ... ends somewhere
	if c.depth > deepest {
		return Result{Code: 1, Stderr: "nested too deeply\r\n"}
	}
	n := *c
	n.depth++
	t := n.Program(argv[0])
	if t == nil {
		return c.notRecognized(argv[0])
	}
	return t(&n, argv, stdin)
}

// Program finds a program by the name or path as called; nil says that the machine does not have
// it.
func (c *Ctx) Program(name string) Tool {
	name = strings.Trim(name, `"`)
	name = c.expand(name)
	if strings.ContainsAny(name, `\/:`) {
		path := c.abs(name)
		for _, p := range withExtensions(path) {
			for _, find := range c.B.Lookup {
				if find == nil {
					continue
				}
				if t := find(c, p); t != nil {
					return t
				}
			}
		}
		dir, file := splitPath(path)
		switch strings.ToLower(dir) {
		case `c:\windows`, `c:\windows\system32`, `c:\windows\sysnative`, `c:\windows\system32\wbem`,
			`c:\windows\system32\windowspowershell\v1.0`, `c:\windows\cluster`:
			return c.tool(file)
		}
		return nil
	}
	for _, p := range withExtensions(c.abs(name)) { // the current directory comes first
		for _, find := range c.B.Lookup {
			if find == nil {
				continue
			}
			if t := find(c, p); t != nil {
				return t
			}
		}
	}
	return c.tool(name)
}

// tool finds a program of the system by its file name.
func (c *Ctx) tool(name string) Tool {
	for _, n := range withExtensions(strings.ToLower(name)) {
		t := c.B.Tools[n]
		if t == nil {
			continue
		}
		if have := c.B.Have[n]; have != nil && !have(c) {
			continue
		}
		return t
	}
	return nil
}

// withExtensions lists the names that a name without an extension stands for, in PATHEXT's order.
func withExtensions(name string) []string {
	base := name[strings.LastIndexByte(name, '\\')+1:]
	if strings.Contains(base, ".") {
		return []string{name}
	}
	return []string{name + ".com", name + ".exe", name + ".bat", name + ".cmd"}
}

func (c *Ctx) notRecognized(name string) Result {
	name = strings.Trim(name, `"`)
	return Result{Code: Code9009, Stderr: c.Pick([4]string{
		"'" + name + "' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n",
		"'" + name + "' n’est pas reconnu en tant que commande interne\r\nou externe, un programme exécutable ou un " +
			"fichier de commandes.\r\n",
		"Der Befehl \"" + name + "\" ist entweder falsch geschrieben oder\r\nkonnte nicht gefunden werden.\r\n",
		"'" + name + "' は、内部コマンドまたは外部コマンド、\r\n操作可能なプログラムまたはバッチ ファイルとして認識されていません。\r\n"})}
}

func verbRun(c *Ctx, args map[string]any) ([]Object, error) {
	argv := ArgStrings(args, "argv")
	if len(argv) == 0 {
		return nil, c.Win32(errInvalidParameter)
	}
	if dir := ArgString(args, "dir"); dir != "" {
		n := *c
		n.Dir = dir
		c = &n
	}
	if c.Program(argv[0]) == nil {
		return nil, unsupported("no program %s", argv[0])
	}
	var stdin []byte
	switch in := Arg(args, "stdin").(type) {
	case []byte:
		stdin = in
	case string:
		stdin = []byte(in)
	}
	var printed strings.Builder
	n := *c
	n.Print = func(text string) { printed.WriteString(text) }
	began := c.Now()
	res := Exec(&n, argv, stdin)
	if res.Goes != nil {
		return nil, unsupported("%s wants to talk, and here nobody listens", argv[0])
	}
	if limit, ok := ArgInt(args, "timeout"); ok && limit > 0 && c.Now().Sub(began).Milliseconds() > limit {
		return nil, &Fail{Code: 1460, ID: "deploy.Timeout", Text: "the program did not end in time and was stopped"}
	}
	return []Object{{"code": int64(int32(res.Code)), "stdout": []byte(printed.String() + res.Stdout),
		"stderr": []byte(res.Stderr)}}, nil
}

// splitPath cuts a path into directory and last name.
func splitPath(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '\\')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}
