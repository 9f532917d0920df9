package account

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
)

// made compares what useradd settles and no later step changes: the range of the number, and the
// home directory that was to be made.
func (s *User) made(ctx context.Context, r node.Reader, now userFound) error {
	if s.System && s.UID == nil {
		if err := inRange(ctx, r, "user "+s.Name, "uid", "UID_MIN", now.UID); err != nil {
			return err
		}
	}
	if s.MakeHome == nil || !*s.MakeHome {
		return nil // not to be made: one that is there is another step's
	}
	_, err := r.Stat(ctx, now.Home)
	if errors.Is(err, node.ErrNotFound) {
		return steps.FixedErr("user "+s.Name, "home directory", "no "+now.Home, "that it is made",
			"make it by a directory step, or leave make_home out: it concerns new accounts")
	}
	if err != nil {
		return fmt.Errorf("cannot check %s: %w", now.Home, err)
	}
	return nil
}

// usualMin is where numbers for people begin unless login.defs says otherwise. Source:
// login.defs(5).
const usualMin = 1000

// inRange wants a number below the first one for people.
func inRange(ctx context.Context, r node.Reader, of, field, key string, number int) error {
	least, err := loginDefs(ctx, r, key)
	if err != nil {
		return err
	}
	if number < least {
		return nil
	}
	return steps.FixedErr(of, field, number, fmt.Sprintf("system: true, which is below %d", least),
		"declare "+field+" to change it, or leave system out: it concerns new ones")
}

// loginDefs reads a number of /etc/login.defs.
func loginDefs(ctx context.Context, r node.Reader, key string) (n int, err error) {
	f, err := r.Open(ctx, "/etc/login.defs")
	if errors.Is(err, node.ErrNotFound) {
		return usualMin, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read /etc/login.defs: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n = usualMin
	lines := bufio.NewScanner(io.LimitReader(f, 1<<20))
	for lines.Scan() {
		parts := strings.Fields(lines.Text())
		if len(parts) < 2 || parts[0] != key {
			continue
		}
		if n, err = strconv.Atoi(parts[1]); err != nil {
			return 0, fmt.Errorf("cannot read %s of /etc/login.defs: %q is no number", key, parts[1])
		}
	}
	return n, lines.Err()
}
