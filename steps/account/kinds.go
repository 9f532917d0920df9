// Package account holds the kinds about local users and groups of Linux. No password is ever read,
// set or kept.
package account

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/linux"
)

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		groupKind(),
		userKind(),
	}
}

// isName says whether a name can stand in passwd(5) and group(5) and be handed to their tools. What
// a distribution takes beyond that is its own choice: first.last, capitals, and the groups of a
// directory with blanks in their names are in use. A number would be taken for an id.
func isName(s string) bool {
	if s == "" || len(s) > 256 || s[0] == '-' || s == "." || s == ".." || strings.TrimSpace(s) != s ||
		strings.ContainsAny(s, ":,/\\") {
		return false
	}
	_, err := strconv.ParseUint(s, 10, 64)
	return err != nil && !strings.ContainsFunc(s, unicode.IsControl)
}

func checkName(key, name string) error {
	if !isName(name) {
		return steps.FieldErr(key, "%q is not a name that Linux takes: no colon, comma, slash or control character, no dash "+
			"first, and no number", name)
	}
	return nil
}

// passwdFields is how many fields a line of passwd(5) has.
const passwdFields = 7

// entry reads one line of a table by name or number; found is false when there is none.
func entry(ctx context.Context, r node.Reader, table, key string, fields int) (parts []string, found bool, err error) {
	a, err := linux.Ask(ctx, r, "getent", table, key)
	if err != nil {
		return nil, false, err
	}
	if a.Code == linux.GetentNone {
		return nil, false, nil
	}
	line, _, _ := strings.Cut(a.Stdout, "\n")
	parts = strings.Split(line, ":")
	if a.Code != 0 || len(parts) != fields {
		return nil, false, fmt.Errorf("cannot look up %s in %s: %w", key, table, a.Failed("getent"))
	}
	return parts, true, nil
}

func query(table, key string) node.Query { return node.Tool{Argv: []string{"getent", table, key}} }

func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("cannot read the number %q", text)
	}
	return n, nil
}

func decode(before json.RawMessage, into any) error {
	if err := json.Unmarshal(before, into); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	return nil
}

// list parts a list of names by commas; "" has none.
func list(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' })
}
