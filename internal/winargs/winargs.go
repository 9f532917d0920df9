// Package winargs writes Windows command lines: a program gets one text and parts it itself, so
// arguments that are data have to be quoted for the way in which it will be read.
package winargs

import (
	"errors"
	"fmt"
	"strings"
)

// Quote writes the arguments after the program's name, argv[0], so that CommandLineToArgvW and the
// C run time read them back as they are: backslashes are literal except in front of a quote.
// Source: the documentation of CommandLineToArgvW and "Parsing C Command-Line Arguments".
//
// CreateProcess hands a batch file to cmd.exe, which reads the line by rules of its own: there is
// no quoting that every batch file reads back, so an argument for one that holds a character which
// cmd.exe acts on is refused.
func Quote(argv []string) (string, error) {
	if len(argv) == 0 || argv[0] == "" {
		return "", errors.New("no program is named")
	}
	if strings.ContainsAny(argv[0], "\"\x00") {
		return "", fmt.Errorf("not a program name: %q", argv[0])
	}
	batch := isBatch(argv[0])
	var b strings.Builder
	for i, a := range argv[1:] {
		if strings.ContainsRune(a, 0) {
			return "", fmt.Errorf("argument %d holds a zero character", i+1)
		}
		if batch && strings.ContainsFunc(a, actsOn) {
			return "", fmt.Errorf("argument %d of a batch file holds a character that cmd.exe would act on", i+1)
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		if batch {
			quoteBatch(&b, a)
		} else {
			quoteOne(&b, a)
		}
	}
	// 32,767 characters is CreateProcess's limit; the name and the quotes around it count too
	if b.Len()+len(argv[0])+3 > 32766 {
		return "", errors.New("the command line is longer than Windows allows")
	}
	return b.String(), nil
}

// isBatch says that CreateProcess would take a file for a batch file. It does not see dots and
// spaces at the end of a name.
func isBatch(name string) bool {
	name = strings.ToLower(strings.TrimRight(name, ". "))
	return strings.HasSuffix(name, ".bat") || strings.HasSuffix(name, ".cmd")
}

// CommandLine writes the whole line that CreateProcess takes: the program's name in quotes, then
// what Quote gives.
func CommandLine(argv []string) (string, error) {
	line, err := Quote(argv)
	if err != nil {
		return "", err
	}
	name := `"` + argv[0] + `"`
	if line == "" {
		return name, nil
	}
	return name + " " + line, nil
}

// actsOn knows the characters that cmd.exe acts on even between quotes, or that end a line or a
// text.
func actsOn(r rune) bool { return r < ' ' && r != '\t' || strings.ContainsRune(`"%^&|<>()!`, r) }

// quoteBatch writes an argument as a batch file reads it: commas, semicolons and equal signs part
// arguments like spaces do, and a backslash means nothing, so it must not be doubled in front of
// the closing quote.
func quoteBatch(b *strings.Builder, a string) {
	parts := func(r rune) bool { return r > '~' || strings.ContainsRune(" \t,;=", r) }
	if a != "" && !strings.ContainsFunc(a, parts) {
		b.WriteString(a)
		return
	}
	b.WriteString(`"` + a + `"`)
}

func quoteOne(b *strings.Builder, a string) {
	if a != "" && !strings.ContainsAny(a, " \t\n\v\"") {
		b.WriteString(a)
		return
	}
	b.WriteByte('"')
	slashes := 0
	for i := 0; i < len(a); i++ {
		switch a[i] {
		case '\\':
			slashes++
			continue
		case '"':
			b.WriteString(strings.Repeat(`\`, 2*slashes+1))
		default:
			b.WriteString(strings.Repeat(`\`, slashes))
		}
		slashes = 0
		b.WriteByte(a[i])
	}
	b.WriteString(strings.Repeat(`\`, 2*slashes))
	b.WriteByte('"')
}
