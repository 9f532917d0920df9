package exchange

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"deploy/internal/node"
)

// missingFolders tells which of a folder and the folders around it are not there, innermost first.
// On a drive that this node does not see now nobody can tell, and the answer is none.
func missingFolders(ctx context.Context, r node.Reader, path string) ([]string, error) {
	if len(path) < 3 {
		return nil, nil
	}
	root := path[:2] + `\`
	if _, err := r.Stat(ctx, root); errors.Is(err, node.ErrNotFound) || coded(err) {
		return nil, nil // no such drive here, or its disk is another node's at the moment
	} else if err != nil {
		return nil, fmt.Errorf("cannot check %s on %s: %w", root, r.Facts().Computer, err)
	}
	var out []string
	for p := strings.TrimRight(path, `\`); len(p) >= len(root); p = p[:strings.LastIndexByte(p, '\\')] {
		_, err := r.Stat(ctx, p)
		if err == nil {
			break
		}
		if !errors.Is(err, node.ErrNotFound) {
			return nil, fmt.Errorf("cannot tell whether %s is there on %s: %w", p, r.Facts().Computer, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// coded says that the machine itself answered with a refusal.
func coded(err error) bool {
	_, ok := node.Code(err)
	return ok
}

// dropEmpty removes the folders that a step made and that hold nothing any more, innermost first.
func dropEmpty(ctx context.Context, n node.Node, folders []string) error {
	for _, p := range folders {
		rows, err := n.Query(ctx, node.Dir{Path: p})
		if errors.Is(err, node.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot look into %s on %s: %w", p, n.Facts().Computer, err)
		}
		if len(rows) > 0 {
			return nil
		}
		if _, err := n.Do(ctx, node.Remove{Path: p}); err != nil {
			return fmt.Errorf("cannot remove the empty folder %s on %s: %w", p, n.Facts().Computer, err)
		}
	}
	return nil
}

// folderOf is the folder that a file is in.
func folderOf(path string) string { return path[:strings.LastIndexByte(path, '\\')] }
