package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/transport"
)

// ErrAtWork: an agent is at work on the machine, or something else has its files open.
var ErrAtWork = errors.New("an agent is running there")

// exitAtWork is what the command lines of this file end with for ErrAtWork: EX_TEMPFAIL of
// sysexits.h.
const exitAtWork = 75

// RemoveFromLinux takes the agents of the user who logs on, programs and records, off a machine,
// those of earlier versions too. conn stays the caller's. What is not there is no error; ErrAtWork
// leaves everything as it was.
func RemoveFromLinux(ctx context.Context, conn transport.Conn, l Launch) error {
	l.defaults()
	return l.remove(ctx, conn, l.removal())
}

// removal is the command line that takes everything away. Whoever holds an agent's lock works
// there; a worker whose controller has just gone ends within moments, so it is asked a few times.
func (l Launch) removal() string {
	const free = `n=5; while [ -e $L ]; do flock -n $L true && break; c=$?; [ $c = 1 ] || exit $c; n=$((n-1)); [ $n -gt 0 ] || exit 75; sleep 1; done; `
	// the owner record stays for as long as anything of the journal stands here
	const all = `for f in $R/*; do [ "${f##*/}" = owner ] || rm -rf "$f" || exit 74; done; rmdir $R 2>/dev/null; `
	below := func(root string) string { return strings.ReplaceAll(all, "$R", root) }
	lock := func(path string) string { return strings.ReplaceAll(free, "$L", path) }
	if !l.Sudo {
		return `/bin/sh -c 'r=/var/lib/deploy; [ "$(id -u)" = 0 ] || r="${XDG_STATE_HOME:-$HOME/.local/state}/deploy"; ` +
			lock(`"$r/agent/lock"`) + below(`"$r"`) + `rm -rf ` + directory + ` || exit 74'`
	}
	// the shell that sudo starts reads its text in double quotes of the one around it
	root := strings.NewReplacer(`$`, `\$`, `"`,
		`\"`).Replace("echo in; " + lock("/var/lib/deploy/agent/lock") + below("/var/lib/deploy") + ":")
	return `/bin/sh -c '` + l.sudo() + `/bin/sh -c "` + root + `" || exit $?; rm -rf ` + directory + ` || exit 74'`
}

// RemoveFromWindows is RemoveFromLinux for a Windows machine: every place where this program puts
// an agent or its record. The programs come first, since one that runs cannot be removed.
func RemoveFromWindows(ctx context.Context, conn transport.Conn, l Launch) error {
	l.defaults()
	l.Sudo = false
	// a session begins in the home directory of its user
	home := strings.ReplaceAll(strings.TrimSuffix(homeDir, "/bin"), "/", `\`)
	for _, dir := range []string{`%SystemRoot%\` + machineDir, home, `%ProgramData%\deploy`} {
		var err error
		for range 5 {
			err = l.remove(ctx, conn, fmt.Sprintf(`cmd.exe /d /c "rd /s /q %s & if exist %[1]s (exit %d) else (exit 0)"`, dir,
				exitAtWork))
			if !errors.Is(err, ErrAtWork) {
				break
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remove runs a command line that takes things away.
func (l Launch) remove(ctx context.Context, conn transport.Conn, line string) error {
	fail := func(why error) error { return fmt.Errorf("cannot remove the agent from %s: %w", l.Node, why) }
	proc, err := conn.Start(ctx, line)
	if err != nil {
		return fail(err)
	}
	s := newStream(proc)
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if l.Sudo && !l.SudoPassword.IsZero() {
		if err := l.sayPassword(ctx, s); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	_ = proc.Stdin().Close()
	_, rerr := io.Copy(io.Discard, s.out)
	code, werr := proc.Wait()
	_ = s.Close()
	var link *node.LinkError
	switch {
	case ctx.Err() != nil:
		return fail(ctx.Err())
	case errors.As(werr, &link):
		return &node.LinkError{Node: l.Node, Err: fail(link.Err)}
	case werr != nil || rerr != nil:
		return fail(errors.Join(rerr, werr))
	case code == exitAtWork:
		return hint.Wrap(fail(ErrAtWork), "wait for its work to finish, then try again")
	case l.Sudo && code == 1:
		return hint.Wrap(fail(fmt.Errorf("sudo ended with code 1: %s: %w", s.said(), node.ErrAuth)),
			"allow this user to run programs as root with sudo, without a password or with the credential's password")
	case code == shellNotFound:
		return hint.Wrap(fail(errors.New("missing program: "+s.said())),
			"install flock (util-linux), or remove the files that docs/security.md lists")
	case code != 0:
		return fail(fmt.Errorf("exit code %d: %s", code, s.said()))
	}
	return nil
}
