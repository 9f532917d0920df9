package bench

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"deploy/internal/engine"
	"deploy/internal/journal"
	"deploy/steps"
	"deploy/steps/all"
)

// BenchmarkRollback: forty nodes of ten steps each at 20 ms of added latency, applied and taken
// back. Each undo is looked at before and after, so it may take twice the apply's time, and no
// more: that is rollback/apply.
func BenchmarkRollback(b *testing.B) {
	const nodes, count = 40, 10
	var apply, rollback time.Duration
	for b.Loop() {
		f := start(b, nodes, count, 20*time.Millisecond)
		j, err := journal.Open(f.dir, journal.OpenOptions{})
		if err != nil {
			b.Fatal(err)
		}
		back := f.options(j)
		back.Decode = func(kind string, data json.RawMessage) (steps.Step, error) {
			k, ok := all.Kinds().Get(kind)
			if !ok {
				return nil, fmt.Errorf("no kind %s", kind)
			}
			s := k.New()
			return s, json.Unmarshal(data, s)
		}
		at := time.Now()
		s, err := engine.Apply(b.Context(), f.options(j), nil)
		if err != nil || s.Counts.Change != nodes*count {
			b.Fatalf("%v, %+v", err, s)
		}
		apply += time.Since(at)
		at = time.Now()
		s, err = engine.Rollback(b.Context(), back, engine.RollbackOptions{})
		if err != nil || s.Counts.Undone != nodes*count {
			b.Fatalf("%v, %+v", err, s)
		}
		rollback += time.Since(at)
		_ = j.Close()
	}
	b.ReportMetric(float64(apply.Milliseconds())/float64(b.N), "apply-ms")
	b.ReportMetric(float64(rollback.Milliseconds())/float64(b.N), "rollback-ms")
	b.ReportMetric(float64(rollback)/float64(apply), "rollback/apply")
	if rollback > 2*apply {
		b.Errorf("the rollback took %s, the apply %s", rollback, apply)
	}
}
