// Package command holds the step of a program of the user's own.
package command

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/jobs"
)

// Command is a user's own step: three programs that check, do and take back.
type Command struct {
	CheckArgv   []string `json:"check" required:"true" doc:"program and arguments that look and change nothing: exit code 0 means nothing to do, any of todo means to be done, every other one is an error" items:"1" check:"compared"`
	ApplyArgv   []string `json:"apply" required:"true" doc:"program and arguments that do it" items:"1" check:"unreadable" why:"only the program in check tells whether the machine is as it shall be"`
	UndoArgv    []string `json:"undo" doc:"program and arguments that take it back; without it the step is a point of no return" check:"instruction:undo"`
	Todo        []int    `json:"todo" doc:"exit codes of check that mean to be done; the default is 1" check:"instruction:codes"`
	Codes       []int    `json:"codes" doc:"exit codes of apply and undo that mean done; the default is 0" check:"instruction:codes"`
	RebootCodes []int    `json:"reboot_codes" doc:"exit codes of apply that mean done with a restart due" check:"instruction:codes"`
	Directory   string   `json:"directory,omitempty" doc:"working directory of apply and undo" check:"instruction:media"`
	As          string   `json:"as,omitempty" doc:"name of the site's credential for apply and undo, which are then jobs" type:"credential" check:"instruction:account"`
}

// commandBefore is empty: what was there before is the command's own business.
type commandBefore struct{}

// Kinds lists the kind of this family.
func Kinds() []steps.Kind { return []steps.Kind{commandKind()} }

func commandKind() steps.Kind {
	return steps.Kind{
		Name:    "command",
		Summary: "Runs programs of your own to check, to do and to take back.",
		Doc: "Programs are started directly, without a shell; arguments are passed as they are. You vouch that check " +
			"changes nothing: " +
			"it runs in every plan. Decisions are made on exit codes alone. Never put a password into an argument: it would " +
			"stand in the journal.",
		Undo: "Runs the undo program, unless check says that nothing is in place; without an undo program, the step is " +
			"a point of no return.",
		Proof: "unit-tested on a scripted machine; played in the lab",
		New:   func() steps.Step { return &Command{} },
		Example: "check: [C:\\tools\\licence.exe, /query]\napply: [C:\\tools\\licence.exe, /install, " +
			"D:\\media\\key.lic]\nundo: [C:\\tools\\licence.exe, /remove]\n",
	}
}

// Kind names the step.
func (s *Command) Kind() string { return "command" }

// Validate looks at the data.
func (s *Command) Validate() error {
	for key, argv := range map[string][]string{"check": s.CheckArgv, "apply": s.ApplyArgv} {
		if len(argv) == 0 || argv[0] == "" {
			return steps.FieldErr(key, "give a program")
		}
	}
	if slices.Contains(s.todo(), 0) {
		return steps.FieldErr("todo", "0 means nothing to do and cannot stand here")
	}
	return nil
}

func (s *Command) todo() []int {
	if len(s.Todo) == 0 {
		return []int{1}
	}
	return s.Todo
}

func (s *Command) codes() []int {
	if len(s.Codes) == 0 {
		return []int{0}
	}
	return s.Codes
}

func (s *Command) look() node.Query { return node.Tool{Argv: s.CheckArgv, TrustedReadOnly: true} }

// Reads names what Check will ask.
func (s *Command) Reads(node.Facts) []node.Query { return []node.Query{s.look()} }

// Check runs the check program.
func (s *Command) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	rows, err := r.Query(ctx, s.look())
	if err != nil {
		return steps.Diff{}, fmt.Errorf("cannot run %s: %w", s.CheckArgv[0], err)
	}
	if len(rows) != 1 {
		return steps.Diff{}, fmt.Errorf("cannot run %s: no exit code came back", s.CheckArgv[0])
	}
	code := int(rows[0].Int("code"))
	if code == 0 {
		return steps.NoChange(), nil
	}
	if !slices.Contains(s.todo(), code) {
		return steps.Diff{}, fmt.Errorf("cannot tell whether there is something to do: %w",
			&node.CodeError{Op: s.CheckArgv[0], Code: int64(code),
				Text: last(string(rows[0].Bytes("stdout")) + string(rows[0].Bytes("stderr")))})
	}
	d := steps.Diff{Action: steps.Run,
		Changes: []steps.Change{{Attr: "command", From: "to be done", To: strings.Join(s.ApplyArgv, " ")}},
		Before:  steps.MustJSON(commandBefore{}), Via: s.ApplyArgv[0]}
	d.Effects.MayReboot = len(s.RebootCodes) > 0
	if len(s.UndoArgv) == 0 {
		d.Effects.PointOfNoReturn = "the step names no undo program"
	}
	return d, nil
}

// Apply runs the apply program.
func (s *Command) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	code, err := s.run(ctx, n, s.ApplyArgv, append(slices.Clone(s.codes()), s.RebootCodes...))
	return steps.Outcome{Reboot: err == nil && slices.Contains(s.RebootCodes, code)}, err
}

// Undo runs the undo program.
func (s *Command) Undo(ctx context.Context, n node.Node, _ json.RawMessage) error {
	if len(s.UndoArgv) == 0 {
		return fmt.Errorf("cannot take back %s: the step names no undo program", s.ApplyArgv[0])
	}
	// an undo that was cut off is repeated: what the check calls to be done is undone already
	if d, err := s.Check(ctx, n); err == nil && d.Action != steps.NoOp {
		return nil
	}
	_, err := s.run(ctx, n, s.UndoArgv, s.codes())
	return err
}

func (s *Command) run(ctx context.Context, n node.Node, argv []string, good []int) (int, error) {
	c := node.Cmd{Argv: argv, Dir: s.Directory, As: s.As}
	var code int
	var text string
	if s.As == "" {
		res, err := n.Run(ctx, c)
		if err != nil {
			return 0, fmt.Errorf("cannot run %s: %w", argv[0], err)
		}
		code, text = res.Code, string(res.Stdout)+string(res.Stderr)
	} else {
		state, err := jobs.Run(ctx, n, jobs.ID("command", append([]string{s.Directory, s.As, strconv.Itoa(len(argv))},
			argv...)...), c, 0)
		if err != nil {
			return 0, err
		}
		code, text = state.Code, state.Output
	}
	if !slices.Contains(good, code) {
		return code, &node.CodeError{Op: argv[0], Code: int64(code), Text: last(text)}
	}
	return code, nil
}

// last keeps the end of a program's output.
func last(text string) string {
	const most = 500
	r := []rune(strings.TrimSpace(text))
	if len(r) > most {
		r = r[len(r)-most:]
	}
	return string(r)
}
