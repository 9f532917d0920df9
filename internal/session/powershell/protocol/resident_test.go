package protocol

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCodecRoundTrip(t *testing.T) {
	for _, v := range []any{
		nil, true, false, int64(0), int64(-1), int64(1<<63 - 1), int64(-1 << 63), "", "plain",
		"quote ' \" ` $(x) ; : \n 日本語", []byte{}, []byte{0, 0xff},
		[]any{}, []any{nil, []any{"x"}}, map[string]any{},
		map[string]any{"a": int64(1), "B": map[string]any{"c": []any{[]byte("x")}}},
	} {
		s, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(s, " \r\n") {
			t.Errorf("%q would break a line of words", s)
		}
		got, err := Decode(s)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, got); diff != "" {
			t.Errorf("%v: %s", v, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, s := range []string{
		"", "x", "i", "i1", "ix;", "i99999999999999999999;", "s!;", "s", "d=;", "a", "a1:", "a-1:", "a9999999999:n", "o1:n",
		"o1:i1;n", "o1:sYQ==;", "nn", "a1:nn",
		strings.Repeat("a1:", 100) + "n",
	} {
		if v, err := Decode(s); err == nil {
			t.Errorf("Decode(%.30q) = %v", s, v)
		}
	}
	deep := any(nil)
	for range 100 {
		deep = []any{deep}
	}
	for _, v := range []any{deep, 1.5, struct{}{}} {
		if s, err := Encode(v); err == nil {
			t.Errorf("Encode(%T) = %.30s", v, s)
		}
	}
}

func TestFrames(t *testing.T) {
	big := strings.Repeat("x", 3*MaxLine)
	frames := []Frame{{0, KindHello, map[string]any{"protocol": int64(1)}}, {1, KindRows, []any{big}}, {1, KindDone, nil},
		{2, KindError, map[string]any{"code": int64(5)}}}
	var buf []byte
	for i, f := range frames {
		var err error
		if buf, err = AppendFrame(buf, "n0", f); err != nil {
			t.Fatal(err)
		}
		buf = append(buf, []string{"alien text\n", "n00 1 D n\n", "\r\n", strings.Repeat("y", 5*MaxLine) + "\n"}[i]...)
	}
	for _, line := range strings.Split(string(buf), "\n") {
		if strings.HasPrefix(line, "n0 ") && len(line) > MaxLine+40 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	var alien []string
	r := NewReader(io.MultiReader(strings.NewReader("\ufeff"), bytes.NewReader(buf)), "n0")
	r.Stray = func(line string) { alien = append(alien, line[:min(len(line), 20)]) }
	for _, want := range frames {
		got, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if diff := cmp.Diff([]string{"alien text", "n00 1 D n", strings.Repeat("y", 20)}, alien); diff != "" {
		t.Error(diff)
	}
}

func TestReaderRefuses(t *testing.T) {
	for _, s := range []string{"n0 1\n", "n0 x D n\n", "n0 1 D ?\n", "n0 1 D",
		"n0 1 R " + strings.Repeat("z", 4*MaxLine) + "\n"} {
		if f, err := NewReader(strings.NewReader(s), "n0").Next(); err == nil {
			t.Errorf("%.30q gave %v", s, f)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("o1:sYQ==;a2:ni-5;")
	f.Add("dAA==;")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Decode(s)
		if err != nil {
			return
		}
		enc, err := Encode(v)
		if err != nil {
			t.Fatalf("%q decodes but does not encode: %v", s, err)
		}
		again, err := Decode(enc)
		if err != nil || !cmp.Equal(v, again) {
			t.Fatalf("%q: %v became %v (%v)", s, v, again, err)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("n0 1 + a1\nn0 1 R :n\nalien\nn0 2 D n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b), "n0")
		r.Stray = func(line string) {
			if strings.HasPrefix(line, "n0 ") {
				t.Errorf("a frame passed for alien: %q", line)
			}
		}
		for {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	})
}

func TestStart(t *testing.T) {
	line := CommandLine()
	// cmd.exe takes 8191 characters
	if len(line) > 8000 {
		t.Errorf("the command line has %d characters", len(line))
	}
	if !strings.Contains(line, "-InputFormat None ") {
		t.Error("PowerShell 2.0 would read our stdin")
	}
	if !IsBootstrap(line) || !IsBootstrap("powershell -encodedcommand "+encodedCommand(bootstrap())) {
		t.Error("the bootstrap is not known again")
	}
	if IsBootstrap("powershell.exe -EncodedCommand AAAA") || IsBootstrap("powershell.exe -EncodedCommand") ||
		IsBootstrap("") {
		t.Error("something else passes for the bootstrap")
	}
	pre := Preamble("abc")
	for _, l := range strings.Split(string(pre), "\n") {
		if len(l) > MaxLine {
			t.Errorf("a line of %d bytes", len(l))
		}
	}
	// one Send of the smallest usual envelope carries script and first request
	if len(pre) > 100_000 {
		t.Errorf("the preamble has %d bytes", len(pre))
	}
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(pre), strings.NewReader("abc 1 Q n\n")))
	script, nonce, err := ReadPreamble(r)
	if err != nil || nonce != "abc" || script != Script() {
		t.Errorf("nonce %q, %d bytes, %v", nonce, len(script), err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "abc 1 Q n\n" {
		t.Errorf("frames after the preamble: %q", rest)
	}
	for _, s := range []string{"", "QQ==\n", ".\n", "?\n.\nx\n", ".\n\n", ".\na b\n"} {
		if _, _, err := ReadPreamble(bufio.NewReader(strings.NewReader(s))); err == nil {
			t.Errorf("ReadPreamble(%q) passes", s)
		}
	}
}

// What travels has no comments and no indentation; the rules of the dialect are held by the tier
// "scripts".
func TestCommentsStayAtHome(t *testing.T) {
	for _, line := range strings.Split(Script(), "\n") {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, " ") {
			t.Errorf("travels: %q", line)
		}
	}
}

func TestScriptServesEveryVerb(t *testing.T) {
	doc := []string{"facts", "reg.get", "reg.keys", "reg.set", "reg.del", "reg.delkey", "wmi.get", "wmi.call", "wmi.set",
		"cmdlet", "run", "file.stat", "file.read", "file.put",
		"file.commit", "file.hash", "file.remove", "dir.make", "dir.list", "acl.get", "acl.set", "ad.find", "ad.add",
		"ad.mod", "ad.del", "job.start", "job.state", "job.remove", "owner.get", "owner.set", "restart"}
	for _, verb := range doc {
		if n := strings.Count(Script(), "$verbs['"+verb+"'] = {"); n != 1 {
			t.Errorf("%s is served %d times", verb, n)
		}
	}
	if n := strings.Count(Script(), "$verbs['"); n != len(doc) {
		t.Errorf("%d verbs are served, %d are known", n, len(doc))
	}
}
