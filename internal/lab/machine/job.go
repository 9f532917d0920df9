package machine

import (
	"strings"
	"time"

	"deploy/internal/lab/model"
)

// jobTail is how much of a job's output is kept: what job.state answers.
const jobTail = 64 << 10

func verbJobStart(c *Ctx, args map[string]any) ([]Object, error) {
	id := ArgString(args, "id")
	argv := ArgStrings(args, "argv")
	if !jobName(id) {
		return nil, &Fail{Code: errInvalidParameter, ID: "deploy.BadName", Text: "not a job name: " + id}
	}
	if len(argv) == 0 {
		return nil, c.HRESULT(errInvalidParameter)
	}
	if c.M.Jobs[id] != nil {
		return nil, nil
	}
	user := ArgString(args, "user")
	if user == "" {
		user = `NT AUTHORITY\SYSTEM`
	} else if !c.logon(user, ArgString(args, "password")) {
		return nil, c.HRESULT(errLogonFailure)
	}
	if c.M.Jobs == nil {
		c.M.Jobs = map[string]*model.Job{}
	}
	j := &model.Job{ID: id, Argv: hideArgs(argv), Phase: "running", Started: c.Now().UTC(), Boot: c.M.Boots, User: user}
	c.M.Jobs[id] = j
	dir := ArgString(args, "dir")
	limit, _ := ArgInt(args, "limit")
	if limit <= 0 {
		limit = 14400 // four hours, as the resident process has it
	}
	c.Spawn(func(b *Ctx) {
		b.alive = func() bool {
			if j.Phase == "running" && b.Now().Sub(j.Started) > time.Duration(limit)*time.Second {
				j.Phase, j.Code = "done", 1460 // stopped by its runner: ERROR_TIMEOUT
			}
			return j.Phase == "running"
		}
		runJob(b, j, argv, user, dir)
	})
	return nil, nil
}

// jobName says that an id can name a job: it becomes a file name on a real node.
func jobName(id string) bool {
	ok := len(id) > 0 && len(id) <= 100
	for _, r := range id {
		ok = ok && (r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}
	return ok
}

// logon checks a password the way the lab was told to.
func (c *Ctx) logon(user, password string) bool {
	if c.Logon != nil {
		return c.Logon(user, password)
	}
	return CheckPassword(c.W, user, password)
}

// CheckPassword says whether the world knows that user (DOMAIN\name, name@domain or name) with that
// password.
func CheckPassword(w *model.World, user, password string) bool {
	if w.Forest == nil {
		return false
	}
	user = strings.ToLower(user)
	if p, ok := w.Forest.Users[user]; ok {
		return p == password
	}
	domain, name := strings.ToLower(w.Forest.NetBIOS), user
	if n, d, ok := strings.Cut(user, "@"); ok {
		if d != strings.ToLower(w.Forest.Domain) {
			return false
		}
		name = n
	} else if d, n, ok := strings.Cut(user, `\`); ok {
		if d != domain && d != strings.ToLower(w.Forest.Domain) {
			return false
		}
		name = n
	}
	p, ok := w.Forest.Users[domain+`\`+name]
	return ok && p == password
}

// runJob runs the job's program as a scheduled task does: a full logon, with a second hop, that
// survives the session.
func runJob(c *Ctx, j *model.Job, argv []string, user, dir string) {
	c.User, c.Network = user, false
	if dir != "" {
		c.Dir = dir
	}
	keep := func(text string) {
		j.Output = append(j.Output, text...)
		if len(j.Output) > jobTail {
			j.Output = append([]byte{}, j.Output[len(j.Output)-jobTail:]...)
		}
	}
	c.Print = keep
	c = c.guarded()
	defer func() {
		if r := recover(); r != nil {
			if r != errGone {
				panic(r)
			}
			if j.Phase == "running" {
				j.Phase = "lost"
			}
		}
	}()
	if j.Phase != "running" { // the machine went down before the task started
		return
	}
	c.record("job " + j.ID + ": " + strings.Join(hideArgs(argv), " "))
	if c.Program(argv[0]) == nil {
		j.Phase, j.Code = "done", errFileNotFound // what the runner writes when the program cannot be started
		keep(c.Text(errFileNotFound))
		return
	}
	res := Exec(c, argv, nil)
	keep(res.Stdout + res.Stderr)
	if j.Phase == "running" {
		j.Phase, j.Code = "done", res.Code
	}
}

// LoseJobs marks the jobs that a loaded world says are running as lost: the process that emulated
// them is gone. Package lab calls it once after it has read a world from its file.
func LoseJobs(w *model.World) {
	for _, m := range w.Machines {
		for _, j := range m.Jobs {
			if j.Phase == "running" {
				j.Phase = "lost"
			}
		}
	}
}

func verbJobState(c *Ctx, args map[string]any) ([]Object, error) {
	j := c.M.Jobs[ArgString(args, "id")]
	if j == nil {
		return nil, notFound(errFileNotFound, c.Text(errFileNotFound))
	}
	return []Object{{"phase": j.Phase, "code": int64(j.Code), "output": append([]byte{}, j.Output...)}}, nil
}

func verbJobRemove(c *Ctx, args map[string]any) ([]Object, error) {
	id := ArgString(args, "id")
	if j := c.M.Jobs[id]; j != nil && j.Phase == "running" {
		return nil, &Fail{Code: 170, ID: "deploy.Busy", Text: "the job is running: " + id}
	}
	delete(c.M.Jobs, id)
	return nil, nil
}
