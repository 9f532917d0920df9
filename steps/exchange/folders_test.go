package exchange

import (
	"errors"
	"slices"
	"testing"

	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
)

func TestMissingFolders(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetDir(`E:\`)
	m.SetDir(`E:\mbx01`)
	for path, want := range map[string][]string{
		`E:\mbx01`:          nil,
		`E:\mbx01\logs`:     {`E:\mbx01\logs`},
		`E:\mbx01\a\b\`:     {`E:\mbx01\a\b`, `E:\mbx01\a`},
		`E:\mbx02`:          {`E:\mbx02`},
		`G:\not\seen\by\us`: nil, // nobody can tell what is on a drive that is not here
		`E:\`:               nil,
		``:                  nil,
	} {
		got, err := missingFolders(t.Context(), m, path)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
	// the disk is another node's
	m.Break = func(r node.Request) error { return &node.CodeError{Op: r.Verb, Code: 0x80070015} }
	if got, err := missingFolders(t.Context(), m, `E:\mbx03`); err != nil || got != nil {
		t.Errorf("on a disk that is not ready: %q, %v", got, err)
	}
	m.Break = func(node.Request) error { return &node.LinkError{Node: "n1", Sent: true, Err: errors.New("cut")} }
	if _, err := missingFolders(t.Context(), m, `E:\mbx03`); err == nil {
		t.Error("what cannot be looked at counts as missing")
	}
}

// What was made goes from the inside out, as far as it is empty.
func TestDropEmpty(t *testing.T) {
	m := nodetest.New(node.WS2008)
	for _, d := range []string{`E:\`, `E:\a`, `E:\a\b`, `E:\a\b\c`} {
		m.SetDir(d)
	}
	m.SetFile(`E:\a\mine.txt`, []byte("x"))
	if err := dropEmpty(t.Context(), m, []string{`E:\a\b\c`, `E:\a\b`, `E:\a`}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{`E:\a\b`: false, `E:\a`: true, `E:\a\mine.txt`: true} {
		if _, err := m.Stat(t.Context(), path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A mark goes with the keys that were made for it, in one request, and leaves those of others.
func TestDropKey(t *testing.T) {
	m := nodetest.New(node.WS2008)
	m.SetValue(`HKLM\SOFTWARE\Other`, "A", "string", "b")
	m.SetValue(markKey("one"), "What", "string", "x")
	m.SetValue(markKey("two"), "What", "string", "x")
	for _, id := range []string{"one", "two"} {
		before := m.Asked("reg.delkey", "")
		if err := dropKey(t.Context(), m, markKey(id)); err != nil {
			t.Fatal(err)
		}
		if n := m.Asked("reg.delkey", "") - before; n != 1 {
			t.Errorf("%s took %d requests to delete", id, n)
		}
		if there, err := keyThere(t.Context(), m, markKey("two")); err != nil || there != (id == "one") {
			t.Errorf("after %s went, two is there: %v, %v", id, there, err)
		}
	}
	if there, err := keyThere(t.Context(), m, markRoot); err != nil || there {
		t.Errorf("the empty root stays: %v, %v", there, err)
	}
}
