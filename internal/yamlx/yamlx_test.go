package yamlx_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/yamlx"
)

func TestValuesAndPlaces(t *testing.T) {
	doc, err := yamlx.Parse("f.yaml", []byte("\ufeff# comment\nname: 'a''b'\nlist:\n  - 1\n  - 2.5\n  - {x: true, y: "+
		"~}\r\nédgé: {ключ: значение, date: 2020-01-02, ip: 10.0.0.1}\nanchor: &a [1, 2]\nalias: "+
		"*a\nempty:\nblock: |\n  one\n  two\n"), yamlx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"name": "a'b", "list": []any{1, 2.5, map[string]any{"x": true, "y": nil}},
		"édgé":   map[string]any{"ключ": "значение", "date": "2020-01-02", "ip": "10.0.0.1"},
		"anchor": []any{1, 2}, "alias": []any{1, 2}, "empty": nil, "block": "one\ntwo\n"}
	if d := cmp.Diff(want, doc.Root.Plain()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	places := map[string]string{}
	doc.Root.Walk("", func(path string, n *yamlx.Node) {
		line, col := n.Pos()
		places[path] = fmt.Sprintf("%d:%d", line, col)
	})
	for path, at := range map[string]string{"name": "2:7", "list": "3:1", "list[0]": "4:5", "list[2]": "6:5",
		"list[2].x": "6:9", "édgé": "7:1",
		"édgé.ключ": "7:14", "alias": "9:1", "empty": "10:1"} {
		if places[path] != at {
			t.Errorf("%s at %s, not %s", path, places[path], at)
		}
	}
}

func TestSurprisesAreWarnings(t *testing.T) {
	doc, err := yamlx.Parse("f.yaml", []byte("a: 0777\nb: 1_000\nc: 1.10\nd: yes\ne: 0x10\nf: 1e3\ng: 1.5\nh: 2.0\ni: "+
		"-7\nj: 'yes'\nk: \"0777\"\nl: 8.1\nm: true\nn: 0o17\n"), yamlx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range doc.Warnings {
		got = append(got, fmt.Sprintf("%d:%d", w.Line, w.Col))
		if w.Hint == "" {
			t.Errorf("no hint: %v", w)
		}
	}
	if d := cmp.Diff([]string{"1:4", "2:4", "3:4", "4:4", "5:4", "6:4", "14:4"}, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	for key, want := range map[string]any{"a": 511, "b": 1000, "c": 1.1, "d": "yes", "e": 16, "i": -7, "j": "yes",
		"k": "0777", "h": 2.0} {
		if got := doc.Root.Get(key).Plain(); got != want {
			t.Errorf("%s: %v (%T), not %v", key, got, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	deep := strings.Repeat("- ", 200) + "x\n"
	junk := strings.Repeat("lorem ipsum 0123456789 dolor sit amet\n", 10<<20/38)
	binary := make([]byte, 4096)
	for i := range binary {
		binary[i] = byte(i * 7)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"ten megabytes": {[]byte(junk), "f.yaml:1:1: the file has 10485758 bytes"},
		"binary":        {binary, "f.yaml:1:1: control character 0x00"},
		"executable":    {[]byte("\x7fELF\x02\x01\x01"), "f.yaml:1:1: control character 0x7f"},
		"UTF-16":        {[]byte("\xff\xfes\x00i\x00"), "f.yaml:1:1: the file is written in UTF-16"},
		"Latin-1":       {[]byte("site: caf\xe9\n"), "f.yaml:1:10: byte 0xe9 is not UTF-8 text"},
		"empty":         {nil, "f.yaml:1:1: the file is empty"},
		"blank":         {[]byte(" \n\n"), "f.yaml:1:1: the file is empty"},
		"comments":      {[]byte("# hello\n"), "f.yaml:1:1: the file holds nothing but comments"},
		"deep":          {[]byte(deep), "nested more than 64 levels deep"},
		"very deep":     {[]byte(strings.Repeat("[", 20_000)), "nested too deeply"},
		"many":          {[]byte("[" + strings.Repeat("1,", 150_000) + "]"), "expands to more than 100000 values"},
		"tab":           {[]byte("a:\n  b:\n\t  c: d\n"), "f.yaml:3:1: a tab in the indentation"},
		"second broken": {[]byte("a: b\n---\n[\n"), "f.yaml:4:1: did not find expected node content"},
		"binary tag":    {[]byte("a: !!binary aGVsbG8=\n"), "f.yaml:1:4: a tag (!name) is not allowed"},
		"tagged map":    {[]byte("a: !thing {b: c}\n"), "f.yaml:1:4: a tag (!name) is not allowed"},
		"infinity":      {[]byte("a: .inf\n"), "f.yaml:1:4: cannot use this number"},
		"not a number":  {[]byte("a: .nan\n"), "f.yaml:1:4: cannot use this number"},
		"alias key":     {[]byte("&a a: 1\n*a : 2\n"), "f.yaml:2:1: a key must be text"},
		"nested duplicates": {[]byte("a:\n  b: 1\n  c: 2\n  b: 3\n"),
			"f.yaml:4:3: duplicate key \"b\"\n  hint: it is also in line 2"},
	} {
		start := time.Now()
		_, err := yamlx.Parse("f.yaml", c.data, yamlx.Limits{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, wanted %q", name, err, c.want)
		}
		for _, e := range yamlx.All(err) {
			if e.Hint == "" {
				t.Errorf("%s: no hint", name)
			}
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
}

func TestErrorsJoin(t *testing.T) {
	var list yamlx.List
	if list.Err() != nil {
		t.Error("an empty list is an error")
	}
	list.Add(&yamlx.Error{File: "b", Line: 1, Col: 2, Msg: "later"})
	list.Add(&yamlx.Error{File: "a", Line: 7, Col: 1, Msg: "second", Hint: "do it"})
	list.Add(&yamlx.Error{File: "a", Line: 2, Col: 9, Msg: "first"})
	list.Add(&yamlx.Error{File: "a", Line: 2, Col: 9, Msg: "first"})
	list.Merge("c", errors.New("plain"))
	err := fmt.Errorf("cannot read: %w", list.Err())
	if got := list.Err().Error(); got != "a:2:9: first\na:7:1: second\n  hint: do it\nb:1:2: later\nc: plain" {
		t.Errorf("%s", got)
	}
	if n := len(yamlx.All(err)); n != 4 {
		t.Errorf("%d errors", n)
	}
	var one *yamlx.Error
	if !errors.As(err, &one) || one.Msg != "first" {
		t.Errorf("errors.As gives %v", one)
	}
	for i := range 80 {
		list.Add(&yamlx.Error{File: "z", Line: i, Msg: "x"})
	}
	if !strings.HasSuffix(list.Err().Error(), "and 34 more") {
		t.Error(list.Err())
	}
}

func TestFromValue(t *testing.T) {
	n := yamlx.FromValue(map[string]any{"b": []any{int64(1), "x"}, "a": nil}, "p",
		func(path string) (int, int) { return len(path), 1 })
	if d := cmp.Diff([]string{"a", "b"}, n.Keys); d != "" {
		t.Error(d)
	}
	if line, _ := n.Get("b").Items[1].Pos(); line != len("p.b[1]") || n.Get("b").Items[0].Plain() != 1 {
		t.Errorf("line %d", line)
	}
}

// FuzzParse: whatever the bytes, Parse answers: data or errors with a place, in time, without a
// panic.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: b\n", "a: &x [*x]\n", "- {a: 1.10, ? [x] : y}\n", "%YAML 1.1\n---\na: !!str 5\n...\n",
		"a: |2-\n   x\n\n  y", "<<: {a: b}", "\ufeffa: 'x\n\n  y'", "? |\n  k\n: - v", "a: b\r\n# c\r\n---\r\n",
		"{a: \"\\u00e9\\x41\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := yamlx.Parse("f", data, yamlx.Limits{Nodes: 2000})
		if err == nil {
			doc.Root.Plain()
			doc.Root.Walk("", func(path string, n *yamlx.Node) {
				if line, col := n.Pos(); line < 1 || col < 1 {
					t.Errorf("%s has no place", path)
				}
			})
			return
		}
		all := yamlx.All(err)
		if len(all) == 0 {
			t.Errorf("an error without a place: %v", err)
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, e := range all {
			if e.Line < 1 || e.Line > lines+1 || e.Col < 1 {
				t.Errorf("place out of the file: %v", e)
			}
		}
	})
}

// A path between double quotes loses its backslashes; text with a tab or a line end is meant.
func TestPathsBetweenDoubleQuotes(t *testing.T) {
	for text, warned := range map[string]bool{`"C:\temp\readme.txt"`: true, `"C:\tools\new.exe"`: true,
		`"D:\\x\r"`: true, `"/srv/temp\new"`: true, `"\\\\server\\share\name"`: true, `"one\ttwo"`: false, `"line\n"`: false,
		`"a b: c\nd"`: false, `'C:\temp'`: false, `C:\temp`: false} {
		doc, err := yamlx.Parse("f.yaml", []byte("a: "+text+"\n"), yamlx.Limits{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if (len(doc.Warnings) > 0) != warned {
			t.Errorf("%s: %v", text, doc.Warnings)
		}
	}
}
