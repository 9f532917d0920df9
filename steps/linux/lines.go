package linux

import "strings"

// Lines parts a text at its line ends. The last line needs none.
func Lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// Text joins lines, each with a line end.
func Text(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// TakeBack undoes in now the change that led from before to after, and keeps what others have
// changed since. When nobody has, the answer is before itself, byte for byte. Lines that the change
// had brought go, where they still stand; those that it had taken away come back behind the line
// that they stood behind, or at the end when that one is gone. It bears to be done twice.
func TakeBack(before, after, now string) string {
	switch now {
	case after, before:
		return before
	}
	old, made, lines := Lines(before), Lines(after), Lines(now)
	for _, l := range surplus(made, old) {
		if i := index(lines, l); i >= 0 && count(lines, l) > count(old, l) {
			lines = append(lines[:i:i], lines[i+1:]...)
		}
	}
	for _, l := range surplus(old, made) {
		if count(lines, l) >= count(old, l) {
			continue
		}
		at := len(lines)
		if i := index(old, l); i > 0 {
			if j := index(lines, old[i-1]); j >= 0 {
				at = j + 1
			}
		} else if i == 0 {
			at = 0
		}
		lines = append(lines[:at:at], append([]string{l}, lines[at:]...)...)
	}
	return Text(lines)
}

// surplus returns the lines of a that b does not have, counting equal ones.
func surplus(a, b []string) []string {
	left := map[string]int{}
	for _, l := range b {
		left[l]++
	}
	var out []string
	for _, l := range a {
		if left[l]--; left[l] < 0 {
			out = append(out, l)
		}
	}
	return out
}

func index(lines []string, l string) int {
	for i, x := range lines {
		if x == l {
			return i
		}
	}
	return -1
}

func count(lines []string, l string) (n int) {
	for _, x := range lines {
		if x == l {
			n++
		}
	}
	return n
}
