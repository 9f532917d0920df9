// Command tier runs the test tiers and counts what happened.
//
//	go run ./tools/tier [-list] [NAME ...]
//
// Without names it runs them all. Each tier ends with the line "NAME: N passed, N failed, N
// skipped", the whole with "all: ..." in the same form. A test belongs to the tier that its name
// begins with (TestTierClients...); all others are unit tests.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// check is one command of a tier. A go test command is counted test by test, any other as one.
type check struct {
	name   string
	argv   []string
	gotest bool
	quiet  bool // passes only when the command prints nothing (gofmt -l)
}

type tier struct {
	name, what string
	env        []string
	shared     string // name of a variable that holds an empty directory, in which one check can leave word for the next
	checks     []check
	maySkip    string // what it needs that no CI machine has; its skips then fail nothing
}

// count is what happened; allowed are the skips that a tier may have, which are not in skipped.
type count struct{ passed, failed, skipped, allowed int }

func (c *count) add(o count) {
	c.passed += o.passed
	c.failed += o.failed
	c.skipped += o.skipped
	c.allowed += o.allowed
}

// line writes a count as every tier ends. Allowed skips are counted as skips, with the reason
// behind them.
func (c count) line(name, reason string) string {
	s := fmt.Sprintf("%s: %d passed, %d failed, %d skipped", name, c.passed, c.failed, c.skipped+c.allowed)
	if c.allowed > 0 {
		s += fmt.Sprintf(" (%d of them may be: %s)", c.allowed, reason)
	}
	return s
}

// wrong says that a run is to fail: in CI no test is skipped but where its tier allows it.
func (c count) wrong(ci bool) bool {
	return c.failed > 0 || ci && c.skipped > 0 || c.passed+c.allowed == 0
}

func tiers() []tier {
	test := func(args ...string) check {
		return check{name: "go test", argv: append([]string{"go", "test", "-json"}, args...), gotest: true}
	}
	// the tests of a Windows build, each package on a Wine of its own
	onWine := func(args ...string) check {
		return check{name: "go test on Wine",
			argv: append([]string{"env", "GOOS=windows", "go", "test", "-json", "-count=1", "-p", "2", "-timeout", "10m",
				"-exec", "env GOOS=linux go run deploy/tools/wineexec"}, args...), gotest: true}
	}
	return []tier{
		{name: "unit", what: "formatting, vet, staticcheck, the import graph, unit tests, command-line scripts, fuzz seeds",
			checks: []check{
				{name: "gofmt", argv: []string{"gofmt", "-l", "."}, quiet: true},
				{name: "vet", argv: []string{"go", "vet", "./..."}},
				{name: "staticcheck", argv: []string{"go", "tool", "staticcheck", "./..."}},
				test("-skip", "^TestTier", "-timeout", "20m", "./..."),
			}},
		{name: "race", what: "the same tests under the race detector", checks: []check{
			test("-race", "-short", "-skip", "^TestTier", "-timeout", "30m", "./..."),
		}},
		{name: "names", what: "every cmdlet, parameter, class, property and method that a step uses, against recorded tables",
			checks: []check{
				test("-run", "^TestTierNames", "-timeout", "10m", "./internal/testkit/names/..."),
			}},
		{name: "lab", what: "whole runs of the program against the lab, with kills, faults and rollbacks", checks: []check{
			test("-run", "^TestTierLab", "-skip", "^TestTierLabAgent", "-timeout", "60m", "./cmd/deploy/..."),
			// these wait for emulated restarts most of the time
			test("-run", "^TestTierLabAgent", "-parallel", "5", "-timeout", "60m", "./cmd/deploy/..."),
		}},
		{name: "clients", what: "WinRM clients and NTLM that are not ours (python3-winrm, ansible, gss-ntlmssp)",
			checks: []check{
				test("-run", "^TestTierClients", "-timeout", "20m", "./internal/lab/...", "./transport/...", "./bench/compare/..."),
			}},
		{name: "nodes", what: "real Linux nodes in namespaces: own root, own systemd, own sshd, broken links, power cuts, " +
			"reboots", checks: []check{
			test("-p", "1", "-run", "^TestTierNodes", "-timeout", "40m", "./internal/testkit/linuxnodes/...",
				"./internal/session/shell/...", "./transport/ssh/...", "./cmd/deploy/...", "./steps/all/...", "./playbooks/...",
				"./bench/compare/..."),
		}},
		{name: "conformance", what: "every kind of step through check, act, check, undo, check, directly and by an agent, " +
			"with equal journals and machines", shared: "DEPLOY_CONFORMANCE", checks: []check{
			test("-run", "^TestTierConformance", "-timeout", "40m", "./steps/..."),
			test("-run", "^TestTierConformance", "-timeout", "1m", "./internal/testkit/conformance/..."),
		}},
		{name: "auditor", what: "journal and machines compared in both directions over seeded kills, freezes and cut " +
			"links; planted defects", checks: []check{
			test("-run", "^TestTierAuditor", "-timeout", "20m", "./cmd/deploy/..."),
		}},
		{name: "openssh", what: "a real OpenSSH server on loopback", checks: []check{
			test("-run", "^TestTierOpenssh", "-timeout", "10m", "./transport/...", "./internal/session/shell/..."),
		}},
		{name: "wine", what: "the Windows build on an independent Windows API (Wine 10): unit tests, kinds, a fleet of " +
			"nodes behind OpenSSH", checks: []check{
			onWine("-skip", "^TestTier", "./internal/agent/...", "./internal/agent/command/...",
				"./internal/session/powershell/...", "./internal/session/local/...", "./internal/node/...",
				"./internal/task/...", "./internal/proctree/...", "./internal/agent/client/...",
				"./internal/session/powershell/protocol/...", "./internal/session/local/winapi/...", "./internal/winargs/...",
				"./steps/file/...", "./steps/jobs/...", "./steps/inspect/...", "./steps/assert/...", "./steps/command/...",
				"./steps/gate/...", "./steps/packages/...",
				"./steps/registry/...", "./steps/service/...", "./transport/local/..."),
			onWine("-run", "^TestTierWine", "./internal/testkit/winenodes/..."),
			test("-run", "^TestTierWine", "-timeout", "30m", "./internal/testkit/winenodes/...", "./cmd/deploy/..."),
		}},
		{name: "scripts", what: "every PowerShell script that is sent, against an independent grammar and the dialect of 2.0",
			checks: []check{
				test("-run", "^TestTierScripts", "-timeout", "20m", "./internal/testkit/pslint/...",
					"./internal/session/powershell/protocol/...", "./internal/testkit/psproof/..."),
			}},
		{name: "powershell", what: "the resident script in a real pwsh, against recording stubs",
			maySkip: "there is no pwsh here; make powershell-proof builds a test for a machine that has one", checks: []check{
				test("-run", "^TestTierPowershell", "-timeout", "20m", "./internal/testkit/psproof/..."),
			}},
	}
}

func main() {
	list := flag.Bool("list", false, "list the tiers and leave")
	flag.Parse()
	all := tiers()
	if *list {
		for _, t := range all {
			fmt.Printf("%-10s %s\n", t.name, t.what)
		}
		return
	}
	var run []tier
	for _, name := range flag.Args() {
		found := false
		for _, t := range all {
			if t.name == name {
				run, found = append(run, t), true
			}
		}
		if !found {
			fmt.Fprintf(os.Stderr, "tier: there is no tier %q; see -list\n", name)
			os.Exit(2)
		}
	}
	if len(run) == 0 {
		run = all
	}
	var sum count
	for _, t := range run {
		start := time.Now()
		c := t.run()
		fmt.Printf("%s took %s\n", t.name, time.Since(start).Round(time.Second))
		if t.maySkip != "" {
			c.allowed, c.skipped = c.skipped, 0
		}
		fmt.Println(c.line(t.name, t.maySkip))
		sum.add(c)
	}
	if len(run) > 1 {
		fmt.Println(sum.line("all", "their tier says why"))
	}
	if sum.wrong(os.Getenv("CI") != "") {
		os.Exit(1)
	}
}

func (t tier) run() count {
	var sum count
	env := append(os.Environ(), append(t.env, "DEPLOY_TIER="+t.name)...)
	if t.shared != "" {
		dir, err := os.MkdirTemp("", "tier-")
		if err != nil {
			fmt.Printf("--- FAIL: %s: %v\n", t.name, err)
			return count{failed: 1}
		}
		defer func() { _ = os.RemoveAll(dir) }()
		env = append(env, t.shared+"="+dir)
	}
	for _, c := range t.checks {
		cmd := exec.Command(c.argv[0], c.argv[1:]...)
		cmd.Env = env
		if c.gotest {
			sum.add(runTests(cmd))
			continue
		}
		out, err := cmd.CombinedOutput()
		out = bytes.TrimSpace(out)
		if err != nil || (c.quiet && len(out) > 0) {
			fmt.Printf("--- FAIL: %s\n%s\n", c.name, out)
			sum.failed++
			continue
		}
		fmt.Printf("ok  \t%s\n", c.name)
		sum.passed++
	}
	return sum
}

// event is one line of go test -json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// runTests counts tests that have no subtests running below them as one, and subtests as their own.
func runTests(cmd *exec.Cmd) count {
	out, err := cmd.StdoutPipe()
	if err != nil {
		fmt.Println(err)
		return count{failed: 1}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		return count{failed: 1}
	}
	c := readEvents(out, os.Stdout)
	if err := cmd.Wait(); err != nil && c.failed == 0 {
		fmt.Printf("--- FAIL: %s: %v\n%s\n", strings.Join(cmd.Args, " "), err, stderr.String())
		c.failed++
	}
	return c
}

func readEvents(in io.Reader, to io.Writer) count {
	var c count
	output := map[string]*strings.Builder{}
	failedTests := map[string]bool{}
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 1<<20), 64<<20)
	for sc.Scan() {
		var e event
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			fmt.Fprintln(to, sc.Text())
			continue
		}
		key := e.Package + "\x00" + e.Test
		switch e.Action {
		case "output", "build-output":
			if output[key] == nil {
				output[key] = &strings.Builder{}
			}
			output[key].WriteString(e.Output)
		case "pass", "fail", "skip":
			text := ""
			if output[key] != nil {
				text = output[key].String()
			}
			delete(output, key)
			if e.Test == "" {
				if e.Action == "fail" {
					fmt.Fprintf(to, "FAIL\t%s\n%s", e.Package, text)
					if !failedTests[e.Package] {
						c.failed++ // a build failure or a crash fails no test of its own
					}
				} else if e.Action == "pass" {
					fmt.Fprintf(to, "ok  \t%s\t%.1fs\n", e.Package, e.Elapsed)
				}
				continue
			}
			switch e.Action {
			case "pass":
				c.passed++
			case "fail":
				c.failed++
				failedTests[e.Package] = true
				fmt.Fprint(to, text)
			case "skip":
				c.skipped++
				fmt.Fprintf(to, "skipped: %s %s: %s\n", filepath.Base(e.Package), e.Test, strings.TrimSpace(text))
			}
		case "build-fail":
			fmt.Fprint(to, flush(output))
		}
	}
	return c
}

func flush(output map[string]*strings.Builder) string {
	var b strings.Builder
	for k, o := range output {
		b.WriteString(o.String())
		delete(output, k)
	}
	return b.String()
}
