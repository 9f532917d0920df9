package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/linux"
)

// plan is how one request is carried out: a function of the scripts with its arguments, and how its
// answer is read.
type plan struct {
	call []string
	tool bool // call is a program
	read func(out outcome) ([]node.Row, error)
}

// planOf makes the plan of a request. Verbs that Linux lacks are refused here.
func (s *Session) planOf(r node.Request) (plan, error) {
	args := node.Row(r.Args)
	where := args.String("path")
	nothing := func(outcome) ([]node.Row, error) { return nil, nil }
	switch r.Verb {
	case "run":
		argv := args.Strings("argv")
		if len(argv) == 0 || argv[0] == "" {
			return plan{}, fmt.Errorf("cannot run a program on %s: the argument list is empty", s.opts.Node)
		}
		return plan{call: argv, tool: true, read: rowOfProgram}, nil
	case "file.stat":
		return plan{call: []string{"file_stat", where}, read: rowOfStat}, nil
	case "file.hash":
		return plan{call: []string{"file_hash", where}, read: rowOfHash}, nil
	case "dir.list":
		return plan{call: []string{"dir_list", where}, read: rowsOfDir}, nil
	case "dir.make":
		return plan{call: []string{"dir_make", where}, read: nothing}, nil
	case "file.remove":
		if path.Clean("/"+where) == "/" {
			return plan{}, s.refuse(r.Op(), linux.IDRefused, linux.EPERM, "the root directory cannot be removed")
		}
		how := "one"
		if args.Bool("tree") {
			how = "tree"
		}
		return plan{call: []string{"file_remove", where, how}, read: nothing}, nil
	case "file.mode":
		return plan{call: []string{"file_mode", where, octal(args), args.String("owner"), args.String("group")},
			read: nothing}, nil
	case "owner.get":
		return plan{call: []string{"owner_get", s.ownerDir()}, read: rowsOfOwners}, nil
	case "owner.set": // it compares by itself, so that no fence stands before it
		site := args.String("site")
		if !node.IsSite(site) {
			return plan{}, s.refuse(r.Op(), "", linux.EINVAL, "not the name of a site: "+site)
		}
		return plan{call: []string{"owner_set", s.ownerDir(), site, args.String("was"), args.String("record")},
			read: nothing}, nil
	}
	return plan{}, s.refuse(r.Op(), linux.IDUnsupported, linux.ENOTSUP, "Linux has no "+r.Verb)
}

// octal is the mode of a request as chmod(1) takes it; "" when there is none.
func octal(args node.Row) string {
	if !args.Has("mode") {
		return ""
	}
	return mode(uint32(args.Int("mode")))
}

func mode(bits uint32) string { return fmt.Sprintf("%04o", bits&0o7777) }

// Serve carries a request out in a channel of its own.
func (s *Session) Serve(ctx context.Context, r node.Request) ([]node.Row, error) {
	args := node.Row(r.Args)
	o := order{op: r.Op(), stdin: bytes.NewReader(args.Bytes("stdin")),
		limit: time.Duration(args.Int("timeout")) * time.Millisecond}
	if f, ok := node.FenceOf(r.Args); ok {
		o.fence = &f
	}
	var script linux.Script
	read := func(outcome) ([]node.Row, error) { return nil, nil }
	switch r.Verb {
	case "job.start":
		var err error
		if script, err = s.jobOf(args).Start(); err != nil {
			return nil, s.refuse(o.op, "", linux.EINVAL, err.Error())
		}
	case "job.state":
		script, read = linux.StateScript(s.state, args.String("id")), rowOfJob
	case "job.remove":
		script = linux.RemoveScript(s.state, args.String("id"))
	case "restart":
		script = linux.RestartScript("")
	default:
		p, err := s.planOf(r)
		if err != nil {
			return nil, err
		}
		call := p.call
		if p.tool {
			call = append([]string{"program", args.String("dir")}, call...)
		}
		script, read = functions(call), p.read
	}
	out, err := s.script(ctx, o, script)
	switch {
	case r.Verb == "job.remove" && errors.Is(err, node.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return read(out)
}

// jobOf is the job of a request.
func (s *Session) jobOf(args node.Row) linux.Job {
	return linux.Job{State: s.state, ID: args.String("id"), Argv: args.Strings("argv"), Dir: args.String("dir"),
		User: args.String("user"), Limit: time.Duration(args.Int("limit")) * time.Second, Init: s.Facts().Init}
}

func rowOfJob(out outcome) ([]node.Row, error) {
	st, err := linux.ParseState(out.stdout)
	if err != nil {
		return nil, err
	}
	return session.JobRow(st), nil
}

// call runs a function of the scripts.
func (s *Session) call(ctx context.Context, op string, call ...string) (outcome, error) {
	return s.script(ctx, order{op: op}, functions(call))
}

// functions makes the script that calls one of them.
func functions(call []string) linux.Script {
	return linux.Script{Text: linux.Functions() + filesScript + frameScript + ownerScript + "\"$@\"\n", Args: call}
}

func (s *Session) script(ctx context.Context, o order, script linux.Script) (outcome, error) {
	var err error
	if o.code, err = codeOf(script); err != nil {
		return outcome{}, s.refuse(o.op, "", linux.EINVAL, err.Error())
	}
	fence, err := fenceCode(o.fence, s.ownerDir())
	if err != nil {
		return outcome{}, s.refuse(o.op, "", linux.EINVAL, err.Error())
	}
	o.code = fence + o.code
	return s.perform(ctx, o)
}

func rowOfProgram(out outcome) ([]node.Row, error) {
	return []node.Row{{"code": int64(out.code), "stdout": out.stdout, "stderr": out.stderr}}, nil
}

func rowOfHash(out outcome) ([]node.Row, error) {
	f := strings.Fields(string(out.stdout))
	if len(f) != 2 || len(f[0]) != 64 {
		return nil, fmt.Errorf("cannot read a hash: the answer has %d fields", len(f))
	}
	size, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("cannot read a hash: the size is %q", f[1])
	}
	return []node.Row{{"sha256": f[0], "size": size}}, nil
}

// rowsOfDir reads "TYPE SIZE NAME" and a null byte for each entry.
func rowsOfDir(out outcome) ([]node.Row, error) {
	rows := []node.Row{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(out.stdout), "\x00"), "\x00") {
		if entry == "" {
			continue
		}
		f := strings.SplitN(entry, " ", 3)
		if len(f) != 3 {
			return nil, errors.New("cannot read a directory: an entry has not three parts")
		}
		size, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("cannot read a directory: the size is %q", f[1])
		}
		dir := f[0] == "d"
		if dir {
			size = 0
		}
		rows = append(rows, node.Row{"name": f[2], "dir": dir, "size": size})
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].String("name") < rows[j].String("name") })
	return rows, nil
}
