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

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/session/linux"
)

// plan is how one request is carried out: a function of the scripts with its arguments, and how its
// answer is read.
type plan struct {
	call []string
	tool bool // call is a program
	acts bool // it may change the machine
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
		if first(argv) == "" {
			return plan{}, fmt.Errorf("cannot run nothing on %s: the list of arguments is empty", s.opts.Node)
		}
		return plan{call: argv, tool: true, read: rowOfProgram}, nil
	case "file.hash":
		return plan{call: []string{"file_hash", where}, read: rowOfHash}, nil
	case "dir.list":
		return plan{call: []string{"dir_list", where}, read: rowsOfDir}, nil
	case "dir.make":
		return plan{call: []string{"dir_make", where}, acts: true, read: nothing}, nil
	case "file.remove":
		if path.Clean("/"+where) == "/" {
			return plan{}, s.refuse(r.Op(), linux.IDRefused, linux.EPERM, "the root of the file system stays")
		}
		how := "one"
		if args.Bool("tree") {
			how = "tree"
		}
		return plan{call: []string{"file_remove", where, how}, acts: true, read: nothing}, nil
	case "file.mode":
		return plan{call: []string{"file_mode", where, octal(args), args.String("owner"), args.String("group")},
			acts: true, read: nothing}, nil
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

// serve carries a request out in a channel of its own.
func (s *Session) serve(ctx context.Context, r node.Request) ([]node.Row, error) {
	op := r.Op()
	var script linux.Script
	switch r.Verb {
	case "job.remove":
		script = linux.RemoveScript(s.state, node.Row(r.Args).String("id"))
	case "restart":
		script = linux.RestartScript("")
	default:
		p, err := s.planOf(r)
		if err != nil {
			return nil, err
		}
		call := p.call
		if p.tool {
			call = append([]string{"program", ""}, call...)
		}
		out, err := s.script(ctx, order{op: op, acts: p.acts}, functions(call))
		if err != nil {
			return nil, err
		}
		return p.read(out)
	}
	_, err := s.script(ctx, order{op: op, acts: true}, script)
	if r.Verb == "job.remove" && errors.Is(err, node.ErrNotFound) {
		err = nil
	}
	return nil, err
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
	if o.acts {
		fence, err := fenceCode(s.fence.Load(), s.ownerDir())
		if err != nil {
			return outcome{}, s.refuse(o.op, "", linux.EINVAL, err.Error())
		}
		o.code = fence + o.code
	}
	return s.perform(ctx, o)
}

// Query asks and waits. A query that Prefetch has sent takes its waiting answer, once.
func (s *Session) Query(ctx context.Context, q node.Query) ([]node.Row, error) {
	r, err := s.readable(q)
	if err != nil {
		return nil, err
	}
	if p := s.taken(keyOf(r)); p != nil {
		rows, err, ok := p.await(ctx)
		if ok {
			return rows, err
		}
	}
	return s.serve(ctx, r)
}

// readable makes a query's request, and refuses one that could change something.
func (s *Session) readable(q node.Query) (node.Request, error) {
	r := q.Request()
	args := node.Row(r.Args)
	switch r.Verb {
	case "run":
		argv := args.Strings("argv")
		tool, _ := q.(node.Tool)
		if !tool.TrustedReadOnly && !node.ReadOnlyTool(argv) {
			return r, fmt.Errorf("cannot query %s with %s: it is not known to only read", s.opts.Node, strings.Join(argv, " "))
		}
	case "cmdlet":
		verb, _, _ := strings.Cut(strings.ToLower(args.String("name")), "-")
		if verb != "get" && verb != "test" {
			return r, fmt.Errorf("cannot query %s with %s: only Get and Test cmdlets read", s.opts.Node, args.String("name"))
		}
	}
	return r, nil
}

// change does something that may change the machine: what was fetched before it is no longer true.
// A caller that does not wait for the end does not know the outcome.
func (s *Session) change(ctx context.Context, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.forget()
	err := do()
	s.forget() // also what was fetched while it worked
	var link *node.LinkError
	if err != nil && ctx.Err() != nil && !errors.As(err, &link) && errors.Is(err, ctx.Err()) {
		return &node.LinkError{Node: s.opts.Node, Sent: true, Err: err}
	}
	return err
}

// Do carries out one action.
func (s *Session) Do(ctx context.Context, a node.Action) (rows []node.Row, err error) {
	err = s.change(ctx, func() error {
		rows, err = s.serve(ctx, a.Request())
		return err
	})
	return rows, err
}

// Run starts a program and waits for its end.
func (s *Session) Run(ctx context.Context, c node.Cmd) (node.Result, error) {
	op := "run " + first(c.Argv)
	if c.As != "" {
		return node.Result{}, fmt.Errorf("cannot run %s on %s as %q: only a job has credentials of its own", first(c.Argv),
			s.opts.Node, c.As)
	}
	if first(c.Argv) == "" {
		return node.Result{}, fmt.Errorf("cannot run nothing on %s: the list of arguments is empty", s.opts.Node)
	}
	var res node.Result
	err := s.change(ctx, func() error {
		call := append([]string{"program", c.Dir}, c.Argv...)
		out, err := s.script(ctx, order{op: op, acts: true, stdin: bytes.NewReader(c.Stdin), limit: c.Timeout},
			functions(call))
		res = node.Result{Code: out.code, Stdout: out.stdout, Stderr: out.stderr}
		return err
	})
	if err != nil {
		return node.Result{}, err
	}
	return res, nil
}

// StartJob starts a program that outlives the link. Without c.As it runs as the session's user.
func (s *Session) StartJob(ctx context.Context, id string, c node.Cmd) error {
	if len(c.Stdin) > 0 {
		return fmt.Errorf("cannot start the job %s on %s: a job has no standard input", id, s.opts.Node)
	}
	if id == "" || first(c.Argv) == "" {
		return fmt.Errorf("cannot start the job %q on %s: an id and a program are needed", id, s.opts.Node)
	}
	j := linux.Job{State: s.state, ID: id, Argv: c.Argv, Dir: c.Dir, Limit: c.Timeout, Init: s.facts.Init}
	if c.As != "" {
		cred, ok := s.opts.Credentials[c.As]
		if !ok {
			return hint.Wrap(fmt.Errorf("cannot start the job %s on %s: there is no credential %q", id, s.opts.Node, c.As),
				"name it under credentials: in the site file")
		}
		j.User = cred.User
	}
	if j.Limit == 0 {
		j.Limit = s.opts.Job
	}
	op := "job.start " + id
	script, err := j.Start()
	if err != nil {
		return s.refuse(op, "", linux.EINVAL, err.Error())
	}
	return s.change(ctx, func() error {
		_, err := s.script(ctx, order{op: op, acts: true}, script)
		return err
	})
}

// Job tells how a job stands. A job that another session on the machine started is known as well.
func (s *Session) Job(ctx context.Context, id string) (node.JobState, error) {
	out, err := s.script(ctx, order{op: "job.state " + id}, linux.StateScript(s.state, id))
	if err != nil {
		return node.JobState{}, err
	}
	return linux.ParseState(out.stdout)
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
