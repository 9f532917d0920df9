package powershell

import (
	"fmt"

	"deploy/internal/node"
	"deploy/internal/session"
)

func refusalOf(name, op string, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: %s failed, and said why as a %T", name, op, v)
	}
	row := node.Row(m)
	return session.WindowsRefusal(name, &node.CodeError{Op: op, Code: row.Int("code"), ID: row.String("id"),
		Category: row.String("category"), Text: row.String("text")})
}
