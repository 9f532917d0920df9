package node

import (
	"slices"
	"strings"
)

// ToolForm is one program in the forms in which it only looks. Kinds of steps declare them, and no
// session lets a Reader start anything else.
type ToolForm struct {
	Program string // its name without a path; on Windows in lower case and without .exe
	Linux   bool   // a program of Linux, else of Windows
	// Reads says that with these arguments the program changes nothing. It lists what may stand there,
	// not what may not: an option that nobody has looked at is one that may write. On Windows all
	// arguments arrive in lower case.
	Reads func(args []string) bool
}

// ReadOnly makes the test of whether a program with its arguments only looks, from all forms that
// there are. Programs are named without a path, or by one below the Windows directory of drive C,
// or on Linux by one directly in /usr/bin, /usr/sbin, /bin or /sbin. The names of Linux are
// compared with case; one that Linux forms know is never looked for among those of Windows.
func ReadOnly(forms []ToolForm) func(argv []string) bool {
	linux, windows := map[string][]ToolForm{}, map[string][]ToolForm{}
	for _, f := range forms {
		if f.Linux {
			linux[f.Program] = append(linux[f.Program], f)
		} else {
			windows[f.Program] = append(windows[f.Program], f)
		}
	}
	reads := func(forms []ToolForm, args []string) bool {
		return slices.ContainsFunc(forms, func(f ToolForm) bool { return f.Reads(args) })
	}
	return func(argv []string) bool {
		if len(argv) == 0 {
			return false
		}
		if strings.HasPrefix(argv[0], "/") {
			return reads(linux[linuxName(argv[0])], argv[1:])
		}
		if known := linux[argv[0]]; known != nil {
			return reads(known, argv[1:])
		}
		args := make([]string, 0, len(argv)-1)
		for _, a := range argv[1:] {
			args = append(args, strings.ToLower(a))
		}
		return reads(windows[windowsName(argv[0])], args)
	}
}

// linuxName is the name of a program that is named by its path; "" for one in another place.
func linuxName(path string) string {
	i := strings.LastIndexByte(path, '/')
	if !slices.Contains([]string{"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"}, path[:i+1]) {
		return ""
	}
	return path[i+1:]
}

// windowsName is a program's name as ToolForm has it; "" for one in another place.
func windowsName(program string) string {
	name := strings.ToLower(program)
	if i := strings.LastIndexAny(name, `\/:`); i >= 0 {
		if !strings.HasPrefix(name, `c:\windows\`) || strings.Contains(name, `..`) || strings.ContainsAny(name[2:], `/:`) {
			return ""
		}
		name = name[i+1:]
	}
	return strings.TrimSuffix(name, ".exe")
}

// IsWord says that an argument is no option of a program of Linux.
func IsWord(arg string) bool { return !strings.HasPrefix(arg, "-") }

// NoOptions says that no argument is an option of a program of Linux.
func NoOptions(args []string) bool {
	return !slices.ContainsFunc(args, func(a string) bool { return !IsWord(a) })
}

// OnlyOptions says that every option is one of flags, or one of valued with its value behind it or
// behind "="; words may stand anywhere, and everything behind "--" is a word.
func OnlyOptions(args, flags, valued []string) bool {
	for i := 0; i < len(args); i++ {
		a := args[i]
		name, _, joined := strings.Cut(a, "=")
		switch {
		case a == "--":
			return true
		case IsWord(a), slices.Contains(flags, a):
		case slices.Contains(valued, a):
			if i++; i == len(args) {
				return false
			}
		case joined && strings.HasPrefix(name, "--") && slices.Contains(valued, name):
		default:
			return false
		}
	}
	return true
}
