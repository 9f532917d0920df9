package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"deploy/internal/node"
	"deploy/internal/session/linux"
)

// stateDir is the same for a session over SSH: either finds the jobs that the other has started.
func stateDir() string {
	if os.Geteuid() == 0 {
		return linux.RootState
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/nonexistent" // as nologin accounts have it; making the directory then says why there can be no job
	}
	return filepath.Join(home, linux.UserState)
}

func (s *Session) startJob(ctx context.Context, j job) error {
	user := ""
	if j.as != nil {
		user = j.as.User
	}
	script, err := linux.Job{State: s.opts.State, ID: j.id, Argv: j.argv, Dir: j.dir, User: user, Limit: j.limit,
		Init: s.Facts().Init}.Start()
	if err != nil {
		return s.errno("job.start "+j.id, errInvalid, err.Error())
	}
	_, err = s.script(ctx, "job.start "+j.id, script)
	return err
}

func (s *Session) jobState(ctx context.Context, id string) (node.JobState, error) {
	out, err := s.script(ctx, "job.state "+id, linux.StateScript(s.opts.State, id))
	if err != nil {
		return node.JobState{}, err
	}
	return linux.ParseState(out)
}

func (s *Session) removeJob(ctx context.Context, id string) error {
	_, err := s.script(ctx, "job.remove "+id, linux.RemoveScript(s.opts.State, id))
	if errors.Is(err, node.ErrNotFound) {
		return nil
	}
	return err
}

// script runs one of package linux's scripts and types its refusals.
func (s *Session) script(ctx context.Context, op string, script linux.Script) ([]byte, error) {
	res, err := s.run(ctx, node.Cmd{Argv: script.Argv(), Dir: "/"})
	if err != nil {
		return nil, err
	}
	if res.Code != 0 {
		c := linux.Failure(op, res.Code, res.Stderr)
		if c.ID == "" {
			return nil, s.errno(op, syscall.Errno(c.Code), c.Text)
		}
		return nil, s.refusalOf(c)
	}
	return res.Stdout, nil
}
