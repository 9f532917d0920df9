package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"deploy/internal/testkit/linuxnodes"
)

func TestMain(m *testing.M) {
	linuxnodes.Child()
	if len(os.Args) > 1 && os.Args[1] == floorWord {
		os.Exit(floorMain(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// The harness measures what it says: every tool leaves the nodes in the desired state, a second run
// touches nothing, and the row has its values.
func TestTierNodesCompare(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	var out, notes bytes.Buffer
	c := &comparison{t: t, out: &out, note: &notes, keep: t.TempDir()}
	if err := c.run(t.Context(), []cell{{2, 2, 0, []string{"floor", "deploy", "placing", "pipelining", "master"}},
		{1, 2, 20 * time.Millisecond, []string{"floor", "deploy"}}}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, r := range c.results {
		for _, x := range []*cost{r.first, r.again} {
			if x == nil {
				continue
			}
			if x.wall <= 0 || x.cpu <= 0 || x.nodeCPU <= 0 || x.memory < 1<<20 || x.sent < 1000 || x.received < 1000 ||
				x.segments < 10 {
				t.Errorf("%s: that cannot be: %+v", r.tool, *x)
			}
			if x.cpu+x.nodeCPU > 10*time.Minute || x.memory > 4<<30 {
				t.Errorf("%s: that is too much: %+v", r.tool, *x)
			}
		}
		if alone := r.tool == "floor" || r.tool == "placing"; alone == (r.again != nil) {
			t.Errorf("%s: runs without anything to do are not as they should be", r.tool)
		}
	}
	// a delay of 20 ms cannot be passed by fewer than the round trips of a key exchange
	if d := c.find("floor", 1, 2, 20*time.Millisecond).first.wall - 20*time.Millisecond*5; d < 0 {
		t.Errorf("the slow link is %s too fast", -d)
	}
	// the program travels only once
	if placing, deploy := c.find("placing", 2, 2, 0),
		c.find("deploy", 2, 2, 0); placing.first.sent < deploy.first.sent+1<<20 {
		t.Errorf("placing an agent sent %d bytes, working with one %d", placing.first.sent, deploy.first.sent)
	}
	if rows := strings.Count(out.String(), "\n| 2 × 2 | 0 ms |"); rows != 5 {
		t.Errorf("%d rows:\n%s", rows, out.String())
	}
}
