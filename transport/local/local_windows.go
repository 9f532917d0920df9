package local

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// shell has cmd.exe run the line as it stands: with /s it takes off the outer quotes and touches
// nothing else; /d skips anybody's AutoRun.
func shell(line string) *exec.Cmd {
	interpreter := filepath.Join(os.Getenv("SystemRoot"), "System32", "cmd.exe")
	cmd := exec.Command(interpreter)
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `"` + interpreter + `" /d /s /c "` + line + `"`}
	return cmd
}

// exitCode makes 4294967295 and -1 one value: Windows exit codes have 32 bits.
func exitCode(p *os.ProcessState) int { return int(int32(p.ExitCode())) }

func gone(err error) bool { return errors.Is(err, os.ErrProcessDone) }

func replace(temp, path string) error { return os.Rename(temp, path) }
