package agent

import (
	"testing"
	"time"

	"deploy/internal/agent/wire"
)

// A controller was killed while its cable was cut. Its last words arrive with the next controller
// already at the door: they are no sign of life.
func TestLastWordsAreNoSignOfLife(t *testing.T) {
	_, w, group := newWorkerRig(t, func(o *Options) { o.Sign = 10 * time.Second })
	dead := talk(t, w, group)
	dead.hello("anna")
	next := talk(t, w, group)
	answer := make(chan wire.Type, 1)
	go func() { answer <- next.hello("bert").Type }()
	time.Sleep(100 * time.Millisecond) // whether it stands at the door by now or comes later, it must get in
	dead.say(wire.TPing, struct{}{})
	time.Sleep(200 * time.Millisecond)
	_ = dead.c.Close()
	if got := <-answer; got != wire.TWelcome {
		t.Errorf("the next controller is told %s", got)
	}
	// one that goes on talking keeps its place
	third := talk(t, w, group)
	go func() { answer <- third.hello("carl").Type }()
	for {
		select {
		case got := <-answer:
			if got != wire.TBusy {
				t.Errorf("a third one is told %s while the second lives", got)
			}
			return
		case <-time.After(100 * time.Millisecond):
			next.say(wire.TPing, struct{}{})
		}
	}
}
