package system

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"deploy/steps/linux"
)

// fstab's fields write blank, tab, line end and backslash as octal numbers. Source: fstab(5),
// getmntent(3).
var (
	escaped   = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)
	unescaped = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
)

// fields parts a line; nil for a comment, an empty line and one that is none. mount(8) takes a line
// without options, and a path with a slash at its end, so these are completed.
func fields(line string) []string {
	f := strings.Fields(line)
	if len(f) < 3 || strings.HasPrefix(f[0], "#") {
		return nil
	}
	for i := range f {
		f[i] = unescaped.Replace(f[i])
	}
	if len(f[1]) > 1 {
		f[1] = strings.TrimRight(f[1], "/")
	}
	if len(f) == 3 {
		f = append(f, "defaults")
	}
	return f
}

// linesOf are the lines about a path, swap apart.
func linesOf(text, path string) (out []string) {
	for _, line := range linux.Lines(text) {
		if f := fields(line); f != nil && f[1] == path && f[2] != "swap" {
			out = append(out, line)
		}
	}
	return out
}

// lineOf is linesOf as one text for people, nil when there is none.
func lineOf(text, path string) any {
	if lines := linesOf(text, path); len(lines) > 0 {
		return strings.Join(lines, "; ")
	}
	return nil
}

// takeBack takes the step's change out of now: the lines of its path become those of before. Lines
// of other paths stay, and so do options that the step does not declare and others have set since.
func (s *Mount) takeBack(before, now string) string {
	if now == before || now == s.edit(before) {
		return before
	}
	old, there := linesOf(before, s.Path), linesOf(now, s.Path)
	if len(there) == 0 {
		return linux.TakeBack(before, s.cut(before), now)
	}
	if f, made := fields(there[0]), linesOf(s.edit(before), s.Path); len(old) > 0 && s.Options == nil &&
		len(made) > 0 && f[3] != fields(made[0])[3] {
		keep := fields(old[0])
		keep[3] = f[3]
		old = slices.Concat([]string{joined(keep)}, old[1:])
	}
	var out []string
	first := true
	for _, line := range linux.Lines(now) {
		switch f := fields(line); {
		case f == nil || f[1] != s.Path || f[2] == "swap":
			out = append(out, line)
		case first:
			out, first = append(out, old...), false
		}
	}
	return linux.Text(out)
}

// cut is the text without the lines of the path.
func (s *Mount) cut(text string) string {
	return (&Mount{Path: s.Path, State: "absent"}).edit(text)
}

func joined(f []string) string {
	out := make([]string, 0, len(f))
	for _, x := range f {
		out = append(out, escaped.Replace(x))
	}
	return strings.Join(out, "\t")
}

// edit brings the file to the wish: the line of the path, which keeps its place, and no second one.
func (s *Mount) edit(text string) string {
	var out []string
	found, changed := false, false
	for _, line := range linux.Lines(text) {
		f := fields(line)
		switch {
		case f == nil || f[1] != s.Path || f[2] == "swap":
			out = append(out, line)
		case s.State == "absent" || found:
			changed = true
		case s.fits(f):
			out, found = append(out, line), true
		default:
			out, found, changed = append(out, s.line(f)), true, true
		}
	}
	if s.State != "absent" && !found {
		out, changed = append(out, s.line(nil)), true
	}
	if !changed {
		return text
	}
	return linux.Text(out)
}

func (s *Mount) fits(f []string) bool {
	pass := "0"
	if len(f) > 5 {
		pass = f[5]
	}
	return f[0] == s.Source && f[2] == s.Type && pass == fmt.Sprint(s.Pass) &&
		(s.Options == nil || sameSet(strings.Split(f[3], ","), s.options()))
}

// options are those for the line.
func (s *Mount) options() []string {
	if len(s.Options) == 0 {
		return []string{"defaults"}
	}
	return s.Options
}

// line makes the line; options that are not declared stay as the old one has them.
func (s *Mount) line(old []string) string {
	options := strings.Join(s.options(), ",")
	dump := "0"
	if old != nil && s.Options == nil {
		options = old[3]
	}
	if len(old) > 4 {
		dump = old[4]
	}
	return strings.Join([]string{escaped.Replace(s.Source), escaped.Replace(s.Path), s.Type, escaped.Replace(options),
		dump, fmt.Sprint(s.Pass)}, "\t")
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// opposites are the flags that the kernel shows, with what says the contrary. Source: mount(8),
// file-system independent options.
var opposites = map[string]string{"ro": "rw", "rw": "ro", "nosuid": "suid", "suid": "nosuid", "nodev": "dev",
	"dev": "nodev", "noexec": "exec", "exec": "noexec",
	"noatime": "atime", "relatime": "norelatime", "nodiratime": "diratime", "sync": "async", "async": "sync"}

// shown are the flags that are there as words; of the others the absence of the opposite is all
// that shows.
var shown = []string{"ro", "rw", "nosuid", "nodev", "noexec", "noatime", "relatime", "nodiratime", "sync"}

// differing returns the declared options that the kernel's contradict. What the kernel does not
// show (nofail, _netdev, x-...) is not compared.
func (s *Mount) differing(kernel string) (out []string) {
	have := strings.Split(kernel, ",")
	for _, o := range s.Options {
		key, value, valued := strings.Cut(o, "=")
		switch {
		case valued && rewritten(key, value):
		case valued:
			for _, h := range have {
				if k, v, ok := strings.Cut(h, "="); ok && k == key && !sameValue(key, v, value) {
					out = append(out, o)
				}
			}
		case slices.Contains(shown, o):
			if !slices.Contains(have, o) {
				out = append(out, o)
			}
		case opposites[o] != "":
			if slices.Contains(have, opposites[o]) {
				out = append(out, o)
			}
		}
	}
	return out
}

// rewritten says that the kernel shows an option in other words, so that only the line of the file
// can be compared: a share of memory becomes a size, a name a number.
func rewritten(key, value string) bool {
	switch key {
	case "uid", "gid", "fsuid", "fsgid":
		_, err := strconv.ParseUint(value, 10, 32)
		return err != nil
	}
	return strings.HasSuffix(value, "%")
}

// sameValue compares an option's value as the kernel shows it with the declared one.
func sameValue(key, kernel, declared string) bool {
	switch key {
	case "vers", "nfsvers": // 4 is whatever version 4 the server speaks
		return kernel == declared || strings.HasPrefix(kernel, declared+".")
	case "subvol": // the kernel writes the path from the top of the file system
		return strings.TrimPrefix(kernel, "/") == strings.TrimPrefix(declared, "/")
	}
	return size(kernel) == size(declared)
}

// renewed are the options that the kernel rewrites and that an earlier line of the file did not
// have: a mount that stands must be given them.
func (s *Mount) renewed(text string) (out []string) {
	var had []string
	if lines := linesOf(text, s.Path); len(lines) > 0 {
		had = strings.Split(fields(lines[0])[3], ",")
	}
	for _, o := range s.Options {
		if key, value, ok := strings.Cut(o, "="); ok && rewritten(key, value) && !slices.Contains(had, o) {
			out = append(out, o)
		}
	}
	return out
}

// standing tells how the kernel has the given options of the step: their values, or their
// opposites.
func standing(options []string, kernel string) string {
	var out []string
	for _, o := range options {
		key, _, valued := strings.Cut(o, "=")
		if !valued {
			out = append(out, opposites[o])
			continue
		}
		for _, h := range strings.Split(kernel, ",") {
			if k, _, ok := strings.Cut(h, "="); ok && k == key {
				out = append(out, h)
			}
		}
	}
	return strings.Join(out, ",")
}

// reverse returns what a remount needs to bring the declared options from now to what they were, in
// the kernel's words.
func (s *Mount) reverse(now, was string) (out []string) {
	for _, o := range s.Options {
		key, _, valued := strings.Cut(o, "=")
		opposite := opposites[o]
		switch one := (&Mount{Options: []string{o}}); {
		case valued:
			for _, h := range strings.Split(was, ",") {
				if k, _, ok := strings.Cut(h, "="); ok && k == key && len((&Mount{Options: []string{h}}).differing(now)) > 0 {
					out = append(out, h)
				}
			}
		case opposite != "" && len(one.differing(was)) > 0 && len(one.differing(now)) == 0:
			out = append(out, opposite)
		}
	}
	return out
}

var number = regexp.MustCompile(`^0*(\d+)([kKmMgG]?)$`)

// size brings a number to one form: 64m is 65536k, 0755 is 755.
func size(v string) string {
	m := number.FindStringSubmatch(v)
	if m == nil {
		return v
	}
	var n int64
	if _, err := fmt.Sscan(m[1], &n); err != nil {
		return v
	}
	switch strings.ToLower(m[2]) {
	case "k":
		n <<= 10
	case "m":
		n <<= 20
	case "g":
		n <<= 30
	}
	return fmt.Sprint(n)
}
