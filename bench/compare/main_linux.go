// Command compare brings the same files to the same Linux nodes with deploy, with Ansible in three
// ways, and with ssh in a loop, and prints what each of them cost: time, processor, memory, bytes
// and TCP segments; and what reaching the nodes alone costs.
//
//	bench/run [-quick | -full] [-nodes 1,10] [-steps 40] [-delays 0,10ms] [-tools deploy,pipelining]
//	bench/run winrm [-nodes 1,10] [-steps 10,40] [-delays 0,10ms]
//
// The nodes are real ones in namespaces of this machine (see internal/testkit/linuxnodes): it needs
// root. Nothing leaves the machine. With the word winrm they are the lab's emulated Windows
// machines, which deploy and Ansible look at over WinRM. bench/results holds its output.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"deploy/internal/testkit/linuxnodes"
)

func main() {
	linuxnodes.Child()
	if len(os.Args) > 1 && os.Args[1] == floorWord {
		os.Exit(floorMain(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == winrmWord {
		os.Exit(winrmMain(os.Args[2:]))
	}
	os.Exit(run())
}

func run() int {
	quick := flag.Bool("quick", false, "a look with every tool: one and ten nodes, few steps")
	full := flag.Bool("full", false, "every combination with every tool; this takes hours")
	nodes := flag.String("nodes", "", "instead of the usual combinations: counts of nodes, with commas")
	counts := flag.String("steps", "", "the same for steps")
	delays := flag.String("delays", "", "the same for the delay that is added to a round trip")
	tools := flag.String("tools", "", "only these tools: "+strings.Join(toolNames(), ","))
	deploy := flag.String("deploy", "", "the program to measure; it is built when none is named")
	agents := flag.String("agents", "", "directory with the agents' programs for it")
	keep := flag.String("keep", "", "directory for what the tools print, and for the files they were given; a "+
		"temporary one by default")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cells := usual()
	switch {
	case *quick:
		cells = short()
	case *full:
		cells = product([]int{1, 10, 50}, []int{1, 40, 200}, []time.Duration{0, 10 * time.Millisecond, 50 * time.Millisecond},
			toolNames())
	case *nodes != "" || *counts != "" || *delays != "":
		ns, err1 := list(*nodes, []int{1, 10}, strconv.Atoi)
		ss, err2 := list(*counts, []int{40}, strconv.Atoi)
		ds, err3 := list(*delays, []time.Duration{0}, duration)
		if err1 != nil || err2 != nil || err3 != nil {
			fmt.Fprintln(os.Stderr, "error: -nodes and -steps take numbers, -delays takes times like 10ms")
			return 2
		}
		cells = product(ns, ss, ds, toolNames())
	}
	if *tools != "" {
		want := strings.Split(*tools, ",")
		for _, w := range want {
			if !slices.Contains(toolNames(), w) {
				fmt.Fprintf(os.Stderr, "error: there is no tool %q: %s\n", w, strings.Join(toolNames(), ", "))
				return 2
			}
		}
		for i := range cells {
			cells[i].tools = slices.DeleteFunc(slices.Clone(cells[i].tools),
				func(n string) bool { return !slices.Contains(want, n) })
		}
	}
	h := &harness{ctx: ctx}
	err := h.during(func() {
		c := &comparison{t: h, out: os.Stdout, note: os.Stderr, deploy: *deploy, agents: *agents, keep: *keep}
		if err := c.run(ctx, cells); err != nil {
			h.Fatal(err)
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "error: "+err.Error())
		return 1
	}
	return 0
}

func list[T any](text string, otherwise []T, read func(string) (T, error)) ([]T, error) {
	if text == "" {
		return otherwise, nil
	}
	var out []T
	for _, s := range strings.Split(text, ",") {
		v, err := read(strings.TrimSpace(s))
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func duration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	return time.ParseDuration(s)
}

// harness lets a lab, which is made for tests, serve a program.
type harness struct {
	testing.TB // what is not below is not asked for
	ctx        context.Context
	cleanups   []func()
	failed     error
}

// over is what ends a harness's work early.
type over struct{}

// during runs f and cleans up after it.
func (h *harness) during(f func()) error {
	defer func() {
		for _, c := range slices.Backward(h.cleanups) {
			c()
		}
	}()
	func() {
		defer func() {
			if r := recover(); r != nil {
				if _, ours := r.(over); !ours {
					panic(r)
				}
			}
		}()
		f()
	}()
	return h.failed
}

func (h *harness) fail(text string) {
	if h.failed == nil {
		h.failed = fmt.Errorf("%s", strings.TrimSpace(text))
	}
}

func (h *harness) Helper()                          {}
func (h *harness) Context() context.Context         { return h.ctx }
func (h *harness) Cleanup(f func())                 { h.cleanups = append(h.cleanups, f) }
func (h *harness) Error(args ...any)                { h.fail(fmt.Sprintln(args...)) }
func (h *harness) Errorf(format string, arg ...any) { h.fail(fmt.Sprintf(format, arg...)) }
func (h *harness) Fatal(args ...any)                { h.fail(fmt.Sprintln(args...)); panic(over{}) }
func (h *harness) Fatalf(format string, arg ...any) {
	h.fail(fmt.Sprintf(format, arg...))
	panic(over{})
}
func (h *harness) Skipf(format string, arg ...any) { h.Fatalf(format, arg...) }
