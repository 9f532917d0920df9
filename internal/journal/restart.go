package journal

import (
	"fmt"
	"time"
)

// Restart says, before an act, whether it leaves a restart of its node due.
type Restart string

// RestartPerhaps: an exit code or a mark on the machine tells, once it is done.
const (
	RestartNo      Restart = "no"
	RestartYes     Restart = "yes"
	RestartPerhaps Restart = "perhaps"
)

// UndoIntent is the Data of UndoBegin. Entries of earlier versions hold Act only.
type UndoIntent struct {
	Act     int64   `json:"act"` // number of the act's Begin
	BootID  string  `json:"boot_id,omitempty"`
	Restart Restart `json:"restart,omitempty"`
}

// OpenRestart is a restart of a node of which nobody can tell whether it is due: the answer of the
// act was not heard, and the machine keeps no mark that would tell.
type OpenRestart struct {
	Task   string
	Since  time.Time
	BootID string // the boot that may have to go
}

// addRestart takes in what is said about restarts that may be due.
func (s *State) addRestart(e Entry) error {
	switch e.Kind {
	case RestartUnknown:
		var b Boot
		if err := decode(e.Data, &b); err != nil {
			return err
		}
		if e.Node == "" {
			return fmt.Errorf("it names no node")
		}
		s.Restarts[e.Node] = OpenRestart{Task: e.Task, Since: e.Time, BootID: b.ID}
	case RestartSeen:
		delete(s.Restarts, e.Node)
	}
	return nil
}
