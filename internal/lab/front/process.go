// Package front connects a remote shell to an emulated machine: it classifies a command line and
// acts as that process, with stdin, stdout, stderr and an exit code.
//
// There are three kinds. The bootstrap of package protocol becomes the process that answers framed
// requests, provided that the script it receives is the one that this program ships: the lab
// emulates no other. A PowerShell whose script is a single native command line runs that line.
// Everything else is handled as by cmd.exe.
package front

import (
	"context"
	"io"
	"strings"

	"deploy/internal/lab/machine"
)

// Process is a command line that a remote shell was asked to run, with its streams.
type Process struct {
	Line     string
	User     string // who is logged on, DOMAIN\name
	Network  bool   // a network logon: no second hop
	Dir      string // working directory; "" means the shell's own
	CodePage int    // of the text that tools print: 437, 850, 932, 65001 ...; 0 means 437
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
}

// Runner runs a process to its end and returns its exit code. When ctx ends the process is killed:
// the runner returns as soon as its reads and writes do. Servers call it on a goroutine of their
// own and close the streams when ctx ends.
type Runner func(ctx context.Context, p Process) int

// Host is the machine that a process runs on.
type Host struct {
	// PowerShell is the version installed, "" when there is none.
	PowerShell string
	// Serve carries out one verb of package resident. An error is a *machine.Fail, or ends the process
	// when Gone says so.
	Serve func(ctx context.Context, p Process, verb string, args map[string]any) ([]machine.Object, error)
	// Command runs a command line as cmd.exe /c does.
	Command func(ctx context.Context, p Process, line string, stdin []byte) machine.Result
}

// exitKilled is what TerminateProcess leaves when the killer says nothing else.
const exitKilled = 1

// Run is the process. Its exit code means nothing once ctx has ended.
func Run(ctx context.Context, p Process, h Host) int {
	if cmd, ok := parsePowerShell(p.Line); ok && h.PowerShell != "" {
		return runPowerShell(ctx, p, h, cmd)
	}
	return runCommand(ctx, p, h, p.Line)
}

// runCommand hands a line to cmd.exe.
func runCommand(ctx context.Context, p Process, h Host, line string) int {
	var stdin []byte
	if readsStdin(line) {
		var err error
		if stdin, err = io.ReadAll(io.LimitReader(p.Stdin, maxStdin)); err != nil || ctx.Err() != nil {
			return exitKilled
		}
	}
	res := h.Command(ctx, p, line, stdin)
	_, err1 := p.Stdout.Write(encodeText(p.CodePage, res.Stdout))
	_, err2 := p.Stderr.Write(encodeText(p.CodePage, res.Stderr))
	if err1 != nil || err2 != nil {
		return exitKilled
	}
	if res.Goes != nil {
		return res.Goes(ctx, p.Stdin, p.Stdout, p.Stderr)
	}
	return res.Code
}

// maxStdin bounds what a tool is given.
const maxStdin = 8 << 20

// readsStdin says that the program waits for the end of its stdin. Remote shells often never end
// it, so only these may wait.
func readsStdin(line string) bool {
	fields := strings.Fields(strings.ToLower(line))
	if len(fields) == 0 {
		return false
	}
	name := strings.TrimSuffix(fields[0][strings.LastIndexAny(fields[0], `\/"`)+1:], ".exe")
	switch name {
	case "sort", "more":
		return len(fields) == 1
	case "diskpart":
		return len(fields) == 1
	case "findstr", "find":
		return len(fields) == 2
	}
	return false
}
