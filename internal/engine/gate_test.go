package engine

import (
	"context"
	"errors"
	"testing"

	"deploy/internal/hint"
)

func TestGate(t *testing.T) {
	g := newRig(t, "p: a g:gate b")
	// nobody there
	sum, err := Apply(context.Background(), g.o, nil)
	if !errors.Is(err, ErrWaiting) || sum.How != HowWaiting || hint.Of(err) != "please" {
		t.Fatalf("%v (%s) %+v", err, hint.Of(err), sum)
	}
	if got, want := g.story(), "begin:a@n1 apply:a@n1 done:a@n1 gate:g@n1"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	// signed, but not done
	g.o.Run = ""
	asked := 0
	g.o.Gate = func(_ context.Context, q GateRequest) (Signature, bool, error) {
		asked++
		if q.Task != "p/g@n1" || q.Gate.Title != "do g" || len(q.Missing) != 1 {
			t.Errorf("asked for %+v", q)
		}
		return Signature{By: "bob", Text: "did it"}, true, nil
	}
	_, err = Apply(context.Background(), g.o, nil)
	var ge *GateError
	if !errors.Is(err, ErrWaiting) || !errors.As(err, &ge) || !ge.Signed || len(ge.Missing) != 1 {
		t.Fatal(err)
	}
	if got, want := g.story(), "signed:g@n1 gate:g@n1"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if want := `p/g@n1 was signed, but the check still fails: run (value: "" -> new)`; err.Error() != want {
		t.Errorf("got %s\nwant %s", err, want)
	}
	// signed and done
	g.o.Run = ""
	sign := g.o.Gate
	g.o.Gate = func(ctx context.Context, q GateRequest) (Signature, bool, error) {
		g.w.mu.Lock()
		g.w.values["n1/g"] = "new"
		g.w.mu.Unlock()
		return sign(ctx, q)
	}
	if _, err = Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := g.story(), "signed:g@n1 done:g@n1 begin:b@n1 apply:b@n1 done:b@n1 checkpoint:p"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	// and never again
	g.o.Run = ""
	if _, err = Apply(context.Background(), g.o, nil); err != nil || asked != 2 || g.story() != "" {
		t.Errorf("asked %d times: %v", asked, err)
	}
	rep, err := Status(g.m.entries, g.o.Program)
	if err != nil {
		t.Fatal(err)
	}
	if s := rep.Phases[0].Tasks[1].Signature; s == nil || s.By != "bob" || s.Text != "did it" {
		t.Errorf("status shows the signature %+v", s)
	}
}

// TestGatePassedBetweenRuns: the person did it and said nothing; the probe is enough.
func TestGatePassedBetweenRuns(t *testing.T) {
	g := newRig(t, "p: g:gate b")
	if _, err := Apply(context.Background(), g.o, nil); !errors.Is(err, ErrWaiting) {
		t.Fatal(err)
	}
	g.story()
	g.w.values["n1/g"] = "new"
	if _, err := Apply(context.Background(), g.o, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := g.story(), "done:g@n1 begin:b@n1 apply:b@n1 done:b@n1 checkpoint:p"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestGateByWord: a gate without a probe rests on the signature, which is asked for once.
func TestGateByWord(t *testing.T) {
	g := newRig(t, "p: g:gate,word b")
	asked := 0
	g.o.Gate = func(context.Context, GateRequest) (Signature, bool, error) {
		asked++
		return Signature{}, true, nil
	}
	// cut off between the signature and the end
	g.m.killAt, g.m.late = 4, true
	if _, err := Apply(context.Background(), g.o, nil); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	g.revive()
	for range 2 {
		if _, err := Apply(context.Background(), g.o, nil); err != nil {
			t.Fatal(err)
		}
		g.o.Run = ""
	}
	const want = "gate:g@n1 signed:g@n1 done:g@n1 begin:b@n1 apply:b@n1 done:b@n1 checkpoint:p"
	if got := g.story(); got != want || asked != 1 {
		t.Errorf("asked %d times, got %s\nwant %s", asked, got, want)
	}
	if p, err := MakePlan(context.Background(), g.o); err != nil || p.HasChanges() {
		t.Errorf("the plan still asks: %v", err)
	}
}

// TestGateOtherNodesFinish: what is under way elsewhere ends; a gate is no failure that a phase's
// policy would answer.
func TestGateOtherNodesFinish(t *testing.T) {
	g := newRig(t, "p rollback: a@n1 b@n1+n2 g@n2:gate c@n1+n2")
	if _, err := Apply(context.Background(), g.o, nil); !errors.Is(err, ErrWaiting) {
		t.Fatal(err)
	}
	want := "begin:a@n1 apply:a@n1 done:a@n1 begin:b@n1 apply:b@n1 done:b@n1 begin:b@n2 apply:b@n2 done:b@n2 gate:g@n2"
	if got := g.story(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestApprove(t *testing.T) {
	g := newRig(t, "p: a b:noreturn c")
	var asked []Approval
	yes := false
	g.o.Approve = func(_ context.Context, a Approval) (bool, error) { asked = append(asked, a); return yes, nil }
	sum, err := Apply(context.Background(), g.o, nil)
	if text(err) != "p/b@n1 was declined: it is forever" || sum.How != HowDeclined || sum.Counts.Failed != 0 {
		t.Errorf("a no is told as %v, %+v", err, sum)
	}
	if !errors.Is(err, ErrDeclined) || len(asked) != 1 || asked[0].Why != "it is forever" || asked[0].Task != "p/b@n1" {
		t.Fatalf("%v %+v", err, asked)
	}
	if got, want := g.story(), "begin:a@n1 apply:a@n1 done:a@n1"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	// begun and cut off: what was agreed to is not asked again
	yes = true
	g.revive()
	g.m.killAt, g.m.late = len(g.m.entries)+3, true // run-start, phase, begin
	if _, err := Apply(context.Background(), g.o, nil); !errors.Is(err, errKilled) || len(asked) != 2 {
		t.Fatal(err, len(asked))
	}
	g.revive()
	yes = false
	if _, err := Apply(context.Background(), g.o, nil); err != nil || len(asked) != 2 {
		t.Fatal(err, len(asked))
	}
	// nobody to ask is no
	g = newRig(t, "p: a:final")
	g.o.Approve = nil
	if _, err := Apply(context.Background(), g.o, nil); !errors.Is(err, ErrDeclined) || len(g.w.values) != 0 {
		t.Error(err)
	}
}
