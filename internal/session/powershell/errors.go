package powershell

import (
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/session/powershell/protocol"
)

func refusalOf(name, op string, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: %s failed, and said why as a %T", name, op, v)
	}
	row := node.Row(m)
	code := &node.CodeError{Op: op, Code: row.Int("code"), ID: row.String("id"), Category: row.String("category"),
		Text: row.String("text")}
	if code.ID == protocol.IDSuperseded {
		return &node.SupersededError{Node: name, Record: code.Text}
	}
	var err error = &node.Refusal{Node: name, Code: code, Kind: kindOf(op, code)}
	if isDiskFull(code.Code) {
		err = hint.Wrap(err, "make room on that drive of "+name+", then run again")
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

func kindOf(op string, c *node.CodeError) error {
	switch {
	case c.ID == protocol.IDNotFound:
		return node.ErrNotFound
	case c.ID == protocol.IDUnsupported, strings.HasPrefix(c.ID, "NamedParameterNotFound"),
		strings.HasPrefix(c.ID, "CommandNotFoundException"):
		return node.ErrUnsupported
	case strings.HasPrefix(op, "wmi."):
		switch c.Code {
		case wbemNotFound:
			return node.ErrNotFound
		case wbemInvalidNamespace, wbemInvalidClass, wbemInvalidQuery:
			return node.ErrUnsupported
		}
	case strings.HasPrefix(op, "cmdlet ") && c.Category == "ObjectNotFound":
		return node.ErrNotFound
	}
	return nil
}
