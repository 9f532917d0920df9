package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	"deploy/internal/agent/wire"
	"deploy/internal/node"
	"deploy/transport"
)

// ErrUndecided: the transport alone did not bring an agent to a Windows machine, nor tell that
// there can be none. What wraps it says why.
var ErrUndecided = errors.New("a connection alone brings no agent there")

// homeDir is where programs are placed over SFTP, below the home directory of the user who logs on.
// That is closed to other users, as %ProgramData% is not: what lies there can be started without a
// look at it, since nobody but this user and the administrators can have put it there.
const homeDir = "AppData/Local/deploy/bin"

// StartOnWindowsOverSSH finds or places the agent on a Windows machine behind conn, starts it and
// joins it, without PowerShell: what an earlier run placed is started straight away; else the
// machine is asked for its release and the program goes there over SFTP. conn stays the caller's
// until it has succeeded; then the Agent closes it. A machine that cannot carry an agent is
// ErrCannotPlace. ErrUndecided asks for StartOnWindows.
func StartOnWindowsOverSSH(ctx context.Context, conn transport.Conn, l Launch) (*Agent, error) {
	l.defaults()
	usual, err := l.windowsProgram("amd64")
	if err != nil {
		return nil, err
	}
	if usual != nil {
		if a, err := l.startAtHome(ctx, conn, usual); !errors.Is(err, errNoStart) {
			return a, err
		}
	}
	m, err := l.look(ctx, conn)
	if err != nil {
		return nil, err
	}
	// Go programs need Windows 10 or Windows Server 2016. Source: Go 1.21 release notes
	if !m.Release.AtLeast(node.WS2016) {
		return nil, cannotPlace("no agent for %s", windowsName(m))
	}
	prog, err := l.windowsProgram(m.Arch)
	if err != nil {
		return nil, err
	}
	if prog == nil && m.Arch == "arm64" && m.Build >= emulates {
		prog = usual
	}
	if prog == nil {
		return nil, cannotPlace("there is no agent for %s", Platform{"windows", m.Arch})
	}
	if prog != usual {
		if a, err := l.startAtHome(ctx, conn, prog); !errors.Is(err, errNoStart) {
			return a, err
		}
	}
	return l.placeAtHome(ctx, conn, m, prog)
}

// emulates is the first build of Windows for ARM64 that runs programs for AMD64. Source: "How
// emulation works on Arm", Microsoft Learn
const emulates = 22000

// windowsProgram is the program for an architecture; nil, without an error, when there is none.
func (l Launch) windowsProgram(arch string) (*Program, error) {
	prog, err := l.Programs.Find(Platform{"windows", arch})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot place the agent on %s: %w", l.Node, err)
	}
	return prog, nil
}

// errNoStart: what was started is no agent. The program is not there, or the machine does not run
// it; the exit codes of shells do not tell which.
var errNoStart = errors.New("no agent answers there")

// shellNotFound is what a shell of Unix' kind ends with for a program that is not there (POSIX,
// Shell Command Language, 2.8.2). No shell of Windows' own does.
const shellNotFound = 127

// startAtHome starts the program where placeAtHome places it. A session begins in the user's home
// directory, so the path is relative: it needs no variable of the machine and has no blank,
// whatever the user is called. cmd.exe and PowerShell read it alike, a shell of Unix' kind takes \
// for something else.
func (l Launch) startAtHome(ctx context.Context, conn transport.Conn, prog *Program) (*Agent, error) {
	l.Digest = func(Platform) string { return prog.Digest }
	path := homeDir + "/" + prog.Name()
	a, code, err := l.startLine(ctx, conn, "ssh", strings.ReplaceAll(path, "/", `\`)+" agent")
	if errors.Is(err, errNoStart) && code == shellNotFound {
		a, _, err = l.startLine(ctx, conn, "ssh", path+" agent")
	}
	return a, err
}

func (l Launch) startLine(ctx context.Context, conn transport.Conn, over, line string) (a *Agent, code int, err error) {
	proc, err := conn.Start(ctx, line)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot start the agent on %s: %w", l.Node, err)
	}
	s := newStream(proc)
	c, err := attach(ctx, s, l.Options)
	var greet *greetError
	switch {
	case errors.As(err, &greet):
		code, said, err := l.ended(ctx, s)
		if err != nil {
			return nil, 0, err
		}
		if code == wire.ExitNoDisk {
			return nil, code, l.noDisk(said)
		}
		if code == wire.ExitFailed {
			return nil, code, fmt.Errorf("cannot start the agent on %s: %s", l.Node, said)
		}
		return nil, code, fmt.Errorf("cannot start the agent on %s: exit code %d: %s: %w", l.Node, code, said, errNoStart)
	case err != nil:
		return nil, 0, errors.Join(err, s.Close())
	case !c.welcome.Facts.Privileged:
		return nil, 0, errors.Join(cannotPlace("the agent needs an administrator account on %s", l.Node), c.leave(true))
	}
	return &Agent{c: c, why: "over " + over, after: conn.Close}, 0, nil
}

// whatMachine asks cmd.exe for the release and the architecture. Each shell hands the text in
// quotes on as it stands. One of Unix' kind may make paths of what begins with /; then cmd.exe
// waits for input, which has ended, and tells the release by itself.
const whatMachine = `cmd.exe /d /c "ver & echo %PROCESSOR_ARCHITECTURE%"`

// versionInText finds Windows' version in what ver prints: words around it are of the machine's
// language, the number is not.
var versionInText = regexp.MustCompile(`\b(\d+\.\d+)\.(\d+)\b`)

// look asks the machine what it is.
func (l Launch) look(ctx context.Context, conn transport.Conn) (node.Facts, error) {
	proc, err := conn.Start(ctx, whatMachine)
	if err != nil {
		return node.Facts{}, fmt.Errorf("cannot ask %s for its release: %w", l.Node, err)
	}
	s := newStream(proc)
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	late := time.AfterFunc(l.Silence, func() { _ = s.Close() })
	defer late.Stop()
	_ = proc.Stdin().Close()
	text, err := io.ReadAll(io.LimitReader(s.out, 64<<10))
	_ = s.Close()
	if ctx.Err() != nil {
		return node.Facts{}, fmt.Errorf("cannot ask %s for its release: %w", l.Node, ctx.Err())
	}
	m := versionInText.FindStringSubmatch(string(text))
	if m == nil {
		return node.Facts{}, errors.Join(fmt.Errorf("cannot tell which release %s has: %w: %s", l.Node, ErrUndecided,
			s.said()), err)
	}
	f := node.Facts{OS: "windows", Version: m[1] + "." + m[2], Arch: "amd64"}
	f.Build, _ = strconv.Atoi(m[2]) // digits; a number too large for an int is no build that anybody knows
	f.Release = node.ReleaseOf(f.Version, f.Build)
	if strings.Contains(strings.ToUpper(string(text)), "ARM64") {
		f.Arch = "arm64"
	}
	return f, nil
}

// placeAtHome puts the program into the user's home directory, fetched by the machine where the
// site lets it, and starts it. One that does not start is taken away again.
func (l Launch) placeAtHome(ctx context.Context, conn transport.Conn, m node.Facts, prog *Program) (*Agent, error) {
	var notes []string
	l.tell = func(note string) { notes = append(notes, note) }
	undecided := func(err error) error {
		if ctx.Err() != nil {
			return fmt.Errorf("cannot place the agent on %s: %w", l.Node, ctx.Err())
		}
		return fmt.Errorf("cannot place the agent on %s over SFTP: %w: %w", l.Node, ErrUndecided, err)
	}
	files, err := conn.Files(ctx)
	if err != nil {
		return nil, undecided(err)
	}
	defer func() { _ = files.Close() }()
	home, err := files.Home(ctx)
	if err != nil {
		return nil, undecided(err)
	}
	dir := strings.TrimRight(home, "/") + "/" + homeDir
	if err := files.MakeDir(ctx, dir); err != nil {
		return nil, undecided(err)
	}
	temp, path := prog.Name()+".deploy.tmp", dir+"/"+prog.Name()
	fetched, err := l.fetchAtHome(ctx, conn, m, prog, homeDir+"/"+temp)
	if err != nil {
		return nil, err
	}
	if !fetched {
		program, err := prog.Open()
		if err != nil {
			return nil, fmt.Errorf("cannot place the agent on %s: %w", l.Node, err)
		}
		defer func() { _ = program.Close() }()
		err = files.Put(ctx, path, program, 0)
		if l.Fetch.From != "" {
			err = errors.Join(err, files.Remove(ctx, dir+"/"+temp))
		}
		if err != nil {
			return nil, undecided(err)
		}
	}
	a, err := l.startAtHome(ctx, conn, prog)
	if errors.Is(err, errNoStart) {
		return nil, undecided(errors.Join(err, files.Remove(ctx, path)))
	}
	if a != nil {
		a.notes = notes
	}
	return a, err
}
