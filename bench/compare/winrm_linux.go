package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// winrmWord makes this program compare over WinRM, against the emulated lab.
const winrmWord = "winrm"

// winrmMain is `bench/run winrm`; it returns the exit code.
func winrmMain(args []string) int {
	set := flag.NewFlagSet(winrmWord, flag.ContinueOnError)
	nodes := set.String("nodes", "", "counts of nodes, with commas; 1,10 by default")
	counts := set.String("steps", "", "the same for steps; 10,40 by default")
	delays := set.String("delays", "", "the same for the delay that is added to a round trip; 0,10ms,50ms by default")
	deploy := set.String("deploy", "", "the program to measure; it is built when none is named")
	if set.Parse(args) != nil {
		return 2
	}
	ns, err1 := list(*nodes, []int{1, 10}, strconv.Atoi)
	ss, err2 := list(*counts, []int{10, 40}, strconv.Atoi)
	ds, err3 := list(*delays, []time.Duration{0, 10 * time.Millisecond, 50 * time.Millisecond}, duration)
	if err1 != nil || err2 != nil || err3 != nil {
		fmt.Fprintln(os.Stderr, "error: -nodes and -steps take numbers, -delays takes times like 10ms")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	w := &winrmComparison{out: os.Stdout, note: os.Stderr, deploy: *deploy}
	if err := w.run(ctx, product(ns, ss, ds, nil)); err != nil {
		fmt.Fprintln(os.Stderr, "error: "+err.Error())
		return 1
	}
	return 0
}

// winrmTool is one way to look at the values of a cell.
type winrmTool struct {
	name, what string
	says       string // what it prints when nothing changes; "" for one whose exit code tells that
	start      func(w *winrmComparison, x cell, dir string) (started, error)
}

func winrmTools() []winrmTool {
	return []winrmTool{
		{name: "deploy", says: "no changes", what: "`deploy apply --auto-approve` with `agent: never`: a session for each " +
			"node and, for all looks, one question",
			start: func(w *winrmComparison, x cell, dir string) (started, error) { return w.applies(x, dir, "never") }},
		{name: "agent", says: "no changes", what: "the same with an agent beside each node, placed before",
			start: func(w *winrmComparison, x cell, dir string) (started, error) { return w.applies(x, dir, "always") }},
		{name: "ansible", what: fmt.Sprintf("`ansible-playbook` with its connection plugin winrm and %d forks: a task of "+
			"the module raw for each look, `reg query KEY /v NAME`", atOnce), start: (*winrmComparison).ansible},
	}
}

// winrmComparison is one run of `bench/run winrm`.
type winrmComparison struct {
	out, note io.Writer
	deploy    string // the program to measure; "" builds it

	dir    string
	lab    *winrmLab
	relays []*relay
	costs  map[string]winrmCost // by tool and cell
}

// key is where the looks look, and value what they find there.
const winrmKey = `HKLM\SOFTWARE\Bench`

func winrmName(i int) string  { return fmt.Sprintf("v%03d", i) }
func winrmValue(i int) string { return fmt.Sprintf("value %d of the comparison", i) }

func (w *winrmComparison) run(ctx context.Context, cells []cell) (err error) {
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		return errors.New("cannot compare: there is no ansible-playbook: apt-get install ansible python3-winrm")
	}
	if w.dir, err = os.MkdirTemp("", "cmp-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(w.dir)) }()
	if w.deploy == "" {
		w.deploy = filepath.Join(w.dir, "deploy")
		if text, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", w.deploy,
			"deploy/cmd/deploy").CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build the program: %w\n%s", err, text)
		}
	}
	most := cell{}
	for _, x := range cells {
		most.nodes, most.steps = max(most.nodes, x.nodes), max(most.steps, x.steps)
	}
	if w.lab, err = startWinRMLab(ctx, w.deploy, filepath.Join(w.dir, "lab"), most.nodes); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.lab.close()) }()
	for _, e := range w.lab.machines {
		r, err := newRelay(e.HTTPS)
		if err != nil {
			return err
		}
		defer r.close()
		w.relays = append(w.relays, r)
	}
	w.costs = map[string]winrmCost{}
	// what all look at is made first, and so are the agents placed
	for _, how := range []string{"always", "never"} {
		dir := filepath.Join(w.dir, "make-"+how)
		s, err := w.applies(most, dir, how)
		if err != nil {
			return err
		}
		if _, err := w.measured(ctx, s, dir); err != nil {
			return err
		}
	}
	w.head()
	for _, x := range cells {
		for _, r := range w.relays {
			r.setDelay(x.delay)
		}
		for _, t := range winrmTools() {
			_, _ = fmt.Fprintf(w.note, "%s: %d nodes, %d steps, %s\n", t.name, x.nodes, x.steps, x.delay)
			c, err := w.measure(ctx, x, t)
			if err != nil {
				return fmt.Errorf("%s with %d nodes and %d steps: %w", t.name, x.nodes, x.steps, err)
			}
			w.costs[fmt.Sprint(t.name, x.nodes, x.steps, x.delay)] = c
			w.row(x, t, c)
		}
	}
	w.foot(cells)
	return nil
}

// measure plays one tool in one cell: three times when that is quick.
func (w *winrmComparison) measure(ctx context.Context, x cell, t winrmTool) (winrmCost, error) {
	var runs []winrmCost
	for len(runs) == 0 || len(runs) < 3 && runs[0].wall < enough {
		dir := filepath.Join(w.dir, fmt.Sprintf("%s-%d-%d-%d-%d", t.name, x.nodes, x.steps, x.delay.Milliseconds(),
			len(runs)))
		s, err := t.start(w, x, dir)
		if err != nil {
			return winrmCost{}, err
		}
		c, err := w.measured(ctx, s, dir)
		if err != nil {
			return c, err
		}
		if said := tail(filepath.Join(dir, "output")); !strings.Contains(said, t.says) {
			return c, fmt.Errorf("it reported changes: %s", said)
		}
		runs = append(runs, c)
	}
	slices.SortFunc(runs, func(a, b winrmCost) int { return int(a.wall - b.wall) })
	return runs[len(runs)/2], nil
}

func (w *winrmComparison) print(format string, args ...any) {
	_, _ = fmt.Fprintf(w.out, format+"\n", args...)
}

func (w *winrmComparison) head() {
	w.print("Machine: %s.\n", machine())
	for _, t := range winrmTools() {
		w.print("- `%s`: %s", t.name, t.what)
	}
	w.print("\nEverything is in its desired state before; of runs below %s the median of three.\n", enough)
	w.print("| nodes × steps | delay | tool | time, s | ms per step and node | processor here, s | of the lab, s | " +
		"memory, MiB | on the wire, KiB | connections | round trips |")
	w.print("|---|---|---|---|---|---|---|---|---|---|---|")
}

func (w *winrmComparison) row(x cell, t winrmTool, c winrmCost) {
	w.print("| %d × %d | %d ms | %s | %s | %s | %s | %s | %.0f | %.0f | %d | %d |", x.nodes, x.steps,
		x.delay.Milliseconds(), t.name, number(c.wall.Seconds()),
		number(c.wall.Seconds()*1000/float64(x.steps*x.nodes)), number(c.cpu.Seconds()), number(c.labCPU.Seconds()),
		mib(c.memory), float64(c.bytes)/1024, c.connections, c.turns)
}

// foot says how many times longer Ansible took.
func (w *winrmComparison) foot(cells []cell) {
	w.print("\nLoad at the end: %s.\n", load())
	w.print("| nodes × steps | delay | Ansible's time by that of deploy | by that with agents | its processor time by " +
		"deploy's |")
	w.print("|---|---|---|---|---|")
	for _, x := range cells {
		of := func(tool string) winrmCost { return w.costs[fmt.Sprint(tool, x.nodes, x.steps, x.delay)] }
		a, d, g := of("ansible"), of("deploy"), of("agent")
		w.print("| %d × %d | %d ms | %s | %s | %s |", x.nodes, x.steps, x.delay.Milliseconds(),
			number(a.wall.Seconds()/d.wall.Seconds()), number(a.wall.Seconds()/g.wall.Seconds()),
			number(a.cpu.Seconds()/d.cpu.Seconds()))
	}
}
