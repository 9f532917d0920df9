package agent

import (
	"context"
	"sync"
	"testing"
	"time"

	"deploy/internal/agent/wire"
)

// A controller that was killed and left its link behind is in nobody's way; one that gives a sign
// of life is.
func TestSignOfLife(t *testing.T) {
	_, w, group := newWorkerRig(t, func(o *Options) { o.Sign = time.Second })
	dead := talk(t, w, group)
	dead.hello("anna")
	second := talk(t, w, group)
	if f := second.hello("bert"); f.Type != wire.TWelcome {
		t.Fatalf("behind one that is silent: %s", f.Type)
	}
	var pings sync.WaitGroup
	stop := make(chan struct{})
	pings.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				if err := second.WriteFrame(wire.Frame{Type: wire.TPing}); err != nil {
					return
				}
			}
		}
	})
	f := talk(t, w, group).hello("carl")
	close(stop)
	pings.Wait()
	var busy wire.Busy
	if err := f.Decode(&busy); f.Type != wire.TBusy || err != nil || busy.Who != "bert" {
		t.Errorf("behind one that lives: %s %+v, %v", f.Type, busy, err)
	}
}

// The end of a machine ends its worker in the middle: nothing of the step under way is written down
// any more, and the next worker says so.
func TestKill(t *testing.T) {
	m, w, group := newWorkerRig(t, nil)
	k := talk(t, w, group)
	k.hello("anna")
	k.sync("", 0)
	k.say(wire.TWork, work("a", "slow", "c"))
	if a, s := <-m.began, <-m.began; a != "a" || s != "slow" {
		t.Fatalf("%s, %s", a, s)
	}
	w.Kill()
	w.Kill()
	close(m.hold)
	group.Wait()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if m.has("c") {
		t.Error("a killed worker went on")
	}
	// whoever comes to it is not let in
	here := talk(t, w, group)
	if err := here.c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := here.Greet(); err != nil {
		t.Fatal(err)
	}
	_ = here.Write(wire.THello, wire.Hello{Who: "anna"})
	if _, err := here.Meet(); err != nil {
		t.Fatal(err)
	}
	if f, err := here.Read(); err == nil {
		t.Errorf("a killed worker says %s", f.Type)
	}
	again := NewWorker(context.Background(), testOptions(m, w.o.Root))
	t.Cleanup(func() {
		group.Wait()
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
	next := talk(t, again, group)
	next.hello("anna")
	if got := names(next.sync("", 0)); got != "1:begin:a 2:done:a 3:begin:slow 4:lost:slow " {
		t.Errorf("told: %s", got)
	}
}
