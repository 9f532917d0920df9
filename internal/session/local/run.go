package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"deploy/internal/node"
)

// grace is how long a program's pipes may stay open after its end: a grandchild that lives on may
// hold them for ever.
const grace = 2 * time.Second

// run starts a program and waits for its end.
func (s *Session) run(ctx context.Context, c node.Cmd) (node.Result, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return node.Result{}, fmt.Errorf("cannot run a program on %s: the argument list is empty", s.opts.Node)
	}
	op := "run " + c.Argv[0]
	limit := c.Timeout
	if limit == 0 {
		limit = s.opts.Run
	}
	file, err := lookProgram(c.Argv[0])
	if err != nil {
		return node.Result{}, s.unsupported(op, "no program "+c.Argv[0])
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(timed, file)
	cmd.Args = c.Argv
	cmd.Dir, cmd.Env = c.Dir, environment()
	cmd.Stdin = bytes.NewReader(c.Stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = grace
	kin := newFamily(cmd)
	defer kin.close()
	cmd.Cancel = func() error { return kin.kill() }
	if err := cmd.Start(); err != nil {
		return node.Result{}, s.startFailed(op, c, err)
	}
	if err := kin.adopt(cmd); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return node.Result{}, s.fail(op, err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && timed.Err() != nil && !finished(cmd, err):
		return node.Result{}, ctx.Err()
	case timed.Err() != nil && !finished(cmd, err):
		return node.Result{}, s.refuse(op, idTimeout, int64(errTimeout),
			fmt.Sprintf("the program did not end within %s and was stopped", limit))
	case err == nil, errors.As(err, &exit), errors.Is(err, exec.ErrWaitDelay):
		return node.Result{Code: exitCode(cmd.ProcessState), Stdout: out.Bytes(), Stderr: errs.Bytes()}, nil
	}
	return node.Result{}, s.fail(op, err)
}

// finished says that a program ended by itself, even if a limit was reached a moment later.
func finished(cmd *exec.Cmd, err error) bool {
	return cmd.ProcessState != nil && byItself(cmd.ProcessState) && !errors.Is(err, context.Canceled) &&
		!errors.Is(err, context.DeadlineExceeded)
}
