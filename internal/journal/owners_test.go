package journal

import (
	"maps"
	"testing"
)

// ownerStory makes entries of "KIND TASK NODE DATA" with numbers from 1 on; all are of run r.
func ownerStory(lines ...[4]string) []Entry {
	var out []Entry
	for i, l := range lines {
		e := Entry{Seq: int64(i + 1), Run: "r", Kind: Kind(l[0]), Task: l[1], Node: l[2]}
		if l[1] != "" {
			e.Phase = "p"
		}
		if l[3] != "" {
			e.Data = []byte(l[3])
		}
		out = append(out, e)
	}
	return out
}

func foldOwners(t *testing.T, lines ...[4]string) *State {
	t.Helper()
	s, err := Fold(ownerStory(lines...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const wish = `{"kind":"k","step":{}}`

func TestAnnouncedAndRecorded(t *testing.T) {
	s := foldOwners(t,
		[4]string{"begin", "p/a@n1", "n1", wish},
		[4]string{"done", "p/a@n1", "n1", `{"recorded":1}`},
		[4]string{"handed", "", "n1", `{"tasks":["p/b@n1"]}`},
		[4]string{"begin", "p/b@n1", "n1", `{"kind":"k","step":{},"agent":{"epoch":"e","seq":1}}`},
		[4]string{"done", "p/b@n1", "n1", `{"agent":{"epoch":"e","seq":2},"recorded":3}`},
		[4]string{"undo-begin", "p/a@n1", "n1", `{"act":1}`},
		[4]string{"begin", "p/c@n2", "n2", wish},
	)
	if got, want := s.Announced("n1"), map[int64]string{1: "r", 3: "r", 6: "r"}; !maps.Equal(got, want) {
		t.Errorf("announced %v, want %v: what an agent reports was announced by what was handed over", got, want)
	}
	if s.LastAnnounced("n1") != 6 || s.Recorded("n1") != 3 || s.Recorded("n2") != 0 {
		t.Errorf("last %d, recorded %d and %d", s.LastAnnounced("n1"), s.Recorded("n1"), s.Recorded("n2"))
	}
	if !s.Stands("n1") || s.Stands("n2") {
		t.Error("an act that was begun and not heard of counts as one that stands")
	}
}

// Entries after the number to which a node went back tell of nothing that is there: neither what
// was done, nor what was taken back. Other nodes, and what came after it was noted, stay.
func TestWentBack(t *testing.T) {
	lines := [][4]string{
		{"begin", "p/a@n1", "n1", wish},
		{"done", "p/a@n1", "n1", `{"recorded":1}`},
		{"begin", "p/b@n1", "n1", wish},
		{"done", "p/b@n1", "n1", `{"recorded":3}`},
		{"begin", "p/c@n2", "n2", wish},
		{"done", "p/c@n2", "n2", `{"recorded":5}`},
		{"undo-begin", "p/a@n1", "n1", `{"act":1}`},
		{"undone", "p/a@n1", "n1", `{"act":1,"recorded":7}`},
		{"went-back", "", "n1", `{"seq":1}`},
	}
	s := foldOwners(t, lines...)
	if got := s.Task("p/a@n1").Acts; len(got) != 1 {
		t.Errorf("what was taken back later stands again: %+v", got)
	}
	if got := s.Task("p/b@n1"); got.Status != StatusNotStarted || len(got.Acts) != 0 {
		t.Errorf("what was done later is gone: %+v", got)
	}
	if got := s.Task("p/c@n2"); got.Status != StatusDone {
		t.Errorf("another node: %+v", got)
	}
	if s.Recorded("n1") != 1 || s.Announced("n1")[7] != "r" || s.Seq != 9 {
		t.Errorf("recorded %d, announced %v, %d entries", s.Recorded("n1"), s.Announced("n1"), s.Seq)
	}
	s = foldOwners(t, append(lines, [4]string{"begin", "p/b@n1", "n1", wish},
		[4]string{"done", "p/b@n1", "n1", `{"recorded":10}`})...)
	if got := s.Task("p/b@n1"); got.Status != StatusDone || got.Acts[0].Seq != 10 || s.Recorded("n1") != 10 {
		t.Errorf("done again: %+v, recorded %d", got, s.Recorded("n1"))
	}
}

// Within a batch the agent's record says how far the machine went back.
func TestWentBackWithinABatch(t *testing.T) {
	s := foldOwners(t,
		[4]string{"handed", "", "n1", `{"tasks":["p/a@n1","p/b@n1"]}`},
		[4]string{"begin", "p/a@n1", "n1", `{"kind":"k","step":{},"agent":{"epoch":"e","seq":1}}`},
		[4]string{"done", "p/a@n1", "n1", `{"agent":{"epoch":"e","seq":2},"recorded":1}`},
		[4]string{"begin", "p/b@n1", "n1", `{"kind":"k","step":{},"agent":{"epoch":"e","seq":3}}`},
		[4]string{"done", "p/b@n1", "n1", `{"agent":{"epoch":"e","seq":4},"recorded":1}`},
		[4]string{"went-back", "", "n1", `{"seq":1,"agent":{"epoch":"e","seq":2}}`},
	)
	if a, b := s.Task("p/a@n1"), s.Task("p/b@n1"); a.Status != StatusDone || b.Status != StatusNotStarted {
		t.Errorf("a is %s, b is %s", a.Status, b.Status)
	}
	if s.Agents["n1"] != (AgentRef{"e", 2}) {
		t.Errorf("the agent's record goes to %+v", s.Agents["n1"])
	}
}

func TestWentBackTakesTheCheckpoint(t *testing.T) {
	entries := append(ownerStory([4]string{"begin", "p/a@n1", "n1", wish}, [4]string{"done", "p/a@n1", "n1", ""}),
		Entry{Seq: 3, Run: "r", Kind: Checkpoint, Phase: "p"})
	if s, err := Fold(entries); err != nil || !s.Phases["p"].Reached {
		t.Fatal("the phase was not reached")
	}
	entries = append(entries, Entry{Seq: 4, Run: "r", Kind: WentBack, Node: "n1", Data: []byte(`{"seq":0}`)})
	if s, err := Fold(entries); err != nil || s.Phases["p"].Reached {
		t.Error("the checkpoint stands on work that is gone")
	}
}
