package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
)

func reader(text string) *Conn { return NewConn(strings.NewReader(text), io.Discard) }

func TestMeet(t *testing.T) {
	for _, c := range []struct{ name, in, alien, rest, err string }{
		{"at once", "deploy-agent 2\nX", "", "X", ""},
		{"behind a banner", "Welcome to n1\nlast login: never\ndeploy-agent 2\nX", "Welcome to n1\nlast login: never\n", "X",
			""},
		{"behind a password that sudo did not want", "hunter2\ndeploy-agent 2\n", "hunter2\n", "", ""},
		{"behind a prompt without a line end", "password: deploy-agent 2\n", "password: ", "", ""},
		{"another version", "deploy-agent 9\n", "", "",
			"the other side has version 9 of the agent protocol, this side 2"},
		{"no agent", "sh: not found\n", "sh: not found\n", "", "EOF"},
		{"a word that is no version", "deploy-agent x\n", "deploy-agent x\n", "", "EOF"},
		{"a flood", strings.Repeat("x", maxAlien+10), strings.Repeat("x", maxAlien+1), "", "no greeting received"},
	} {
		conn := reader(c.in)
		alien, err := conn.Meet()
		if alien != c.alien {
			t.Errorf("%s: alien text %q", c.name, alien[:min(len(alien), 80)])
		}
		if text := fmt.Sprint(err); (err == nil) != (c.err == "") || err != nil && text != c.err {
			t.Errorf("%s: %v", c.name, err)
		}
		if rest, _ := io.ReadAll(conn.r); c.err == "" && string(rest) != c.rest {
			t.Errorf("%s: %q is left", c.name, rest)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	whole, err := AppendFrame(nil, Frame{TPing, []byte(`{"a":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < len(whole); cut++ {
		if _, err := reader(string(whole[:cut])).Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a frame cut after %d bytes: %v", cut, err)
		}
	}
	if _, err := reader("").Read(); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the end between frames: %v", err)
	}
	if _, err := reader("\x00\x00\x00\x00").Read(); err == nil {
		t.Error("a frame without a type was taken")
	}
	if _, err := reader(string(binary.BigEndian.AppendUint32(nil, MaxFrame+1)) + "P").Read(); !errors.Is(err,
		ErrTooLarge) {
		t.Errorf("a frame that is too large: %v", err)
	}
	if err := reader("").WriteFrame(Frame{TPing, make([]byte, MaxFrame)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a frame that is too large to send: %v", err)
	}
}

// What is decided on survives the way; secrets in texts do not.
func TestErrorsTravel(t *testing.T) {
	redact := func(s string) string { return strings.ReplaceAll(s, "hunter2", "[secret]") }
	in := hint.Wrap(fmt.Errorf("cannot do it with hunter2: %w",
		errors.Join(node.ErrNotFound, &node.CodeError{Op: "x hunter2", Code: 5, ID: "Id", Text: "hunter2"})), "try hunter2")
	out := NewError(in, redact).Err()
	var code *node.CodeError
	if !errors.Is(out, node.ErrNotFound) || errors.Is(out, node.ErrUnsupported) || !errors.As(out, &code) ||
		code.Code != 5 || code.ID != "Id" {
		t.Errorf("%v, %+v", out, code)
	}
	if hint.Of(out) != "try [secret]" || out.Error() != redact(in.Error()) || code.Text != "[secret]" ||
		code.Op != "x [secret]" {
		t.Errorf("%v, hint %q, %+v", out, hint.Of(out), code)
	}
	for _, s := range sentinels() {
		if got := NewError(fmt.Errorf("around: %w", s), nil).Err(); !errors.Is(got, s) ||
			got.Error() != "around: "+s.Error() {
			t.Errorf("%v became %v", s, got)
		}
	}
	var until *steps.UntilError
	if got := NewError(steps.Until("cluster", "it is not there"), nil).Err(); !errors.As(got, &until) ||
		until.Tag != "cluster" || until.Why != "it is not there" {
		t.Errorf("%v", got)
	}
	var settling *steps.SettlingError
	if got := NewError(steps.Settling(errors.New("starts")), nil).Err(); !errors.As(got, &settling) {
		t.Errorf("%v", got)
	}
	var left *steps.LeftError
	if got := NewError(fmt.Errorf("x: %w", steps.Left("/srv holds 1 entry (a)")), nil).Err(); !errors.As(got, &left) ||
		left.Why != "/srv holds 1 entry (a)" {
		t.Errorf("%v", got)
	}
	var link *node.LinkError
	if got := NewError(&node.LinkError{Node: "n", Sent: true, Err: errors.New("cut")}, nil).Err(); !errors.As(got,
		&link) || !link.Sent {
		t.Errorf("%v", got)
	}
	if NewError(nil, nil).Err() != nil {
		t.Error("no error became one")
	}
}

// FuzzRead: whatever comes, reading ends without a panic, and does not take more than came.
func FuzzRead(f *testing.F) {
	f.Add([]byte("deploy-agent 2\n\x00\x00\x00\x03P{}"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Add([]byte("deploy-agent 2\n\x00\x00\x00\x01P\x00\x00\x00\x01H"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := NewConn(bytes.NewReader(data), io.Discard)
		_, _ = c.Meet()
		for total := 0; ; {
			fr, err := c.Read()
			if err != nil {
				return
			}
			if total += len(fr.Body) + 5; total > len(data) {
				t.Fatalf("%d bytes were read of %d", total, len(data))
			}
			for _, v := range []any{&Hello{}, &Work{}, &Event{}, &Check{}, &Checked{}} {
				_ = fr.Decode(v)
			}
		}
	})
}

// FuzzFrames: what is written is what is read.
func FuzzFrames(f *testing.F) {
	f.Add(byte('P'), []byte("{}"), byte('H'), []byte(""))
	f.Fuzz(func(t *testing.T, t1 byte, b1 []byte, t2 byte, b2 []byte) {
		var wire bytes.Buffer
		c := NewConn(&wire, &wire)
		for _, fr := range []Frame{{Type(t1), b1}, {Type(t2), b2}} {
			if err := c.WriteFrame(fr); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []Frame{{Type(t1), b1}, {Type(t2), b2}} {
			got, err := c.Read()
			if err != nil || got.Type != want.Type || !bytes.Equal(got.Body, want.Body) {
				t.Fatalf("%+v, %v, want %+v", got, err, want)
			}
		}
	})
}
