package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/node"
)

// Contents lists the names in a directory, sorted; found is false when there is none.
func Contents(ctx context.Context, r node.Reader, path string) (names []string, found bool, err error) {
	rows, err := r.Query(ctx, node.Dir{Path: path})
	if errors.Is(err, node.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("cannot look into %s: %w", path, err)
	}
	for _, row := range rows {
		names = append(names, row.String("name"))
	}
	slices.Sort(names)
	return names, true, nil
}

// mostNamed is how many entries a reason names.
const mostNamed = 3

// Holds words what is in a directory, for the reason why it is left: "holds 1 entry (data)".
func Holds(names []string) string {
	what := "entries"
	if len(names) == 1 {
		what = "entry"
	}
	return fmt.Sprintf("holds %d %s (%s)", len(names), what, Some(names))
}

// Some names the first of a list, and says that there are more.
func Some(names []string) string {
	out := strings.Join(names[:min(len(names), mostNamed)], ", ")
	if len(names) > mostNamed {
		out += ", ..."
	}
	return out
}

// DropEmpty removes the directories from path up to top while they are empty, with above to get
// from a path to its parent. It answers why the first one that holds anything stays, "" when none
// does. A directory that is gone is passed over.
func DropEmpty(ctx context.Context, n node.Node, path, top string, above func(string) string) (stays string,
	err error) {
	for ; path != "" && len(path) >= len(top); path = above(path) {
		names, found, err := Contents(ctx, n, path)
		if err != nil {
			return "", err
		}
		if !found {
			continue
		}
		if len(names) > 0 {
			return path + " " + Holds(names), nil
		}
		if _, err := n.Do(ctx, node.Remove{Path: path}); err != nil {
			return "", fmt.Errorf("cannot remove %s: %w", path, err)
		}
	}
	return "", nil
}

// Fingerprint tells about a file's content without showing it, from the answer to a node.FileHash:
// its size and the first 12 digits of its SHA-256.
func Fingerprint(hash node.Row) string {
	sum := strings.ToLower(hash.String("sha256"))
	return fmt.Sprintf("%d bytes, sha256 %s", hash.Int("size"), sum[:min(len(sum), 12)])
}
