package linux

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"deploy/internal/node"
)

var (
	//go:embed scripts/common.sh
	common string
	//go:embed scripts/jobstart.sh
	jobStart string
	//go:embed scripts/jobrun.sh
	jobRun string
	//go:embed scripts/jobstate.sh
	jobState string
	//go:embed scripts/jobshow.sh
	jobShow string
	//go:embed scripts/jobremove.sh
	jobRemove string
	//go:embed scripts/restart.sh
	restart string
)

// Script is a program for sh(1) with its arguments, which are data: they reach it as $1, $2, ...
type Script struct {
	Text string
	Args []string
}

// Functions are what every script of this package begins with: absent, unsupported, busy, refused,
// find_program, started, this_boot.
func Functions() string { return common }

// Argv is the script as a list of arguments.
func (s Script) Argv() []string {
	return append([]string{"/bin/sh", "-c", s.Text, "deploy"}, s.Args...)
}

// Exit codes with which a script says what kind of failure it met. What it says on stderr is for
// people.
const (
	ExitAbsent       = 40
	ExitUnsupported  = 41
	ExitBusy         = 42
	ExitRefused      = 43
	ExitHash         = 44
	ExitNotDirectory = 45
	ExitSuperseded   = 46
)

// Job is what is to be started. The state directory is where its files are, one directory for each
// job.
type Job struct {
	State string
	ID    string
	Argv  []string
	Dir   string // "" is the root directory
	User  string // "" is the session's own
	Limit time.Duration
	Init  string // Facts.Init: below systemd the job is a transient unit, else a process in a session of its own
}

// ExitLimit is the exit code of a job that was ended at its limit, as timeout(1) has it.
const ExitLimit = 124

// Start makes the script that starts a job. It does nothing when the id is known. When it has
// ended, the job has begun.
func (j Job) Start() (Script, error) {
	words, err := Quote(j.Argv)
	if err != nil {
		return Script{}, err
	}
	if strings.IndexByte(j.Dir+j.User, 0) >= 0 {
		return Script{}, errors.New("a directory or a user holds a null byte")
	}
	seconds := int64((j.Limit + time.Second - 1) / time.Second)
	text := fmt.Sprintf("limit=%d\ndir=%s\nuser=%s\nset -- %s", max(seconds, 1), Word(j.Dir), Word(j.User), words)
	return Script{Text: common + jobStart, Args: []string{j.State, JobName(j.ID), j.Init, j.Argv[0], j.Dir, j.User, text,
		common + jobRun}}, nil
}

// StateScript makes the script that tells how a job stands. ParseState reads what it prints.
func StateScript(state, id string) Script {
	return Script{Text: common + jobState + jobShow, Args: []string{state, JobName(id)}}
}

// RemoveScript makes the script that removes what is kept of a job; one that runs is ExitBusy, one
// that is not there ExitAbsent.
func RemoveScript(state, id string) Script {
	return Script{Text: common + jobState + jobRemove, Args: []string{state, JobName(id)}}
}

// RestartScript makes the script that restarts the machine in two seconds. root stands before the
// paths that it looks at; it is "" but in tests.
func RestartScript(root string) Script { return Script{Text: common + restart, Args: []string{root}} }

// ParseState reads what the script of StateScript prints.
func ParseState(out []byte) (node.JobState, error) {
	head, output, ok := bytes.Cut(out, []byte("\n"))
	phase, code, two := strings.Cut(string(head), " ")
	if !ok || !two {
		return node.JobState{}, errors.New("the answer has no phase and code")
	}
	n, err := strconv.Atoi(code)
	if err != nil {
		return node.JobState{}, fmt.Errorf("the exit code is no number: %q", code)
	}
	st := node.JobState{Phase: node.JobPhase(phase), Output: string(output)}
	switch st.Phase {
	case node.JobDone:
		st.Code = n
	case node.JobRunning, node.JobLost:
	default:
		return node.JobState{}, fmt.Errorf("unknown phase %q", phase)
	}
	return st, nil
}

// JobName makes the name of a job's directory and unit of its id. An id that is a plain name stays;
// any other keeps what is plain of it, and a hash of the whole tells it from its like.
func JobName(id string) string {
	plain := strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r == '-' || (r >= '0' && r <= '9') || (r >= 'A' && r <= 'Z') || (r >= 'a' && r <= 'z') {
			return r
		}
		return '_'
	}, id)
	if plain == id && len(id) <= 100 && strings.Trim(id, ".") != "" && id[0] != '-' {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "x" + strings.Trim(plain[:min(len(plain), 60)], ".") + "." + hex.EncodeToString(sum[:10])
}
