package protocol

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hostile are values that would do harm if any part of the way took them for code, for a line or
// for a frame.
func hostile() map[string]string {
	return map[string]string{
		"single quote":    `it's ''quoted''`,
		"double quote":    `say "hi" ""`,
		"subexpression":   `$(Remove-Item -Recurse C:\)`,
		"variable":        `${env:USERNAME} $x`,
		"backtick":        "a`nb``c`",
		"line feed":       "first\nn0 1 D n\nlast",
		"carriage return": "first\r\nn0 2 X n\r\n",
		"NUL":             "a\x00b",
		"Japanese":        "日本語の値",
		"Cyrillic":        "Привет, мир",
		"right to left":   "\u202eשלום",
		"emoji":           "\U0001f4a9\U0001f468\u200d\U0001f469\u200d\U0001f467",
		"lone surrogate":  "high \xed\xa0\x80 low \xed\xb0\x80", // in the bytes that WTF-8 gives it
		"not UTF-8":       "\xff\xfe\x80",
		"mark of order":   "\ufeffvalue",
		"quote of print":  "\u2018smart\u2019 \u201cquotes\u201d \u2013dash", // PowerShell takes these for ' " and -
		"end of codec":    "s;i5;o1:n a9999:",
		"end of script":   ".\n",
		"comment":         "#> <# @' '@ @\" \"@",
		"batch":           `%PATH% & | < > ^ ! && ||`,
		"empty":           "",
		"64 KB":           strings.Repeat("ab'\"$(`\n", 8<<10),
		"1 MB":            strings.Repeat("\u65e5\x00\"'", 1<<20/6),
	}
}

var (
	frameLine = regexp.MustCompile(`^n0 [0-9]+ [Q+] [A-Za-z0-9+/=;:-]+$`)
	// what a payload may hold beside base64: marks, numbers, separators
	plainValue = regexp.MustCompile(`^[A-Za-z0-9+/=;:-]*$`)
)

// Every value comes back as it was, and on its way nothing but the alphabet of base64 and the
// codec's marks is seen.
func TestHostileValues(t *testing.T) {
	for name, v := range hostile() {
		if testing.Short() && len(v) > 1<<19 {
			continue // there is one thread only: the race detector has nothing to see in a megabyte
		}
		t.Run(name, func(t *testing.T) {
			for _, value := range []any{v, []byte(v), []any{v, v}, map[string]any{"plain": v, v: "plain"},
				map[string]any{"deep": []any{map[string]any{v: []any{[]byte(v)}}}}} {
				buf, err := AppendFrame(nil, "n0", Frame{ID: 7, Kind: KindRequest, Value: value})
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range strings.Split(strings.TrimSuffix(string(buf), "\n"), "\n") {
					if !frameLine.MatchString(line) || len(line) > MaxLine+40 {
						t.Fatalf("a line of %d bytes: %.80q", len(line), line)
					}
				}
				if len(v) > 3 && !plainValue.MatchString(v) && bytes.Contains(buf, []byte(v)) {
					t.Errorf("the value stands in the frame as it is")
				}
				whole := regexp.MustCompile(`(?m)^n0 7 [Q+] |\n`).ReplaceAllString(string(buf), "")
				if !strings.Contains(whole, base64.StdEncoding.EncodeToString([]byte(v))) {
					t.Errorf("the value is not there in base64")
				}
				f, err := NewReader(bytes.NewReader(buf), "n0").Next()
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(value, f.Value); diff != "" {
					t.Errorf("came back as another value (%d bytes of difference)", len(diff))
				}
			}
		})
	}
}

// build makes a value out of bytes: the same bytes, the same value.
func build(b []byte, depth int) (any, []byte) {
	if len(b) == 0 {
		return nil, nil
	}
	kind, b := b[0]%7, b[1:]
	n := 0
	if len(b) > 0 {
		n, b = int(b[0]), b[1:]
	}
	take := func() []byte {
		k := min(n, len(b))
		out := b[:k]
		b = b[k:]
		return out
	}
	switch {
	case kind == 0:
		return nil, b
	case kind == 1:
		return n%2 == 0, b
	case kind == 2:
		var v int64
		for _, x := range take() {
			v = v<<8 | int64(x)
		}
		return v, b
	case kind == 3:
		return string(take()), b
	case kind == 4 || depth > 8:
		return append([]byte{}, take()...), b
	case kind == 5:
		list := []any{}
		for range n % 5 {
			var v any
			v, b = build(b, depth+1)
			list = append(list, v)
		}
		return list, b
	}
	m := map[string]any{}
	for range n % 5 {
		k := min(3, len(b))
		key := string(b[:k])
		var v any
		v, b = build(b[k:], depth+1)
		m[key] = v
	}
	return m, b
}

// FuzzValue: what is encoded decodes to itself, in one way only, and no part of it can be taken for
// a value of its own.
func FuzzValue(f *testing.F) {
	for _, v := range hostile() {
		f.Add(append([]byte{3, byte(min(len(v), 255))}, v[:min(len(v), 255)]...))
	}
	f.Add([]byte{6, 3, 'a', 'b', 'c', 5, 2, 3, 1, 'x', 4, 2, 0, 255, 1, 0, 2, 8, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, _ := build(b, 0)
		s, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if !plainValue.MatchString(s) {
			t.Fatalf("the encoding has other characters: %q", s)
		}
		got, err := Decode(s)
		if err != nil || !reflect.DeepEqual(v, got) {
			t.Fatalf("%v became %v (%v)", v, got, err)
		}
		// a value that was cut, or that has something behind it, is no value
		for _, k := range []int{0, len(s) / 3, len(s) / 2, len(s) - 1} {
			if part, err := Decode(s[:k]); err == nil {
				t.Fatalf("the first %d of %d bytes decode to %v", k, len(s), part)
			}
		}
		if _, err := Decode(s + "n"); err == nil {
			t.Fatal("a value with something behind it decodes")
		}
	})
}

// FuzzStream: frames with foreign text between their lines, cut at any byte. Whatever comes out is
// a frame that went in, in order.
func FuzzStream(f *testing.F) {
	f.Add([]byte{3, 5, 'h', 'e', 'l', 'l', 'o'}, []byte("PS C:\\> Write-Host\nn0x 1 D n"), uint64(1), uint16(3),
		uint32(1<<31))
	f.Add([]byte{4, 255, 0, 1, 2}, []byte("\xff\x00 n0 1 D n"), uint64(9), uint16(40000), uint32(77))
	f.Fuzz(func(t *testing.T, seed, alien []byte, shuffle uint64, size uint16, cut uint32) {
		r := rand.New(rand.NewPCG(shuffle, 1))
		v, _ := build(seed, 0)
		frames := []Frame{
			{0, KindHello, map[string]any{"protocol": int64(1)}},
			{1, KindRows, []any{v, bytes.Repeat([]byte{7}, int(size))}}, // up to two lines
			{1, KindDone, nil}, {1, KindDone, nil}, // an id that comes twice is the reader's user's affair
			{2, KindError, map[string]any{"text": string(alien)}},
		}
		var lines []byte
		for _, fr := range frames {
			one, err := AppendFrame(nil, "n0", fr)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range bytes.SplitAfter(one, []byte("\n")) {
				if r.IntN(3) == 0 {
					// foreign text ends with a line end: the far end puts an empty line before each frame for that
					// reason
					text := "x" + strings.ReplaceAll(string(alien), "\nn0 ", "\nn1 ")
					if r.IntN(20) == 0 {
						text += strings.Repeat("long ", 30_000)
					}
					lines = append(lines, text+"\n"...)
				}
				lines = append(lines, line...)
			}
		}
		at := int(uint64(cut) * uint64(len(lines)) >> 32)
		for _, stream := range [][]byte{lines, lines[:at]} {
			in := NewReader(bytes.NewReader(stream), "n0")
			n := 0
			for {
				got, err := in.Next()
				if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if n >= len(frames) || !reflect.DeepEqual(frames[n], got) {
					t.Fatalf("frame %d is %v", n, got)
				}
				n++
			}
			if len(stream) == len(lines) && n != len(frames) {
				t.Fatalf("%d of %d frames came", n, len(frames))
			}
		}
	})
}

// Damage that is not a cut: each is an error or a foreign line, never another value.
func TestDamagedFrames(t *testing.T) {
	long := strings.Repeat("A", 3*MaxLine)
	for name, c := range map[string]struct {
		stream string
		frames int
		ok     bool // the stream ends without an error
	}{
		"over-long frame line":          {"n0 1 R s" + long + ";\nn0 2 D n\n", 0, false},
		"over-long foreign line":        {long + "\nn0 2 D n\n", 1, true},
		"over-long line with no end":    {long, 0, false},
		"pieces that never end":         {"n0 1 + a1:\nn0 1 + n\n", 0, true},
		"pieces of two ids, in turns":   {"n0 1 + a1\nn0 2 + a1\nn0 1 R :n\nn0 2 R :t\n", 2, true},
		"a piece of another's":          {"n0 1 + a1\nn0 2 R :n\n", 0, false},
		"the same answer twice":         {"n0 1 D n\nn0 1 D n\n", 2, true},
		"foreign text without line end": {"PS> n0 1 D n\nn0 2 D n\n", 1, true},
		"nonce of another session":      {"n1 1 D n\n", 0, true},
		"a cut frame, then the next":    {"n0 1 R a1:sQUn0 2 D n\nn0 3 D n\n", 0, false},
		"a negative id":                 {"n0 -1 D n\n", 1, true},
	} {
		in, n := NewReader(strings.NewReader(c.stream), "n0"), 0
		var err error
		for ; ; n++ {
			if _, err = in.Next(); err != nil {
				break
			}
		}
		if n != c.frames || errors.Is(err, io.EOF) != c.ok {
			t.Errorf("%s: %d frames, %v", name, n, err)
		}
	}
}
