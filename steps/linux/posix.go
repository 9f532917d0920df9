// Package posix holds what kinds of steps for Linux share: asking and running programs by exit
// code, reading and rewriting the small text files below /etc, and taking back one change of such a
// file when others have changed it since.
package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"deploy/internal/hint"
	"deploy/internal/node"
)

// Linux is the list of releases that calls of Linux kinds are declared for.
func Linux() []node.Release { return []node.Release{node.Linux} }

// Proof is what the Linux side of a kind was held against.
const Proof = "on Linux unit-tested on a scripted machine and played on real Debian 12 nodes"

// Calls declares programs with the manual pages that describe them: Calls("useradd(8)", "useradd").
func Calls(source string, programs ...string) []node.Call {
	out := make([]node.Call, 0, len(programs))
	for _, p := range programs {
		out = append(out, node.Call{Tool: p, On: Linux(), Source: source})
	}
	return out
}

// Only refuses a machine that is not a Linux one.
func Only(r node.Reader, kind string) error {
	if os := r.Facts().OS; os != "linux" {
		return hint.Wrap(fmt.Errorf("cannot use %s on a %s node: the kind is for Linux", kind, os),
			"narrow the step's on: to the Linux nodes")
	}
	return nil
}

// Answer is what a program that only looks has left.
type Answer struct {
	Code   int
	Stdout string
	Stderr string
}

// Failed is the error of an answer whose code says that it could not look. op names the program for
// people.
func (a Answer) Failed(op string) error {
	return &node.CodeError{Op: op, Code: int64(a.Code), Text: Last(a.Stdout + a.Stderr)}
}

// Ask runs a program that only looks. A code other than 0 is an answer, not an error.
func Ask(ctx context.Context, r node.Reader, argv ...string) (Answer, error) {
	rows, err := r.Query(ctx, node.Tool{Argv: argv})
	if err != nil {
		return Answer{}, fmt.Errorf("cannot run %s: %w", argv[0], err)
	}
	if len(rows) != 1 || !rows[0].Has("code") {
		return Answer{}, fmt.Errorf("cannot run %s: no exit code came back", argv[0])
	}
	return Answer{int(rows[0].Int("code")), string(rows[0].Bytes("stdout")), string(rows[0].Bytes("stderr"))}, nil
}

// Do runs a program that changes something. Any exit code but 0 and those of good is a
// node.CodeError.
func Do(ctx context.Context, n node.Node, good []int, argv ...string) error {
	res, err := n.Run(ctx, node.Cmd{Argv: argv, Timeout: limit})
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", argv[0], err)
	}
	if res.Code != 0 && !slices.Contains(good, res.Code) {
		return &node.CodeError{Op: argv[0], Code: int64(res.Code), Text: Last(string(res.Stdout) + string(res.Stderr))}
	}
	return nil
}

// limit is how long one program may run; systemctl waits for a service as long as its unit says, 90
// seconds by default.
const limit = 10 * time.Minute

// Last keeps the end of a program's output, for people.
func Last(text string) string {
	const most = 500
	r := []rune(strings.TrimSpace(text))
	if len(r) > most {
		r = r[len(r)-most:]
	}
	return string(r)
}

// GetentNone is the exit code of getent(1) for a key that the table does not have.
const GetentNone = 2

// MostText is the largest text file, in bytes, that Read takes.
const MostText = 1 << 20

// Read reads a small text file. found is false when it is not there.
func Read(ctx context.Context, r node.Reader, path string) (text string, found bool, err error) {
	f, err := r.Open(ctx, path)
	if errors.Is(err, node.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("cannot read %s: %w", path, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, MostText+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", false, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if len(b) > MostText {
		return "", false, fmt.Errorf("cannot read %s: it is larger than %d bytes", path, MostText)
	}
	return string(b), true, nil
}

// Write writes a text file. One that was there keeps its mode and owner, a new one gets 0644.
func Write(ctx context.Context, n node.Node, path, text string) error {
	if err := n.Write(ctx, path, bytes.NewReader([]byte(text)), node.WriteOptions{}); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// Remove removes a file; one that is not there is no error.
func Remove(ctx context.Context, n node.Node, path string) error {
	if _, err := n.Do(ctx, node.Remove{Path: path}); err != nil {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	return nil
}
