package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"deploy/internal/testkit/linuxnodes"
)

// The comparison over WinRM measures what it says: both tools find the same values over the same
// way, and a slow link is slow.
func TestTierClientsCompareWinRM(t *testing.T) {
	linuxnodes.Tier(t, "clients")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var out, notes bytes.Buffer
	w := &winrmComparison{out: &out, note: &notes}
	const slow = 20 * time.Millisecond
	if err := w.run(ctx, []cell{{nodes: 2, steps: 2}, {nodes: 1, steps: 2, delay: slow}}); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), notes.String())
	}
	for name, c := range w.costs {
		if c.wall <= 0 || c.cpu <= 0 || c.memory < 1<<20 || c.bytes < 10_000 || c.connections < 1 || c.turns < 5 {
			t.Errorf("%s: that cannot be: %+v", name, c)
		}
		if c.cpu > 10*time.Minute || c.memory > 4<<30 || c.turns > 1000 {
			t.Errorf("%s: that is too much: %+v", name, c)
		}
	}
	for _, tool := range winrmTools() {
		c := w.costs[fmt.Sprint(tool.name, 1, 2, slow)]
		// the connections of one node may speak side by side, but no round trip of one of them is shorter
		// than the link
		if least := time.Duration(c.turns/c.connections) * slow; c.wall < least {
			t.Errorf("%s took %s for %d round trips over %d connections, which take %s at least", tool.name, c.wall, c.turns,
				c.connections, least)
		}
	}
	if rows := strings.Count(out.String(), "\n| 2 × 2 | 0 ms |"); rows != 4 {
		t.Errorf("%d rows:\n%s", rows, out.String())
	}
}
