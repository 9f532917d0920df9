//go:build windows

// Command side is the test tier's own program on the Windows side of Wine.
//
//	side shell         runs SSH_ORIGINAL_COMMAND as Windows' OpenSSH does: cmd.exe /c "COMMAND", the text untouched, and returns its exit code
//	side sftp          serves files over SFTP on its streams, with Windows' paths (/C:/Users)
//	side service NAME  is the service NAME, which does nothing until it is stopped
//
// Under any other name it says that the program of that name is not available, and fails with code
// 97.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pkg/sftp"
	"golang.org/x/sys/windows/svc"
)

// loudCode is winelab.LoudCode, which a package for Linux has.
const loudCode = 97

func main() {
	name := strings.ToLower(strings.TrimSuffix(filepath.Base(os.Args[0]), filepath.Ext(os.Args[0])))
	if name != "side" {
		fmt.Fprintf(os.Stderr, "%s is not available on Wine: see docs/dev/testing.md for other tests\r\n", name)
		os.Exit(loudCode)
	}
	switch {
	case len(os.Args) == 2 && os.Args[1] == "shell":
		os.Exit(shell())
	case len(os.Args) == 2 && os.Args[1] == "sftp":
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case len(os.Args) == 3 && os.Args[1] == "service":
		if err := svc.Run(os.Args[2], idle{}); err != nil {
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: side shell | sftp | service NAME")
		os.Exit(2)
	}
}

func shell() int {
	interpreter := os.Getenv("ComSpec")
	cmd := exec.Command(interpreter)
	line := `"` + interpreter + `"`
	if text := os.Getenv("SSH_ORIGINAL_COMMAND"); text != "" {
		line += ` /c "` + text + `"`
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: line}
	cmd.Dir = os.Getenv("USERPROFILE")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, err)
		return 255
	}
	return cmd.ProcessState.ExitCode()
}

type streams struct {
	io.Reader
	io.WriteCloser
}

func serve() error {
	s, err := sftp.NewServer(streams{os.Stdin, os.Stdout}, sftp.WithServerWorkingDirectory(os.Getenv("USERPROFILE")))
	if err != nil {
		return err
	}
	if err := s.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// idle is a service that does nothing until it is stopped.
type idle struct{}

// Execute answers the service manager.
func (idle) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop}
	for r := range requests {
		switch r.Cmd {
		case svc.Interrogate:
			status <- r.CurrentStatus
		case svc.Stop, svc.Shutdown:
			status <- svc.Status{State: svc.StopPending}
			return false, 0
		}
	}
	return false, 0
}
