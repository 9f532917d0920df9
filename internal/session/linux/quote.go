package linux

import (
	"errors"
	"strings"
)

// Quote makes words of a list for a POSIX shell to take apart again. A null byte cannot be in an
// argument of a program.
func Quote(argv []string) (string, error) {
	words := make([]string, len(argv))
	for i, a := range argv {
		if strings.IndexByte(a, 0) >= 0 {
			return "", errors.New("an argument holds a null byte")
		}
		words[i] = Word(a)
	}
	return strings.Join(words, " "), nil
}

// Word quotes one word; it must not hold a null byte.
func Word(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Newline is the name of the shell variable that stands for a line feed in what Line makes.
const Newline = "n"

// Line quotes words as Quote does, but on one line: a line feed is "$n", which the reader must have
// set.
func Line(argv []string) (string, error) {
	words, err := Quote(argv)
	return strings.ReplaceAll(words, "\n", `'"$`+Newline+`"'`), err
}
