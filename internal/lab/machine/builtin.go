package machine

import (
	"fmt"
	"strconv"
	"strings"
)

// builtin finds a command of cmd.exe's own; nil says that there is none.
func (s *shell) builtin(name string) func(rest string) Result {
	switch name {
	case "echo":
		return s.echo
	case "rem":
		return func(string) Result { return Result{} }
	case "ver":
		return func(string) Result {
			return Result{Stdout: "\r\n" + s.c.Pick([4]string{"Microsoft Windows [Version ", "Microsoft Windows [version ", "",
				""}) + s.c.M.Version + "]\r\n"}
		}
	case "cd", "chdir":
		return s.cd
	case "type":
		return s.typ
	case "dir":
		return s.dir
	case "md", "mkdir":
		return s.mkdir
	case "rd", "rmdir":
		return s.rmdir
	case "del", "erase":
		return s.del
	case "move":
		return s.move
	case "exit":
		return func(rest string) Result {
			s.exit = true
			code := s.code
			for _, w := range strings.Fields(rest) {
				if n, err := strconv.Atoi(w); err == nil {
					code = n
				}
			}
			return Result{Code: code}
		}
	}
	return nil
}

func (s *shell) echo(rest string) Result {
	if rest == "" {
		return Result{Stdout: s.c.Pick([4]string{"ECHO is on.", "Commande ECHO activée.", "ECHO ist eingeschaltet (ON).",
			"ECHO は <ON> です。"}) + "\r\n"}
	}
	return Result{Stdout: rest + "\r\n"}
}

func (s *shell) cd(rest string) Result {
	words := Argv(rest)
	if len(words) > 0 && strings.EqualFold(words[0], "/d") {
		words = words[1:]
	}
	if len(words) == 0 {
		dir := s.c.Dir
		if dir == "" {
			dir = `C:\Windows\system32`
		}
		return Result{Stdout: dir + "\r\n"}
	}
	f, err := StatFile(s.c, words[0])
	if err != nil || !f.Dir {
		return s.failed(errPathNotFound)
	}
	n := *s.c
	n.Dir = s.c.abs(words[0])
	s.c = &n
	return Result{}
}

func (s *shell) failed(code int) Result {
	return Result{Code: 1, Stderr: s.c.Text(code) + "\r\n"}
}

// because answers with the reason of a file operation's failure and cmd.exe's exit code 1.
func (s *shell) because(err error) Result {
	return Result{Code: 1, Stderr: s.c.AsFail(err).Text + "\r\n"}
}

// split parts options (/x) from names.
func split(rest string) (options string, names []string) {
	for _, w := range Argv(rest) {
		if strings.HasPrefix(w, "/") {
			options += strings.ToLower(w)
		} else {
			names = append(names, w)
		}
	}
	return options, names
}

// move renames one file; with /y over another one.
func (s *shell) move(rest string) Result {
	options, names := split(rest)
	if len(names) != 2 || options != "" && options != "/y" {
		return s.syntax()
	}
	if Exists(s.c, names[1]) && options == "" {
		return Result{Code: 1, Stderr: "deploy lab: move over a file would ask: give /y\r\n"}
	}
	if err := MoveFile(s.c, names[0], names[1]); err != nil {
		return s.because(err)
	}
	return Result{Stdout: s.c.Pick([4]string{"        1 file(s) moved.", "        1 fichier(s) déplacé(s).",
		"        1 Datei(en) verschoben.", "        1 個のファイルを移動しました。"}) + "\r\n"}
}

func (s *shell) typ(rest string) Result {
	_, names := split(rest)
	if len(names) == 0 {
		return s.syntax()
	}
	var out strings.Builder
	for _, n := range names {
		data, err := ReadFile(s.c, n)
		if err != nil {
			return s.because(err)
		}
		out.Write(data)
	}
	return Result{Stdout: out.String()}
}

func (s *shell) dir(rest string) Result {
	options, names := split(rest)
	path := "."
	if len(names) > 0 {
		path = names[0]
	}
	full := s.c.abs(path)
	f, err := StatFile(s.c, path)
	none := Result{Code: 1, Stderr: s.c.Pick([4]string{"File Not Found", "Fichier introuvable", "Datei nicht gefunden",
		"ファイルが見つかりません"}) + "\r\n"}
	if err != nil {
		return none
	}
	list := []entry{}
	if f.Dir {
		if list, err = listDir(s.c, path); err != nil {
			return none
		}
	} else {
		dir, name := splitPath(full)
		full, list = dir, append(list, entry{name, f})
	}
	var b strings.Builder
	bare := strings.Contains(options, "/b")
	if !bare {
		fmt.Fprintf(&b, s.c.Pick([4]string{" Directory of %s\r\n\r\n", " Répertoire de %s\r\n\r\n",
			" Verzeichnis von %s\r\n\r\n", " %s のディレクトリ\r\n\r\n"}), full)
	}
	for _, e := range list {
		if strings.Contains(options, "/ad") && !e.file.Dir || strings.Contains(options, "/a-d") && e.file.Dir {
			continue
		}
		if bare {
			b.WriteString(e.name + "\r\n")
			continue
		}
		when := e.file.Modified.Format(s.c.Pick([4]string{"01/02/2006  03:04 PM", "02/01/2006  15:04", "02.01.2006  15:04",
			"2006/01/02  15:04"}))
		size := fmt.Sprintf("%17d", len(e.file.Data))
		if e.file.Dir {
			size = "   <DIR>         "
		}
		fmt.Fprintf(&b, "%s %s %s\r\n", when, size, e.name)
	}
	return Result{Stdout: b.String()}
}

func (s *shell) mkdir(rest string) Result {
	_, names := split(rest)
	if len(names) == 0 {
		return s.syntax()
	}
	for _, n := range names {
		if Exists(s.c, n) {
			return Result{Code: 1, Stderr: fmt.Sprintf(s.c.Pick([4]string{"A subdirectory or file %s already exists.",
				"Un sous-répertoire ou un fichier %s existe déjà.",
				"Ein Unterverzeichnis oder eine Datei mit dem Namen \"%s\" existiert bereits.",
				"サブディレクトリまたはファイル %s は既に存在します。"}), n) + "\r\n"}
		}
		if err := MakeDirs(s.c, n); err != nil {
			return s.because(err)
		}
	}
	return Result{}
}

func (s *shell) rmdir(rest string) Result {
	options, names := split(rest)
	if len(names) == 0 {
		return s.syntax()
	}
	for _, n := range names {
		f, err := StatFile(s.c, n)
		if err != nil {
			return Result{Code: 2, Stderr: s.c.Text(errFileNotFound) + "\r\n"} // UNCONFIRMED exit code, windows.md 10
		}
		if !f.Dir {
			return s.failed(errDirectory)
		}
		if err := RemoveFile(s.c, n, strings.Contains(options, "/s")); err != nil {
			return s.because(err)
		}
	}
	return Result{}
}

// del leaves exit code 0 when there is nothing to delete. It takes no wildcards here.
func (s *shell) del(rest string) Result {
	_, names := split(rest)
	if len(names) == 0 {
		return s.syntax()
	}
	for _, n := range names {
		if strings.ContainsAny(n, "*?") {
			return Result{Code: 1, Stderr: "deploy lab: wildcards are not emulated\r\n"}
		}
		f, err := StatFile(s.c, n)
		if err != nil {
			return Result{Stderr: fmt.Sprintf(s.c.Pick([4]string{"Could Not Find %s", "%s est introuvable",
				"%s konnte nicht gefunden werden", "%s が見つかりませんでした"}), s.c.abs(n)) + "\r\n"}
		}
		if f.Dir {
			continue
		}
		if err := RemoveFile(s.c, n, false); err != nil {
			return s.because(err)
		}
	}
	return Result{}
}
