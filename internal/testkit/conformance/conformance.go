// Package conformance is the suite that every kind of step passes, on whatever machine a test gives
// it: check, apply, check again, undo, check. It also holds every request of a kind against the
// calls that the kind declares; and it lets the engine play the same case directly and by an agent,
// which must leave equal journals and equal machines.
package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deploy/internal/lab/session"
	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
	"deploy/steps"
)

// Case is one kind on one machine.
type Case struct {
	Kind steps.Kind
	With map[string]any
	// Open makes the machine, in the state in which the wish is not yet true. It is called once.
	Open func(t *testing.T) node.Session
	// Restart restarts the machine when Apply or Undo says that it is due, and returns the session
	// to it. nil: the session stays good.
	Restart func(t *testing.T, s node.Session) node.Session
	// Programs are those that the data itself names, so that the kind cannot declare them.
	Programs []string
	// Person does by hand what a gate asks for. It is called between Check and Apply.
	Person func(t *testing.T)
	// OnlyLooks is for kinds that never change anything: the wish must be true from the start.
	OnlyLooks bool
	// Changed gives values for fields whose type does not tell what would make a difference on this
	// machine, by path ("acl[].rights"). An empty list leaves a field out: in this case no other value
	// would make a difference.
	Changed map[string][]any
}

// Run plays the case.
func Run(t *testing.T, c Case) {
	t.Helper()
	s := c.Open(t)
	both := false
	double, inLab := s.(*session.Session)
	if inLab {
		before := double.Reading(node.ReadOnly(c.Kind.ReadForms))
		defer func() { double.Reading(before) }()
	}
	switch {
	case inLab && !twice(double): // what the other languages add was seen when the kind was played alone
	case inLab:
		both = bothWays(t, c, s) // on doubles, so it leaves the machine as it is
	}
	acts := acts{open: func() node.Session { return s }, change: func(s node.Session) {
		if !inLab || twice(double) {
			change(t, c, s)
		}
	}}
	if c.Restart != nil {
		acts.restart = func(s node.Session) node.Session { return c.Restart(t, s) }
	}
	if c.Person != nil {
		acts.person = func() { c.Person(t) }
	}
	play(t, c, acts)
	if !inLab {
		both = bothWays(t, c, s)
	}
	if both && !t.Failed() {
		left(t, c.Kind.Name, s.Facts().OS)
	}
}

// shared is the variable that names the directory in which plays leave word of themselves, so that
// the tier can tell which kind was never played.
const shared = "DEPLOY_CONFORMANCE"

// left leaves word that a kind was played in both ways on a system.
func left(t *testing.T, kind, system string) {
	t.Helper()
	dir := os.Getenv(shared)
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, kind+"@"+system), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// twice says that a bench's machine plays its cases by the engine in both ways as well: one
// language for each release, by turns one whose text is ASCII and one whose text is not even Latin.
func twice(s *session.Session) bool {
	turn := slices.Index(node.WindowsReleases(), s.Facts().Release) % 2
	return s.World().Locale == []string{"en", "ja"}[turn]
}

// reporter is what the suite needs of a test, so that its own tests can see it complain. Fatalf
// does not return.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// acts are a Case's functions, bound to the test.
type acts struct {
	open    func() node.Session
	restart func(node.Session) node.Session
	person  func()
	change  func(node.Session)
}

func play(t reporter, c Case, a acts) {
	t.Helper()
	ctx := t.Context()
	step, err := c.Kind.Decode(c.With)
	if err != nil {
		t.Fatalf("%s: cannot decode: %v", c.Kind.Name, err)
	}
	if step.Kind() != c.Kind.Name {
		t.Fatalf("the step calls itself %q, its kind %q", step.Kind(), c.Kind.Name)
	}
	rec := &recorder{Session: a.open()}

	start := look(t, c, step, rec)
	if c.OnlyLooks {
		if start.Action != steps.NoOp {
			t.Fatalf("a kind that only looks found something to do: %+v", start)
		}
		if a.change != nil {
			a.change(rec.Session)
		}
		covered(t, c, rec)
		return
	}
	if start.Action == steps.NoOp || start.Action == steps.Unknown {
		t.Fatalf("the first check says %s: the case must start with the wish not true", start.Action)
	}
	if len(start.Changes) == 0 {
		t.Errorf("a diff with something to do names no change")
	}
	for _, wrong := range wrongAttributes(c.Kind.Name, start.Changes) {
		t.Errorf("%s: %s", c.Kind.Name, wrong)
	}
	journalled, err := asJournalled(start.Changes)
	if err != nil {
		t.Fatalf("%s: the changes cannot be journalled: %v", c.Kind.Name, err)
	}
	if a.person != nil {
		a.person()
	}
	out, err := step.Apply(ctx, rec, start)
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	restart := func() {
		if out.Reboot && a.restart != nil {
			rec.Session = a.restart(rec.Session)
		}
	}
	restart()
	if again := look(t, c, step, rec); again.Action != steps.NoOp {
		t.Fatalf("after apply the check still says %s: %+v", again.Action, again.Changes)
	}
	covered(t, c, rec)
	if a.change != nil {
		a.change(rec.Session)
	}

	undoer, ok := step.(steps.Undoer)
	switch {
	case start.Effects.NothingToUndo, start.Effects.PointOfNoReturn != "":
		return
	case !ok:
		t.Fatalf("the kind cannot undo, and the diff names neither a point of no return nor that there is nothing to undo")
	}
	// an undo that was cut off is repeated, so it must bear to be done twice
	for _, which := range []string{"undo", "a second undo"} {
		err := undoer.Undo(ctx, rec, start.Before)
		if err != nil && !errors.Is(err, steps.ErrRebootDue) {
			t.Fatalf("%s: %v", which, err)
		}
		out.Reboot = out.Reboot || err != nil
		restart()
		again := look(t, c, step, rec)
		if now, err := asJournalled(again.Changes); err != nil || now != journalled {
			t.Errorf("after %s the changes are %s (%v), and were %s: the engine would not take it for undone", which, now,
				err, journalled)
		}
		if d := cmp.Diff(start, again); d != "" {
			t.Errorf("after %s the machine is not as it was (-before +after):\n%s", which, d)
		}
	}
	covered(t, c, rec)
}

// asJournalled gives changes the form in which an engine compares them: through its journal.
func asJournalled(changes []steps.Change) (string, error) {
	b, err := json.Marshal(changes)
	if err != nil {
		return "", err
	}
	var back []steps.Change
	if err := json.Unmarshal(b, &back); err != nil {
		return "", err
	}
	b, err = json.Marshal(back)
	return string(b), err
}

// look checks through a reader that has no other verb, and holds what was asked against what was
// announced.
func look(t reporter, c Case, step steps.Step, rec *recorder) steps.Diff {
	t.Helper()
	ctx := t.Context()
	var announced []node.Query
	if p, ok := step.(steps.Prefetcher); ok {
		announced = p.Reads(rec.Facts())
		if err := rec.Prefetch(ctx, announced); err != nil {
			t.Fatalf("%s: prefetch: %v", c.Kind.Name, err)
		}
	}
	from := len(rec.requests)
	d, err := step.Check(ctx, readerOnly{rec})
	if err != nil {
		t.Fatalf("%s: check: %v", c.Kind.Name, err)
	}
	asked := map[string]bool{}
	for _, r := range rec.requests[from:] {
		asked[key(t, r)] = true
	}
	for _, q := range announced {
		if k := key(t, q.Request()); !asked[k] {
			t.Errorf("%s announces %s and does not ask it", c.Kind.Name, k)
		}
	}
	return d
}

func key(t reporter, r node.Request) string {
	t.Helper()
	args, err := protocol.Encode(r.Args)
	if err != nil {
		t.Fatalf("request %s cannot be sent: %v", r.Verb, err)
	}
	return r.Verb + " " + args
}

// readerOnly hides everything but the Reader, so that a Check cannot find the rest by a type
// assertion.
type readerOnly struct{ node.Reader }

// recorder writes down what a step asks.
type recorder struct {
	node.Session
	requests []node.Request
	commands [][]string
	vouched  [][]string
	looked   [][]string // what queries started, unless vouched for
}

func (r *recorder) Query(ctx context.Context, q node.Query) ([]node.Row, error) {
	if tool, ok := q.(node.Tool); ok {
		r.requests = append(r.requests, q.Request())
		if tool.TrustedReadOnly {
			r.vouched = append(r.vouched, tool.Argv)
		} else {
			r.commands = append(r.commands, tool.Argv)
			r.looked = append(r.looked, tool.Argv)
		}
		return r.Session.Query(ctx, q)
	}
	r.requests = append(r.requests, q.Request())
	return r.Session.Query(ctx, q)
}

func (r *recorder) Do(ctx context.Context, a node.Action) ([]node.Row, error) {
	if _, restarts := a.(node.Restart); restarts {
		return nil, errors.New("a step must not restart a machine")
	}
	r.requests = append(r.requests, a.Request())
	return r.Session.Do(ctx, a)
}

func (r *recorder) Run(ctx context.Context, c node.Cmd) (node.Result, error) {
	if c.As != "" {
		return node.Result{}, errors.New("only a job runs with a credential")
	}
	r.commands = append(r.commands, c.Argv)
	return r.Session.Run(ctx, c)
}

func (r *recorder) StartJob(ctx context.Context, id string, c node.Cmd) error {
	r.commands = append(r.commands, c.Argv)
	return r.Session.StartJob(ctx, id, c)
}

// Releases are those of list, or all when it is empty: a helper for tests that go over what a kind
// claims.
func Releases(list []node.Release) []node.Release {
	if len(list) == 0 {
		return node.WindowsReleases()
	}
	return slices.Clone(list)
}
