package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/transport"
)

// Helper is a session on a Windows machine that helps an agent onto it: it looks, and places the
// file.
type Helper interface {
	node.Session
	// Leave ends the session and leaves its connection open.
	Leave() error
}

// StartOnWindows finds or places the agent on a Windows machine, starts it over conn and joins it.
// s is a session over the same connection; both stay the caller's until StartOnWindows has
// succeeded: then s has ended and the Agent closes conn. A machine that cannot carry an agent is
// ErrCannotPlace, and s is as good as before.
func StartOnWindows(ctx context.Context, conn transport.Conn, s Helper, over string, l Launch) (*Agent, error) {
	l.defaults()
	var notes []string
	l.tell = func(note string) { notes = append(notes, note) }
	f := s.Facts()
	// Go programs need Windows 10 or Windows Server 2016. Source: Go 1.21 release notes
	if !f.Release.AtLeast(node.WS2016) {
		return nil, cannotPlace("no agent for %s", windowsName(f))
	}
	if !f.Privileged {
		return nil, cannotPlace("the agent needs an administrator account on %s", l.Node)
	}
	prog, err := l.Programs.Find(Platform{f.OS, f.Arch})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cannotPlace("%v", err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot place the agent on %s: %w", l.Node, err)
	}
	path, err := l.settle(ctx, s, prog)
	if err != nil {
		return nil, fmt.Errorf("cannot place the agent on %s: %w", l.Node, err)
	}
	proc, err := conn.Start(ctx, path+" agent")
	if err != nil {
		return nil, fmt.Errorf("cannot start the agent on %s: %w", l.Node, err)
	}
	l.Digest = func(Platform) string { return prog.Digest }
	st := newStream(proc)
	c, err := attach(ctx, st, l.Options)
	if err != nil {
		var greet *greetError
		if errors.As(err, &greet) {
			return nil, l.explain(ctx, st, greet)
		}
		return nil, errors.Join(err, st.Close())
	}
	if err := s.Leave(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot end the session that placed the agent on %s: %w", l.Node, err),
			c.leave(false))
	}
	return &Agent{c: c, why: "over " + over, notes: notes, after: conn.Close}, nil
}

// placeError says why a machine cannot carry an agent, in words for the plan.
type placeError struct{ why string }

func (e *placeError) Error() string { return e.why }

func (e *placeError) Is(target error) bool { return target == ErrCannotPlace }

func cannotPlace(format string, args ...any) error { return &placeError{fmt.Sprintf(format, args...)} }

// windowsName is a release as people say it.
func windowsName(f node.Facts) string {
	if f.Release == "" {
		return "Windows " + f.Version
	}
	name, r2 := strings.CutSuffix(string(f.Release), "r2")
	if r2 {
		name += " R2"
	}
	return "Windows Server " + name
}

// What only administrators and the system may do anything to; what is made inside inherits it. In
// the form in which Windows gives it back.
const (
	privateDir  = "D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
	privateFile = "D:PAI(A;;FA;;;SY)(A;;FA;;;BA)"
)

// administrators owns what it must not lie with anybody else to open again: an owner may always
// change a list. S-1-5-32-544 is the same on every machine and in every language.
const administrators = "*S-1-5-32-544"

// machineDir is where StartOnWindows places programs, below Windows' own directory: nobody but an
// administrator can make anything there, so what lies there may be started without a look at it.
// Its name has no blank and cmd.exe finds it by a variable.
const machineDir = `deploy`

// StartPlacedOnWindows starts the agent that an earlier StartOnWindows placed, and joins it,
// without the session that placing needs: PowerShell takes a second or more to start. It is for a
// transport whose command lines are cmd.exe's, which WinRM's are. conn stays the caller's until it
// has succeeded; then the Agent closes it. ErrUndecided asks for StartOnWindows.
func StartPlacedOnWindows(ctx context.Context, conn transport.Conn, over string, l Launch) (*Agent, error) {
	l.defaults()
	prog, err := l.windowsProgram("amd64")
	if err != nil {
		return nil, err
	}
	if prog == nil {
		return nil, ErrUndecided
	}
	l.Digest = func(Platform) string { return prog.Digest }
	a, _, err := l.startLine(ctx, conn, over, `%SystemRoot%\`+machineDir+`\`+prog.Name()+" agent")
	if errors.Is(err, errNoStart) {
		err = fmt.Errorf("%w: %w", ErrUndecided, err)
	}
	return a, err
}

// settle makes the machine have the program under a name of its own, in a directory that only
// administrators may write to, and returns its path.
func (l Launch) settle(ctx context.Context, s Helper, prog *Program) (string, error) {
	base, err := systemRoot(ctx, s)
	if err != nil {
		return "", err
	}
	dir := base + `\` + machineDir
	path := dir + `\` + prog.Name()
	if !plainPath(path) {
		return "", cannotPlace("the agent's path on %s would be %s, which is not safe in every shell", l.Node, path)
	}
	if _, err := s.Do(ctx, node.MakeDir{Path: dir}); err != nil {
		return "", noRoom(err)
	}
	// what is made there is its maker's, and with it a program's that runs as the same user without
	// the administrators' rights
	if err := own(ctx, s, dir, privateDir); err != nil {
		return "", err
	}
	have, err := digest(ctx, s, path)
	if err != nil {
		return "", err
	}
	if have == prog.Digest {
		return path, own(ctx, s, path, privateFile)
	}
	if ok, err := l.fetchByCurl(ctx, s, prog, path); err != nil {
		return "", err
	} else if ok {
		return path, own(ctx, s, path, privateFile)
	}
	file, err := prog.Open()
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	if err := s.Write(ctx, path, file, node.WriteOptions{}); err != nil {
		return "", noRoom(err)
	}
	if err := own(ctx, s, path, privateFile); err != nil {
		return "", err
	}
	if have, err = digest(ctx, s, path); err != nil {
		return "", err
	}
	if have != prog.Digest {
		return "", errors.New("checksum mismatch after the transfer")
	}
	return path, nil
}

// noRoom makes of a disk that takes nothing a machine that can carry no agent. The codes are those
// of Win32, bare or in an HRESULT: 112 and 39 of a full disk, 19 of one that is write-protected,
// 1295 of a quota. Source: System Error Codes, Microsoft Learn
func noRoom(err error) error {
	var code *node.CodeError
	if !errors.As(err, &code) {
		return err
	}
	const win32 = 0x80070000
	todo := map[int64]string{112: "free space on that disk", 39: "free space on that disk", 1295: "free space on " +
		"that disk",
		19: "that disk is write-protected: make it writable"}[code.Code&^win32]
	if todo == "" {
		return err
	}
	return hint.Wrap(fmt.Errorf("%w: %w", err, ErrCannotPlace), todo)
}

// systemRoot is Windows' own directory, as the variable SystemRoot has it.
func systemRoot(ctx context.Context, s node.Session) (string, error) {
	const key = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	rows, err := s.Query(ctx, node.Registry{Key: key})
	if err != nil {
		return "", err
	}
	for _, r := range rows {
		if strings.EqualFold(r.String("name"), "SystemRoot") && r.String("data") != "" {
			return strings.TrimRight(r.String("data"), `\`), nil
		}
	}
	return "", errors.New("the registry does not name the Windows directory")
}

// plainPath says that cmd.exe, PowerShell and CreateProcess read a path alike without quotes.
func plainPath(path string) bool {
	return strings.IndexFunc(path, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(`:\.-_`, r))
	}) < 0
}

// own gives a path to the administrators, with that list.
func own(ctx context.Context, s node.Session, path, sddl string) error {
	res, err := s.Run(ctx, node.Cmd{Argv: []string{"icacls.exe", path, "/setowner", administrators}})
	if err != nil {
		return err
	}
	if res.Code != 0 {
		return fmt.Errorf("cannot take ownership of %s: icacls ended with code %d", path, res.Code)
	}
	rows, err := s.Query(ctx, node.ACL{Path: path})
	if err == nil && len(rows) == 1 && rows[0].String("sddl") == sddl {
		return nil
	}
	_, err = s.Do(ctx, node.ACLSet{Path: path, SDDL: sddl})
	return err
}

// digest is the SHA-256 of a file, "" when there is none.
func digest(ctx context.Context, s node.Session, path string) (string, error) {
	rows, err := s.Query(ctx, node.FileHash{Path: path})
	switch {
	case errors.Is(err, node.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	case len(rows) != 1:
		return "", fmt.Errorf("got %d hashes of one file", len(rows))
	}
	return rows[0].String("sha256"), nil
}
