package lab

import (
	"sort"
	"strings"
	"time"

	"deploy/internal/lab/machine"
)

// withPower adds to what machines can do the hooks that play their power switches on the wire. nil
// is everything there is.
func (l *Lab) withPower(b *machine.Module) *machine.Module {
	if b == nil {
		b = everything()
	}
	if l.cfg.Agent != nil {
		b = (&machine.Module{}).Add(b).Add(l.programs())
	}
	c := *b
	if l.cfg.Outside != nil {
		c.Outside = l.cfg.Outside
	}
	c.OnDown = append(append([]func(*machine.Ctx){}, b.OnDown...), func(c *machine.Ctx) {
		if h := l.hosts[strings.ToLower(c.M.Name)]; h != nil {
			h.set(false)
		}
	})
	c.OnBoot = append(append([]func(*machine.Ctx){}, b.OnBoot...), func(c *machine.Ctx) {
		h := l.hosts[strings.ToLower(c.M.Name)]
		if args, hit := l.world.Strike("reboot-hangs", c.M.Name, nil); hit {
			l.lose(h, duration(args, "for"))
			return
		}
		h.set(true)
	})
	return &c
}

// lose switches a machine off, and on again after back when it is not 0; the caller holds the
// world's lock.
func (l *Lab) lose(h *host, back time.Duration) {
	machine.GoDown(l.newCtx(l.ctx, h.m, `NT AUTHORITY\SYSTEM`, false, ""))
	l.save(false)
	if back <= 0 {
		return
	}
	l.background(h.m, func(c *machine.Ctx) {
		l.world.Unlock()
		wait(l.ctx, back)
		l.world.Lock()
		if l.ctx.Err() == nil {
			machine.ComeUp(c)
		}
	})
}

// powerOn switches every machine on when the lab starts, in the order of their names, and opens the
// listeners of those that were left on; the caller holds the world's lock.
func (l *Lab) powerOn() {
	for _, h := range l.inOrder() {
		if h.m.Powered {
			h.set(true)
			continue
		}
		machine.ComeUp(l.newCtx(l.ctx, h.m, `NT AUTHORITY\SYSTEM`, false, ""))
	}
	l.strikeNow()
}

// strikeNow plays the faults that wait for no request.
func (l *Lab) strikeNow() {
	for _, h := range l.inOrder() {
		args, hit := l.world.Strike("node-lost", h.m.Name, func(args map[string]string) bool { return args["at"] == "" })
		if hit {
			l.lose(h, duration(args, "back"))
		}
	}
}

func (l *Lab) inOrder() []*host {
	out := make([]*host, 0, len(l.hosts))
	for _, h := range l.hosts {
		out = append(out, h)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].m.Name < out[j].m.Name })
	return out
}
