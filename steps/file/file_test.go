package file

import (
	"errors"
	"strings"
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/conformance"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

func TestTierConformanceAgainstScript(t *testing.T) {
	for name, c := range map[string]struct {
		kind steps.Kind
		with map[string]any
	}{
		"file":      {fileKind(), map[string]any{"path": `C:\X\a.txt`, "content": "b"}},
		"new file":  {fileKind(), map[string]any{"path": `C:\X\new.txt`, "content": ""}},
		"no file":   {fileKind(), map[string]any{"path": `C:\X\a.txt`, "absent": true}},
		"directory": {directoryKind(), map[string]any{"path": `C:\X\Y\Z`}},
		"rights": {directoryKind(), map[string]any{"path": `C:\X`,
			"acl": []any{map[string]any{"sid": "AU", "rights": "read"}}}},
		"setting": {xmlKind(), map[string]any{"file": `C:\X\a.config`, "element": "c/a[@k='1']", "value": "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := nodetest.New(node.WS2008)
			m.SetFile(`C:\X\a.txt`, []byte("a"))
			m.SetFile(`C:\X\a.config`, []byte("<c><a k=\"1\" value='1'/></c>"))
			conformance.Run(t, conformance.Case{Kind: c.kind, With: c.with, Open: func(*testing.T) node.Session { return m }})
		})
	}
}

func TestLargeFileCannotBeKept(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetFile(`C:\X\big`, make([]byte, mostKept+1))
	d, err := (&File{Path: `C:\X\big`, Absent: true}).Check(t.Context(), m)
	if err != nil || d.Effects.PointOfNoReturn == "" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestRights(t *testing.T) {
	const system = "(A;OICIID;FA;;;SY)"
	for name, c := range map[string]struct {
		sddl string
		ace  ACE
		ok   bool
	}{
		"inherited counts":           {"D:AI" + system, ACE{SID: "S-1-5-18", Rights: "full"}, true},
		"numbers are rights":         {"D:(A;OICI;0x1301bf;;;BU)", ACE{SID: "BU", Rights: "modify"}, true},
		"generic all":                {"D:(A;OICIIO;GA;;;NS)(A;;0x1f01ff;;;NS)", ACE{SID: "NS", Rights: "full"}, true},
		"not on what is made in it":  {"D:(A;;FA;;;NS)", ACE{SID: "NS", Rights: "full"}, false},
		"only on what is made in it": {"D:(A;OICIIO;FA;;;NS)", ACE{SID: "NS", Rights: "read"}, false},
		"files but not directories":  {"D:(A;OI;FA;;;NS)", ACE{SID: "NS", Rights: "read"}, false},
		"denied":                     {"D:(D;;0x10000;;;NS)(A;OICI;FA;;;NS)", ACE{SID: "NS", Rights: "modify"}, false},
		"somebody else":              {"D:" + system, ACE{SID: "BA", Rights: "read"}, false},
		"less":                       {"D:(A;OICI;FR;;;NS)", ACE{SID: "NS", Rights: "read"}, false},
		"audit entries are no grants": {"O:BAG:SYD:AI(A;OICI;FR;;;BA)S:(AU;SAFA;FA;;;NS)", ACE{SID: "NS", Rights: "read"},
			false},
	} {
		l, err := parseSDDL(c.sddl)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if l.String() != c.sddl {
			t.Errorf("%s: reads %s and writes %s", name, c.sddl, l.String())
		}
		s := &Directory{ACL: []ACE{c.ace}}
		if got := len(s.missing(l)) == 0; got != c.ok {
			t.Errorf("%s: granted %t", name, got)
		}
	}
}

func TestGrantStandsBehindDenials(t *testing.T) {
	l, err := parseSDDL("D:PAI(D;;FW;;;BG)(A;;FA;;;SY)(A;ID;FR;;;BU)")
	if err != nil {
		t.Fatal(err)
	}
	l.grant("S-1-5-20", masks["full"], true)
	if got, want := l.String(), "D:PAI(D;;FW;;;BG)(A;OICI;0x1f01ff;;;S-1-5-20)(A;;FA;;;SY)(A;ID;FR;;;BU)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestBadSDDL(t *testing.T) {
	for _, s := range []string{"", "O:BA", "D:(A;;FA;;;SY", "D:(A;;ZZ;;;SY)", "D:(A;;FA)", "D:(A;;0xzz;;;SY)"} {
		if _, err := parseSDDL(s); err == nil {
			t.Errorf("%q was read", s)
		}
	}
}

func set(t *testing.T, raw, element, value string) (string, error) {
	t.Helper()
	out, err := (&XMLSetting{File: "f", Element: element, Attribute: "value"}).edit([]byte(raw), value)
	return string(out), err
}

func TestXMLKeepsEveryOtherByte(t *testing.T) {
	utf16 := string(utf16le("<?xml version=\"1.0\" encoding=\"utf-16\"?>\r\n<c><a k='é' value='1'/></c>"))
	for name, c := range map[string]struct{ raw, element, value, want string }{
		"bom, crlf, comment": {"\xef\xbb\xbf<!-- <a k='1' value='0'/> -->\r\n<c>\r\n\t<a  k='1'\r\n value = '1' /><!-- x " +
			"-->\r\n</c>", "c/a[@k='1']", "2",
			"\xef\xbb\xbf<!-- <a k='1' value='0'/> -->\r\n<c>\r\n\t<a  k='1'\r\n value = '2' /><!-- x -->\r\n</c>"},
		"utf-16": {utf16, "c/a[@k='é']", "ü", string(utf16le("<?xml version=\"1.0\" " +
			"encoding=\"utf-16\"?>\r\n<c><a k='é' value='ü'/></c>"))},
		"latin": {"<?xml version='1.0' encoding='ISO-8859-1'?><c t='\xe9'><a value='1'/></c>", "c/a", "2",
			"<?xml version='1.0' encoding='ISO-8859-1'?><c t='\xe9'><a value='2'/></c>"},
		"quotes": {`<c><a value='1'/></c>`, "c/a", `it's <"&">`,
			`<c><a value='it&#39;s &lt;&quot;&amp;&quot;&gt;'/></c>`},
		"no attribute":    {`<c><a k="1" /></c>`, "c/a", "2", `<c><a k="1" value="2" /></c>`},
		"not self closed": {`<c><a k="1">text</a></c>`, "c/a", "2", `<c><a k="1" value="2">text</a></c>`},
		"new element": {"<c>\r\n  <a k=\"1\" value=\"x\"/>\r\n</c>", "c/a[@k='2']", "y",
			"<c>\r\n  <a k=\"1\" value=\"x\"/>\r\n  <a k=\"2\" value=\"y\" />\r\n</c>"},
		"empty parent":    {"<c><s/></c>", "c/s/a[@k='2']", "y", `<c><s><a k="2" value="y" /></s></c>`},
		"bare parent":     {"<c>\n</c>", "c/a[@k='2']", "y", "<c>\n  <a k=\"2\" value=\"y\" />\n</c>"},
		"slash in value":  {`<c><a k="x/y" value="1"/></c>`, "c/a[@k='x/y']", "2", `<c><a k="x/y" value="2"/></c>`},
		"same name above": {`<a value="0"><c><a value="1"/></c></a>`, "a/c/a", "2", `<a value="0"><c><a value="2"/></c></a>`},
		"attr in a value": {`<c><a t=" value='0' " value="1"/></c>`, "c/a", "2", `<c><a t=" value='0' " value="2"/></c>`},
	} {
		if got, err := set(t, c.raw, c.element, c.value); err != nil || got != c.want {
			t.Errorf("%s: %q, %v\nwant %q", name, got, err, c.want)
		}
	}
}

func TestXMLRefuses(t *testing.T) {
	for name, c := range map[string]struct{ raw, element string }{
		"twice":            {"<c><a/><a/></c>", "c/a"},
		"no parent":        {"<c/>", "c/s/a[@k='1']"},
		"no condition":     {"<c/>", "c/a"},
		"two parents":      {"<c><s/><s/></c>", "c/s/a[@k='1']"},
		"cut short":        {"<c><a value='1'/>", "c/a"},
		"not XML":          {"[c]\na=1", "c/a"},
		"bytes of nothing": {"<c t='\xe9'><a/></c>", "c/a"},
		"odd utf-16":       {"\xff\xfe<\x00c", "c/a"},
	} {
		if out, err := set(t, c.raw, c.element, "2"); err == nil {
			t.Errorf("%s: wrote %q", name, out)
		}
	}
}

// Others changed the file after us: only our attribute goes back.
func TestXMLUndoKeepsTheChangesOfOthers(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetFile(`C:\x.config`, []byte(`<c><a k="1" value="1"/></c>`))
	for element, want := range map[string]string{"c/a[@k='1']": `<c n="2"><a k="1" value="1"/></c>`,
		"c/b[@k='9']": `<c n="2"><a k="1" value="1"/></c>`} {
		m.SetFile(`C:\x.config`, []byte(`<c><a k="1" value="1"/></c>`))
		s := &XMLSetting{File: `C:\x.config`, Element: element, Attribute: "value", Value: "5"}
		d, err := s.Check(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Apply(t.Context(), m, d); err != nil {
			t.Fatal(err)
		}
		f := m.Files[`c:\x.config`]
		f.Data = []byte(strings.Replace(string(f.Data), "<c>", `<c n="2">`, 1))
		if err := s.Undo(t.Context(), m, d.Before); err != nil {
			t.Fatal(err)
		}
		if got := string(m.Files[`c:\x.config`].Data); got != want {
			t.Errorf("%s: %s", element, got)
		}
	}
}

func FuzzXML(f *testing.F) {
	f.Add([]byte("<c><a k='1' value='1'/></c>"), "x")
	f.Add([]byte("\xff\xfe<\x00c\x00/\x00>\x00"), "é")
	f.Fuzz(func(t *testing.T, raw []byte, value string) {
		if !writable(value) {
			return
		}
		s := &XMLSetting{File: "f", Element: "c/a[@k='1']", Attribute: "value"}
		out, err := s.edit(raw, value)
		if err != nil {
			return
		}
		text, p, err := s.find(out)
		if err != nil || !p.found {
			t.Fatalf("what was written cannot be found again: %q, %v", out, err)
		}
		if got, ok := text.attr(p, "value"); !ok || got != value {
			t.Fatalf("wrote %q, read %q", value, got)
		}
	})
}

func TestValidate(t *testing.T) {
	text := "x"
	for name, s := range map[string]steps.Validator{
		"two contents": &File{Path: `C:\a`, Content: &text, Absent: true},
		"no content":   &File{Path: `C:\a`},
		"not base64":   &File{Path: `C:\a`, Base64: "!"},
		"account name": &Directory{Path: `C:\a`, ACL: []ACE{{SID: "NETWORK SERVICE", Rights: "full"}}},
		"bad element":  &XMLSetting{File: `C:\a`, Element: "a/[@b='1']"},
	} {
		var fe *steps.FieldError
		if err := s.Validate(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
