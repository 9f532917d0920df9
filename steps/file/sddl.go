package file

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// masks are the rights that a step can name, as .NET's FileSystemRights with Synchronize. Source:
// FileSystemRights enumeration.
var masks = map[string]uint32{
	"full":   0x1F01FF,
	"modify": 0x1301BF,
	"read":   0x1200A9, // read and execute
	"write":  0x100116,
}

// aliases are SDDL's short forms of SIDs that are the same on every machine. Source: SID Strings.
var aliases = map[string]string{
	"AN": "S-1-5-7", "AU": "S-1-5-11", "BA": "S-1-5-32-544", "BG": "S-1-5-32-546", "BO": "S-1-5-32-551",
	"BU": "S-1-5-32-545",
	"CG": "S-1-3-1", "CO": "S-1-3-0", "ED": "S-1-5-9", "IU": "S-1-5-4", "LS": "S-1-5-19", "NO": "S-1-5-32-556",
	"NS": "S-1-5-20",
	"NU": "S-1-5-2", "OW": "S-1-3-4", "PO": "S-1-5-32-550", "PS": "S-1-5-10", "PU": "S-1-5-32-547", "RC": "S-1-5-12",
	"RD": "S-1-5-32-555", "RE": "S-1-5-32-552", "SO": "S-1-5-32-549", "SU": "S-1-5-6", "SY": "S-1-5-18", "WD": "S-1-1-0",
}

// sidOf returns the SID in its long form, or "" for what is neither a SID nor a short form of the
// table.
func sidOf(s string) string {
	s = strings.ToUpper(strings.TrimSpace(s))
	if strings.HasPrefix(s, "S-1-") && strings.Trim(s[4:], "0123456789-") == "" {
		return s
	}
	return aliases[s]
}

// rightWords are the two-letter rights of SDDL as masks on files. Generic ones stand for what
// Windows maps them to. Source: ACE Strings; generic mapping of files.
var rightWords = map[string]uint32{
	"GA": 0x1F01FF, "GR": 0x120089, "GW": 0x120116, "GX": 0x1200A0,
	"FA": 0x1F01FF, "FR": 0x120089, "FW": 0x120116, "FX": 0x1200A0,
	"RC": 0x20000, "SD": 0x10000, "WD": 0x40000, "WO": 0x80000,
	"CC": 0x1, "DC": 0x2, "LC": 0x4, "SW": 0x8, "RP": 0x10, "WP": 0x20, "DT": 0x40, "LO": 0x80, "CR": 0x100,
}

// ace is one entry; Raw is kept so that entries that are not ours go back as they came.
type ace struct {
	raw, kind, flags, sid string
	mask                  uint32
}

// acl is the discretionary part of a security descriptor.
type acl struct {
	head    string // what stands before D:, owner and group, kept as it is
	control string // P, AI, AR
	entries []ace
	tail    string // S: and what follows
}

// parseSDDL reads the discretionary list of a security descriptor string.
func parseSDDL(sddl string) (acl, error) {
	at := strings.Index(sddl, "D:")
	if at < 0 {
		return acl{}, fmt.Errorf("security descriptor %q has no access list", sddl)
	}
	l := acl{head: sddl[:at]}
	rest := sddl[at+2:]
	open := strings.IndexByte(rest, '(')
	if open < 0 {
		open = len(rest)
	}
	l.control, rest = rest[:open], rest[open:]
	if i := strings.Index(l.control, "S:"); i >= 0 {
		l.control, l.tail = l.control[:i], l.control[i:]+rest
		return l, nil
	}
	for strings.HasPrefix(rest, "(") {
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return acl{}, fmt.Errorf("security descriptor %q is cut short", sddl)
		}
		e, err := parseACE(rest[:end+1])
		if err != nil {
			return acl{}, err
		}
		l.entries = append(l.entries, e)
		rest = rest[end+1:]
	}
	l.tail = rest
	return l, nil
}

func parseACE(raw string) (ace, error) {
	f := strings.Split(strings.Trim(raw, "()"), ";")
	if len(f) < 6 {
		return ace{}, fmt.Errorf("access entry %q has %d fields", raw, len(f))
	}
	e := ace{raw: raw, kind: f[0], flags: f[1], sid: sidOf(f[5])}
	if e.sid == "" {
		e.sid = f[5] // an account of the domain in its short form: it is none that a step can name
	}
	rights := f[2]
	if strings.HasPrefix(rights, "0x") || strings.HasPrefix(rights, "0X") {
		n, err := strconv.ParseUint(rights[2:], 16, 32)
		if err != nil {
			return ace{}, fmt.Errorf("access entry %q has rights that are no number", raw)
		}
		e.mask = uint32(n)
	} else {
		for i := 0; i+1 < len(rights); i += 2 {
			m, ok := rightWords[rights[i:i+2]]
			if !ok {
				return ace{}, fmt.Errorf("access entry %q has an unknown right %s", raw, rights[i:i+2])
			}
			e.mask |= m
		}
	}
	for _, g := range []struct{ bit, means uint32 }{{0x10000000, 0x1F01FF}, {0x80000000, 0x120089}, {0x40000000, 0x120116},
		{0x20000000, 0x1200A0}} {
		if e.mask&g.bit != 0 {
			e.mask = e.mask&^g.bit | g.means
		}
	}
	return e, nil
}

func (e ace) has(flag string) bool {
	for i := 0; i+1 < len(e.flags); i += 2 {
		if e.flags[i:i+2] == flag {
			return true
		}
	}
	return false
}

// grants are the rights of one account: on the directory itself, on files and on directories that
// are made in it.
type grants struct{ own, files, dirs uint32 }

func (g grants) String() string {
	if g.files == g.own && g.dirs == g.own {
		return fmt.Sprintf("0x%x", g.own)
	}
	return fmt.Sprintf("0x%x, files in it 0x%x, directories in it 0x%x", g.own, g.files, g.dirs)
}

// granted adds up the entries that allow something to sid. Entries that deny take their rights away
// again.
func (l acl) granted(sid string) (g grants) {
	each := func(kind string, with func(uint32, uint32) uint32) {
		for _, e := range l.entries {
			if e.kind != kind || e.sid != sid {
				continue
			}
			if !e.has("IO") {
				g.own = with(g.own, e.mask)
			}
			if e.has("OI") {
				g.files = with(g.files, e.mask)
			}
			if e.has("CI") {
				g.dirs = with(g.dirs, e.mask)
			}
		}
	}
	each("A", func(have, m uint32) uint32 { return have | m })
	each("D", func(have, m uint32) uint32 { return have &^ m })
	return g
}

// grant adds an entry at its canonical place: behind the explicit denials, before everything else.
func (l *acl) grant(sid string, mask uint32, inherit bool) {
	flags := ""
	if inherit {
		flags = "OICI"
	}
	at := 0
	for at < len(l.entries) && l.entries[at].kind == "D" && !l.entries[at].has("ID") {
		at++
	}
	e := ace{raw: fmt.Sprintf("(A;%s;0x%x;;;%s)", flags, mask, sid), kind: "A", flags: flags, sid: sid, mask: mask}
	l.entries = append(l.entries[:at], append([]ace{e}, l.entries[at:]...)...)
}

// key tells an entry by what it means, since Windows may write one back in other words than it got.
func (e ace) key() string { return fmt.Sprintf("%s;%s;%x;%s", e.kind, e.flags, e.mask, e.sid) }

func same(a, b acl) bool {
	return slices.EqualFunc(a.entries, b.entries, func(x, y ace) bool { return x.key() == y.key() })
}

// besides returns the entries of l that other does not have, counting equal ones.
func (l acl) besides(other acl) (out []ace) {
	left := map[string]int{}
	for _, e := range other.entries {
		left[e.key()]++
	}
	for _, e := range l.entries {
		if left[e.key()]--; left[e.key()] < 0 {
			out = append(out, e)
		}
	}
	return out
}

// drop takes one entry away for each of list, where there still is one.
func (l *acl) drop(list []ace) {
	for _, x := range list {
		if i := slices.IndexFunc(l.entries, func(e ace) bool { return e.key() == x.key() }); i >= 0 {
			l.entries = slices.Delete(l.entries, i, i+1)
		}
	}
}

// String writes the descriptor back.
func (l acl) String() string {
	var b strings.Builder
	b.WriteString(l.head + "D:" + l.control)
	for _, e := range l.entries {
		b.WriteString(e.raw)
	}
	b.WriteString(l.tail)
	return b.String()
}
