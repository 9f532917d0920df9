package account

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"deploy/internal/node"
	"deploy/steps/inspect"
)

// dropHome removes a home that holds nothing but what came from /etc/skel, and answers why it
// stays.
func dropHome(ctx context.Context, n node.Node, home string) (stays []string, err error) {
	own, found, err := besidesSkeleton(ctx, n, home)
	if err != nil || !found {
		return nil, err
	}
	if len(own) > 0 {
		return []string{fmt.Sprintf("its home %s holds files of its own (%s) and is left", home, inspect.Some(own))}, nil
	}
	if _, err := n.Do(ctx, node.Remove{Path: home, Tree: true}); err != nil {
		return nil, fmt.Errorf("cannot remove %s: %w", home, err)
	}
	return nil, nil
}

// besidesSkeleton names what a home holds beside files that are equal to those of /etc/skel.
func besidesSkeleton(ctx context.Context, r node.Reader, home string) (own []string, found bool, err error) {
	rows, err := r.Query(ctx, node.Dir{Path: home})
	if errors.Is(err, node.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("cannot look into %s: %w", home, err)
	}
	for _, row := range rows {
		name := row.String("name")
		like, err := likeSkeleton(ctx, r, home, name, row.Bool("dir"))
		if err != nil {
			return nil, false, err
		}
		if !like {
			own = append(own, name)
		}
	}
	slices.Sort(own)
	return own, true, nil
}

func likeSkeleton(ctx context.Context, r node.Reader, home, name string, dir bool) (bool, error) {
	if dir {
		return false, nil
	}
	var sums [2]string
	for i, at := range []string{home, "/etc/skel"} {
		hash, err := r.Query(ctx, node.FileHash{Path: at + "/" + name})
		if errors.Is(err, node.ErrNotFound) {
			return false, nil
		}
		if err != nil || len(hash) != 1 {
			return false, fmt.Errorf("cannot check %s/%s: %w", at, name, err)
		}
		sums[i] = hash[0].String("sha256")
	}
	return sums[0] == sums[1], nil
}
