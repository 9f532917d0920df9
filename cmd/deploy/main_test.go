package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"deploy/internal/journal"
	"deploy/internal/testkit/linuxnodes"
)

// asProgram makes the test binary behave as the program itself, for tests that kill it.
const asProgram = "DEPLOY_TEST_AS_PROGRAM"

// killAfter makes the program end with SIGKILL right after that many journal entries of its own.
const killAfter = "DEPLOY_TEST_KILL_AFTER"

// stopAfter makes the program stop itself with SIGSTOP right after that many journal entries, until
// somebody sends SIGCONT.
const stopAfter = "DEPLOY_TEST_STOP_AFTER"

func TestMain(m *testing.M) {
	linuxnodes.Child()
	if os.Getenv(asProgram) != "" {
		os.Exit(runForTest())
	}
	testscript.Main(m, map[string]func(){"deploy": func() { os.Exit(runForTest()) }})
}

func runForTest() int {
	a := newApp()
	hooks(a)
	plantForTest(a)
	if n, err := strconv.Atoi(os.Getenv(killAfter)); err == nil && n > 0 {
		a.WrapJournal = func(j journal.Journal) journal.Journal { return &killer{Journal: j, left: n} }
	}
	if n, err := strconv.Atoi(os.Getenv(stopAfter)); err == nil && n > 0 {
		a.WrapJournal = func(j journal.Journal) journal.Journal { return &killer{Journal: j, left: n, stops: true} }
	}
	return run(a, os.Args[1:])
}

// killer ends the process as a power cut would: the entry is on disk, and nothing after it happens.
type killer struct {
	journal.Journal
	mu    sync.Mutex
	left  int
	stops bool // it only stops, until it is woken
}

func (k *killer) Append(ctx context.Context, entries ...journal.Entry) (seq int64, err error) {
	for _, e := range entries {
		seq, err = k.Journal.Append(ctx, e)
		k.mu.Lock()
		if k.left--; k.left == 0 && err == nil {
			if k.stops {
				_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
				k.mu.Unlock()
				continue
			}
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Kill()
			}
			select {}
		}
		k.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
	return seq, nil
}

// TestScripts runs the command line's scripts in testdata/script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			root, err := repository()
			if err != nil {
				return err
			}
			e.Setenv("EXAMPLES", root+"/examples")
			e.Setenv("DOCS", root+"/docs")
			e.Setenv("NO_COLOR", "1")
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// exits CODE ARGUMENTS: deploy ends with that exit code
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				var exit *exec.ExitError
				got := 0
				if err := ts.Exec("deploy", args[1:]...); errors.As(err, &exit) {
					got = exit.ExitCode()
				} else if err != nil {
					ts.Fatalf("%v", err)
				}
				if strconv.Itoa(got) != args[0] {
					ts.Fatalf("deploy ended with %d, want %s", got, args[0])
				}
			},
			// json FILE: the file holds one JSON value
			"json": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, f := range args {
					var v any
					if err := json.Unmarshal([]byte(ts.ReadFile(f)), &v); err != nil {
						ts.Fatalf("%s: %v", f, err)
					}
				}
			},
		},
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
	})
}
