package account

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
	"deploy/steps/linux"
)

// leftInUse makes "left as it is" of an undo's failure that says that the account is in use, with
// the processes that use it. Any other error, and none, stays what it is.
func leftInUse(ctx context.Context, r node.Reader, name string, uid int, err error) error {
	if code, ok := node.Code(err); !ok || code != codeBusy {
		return err
	}
	used, askErr := processes(ctx, r, uid)
	switch {
	case isBroken(askErr):
		return askErr
	case askErr != nil || len(used) == 0: // a login without a process counts for userdel as well
		return steps.Left(fmt.Sprintf("account %s is in use (the node's tools refuse with code %d)", name, codeBusy))
	case len(used) == 1:
		return steps.Left(fmt.Sprintf("account %s is used by process %s", name, used[0]))
	}
	return steps.Left(fmt.Sprintf("account %s is used by %d processes: %s", name, len(used), inspect.Some(used)))
}

func isBroken(err error) bool {
	var broken *node.LinkError
	return errors.As(err, &broken)
}

// psNone is the exit code of ps(1) when no process was chosen.
const psNone = 1

// processes lists the processes of a user number, as "812 (sleep)".
func processes(ctx context.Context, r node.Reader, uid int) (out []string, err error) {
	number := strconv.Itoa(uid)
	a, err := linux.Ask(ctx, r, "ps", "-o", "pid=,comm=", "-u", number, "-U", number)
	if err != nil {
		return nil, err
	}
	if a.Code != 0 && a.Code != psNone {
		return nil, fmt.Errorf("cannot list the processes of user number %d: %w", uid, a.Failed("ps"))
	}
	for _, line := range linux.Lines(a.Stdout) {
		if pid, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			out = append(out, fmt.Sprintf("%s (%s)", pid, strings.TrimSpace(name)))
		}
	}
	return out, nil
}

// leftWithUsers makes "left as it is" of an undo's failure that says that the group is the primary
// one of accounts, and names them.
func leftWithUsers(ctx context.Context, r node.Reader, name string, gid int, err error) error {
	if code, ok := node.Code(err); !ok || code != codeBusy {
		return err
	}
	a, askErr := linux.Ask(ctx, r, "getent", "passwd")
	if askErr != nil {
		return errors.Join(err, askErr)
	}
	var users []string
	for _, line := range linux.Lines(a.Stdout) {
		if f := strings.Split(line, ":"); len(f) == passwdFields && f[3] == strconv.Itoa(gid) {
			users = append(users, f[0])
		}
	}
	if len(users) == 0 {
		return steps.Left(fmt.Sprintf("group %s is the primary group of a user", name))
	}
	return steps.Left(fmt.Sprintf("group %s is the primary group of %s", name, inspect.Some(users)))
}
