package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func (c *comparison) print(format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, format+"\n", args...)
}

func (c *comparison) head() {
	c.print("Machine: %s.\n", machine())
	for _, t := range tools() {
		c.print("- `%s`: %s", t.name, t.what)
	}
	c.print("\nTwo values are the first run and the one that finds nothing to do; of runs below %s the median of three.\n",
		enough)
	c.print("| nodes × steps | delay | tool | time, s | ms per step and node | processor here, s | on the nodes, s | " +
		"memory, MiB | on the wire, KiB | TCP segments |")
	c.print("|---|---|---|---|---|---|---|---|---|---|")
}

func (c *comparison) row(r result) {
	pair := func(f func(x cost) string) string {
		out := f(*r.first)
		if r.again != nil {
			out += " / " + f(*r.again)
		}
		return out
	}
	each := "-"
	if r.tool != "floor" {
		each = pair(func(x cost) string {
			return number(x.wall.Seconds() * 1000 / float64(r.steps*r.nodes))
		})
	}
	c.print("| %d × %d | %d ms | %s | %s | %s | %s | %s | %s | %s | %s |", r.nodes, r.steps, r.delay.Milliseconds(),
		r.tool,
		pair(func(x cost) string { return number(x.wall.Seconds()) }), each,
		pair(func(x cost) string { return number(x.cpu.Seconds()) }),
		pair(func(x cost) string { return number(x.nodeCPU.Seconds()) }),
		pair(func(x cost) string { return fmt.Sprintf("%.0f", mib(x.memory)) }),
		pair(func(x cost) string { return fmt.Sprintf("%.0f", float64(x.sent+x.received)/1024) }),
		pair(func(x cost) string { return fmt.Sprint(x.segments) }))
}

// failed is the row of a tool that did not bring the nodes where they should be.
func (c *comparison) failed(x cell, t tool) {
	c.print("| %d × %d | %d ms | %s | failed | - | - | - | - | - | - |", x.nodes, x.steps, x.delay.Milliseconds(), t.name)
}

// number writes three digits that count.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func (c *comparison) find(tool string, nodes, steps int, delay time.Duration) *result {
	for i := range c.results {
		if r := &c.results[i]; r.tool == tool && r.nodes == nodes && r.steps == steps && r.delay == delay {
			return r
		}
	}
	return nil
}

// most is the result with the most steps that a tool has for so many nodes without a delay.
func (c *comparison) most(tool string, nodes int) *result {
	var best *result
	for i := range c.results {
		if r := &c.results[i]; r.tool == tool && r.nodes == nodes && r.delay == 0 && (best == nil || r.steps > best.steps) {
			best = r
		}
	}
	return best
}

// foot holds the results against the aims, those of them that were measured.
func (c *comparison) foot() {
	c.print("\nLoad at the end: %s.\n", load())
	word := func(ok bool) string {
		if ok {
			return "met"
		}
		return "**missed**"
	}
	c.print("| aim | measured | |")
	c.print("|---|---|---|")
	for _, r := range c.results {
		if r.tool != "deploy" {
			continue
		}
		floor := c.find("floor", r.nodes, r.steps, r.delay)
		if floor == nil {
			continue
		}
		times := r.again.wall.Seconds() / floor.first.wall.Seconds()
		c.print("| no change within 1.5 × the floor, %d × %d at %d ms | %.2f × (%s s, floor %s s) | %s |", r.nodes,
			r.steps, r.delay.Milliseconds(), times,
			number(r.again.wall.Seconds()), number(floor.first.wall.Seconds()), word(times <= 1.5))
	}
	if p, d := c.most("pipelining", 10), c.find("deploy", 10, 200, 0); p != nil && d != nil {
		share := float64(d.steps) / float64(p.steps)
		first, again := share*p.first.wall.Seconds()/d.first.wall.Seconds(),
			share*p.again.wall.Seconds()/d.again.wall.Seconds()
		work := func(p, d *cost) float64 { return share * (p.cpu + p.nodeCPU).Seconds() / (d.cpu + d.nodeCPU).Seconds() }
		c.print("| 50 times faster per step than Ansible with pipelining, 10 × 200 (Ansible: 10 × %d) | first run %.0f "+
			"times, no change %.0f times; processor time %.0f and %.0f times less | %s |",
			p.steps, first, again, work(p.first, d.first), work(p.again, d.again), word(first >= 50 && again >= 50))
	}
	var agent, shared, worst float64
	above := "nothing was measured"
	for _, r := range c.results {
		if r.tool != "deploy" && r.tool != "placing" {
			continue
		}
		for _, x := range []*cost{r.first, r.again} {
			if x == nil {
				continue
			}
			agent, shared = max(agent, mib(x.agent)), max(shared, mib(x.shared))
			if share := mib(x.memory) / float64(64+r.nodes); share > worst {
				worst, above = share, fmt.Sprintf("at most %.0f MiB of %d (%d × %d)", mib(x.memory), 64+r.nodes, r.nodes, r.steps)
			}
		}
	}
	c.print("| controller below 64 MiB + 1 MiB per node | %s | %s |", above, word(worst > 0 && worst < 1))
	c.print("| agent below 20 MiB | front and worker, each at its highest, %.1f MiB; pages that both share counted "+
		"once %.1f MiB | %s |", agent, shared, word(agent > 0 && agent < 20))
	files, _ := filepath.Glob(filepath.Join(c.agents, "deploy-agent-*"))
	var sizes []string
	fits := len(files) > 0
	for _, f := range files {
		fi, err := os.Stat(f)
		if err != nil {
			continue
		}
		sizes = append(sizes, fmt.Sprintf("%s %.1f MB", strings.TrimPrefix(filepath.Base(f), "deploy-agent-"),
			float64(fi.Size())/1e6))
		fits = fits && fi.Size() < 12e6
	}
	c.print("| agent below 12 MB on disk | %s | %s |", strings.Join(sizes, ", "), word(fits))
}
