package agent

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"deploy/internal/agent/wire"
)

// greet says hello with books, and takes the welcome.
func (k *talker) greet(b wire.Position) wire.Welcome {
	k.t.Helper()
	if err := errors.Join(k.Greet(), k.Write(wire.THello, wire.Hello{Who: "anna", Site: "s", Position: b})); err != nil {
		k.t.Fatal(err)
	}
	if _, err := k.Meet(); err != nil {
		k.t.Fatal(err)
	}
	var w wire.Welcome
	if f := k.next(); f.Type != wire.TWelcome || f.Decode(&w) != nil {
		k.t.Fatalf("%s came", f.Type)
	}
	return w
}

// Whoever only looks leaves no record behind; whoever works needs no Sync after an up-to-date
// welcome.
func TestEvenWithoutARecord(t *testing.T) {
	m, w, group := newWorkerRig(t, nil)
	k := talk(t, w, group)
	if !k.greet(wire.Position{Journal: "j"}).UpToDate {
		t.Fatal("a journal that was never here lacks something")
	}
	if _, err := os.Stat(recordPath(w.o.Root, "s", "j")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a record was made for a look: %v", err)
	}
	k.say(wire.TWork, work("a"))
	list, end := k.events()
	if got := names(list); got != "1:begin:a 2:done:a " || end.Err != nil || !m.has("a") {
		t.Errorf("%s, %+v", got, end)
	}
}

func TestEven(t *testing.T) {
	m, w, group := newWorkerRig(t, nil)
	k := talk(t, w, group)
	k.greet(wire.Position{})
	k.sync("", 0)
	k.say(wire.TWork, work("a"))
	list, _ := k.events()
	epoch := list[0].Epoch
	for _, c := range []struct {
		what     string
		b        wire.Position
		upToDate bool
	}{
		{"no journal", wire.Position{}, false},
		{"all of it", wire.Position{Journal: "j", Epoch: epoch, Seq: 2}, true},
		{"an older copy", wire.Position{Journal: "j", Epoch: epoch, Seq: 1}, false},
		{"of another record", wire.Position{Journal: "j", Epoch: "other", Seq: 2}, false},
		{"nothing of it", wire.Position{Journal: "j"}, false},
		{"another journal", wire.Position{Journal: "k"}, true},
	} {
		k = talk(t, w, group) // the same controller again takes the place of its earlier link
		if got := k.greet(c.b).UpToDate; got != c.upToDate {
			t.Errorf("%s: UpToDate is %v", c.what, got)
		}
	}
	// a step of an earlier link is under way
	k = talk(t, w, group)
	k.greet(wire.Position{Journal: "j", Epoch: epoch, Seq: 2})
	for len(m.began) > 0 {
		<-m.began
	}
	k.say(wire.TWork, work("slow"))
	select {
	case <-m.began:
	case <-time.After(20 * time.Second):
		t.Fatal("the work did not begin")
	}
	k = talk(t, w, group)
	if got := k.greet(wire.Position{Journal: "j", Epoch: epoch, Seq: 2}); got.UpToDate || got.Doing != "slow" {
		t.Errorf("in the middle of a step: %+v", got)
	}
	close(m.hold)
	if got := names(k.sync(epoch, 2)); got != "3:begin:slow 4:done:slow " {
		t.Errorf("told: %s", got)
	}
}
