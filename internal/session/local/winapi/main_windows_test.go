package winapi

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"deploy/internal/node"

	"go.uber.org/goleak"
	"golang.org/x/sys/windows/svc"
)

// serviceFlag makes the test binary a service. svc.IsWindowsService is not to be relied on: Wine
// says no inside of one.
const serviceFlag = "be-a-service"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == serviceFlag {
		if err := svc.Run(os.Args[2], idle{}); err != nil {
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// idle is a service that does nothing until it is stopped.
type idle struct{}

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

// unique makes a name that no other run of the tests has.
func unique(prefix string) string {
	return fmt.Sprintf("%s-%d-%d", prefix, os.Getpid(), time.Now().UnixNano())
}

// is fails unless an error is of a kind and has a code; code 0 is any.
func is(t *testing.T, err, kind error, code int64) {
	t.Helper()
	var c *node.CodeError
	if !errors.As(err, &c) || (kind != nil && !errors.Is(err, kind)) || (code != 0 && c.Code != code) {
		t.Errorf("got %v, want kind %v and code 0x%X", err, kind, code)
	}
	if kind == nil && (errors.Is(err, node.ErrNotFound) || errors.Is(err, node.ErrUnsupported)) {
		t.Errorf("%v is of a kind", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
