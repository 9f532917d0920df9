package node

import (
	"errors"
	"fmt"
)

// Errors that callers decide on.
var (
	// ErrNotFound: the thing asked for is not there. It is an answer ("absent"), not a failure to
	// tell.
	ErrNotFound = errors.New("not found")
	// ErrAuth: the machine refused the credentials. Never retried: a second try may lock the account.
	ErrAuth = errors.New("credentials refused")
	// ErrHostKey: the machine's key or certificate is not the one we know.
	ErrHostKey = errors.New("host identity not accepted")
	// ErrUnsupported: the machine has no such command, class, parameter or verb.
	ErrUnsupported = errors.New("not supported by this machine")
)

// LinkError says that the link to a node broke. When Sent is true the request had left, so its
// outcome is unknown: that is never the same as "it failed".
type LinkError struct {
	Node string
	Sent bool
	Err  error
}

func (e *LinkError) Error() string {
	if e.Sent {
		return fmt.Sprintf("lost the connection to %s, outcome unknown: %v", e.Node, e.Err)
	}
	return fmt.Sprintf("cannot reach %s: %v", e.Node, e.Err)
}

func (e *LinkError) Unwrap() error { return e.Err }

// CodeError is a refusal by the machine, with the parts of it that no language pack translates.
type CodeError struct {
	Op       string // what was asked, for people: "cmdlet New-Cluster"
	Code     int64  // Win32 error, HRESULT as unsigned 32 bits, WMI return value, or process exit code
	ID       string // FullyQualifiedErrorId, when PowerShell gave one
	Category string // CategoryInfo.Category
	Text     string // the machine's own words, in its own language: for people only
}

func (e *CodeError) Error() string {
	s := fmt.Sprintf("%s failed with code %d", e.Op, e.Code)
	if e.Code < 0 || e.Code > 0xFFFF {
		s = fmt.Sprintf("%s failed with code 0x%08X", e.Op, uint32(e.Code))
	}
	if e.ID != "" {
		s += " (" + e.ID + ")"
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Ids of a CodeError that are the same on every machine.
const (
	NotFoundID    = "deploy.NotFound"    // the thing asked for is not there
	UnsupportedID = "deploy.Unsupported" // the machine has no such command, class, parameter or verb
)

// Code returns the code of the CodeError in err's chain, and whether there is one.
func Code(err error) (int64, bool) {
	var c *CodeError
	if errors.As(err, &c) {
		return c.Code, true
	}
	return 0, false
}

// Refusal is what a machine answered, with its name where whoever asked knows it, and which of this
// package's answers it is: errors.As finds the CodeError in it, errors.Is the kind.
type Refusal struct {
	Node string
	Code *CodeError
	Kind error // nil, ErrNotFound or ErrUnsupported
}

func (r *Refusal) Error() string {
	if r.Node == "" {
		return r.Code.Error()
	}
	return r.Node + ": " + r.Code.Error()
}

// Unwrap gives the code and, where there is one, the kind.
func (r *Refusal) Unwrap() []error {
	if r.Kind == nil {
		return []error{r.Code}
	}
	return []error{r.Kind, r.Code}
}
