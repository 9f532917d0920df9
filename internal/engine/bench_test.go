package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkPlan makes a plan of 50 nodes and 40 steps each: what the engine itself costs, with
// machines that answer at once.
func BenchmarkPlan(b *testing.B) {
	g := newRig(b, bigSetup(50, 40))
	g.o.Parallel = 16
	for b.Loop() {
		p, err := MakePlan(context.Background(), g.o)
		if err != nil || p.Counts.Tasks != 2000 {
			b.Fatal(err, p)
		}
	}
}

// BenchmarkApply applies the same, with a journal in memory.
func BenchmarkApply(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		g := newRig(b, bigSetup(50, 40))
		g.o.Parallel = 16
		b.StartTimer()
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func bigSetup(nodes, tasks int) string {
	var names []string
	for i := range nodes {
		names = append(names, fmt.Sprintf("n%d", i+1))
	}
	all := strings.Join(names, "+")
	var s strings.Builder
	for i := range tasks {
		if i%10 == 0 {
			if i > 0 {
				s.WriteString(" / ")
			}
			fmt.Fprintf(&s, "p%d:", i/10)
		}
		fmt.Fprintf(&s, " s%d@%s", i, all)
	}
	return s.String()
}
