package nodetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"deploy/internal/node"
)

// SetFence has all that changes the machine compare its owner record first.
func (m *Machine) SetFence(f node.Fence) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fence = f
}

// act notes a request that may change the machine, and refuses it where the fence does not pass.
func (m *Machine) act(r node.Request) error {
	if err := m.note(r); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.fence
	if f.Journal == "" || r.Verb == "owner.set" {
		return nil
	}
	if text := m.owners[f.Site]; !f.Passes(text) {
		return &node.SupersededError{Node: m.F.Computer, Record: text}
	}
	if f.Record != "" {
		m.owners[f.Site] = f.Record
	}
	return nil
}

func (m *Machine) ownerRows() []node.Row {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []node.Row
	for _, site := range sorted(m.owners) {
		rows = append(rows, node.Row{"site": site, "record": m.owners[site]})
	}
	return rows
}

func (m *Machine) setOwner(a node.OwnerSet) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owners[a.Site] != a.Was {
		return &node.SupersededError{Node: m.F.Computer, Record: m.owners[a.Site]}
	}
	m.owners[a.Site] = a.Record
	if a.Record == "" {
		delete(m.owners, a.Site)
	}
	return nil
}

// record is an owner record for tests.
func record(t *testing.T, change func(o *node.Owner)) string {
	t.Helper()
	o := node.Owner{Format: node.OwnerFormat, Site: "blue", Journal: "j-1", Epoch: 3, Seq: 17, Run: "20260701-1",
		Holder: node.Holder{Who: `ann "the" admin`, Host: "desk é漢 $(id) `id` %PATH%",
			Since: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}}
	change(&o)
	text, err := o.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// OwnerContract plays what node.Owners, node.OwnerSet and node.Fenced promise on a session to a
// machine without owner records. dir is a directory that is there, free to be written in; program
// only looks.
func OwnerContract(t *testing.T, s node.Session, join func(name string) string, program []string) {
	t.Helper()
	fenced, ok := s.(node.Fenced)
	if !ok {
		t.Fatalf("%T carries no fence", s)
	}
	ctx := t.Context()
	first := record(t, func(*node.Owner) {})
	other := record(t, func(o *node.Owner) { o.Site = "green" })
	wantOwners(t, s, map[string]string{})
	mustSet(t, s, node.OwnerSet{Site: "blue", Record: first})
	wantOwners(t, s, map[string]string{"blue": first})
	mustSet(t, s, node.OwnerSet{Site: "green", Record: other})
	wantOwners(t, s, map[string]string{"blue": first, "green": other})

	// what another has written meanwhile is not written over
	for _, was := range []string{"", other, first + " "} {
		_, err := s.Do(ctx, node.OwnerSet{Site: "blue", Was: was, Record: other})
		wantSuperseded(t, err, first)
	}
	wantOwners(t, s, map[string]string{"blue": first, "green": other})

	// acts of the one who is in charge go on, and take the record along
	next := record(t, func(o *node.Owner) { o.Seq = 18 })
	fence := node.Fence{Site: "blue", Journal: "j-1", Epoch: 3, Run: "20260701-1", Record: next}
	fenced.SetFence(fence)
	made := join("made")
	if _, err := s.Do(ctx, node.MakeDir{Path: made}); err != nil {
		t.Fatalf("an act of the one in charge: %v", err)
	}
	if _, err := s.Stat(ctx, made); err != nil {
		t.Errorf("after an act of the one in charge: %v", err)
	}
	wantOwners(t, s, map[string]string{"blue": next, "green": other})
	if err := s.Write(ctx, join("file"), bytes.NewReader([]byte("x")), node.WriteOptions{}); err != nil {
		t.Errorf("a file of the one in charge: %v", err)
	}
	if _, err := s.Run(ctx, node.Cmd{Argv: program}); err != nil {
		t.Errorf("a program of the one in charge: %v", err)
	}

	// each way to be superseded, for each way to change something
	mark := next
	for _, c := range []struct {
		why    string
		change func(o *node.Owner)
		passes bool
	}{
		{"a higher epoch", func(o *node.Owner) { o.Epoch, o.Run = 4, "20260702-1" }, false},
		{"another journal", func(o *node.Owner) { o.Journal = "j-2" }, false},
		{"another journal with a lower epoch", func(o *node.Owner) { o.Journal, o.Epoch = "j-2", 1 }, false},
		{"another run of the same epoch", func(o *node.Owner) { o.Run = "20260701-2" }, false},
		{"an epoch with more digits", func(o *node.Owner) { o.Epoch, o.Run = 10, "20260702-1" }, false},
		{"a run of a lower epoch", func(o *node.Owner) { o.Epoch, o.Run = 2, "20260630-1" }, true},
	} {
		now := record(t, c.change)
		mustSet(t, s, node.OwnerSet{Site: "blue", Was: mark, Record: now})
		mark = now
		if c.passes {
			mark = next
		}
		acts := everyAct(s, join, program)
		for what, act := range acts {
			err := act(t)
			if what == "StartJob" && !errors.Is(err, node.ErrSuperseded) {
				err = nil // that a job works is not what is asked here, and not every machine has them
			}
			if c.passes && err != nil {
				t.Errorf("%s: %s: %v", c.why, what, err)
			} else if !c.passes {
				wantSuperseded(t, err, now)
			}
		}
		if _, err := s.Stat(ctx, join("late")); c.passes != (err == nil) {
			t.Errorf("%s: a directory made late: %v", c.why, err)
		}
		if _, err := s.Stat(ctx, join("late.txt")); c.passes != (err == nil) {
			t.Errorf("%s: a file written late: %v", c.why, err)
		}
		wantOwners(t, s, map[string]string{"blue": mark, "green": other})
	}

	// a run that is not named is not compared
	mustSet(t, s, node.OwnerSet{Site: "blue", Was: mark, Record: first})
	anyRun := fence
	anyRun.Run, anyRun.Record = "", ""
	fenced.SetFence(anyRun)
	if _, err := s.Do(ctx, node.MakeDir{Path: made}); err != nil {
		t.Errorf("without a run: %v", err)
	}
	wantOwners(t, s, map[string]string{"blue": first, "green": other})

	// a record that is gone, or that nobody can read, names nobody: not ours either
	fenced.SetFence(fence)
	for _, text := range []string{"", "{", "{\n  \"format\": 2,\n  \"journal\": \"j-1\",\n  \"epoch\": 3\n}"} {
		mustSet(t, s, node.OwnerSet{Site: "blue", Was: owners(t, s)["blue"], Record: text})
		_, err := s.Do(ctx, node.MakeDir{Path: made})
		wantSuperseded(t, err, text)
	}
	// looking is never refused
	if _, err := s.Stat(ctx, made); err != nil {
		t.Errorf("looking, superseded: %v", err)
	}
	fenced.SetFence(node.Fence{})
	if _, err := s.Do(ctx, node.MakeDir{Path: made}); err != nil {
		t.Errorf("without a fence: %v", err)
	}
	for _, site := range []string{"blue", "green"} {
		mustSet(t, s, node.OwnerSet{Site: site, Was: owners(t, s)[site]})
	}
	wantOwners(t, s, map[string]string{})
}

// everyAct are the ways of node.Node to change something.
func everyAct(s node.Session, join func(string) string, program []string) map[string]func(t *testing.T) error {
	return map[string]func(t *testing.T) error{
		"Do":  func(t *testing.T) error { _, err := s.Do(t.Context(), node.MakeDir{Path: join("late")}); return err },
		"Run": func(t *testing.T) error { _, err := s.Run(t.Context(), node.Cmd{Argv: program}); return err },
		"StartJob": func(t *testing.T) error {
			err := s.StartJob(t.Context(), "late", node.Cmd{Argv: program})
			if err == nil {
				err = endJob(t, s)
			}
			return err
		},
		"Write": func(t *testing.T) error {
			return s.Write(t.Context(), join("late.txt"), bytes.NewReader([]byte("late")), node.WriteOptions{})
		},
	}
}

// endJob waits for the job's end and forgets it.
func endJob(t *testing.T, s node.Session) error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		st, err := s.Job(t.Context(), "late")
		if err != nil {
			return err
		}
		if st.Phase != node.JobRunning {
			_, err = s.Do(context.WithoutCancel(t.Context()), node.JobRemove{ID: "late"})
			return err
		}
		if time.Now().After(end) {
			return errors.New("the job does not end")
		}
	}
}

func owners(t *testing.T, s node.Session) map[string]string {
	t.Helper()
	rows, err := s.Query(t.Context(), node.Owners{})
	if err != nil {
		t.Fatalf("cannot read the owner records: %v", err)
	}
	out := map[string]string{}
	for _, r := range rows {
		out[r.String("site")] = r.String("record")
	}
	return out
}

func wantOwners(t *testing.T, s node.Session, want map[string]string) {
	t.Helper()
	got := owners(t, s)
	if len(got) != len(want) {
		t.Fatalf("the owner records are %q, want %q", got, want)
	}
	for site, text := range want {
		if got[site] != text {
			t.Fatalf("the owner record of %s is %q, want %q", site, got[site], text)
		}
	}
}

func mustSet(t *testing.T, s node.Session, a node.OwnerSet) {
	t.Helper()
	if _, err := s.Do(t.Context(), a); err != nil {
		t.Fatalf("cannot put an owner record in place: %v", err)
	}
}

func wantSuperseded(t *testing.T, err error, record string) {
	t.Helper()
	var s *node.SupersededError
	if !errors.Is(err, node.ErrSuperseded) || !errors.As(err, &s) {
		t.Fatalf("not refused as superseded: %v", err)
	}
	if s.Record != record {
		t.Errorf("the refusal names %q, want %q", s.Record, record)
	}
}
