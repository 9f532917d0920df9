package shell

import (
	"bytes"
	"iter"
	"slices"
	"testing"

	"deploy/internal/session"
)

// FuzzFrames: whatever a machine answers to a batch, in whatever pieces, is an answer or an error,
// and each question has at most one.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("0 run 0 3 0\nout1 verb 40 0 3\nerr"), 5)
	f.Add([]byte("0 run 0 -1 0\n"), 1)
	f.Add([]byte("1 run 0 0 0\n"), 1)
	f.Add([]byte("0 run 0 99999999999999999999 0\n"), 100)
	f.Add([]byte("0 run 0 1073741825 9223372036854775807\n"), 100)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if size <= 0 {
			size = 1
		}
		fr := &framer{s: &Session{opts: Options{Options: session.Options{Node: "n1"}}}, pace: make(chan struct{}, 1)}
		for range 3 {
			fr.batch = append(fr.batch, &prefetch{op: "x", done: make(chan struct{}), plan: plan{read: rowOfProgram}})
		}
		for piece := range chunks(data, size) {
			_, _ = fr.Write(piece)
		}
		fr.finish()
		for _, p := range fr.batch {
			<-p.done
			if p.none && (p.rows != nil || p.err != nil) {
				t.Error("an answer that is none")
			}
		}
	})
}

// FuzzMarkers: whatever stands on stderr, in whatever pieces, the same is understood.
func FuzzMarkers(f *testing.F) {
	f.Add([]byte("banner\nXX hello 12\nXX run\nwords\nXX end 7\n"), 3)
	f.Add([]byte("XX hello 12\ncannotXX end 41\nXX end 3\n"), 1)
	f.Add([]byte("XX end 1\nXX run\nXX hello x\nXX hello 5\nXX XX run\nXX end\n"), 2)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if size <= 0 {
			size = 1
		}
		type seen struct {
			pid, code   int
			begun, over bool
			text        string
		}
		read := func(size int) seen {
			r := &remote{nonce: "XX"}
			var buf bytes.Buffer
			from := 0
		all:
			for piece := range chunks(data, size) {
				buf.Write(piece)
				for r.step(&buf, &from) {
					if r.over {
						break all
					}
				}
			}
			if !r.over {
				r.text = buf
			}
			return seen{r.pid, r.code, r.begun, r.over, r.text.String()}
		}
		if whole, parts := read(len(data)+1), read(size); whole != parts {
			t.Errorf("%+v\n%+v", whole, parts)
		}
	})
}

// TestAnswersThatAreNone: what a machine may say in the place of an answer is an error.
func TestAnswersThatAreNone(t *testing.T) {
	for _, text := range []string{"", "x", "81a4 1 2", "81a4 1 2\nroot", "zz 1 2\na\nb\n", "81a4 x 2\na\nb\n",
		"81a4 1 x\na\nb\n", "81a4 1\na\nb\n", "ffffffffff 1 2\na\nb\n"} {
		if rows, err := rowOfStat(outcome{stdout: []byte(text)}); err == nil {
			t.Errorf("%q is %v", text, rows)
		}
	}
	for _, text := range []string{"", "abc 1", "0123 x"} {
		if rows, err := rowOfHash(outcome{stdout: []byte(text)}); err == nil {
			t.Errorf("%q is %v", text, rows)
		}
	}
	for _, text := range []string{"f", "f 1", "f x name\x00", "d 1 a\x00f"} {
		if rows, err := rowsOfDir(outcome{stdout: []byte(text)}); err == nil {
			t.Errorf("%q is %v", text, rows)
		}
	}
	if rows, err := rowsOfDir(outcome{stdout: []byte("f 1 b c\nd\x00d 4096 a\x00")}); err != nil || len(rows) != 2 ||
		rows[0].String("name") != "a" || rows[0].Int("size") != 0 || rows[1].String("name") != "b c\nd" {
		t.Errorf("%v %v", rows, err)
	}
}

// chunks cuts data into pieces of a size.
func chunks(data []byte, size int) iter.Seq[[]byte] { return slices.Chunk(data, size) }
