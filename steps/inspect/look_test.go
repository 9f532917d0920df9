package inspect

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
)

func TestPendingReboot(t *testing.T) {
	clean := func() *nodetest.Machine {
		m := nodetest.New(node.WS2008)
		m.SetValue(keyActive, "ComputerName", "string", "NODE1")
		m.SetValue(keyWanted, "ComputerName", "string", "NODE1")
		m.SetValue(keySession, "PendingFileRenameOperations", "multi", []any{})
		m.SetValue(keyHotfix, "UpdateExeVolatile", "dword", int64(0))
		return m
	}
	for name, c := range map[string]struct {
		change  func(m *nodetest.Machine)
		reasons []string
		weak    []string
	}{
		"nothing":   {func(*nodetest.Machine) {}, nil, nil},
		"servicing": {func(m *nodetest.Machine) { m.SetKey(keyCBS) }, []string{"servicing"}, nil},
		"update":    {func(m *nodetest.Machine) { m.SetKey(keyUpdate) }, []string{"update"}, nil},
		"files": {func(m *nodetest.Machine) {
			m.SetValue(keySession, "PendingFileRenameOperations", "multi", []any{`\??\C:\x`, ""})
		}, nil, []string{"files"}},
		"hotfix": {func(m *nodetest.Machine) { m.SetValue(keyHotfix2, "Flags", "dword", int64(2)) }, []string{"hotfix"}, nil},
		"rename": {func(m *nodetest.Machine) { m.SetValue(keyWanted, "ComputerName", "string", "NODE9") }, []string{"rename"},
			nil},
		"two at once": {func(m *nodetest.Machine) {
			m.SetKey(keyCBS)
			m.SetValue(keyWanted, "ComputerName", "string", "NODE9")
		}, []string{"servicing", "rename"}, nil},
	} {
		m := clean()
		c.change(m)
		reasons, weak, err := PendingReboot(t.Context(), m)
		if err != nil || !slices.Equal(reasons, c.reasons) || !slices.Equal(weak, c.weak) {
			t.Errorf("%s: %v, weak %v, %v", name, reasons, weak, err)
		}
	}
}

func TestMAC(t *testing.T) {
	for in, want := range map[string]string{"00-15-5d-00-01-0a": "00:15:5D:00:01:0A", "00155D00010A": "00:15:5D:00:01:0A",
		"0015.5d00.010a": "00:15:5D:00:01:0A",
		"00:15:5D:00:01": "", "00:15:5D:00:01:0G": "", "": ""} {
		if got := MAC(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestLetter(t *testing.T) {
	for in, want := range map[string]string{"e": "E:", "E:": "E:", `e:\`: "E:", "EE": "", "1": "", "": "", "É": ""} {
		if got := Letter(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestWait(t *testing.T) {
	n := 0
	if err := Wait(t.Context(), "x", time.Minute,
		func(context.Context) (bool, error) { n++; return n == 3, nil }); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	if err := Wait(t.Context(), "x", 30*time.Millisecond,
		func(context.Context) (bool, error) { return false, nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	boom := errors.New("boom")
	if err := Wait(t.Context(), "x", time.Minute,
		func(context.Context) (bool, error) { return false, boom }); !errors.Is(err, boom) {
		t.Errorf("%v", err)
	}
}
