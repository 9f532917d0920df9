package session

import (
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// WindowsRefusal is what a Windows machine called name answered, as one of package node's answers.
func WindowsRefusal(name string, c *node.CodeError) error {
	if c.ID == node.SupersededID {
		return &node.SupersededError{Node: name, Record: c.Text}
	}
	var err error = &node.Refusal{Node: name, Code: c, Kind: kindOf(c)}
	if isDiskFull(c.Code) {
		err = hint.Wrap(err, "free space on that drive of "+name+", then run again")
	}
	return err
}

// isDiskFull knows ERROR_DISK_FULL, as it is and as an HRESULT, and the HRESULT of
// ERROR_HANDLE_DISK_FULL.
func isDiskFull(code int64) bool {
	switch code {
	case 112, 0x80070070, 0x80070027:
		return true
	}
	return false
}

// WMI's own codes (WbemErrorEnum). An invalid query can only mean a property that the class lacks,
// since nothing else varies in ours.
const (
	wbemNotFound         = 0x80041002
	wbemInvalidNamespace = 0x8004100E
	wbemInvalidClass     = 0x80041010
	wbemInvalidQuery     = 0x80041017
)

func kindOf(c *node.CodeError) error {
	switch {
	case c.ID == node.NotFoundID:
		return node.ErrNotFound
	case c.ID == node.UnsupportedID, strings.HasPrefix(c.ID, "NamedParameterNotFound"),
		strings.HasPrefix(c.ID, "CommandNotFoundException"):
		return node.ErrUnsupported
	case strings.HasPrefix(c.Op, "wmi."):
		switch c.Code {
		case wbemNotFound:
			return node.ErrNotFound
		case wbemInvalidNamespace, wbemInvalidClass, wbemInvalidQuery:
			return node.ErrUnsupported
		}
	case strings.HasPrefix(c.Op, "cmdlet ") && c.Category == "ObjectNotFound":
		return node.ErrNotFound
	}
	return nil
}
