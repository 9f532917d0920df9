// Package account holds the kinds about local users and groups of Linux. No password is ever read,
// set or kept.
package account

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

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

// name is what useradd(8) and groupadd(8) take everywhere.
var nameForm = regexp.MustCompile(`^[a-z_][a-z0-9_-]*\$?$`)

func isName(s string) bool { return len(s) <= 32 && nameForm.MatchString(s) }

func checkName(key, name string) error {
	if !isName(name) {
		return steps.FieldErr(key, "%q is not a name that Linux takes: small letters, digits, - and _, a letter first, 32 "+
			"at most", name)
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
