package proctree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The test binary is also the programs: a parent that starts a child and waits, or leaves at once;
// the child says that it is up, and ends when its stdin does.
const (
	parentWaits  = "parent-that-waits"
	parentLeaves = "parent-that-leaves"
	child        = "child"
)

func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case parentWaits, parentLeaves:
		exe, err := os.Executable()
		if err != nil {
			os.Exit(2)
		}
		c := exec.Command(exe, child)
		c.Stdin, c.Stdout = os.Stdin, os.Stdout
		if err := c.Start(); err != nil {
			os.Exit(2)
		}
		if os.Args[1] == parentWaits {
			_ = c.Wait()
		}
		os.Exit(7)
	case child:
		fmt.Println("up")
		_, _ = io.Copy(io.Discard, os.Stdin)
		fmt.Println("leaving")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start starts a parent in a tree, waits until its child is up, and returns the child's ends of the
// pipes.
func start(t *testing.T, kind string) (*exec.Cmd, *Tree, *os.File, *bufio.Reader) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = inW.Close()
		_ = outR.Close()
	})
	cmd := exec.Command(exe, kind)
	cmd.Stdin, cmd.Stdout = inR, outW
	tree, err := New(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tree.Adopt(), inR.Close(), outW.Close()); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(outR)
	if line, err := out.ReadString('\n'); err != nil || strings.TrimSpace(line) != "up" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	return cmd, tree, inW, out
}

// rest reads what is still to come from the child until nobody can write any more.
func rest(t *testing.T, out io.Reader) string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(out)
		got <- strings.TrimSpace(string(b))
	}()
	select {
	case s := <-got:
		return s
	case <-time.After(time.Minute):
		t.Fatal("the child lives on")
		return ""
	}
}

func TestKillEndsChildren(t *testing.T) {
	cmd, tree, _, out := start(t, parentWaits)
	if err := tree.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the program ended well")
	}
	if s := rest(t, out); s != "" {
		t.Errorf("the child was not killed: %q", s)
	}
}

// TestChildGoesOn: what a program leaves running when it ends by itself is left alone.
func TestChildGoesOn(t *testing.T) {
	cmd, tree, in, out := start(t, parentLeaves)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("%v", err)
	}
	tree.Close()
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if s := rest(t, out); s != "leaving" {
		t.Errorf("the child did not go on: %q", s)
	}
}
