package local

import (
	"context"
	"fmt"
	"strings"
	"time"

	"deploy/internal/node"
)

// Query asks the machine.
func (s *Session) Query(ctx context.Context, q node.Query) ([]node.Row, error) {
	r := q.Request()
	switch r.Verb {
	case "run":
		argv := stringsOf(r.Args["argv"])
		tool, _ := q.(node.Tool)
		if !tool.TrustedReadOnly && !node.ReadOnlyTool(argv) {
			return nil, fmt.Errorf("cannot query %s with %s: it is not known to only read", s.opts.Node, strings.Join(argv, " "))
		}
	case "cmdlet":
		name, _ := r.Args["name"].(string)
		verb, _, _ := strings.Cut(strings.ToLower(name), "-")
		if verb != "get" && verb != "test" {
			return nil, fmt.Errorf("cannot query %s with %s: only Get and Test cmdlets read", s.opts.Node, name)
		}
	}
	return s.serve(ctx, r)
}

// Do carries out one action.
func (s *Session) Do(ctx context.Context, a node.Action) ([]node.Row, error) {
	r := a.Request()
	if r.Verb != "owner.set" { // it compares by itself
		if err := s.pass(ctx); err != nil {
			return nil, err
		}
	}
	return s.serve(ctx, r)
}

// serve carries a request out by its verb.
func (s *Session) serve(ctx context.Context, r node.Request) (rows []node.Row, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	begun := time.Now()
	op := r.Op()
	defer func() {
		s.opts.Log.DebugContext(ctx, "request", "node", s.opts.Node, "op", op, "took", time.Since(begun), "rows", len(rows),
			"err", err)
	}()
	args := node.Row(r.Args)
	switch r.Verb {
	case "run":
		var res node.Result
		if res, err = s.run(ctx, node.Cmd{Argv: args.Strings("argv")}); err != nil {
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
	case "job.remove":
		err = s.forgetJob(ctx, args.String("id"))
	case "owner.set":
		err = s.setOwner(ctx, args.String("site"), args.String("was"), args.String("record"))
	default:
		rows, err = s.system(ctx, r)
	}
	return rows, s.fail(op, err)
}

func stringsOf(v any) []string { return node.Row{"v": v}.Strings("v") }

func first(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	return argv[0]
}
