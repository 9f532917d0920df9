package local

import (
	"context"
	"time"

	"deploy/internal/node"
	"deploy/internal/session"
)

// Serve carries a request out by its verb.
func (s *Session) Serve(ctx context.Context, r node.Request) (rows []node.Row, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	begun := time.Now()
	op := r.Op()
	defer func() {
		s.opts.Log.DebugContext(ctx, "request", "node", s.opts.Node, "op", op, "took", time.Since(begun), "rows", len(rows),
			"err", err)
	}()
	if f, ok := node.FenceOf(r.Args); ok {
		if err := s.pass(f); err != nil {
			return nil, s.fail(op, err)
		}
	}
	args := node.Row(r.Args)
	switch r.Verb {
	case "run":
		if row, ok := builtin(args.Strings("argv")); ok {
			return []node.Row{row}, nil
		}
		var res node.Result
		res, err = s.run(ctx, node.Cmd{Argv: args.Strings("argv"), Dir: args.String("dir"), Stdin: args.Bytes("stdin"),
			Timeout: time.Duration(args.Int("timeout")) * time.Millisecond})
		if err != nil {
			return nil, err
		}
		return []node.Row{{"code": int64(res.Code), "stdout": res.Stdout, "stderr": res.Stderr}}, nil
	case "file.hash":
		rows, err = s.hash(args.String("path"))
	case "file.remove":
		err = s.remove(args.String("path"), args.Bool("tree"))
	case "dir.make":
		err = s.makeDir(args.String("path"))
	case "dir.list":
		rows, err = s.listDir(args.String("path"))
	case "job.start":
		err = s.startJob(ctx, jobOf(args))
	case "job.state":
		var st node.JobState
		if st, err = s.jobState(ctx, args.String("id")); err == nil {
			rows = session.JobRow(st)
		}
	case "job.remove":
		err = s.removeJob(ctx, args.String("id"))
	case "owner.get":
		rows, err = s.owners()
	case "owner.set":
		err = s.setOwner(args.String("site"), args.String("was"), args.String("record"))
	default:
		rows, err = s.system(ctx, r)
	}
	return rows, s.fail(op, err)
}
