package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// userName is the name of a user, or the number of one that has none.
func userName(id uint32) string {
	n := strconv.FormatUint(uint64(id), 10)
	if u, err := user.LookupId(n); err == nil {
		return u.Username
	}
	if entry, err := getent("passwd", n); err == nil {
		return entry[0]
	}
	return n
}

// groupName is the name of a group, or the number of one that has none.
func groupName(id uint32) string {
	n := strconv.FormatUint(uint64(id), 10)
	if g, err := user.LookupGroupId(n); err == nil {
		return g.Name
	}
	if entry, err := getent("group", n); err == nil {
		return entry[0]
	}
	return n
}

// userID finds a user by name or number. One that is not there is fs.ErrNotExist; a number need not
// be there.
func userID(name string) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	if u, err := user.Lookup(name); err == nil {
		return strconv.Atoi(u.Uid)
	}
	return entryID("passwd", "user", name)
}

// groupID finds a group by name or number, as userID does a user.
func groupID(name string) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	if g, err := user.LookupGroup(name); err == nil {
		return strconv.Atoi(g.Gid)
	}
	return entryID("group", "group", name)
}

func entryID(database, what, name string) (int, error) {
	entry, err := getent(database, name)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", what, name, err)
	}
	return strconv.Atoi(entry[2])
}

// getent asks the directories that the machine knows besides its files; a program without C code
// cannot read them itself. Exit code 2 is "no such key", getent(1).
func getent(database, key string) ([]string, error) {
	file, err := lookProgram("getent")
	if err != nil || strings.HasPrefix(key, "-") {
		return nil, fs.ErrNotExist // a machine without it (musl) has no other directories
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, database, key)
	cmd.WaitDelay = grace
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look it up: %w", err)
	}
	entry := strings.Split(strings.TrimSpace(string(out)), ":")
	if len(entry) < 3 {
		return nil, fmt.Errorf("cannot look it up: getent answered %d fields", len(entry))
	}
	return entry, nil
}
