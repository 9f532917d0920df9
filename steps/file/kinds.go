// Package file holds the kinds about files, templates, directories and settings in XML files.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
)

// Kinds lists the kinds of this family.
func Kinds() []steps.Kind {
	return []steps.Kind{
		fileKind(),
		directoryKind(),
		templateKind(),
		xmlKind(),
	}
}

const proof = "unit-tested on a scripted machine; played in the lab for every Windows release"

// mostKept is the largest previous content, in bytes, that is kept for undo: it stands in the
// journal.
const mostKept = 1 << 20

// parent returns the directory that holds path, or "" above the root.
func parent(path string) string {
	path = strings.TrimRight(path, `\/`)
	i := strings.LastIndexAny(path, `\/`)
	if i <= 0 {
		return ""
	}
	if i == 2 && path[1] == ':' {
		return path[:3]
	}
	return path[:i]
}

func isRoot(path string) bool {
	return path == "" || path == "/" || (len(path) == 3 && path[1] == ':')
}

// content reads a whole file of at most mostKept bytes. A larger one is an error.
func content(ctx context.Context, r node.Reader, path string) ([]byte, error) {
	f, err := r.Open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, mostKept+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if len(b) > mostKept {
		return nil, fmt.Errorf("cannot read %s: it is larger than %d bytes", path, mostKept)
	}
	return b, nil
}

func write(ctx context.Context, n node.Node, path string, b []byte) error {
	return writeAs(ctx, n, path, b, node.WriteOptions{})
}

func writeAs(ctx context.Context, n node.Node, path string, b []byte, o node.WriteOptions) error {
	if err := n.Write(ctx, path, bytes.NewReader(b), o); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

func remove(ctx context.Context, n node.Node, path string) error {
	if _, err := n.Do(ctx, node.Remove{Path: path}); err != nil {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	return nil
}
