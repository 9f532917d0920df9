package clus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"deploy/internal/node"
	"deploy/steps"
)

// Limits of waiting where the caller's deadline is not nearer.
const (
	stateLimit = 10 * time.Minute // resources with a long PendingTimeout (a mailbox store takes minutes)
	pauseFirst = 200 * time.Millisecond
	pauseMost  = 5 * time.Second
)

// Until asks again and again until ok says yes, with growing pauses, for at most limit. What names
// it for the error. An error of ok ends the waiting, except one that says that the cluster does not
// answer just now.
func Until(ctx context.Context, limit time.Duration, what string, ok func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pause := pauseFirst
	var last error
	for {
		done, err := ok(ctx)
		if done {
			return nil
		}
		if err != nil && !passing(err) {
			return fmt.Errorf("cannot wait for %s: %w", what, err)
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			if last != nil {
				return fmt.Errorf("waited in vain for %s: %w (last answer: %w)", what, ctx.Err(), last)
			}
			return fmt.Errorf("waited in vain for %s: %w", what, ctx.Err())
		case <-t.C:
		}
		pause = min(pause*3/2, pauseMost)
	}
}

// passing says that an error may go away by itself: the RPC server is not there (1722, 1753), the
// security package is not ready (1825), the cluster is joining (5061 and its neighbours), or the
// service is only just starting.
func passing(err error) bool {
	var until *steps.UntilError
	return errors.As(err, &until) || errors.Is(err, node.ErrUnsupported) ||
		IsCode(err, 1722, 1753, 1825, 5050, 5054, 5061, 5074)
}

// WaitCluster waits until the node is a member, its cluster answers and the cluster's own group is
// online.
func WaitCluster(ctx context.Context, n node.Node) error {
	return Until(ctx, stateLimit, "the cluster to answer on "+n.Facts().Computer, func(ctx context.Context) (bool, error) {
		v, err := Open(ctx, n)
		if err != nil {
			return false, lost(err) // the service may be starting: besides a lost link only the deadline ends this
		}
		online, err := CoreOnline(ctx, v)
		return online, lost(err)
	})
}

// lost returns err when the link broke, and nil otherwise: over that session no answer will come
// any more.
func lost(err error) error {
	var link *node.LinkError
	if errors.As(err, &link) {
		return err
	}
	return nil
}

// WaitGone waits until the node is in no cluster any more.
func WaitGone(ctx context.Context, n node.Node, limit time.Duration) error {
	return Until(ctx, limit, "the cluster to be gone from "+n.Facts().Computer, func(ctx context.Context) (bool, error) {
		formed, err := Formed(ctx, n)
		return err == nil && !formed, lost(err)
	})
}

// CoreOnline says whether the cluster's own group is online.
func CoreOnline(ctx context.Context, v Reader) (bool, error) {
	groups, err := v.Groups(ctx)
	if err != nil {
		return false, err
	}
	resources, err := v.Resources(ctx)
	if err != nil {
		return false, err
	}
	core, found := CoreGroup(groups, resources)
	return found && core.State == GroupOnline, nil
}

// WaitResource waits until a resource is in a state.
func WaitResource(ctx context.Context, v Reader, name string, state int64) error {
	return Until(ctx, stateLimit, fmt.Sprintf("resource %q to come to state %d", name, state),
		func(ctx context.Context) (bool, error) {
			all, err := v.Resources(ctx)
			if err != nil {
				return false, err
			}
			r, found := FindResource(all, name)
			if !found {
				return false, fmt.Errorf("%w: the resource is gone", node.ErrNotFound)
			}
			if r.State == ResourceFailed && state != ResourceFailed {
				return false, fmt.Errorf("resource %q has failed (state %d)", name, r.State)
			}
			return r.State == state, nil
		})
}

// WaitGroup waits until a group is on a node (any when "") and is online; offline counts as well
// when it holds nothing.
func WaitGroup(ctx context.Context, v Reader, name, owner string) error {
	return Until(ctx, stateLimit, fmt.Sprintf("group %q to be online", name), func(ctx context.Context) (bool, error) {
		groups, err := v.Groups(ctx)
		if err != nil {
			return false, err
		}
		g, found := FindGroup(groups, name)
		if !found {
			return false, fmt.Errorf("%w: the group is gone", node.ErrNotFound)
		}
		if owner != "" && !SameNode(g.Owner, owner) {
			return false, nil
		}
		if g.State == GroupOnline {
			return true, nil
		}
		resources, err := v.Resources(ctx)
		if err != nil {
			return false, err
		}
		for _, r := range resources {
			if strings.EqualFold(r.Group, name) {
				return false, nil
			}
		}
		return true, nil // an empty group is offline, and that is all it can be
	})
}

// MoveTo moves a group to a node and waits until everything in it that was online before is online
// there. What was offline before may stay so.
func MoveTo(ctx context.Context, n node.Node, v Reader, group, to string) error {
	all, err := v.Resources(ctx)
	if err != nil {
		return err
	}
	var online []string
	for _, r := range all {
		if strings.EqualFold(r.Group, group) && (r.State == ResourceOnline || r.State == ResourceOnlinePending) {
			online = append(online, r.Name)
		}
	}
	// 997: the move has begun and is waited for
	if err := HandOf(n.Facts()).Do(ctx, n, Change{Op: MoveGroup, Name: group, To: to}); err != nil && !IsCode(err, 997) {
		return err
	}
	return Until(ctx, stateLimit, fmt.Sprintf("group %q to run on %s", group, to),
		func(ctx context.Context) (bool, error) {
			groups, err := v.Groups(ctx)
			if err != nil {
				return false, err
			}
			g, found := FindGroup(groups, group)
			if !found {
				return false, fmt.Errorf("%w: the group is gone", node.ErrNotFound)
			}
			if !SameNode(g.Owner, to) {
				return false, nil
			}
			all, err := v.Resources(ctx)
			if err != nil {
				return false, err
			}
			for _, name := range online {
				r, found := FindResource(all, name)
				if found && r.State == ResourceFailed {
					return false, fmt.Errorf("resource %q has failed on %s", name, to)
				}
				if !found || r.State != ResourceOnline {
					return false, nil
				}
			}
			return true, nil
		})
}

// Regroup moves a resource to another group. Both must be owned by one node: a group that holds
// nothing but disks is brought to the owner of the other, any other arrangement is an error.
func Regroup(ctx context.Context, n node.Node, v Reader, resource, to string) error {
	groups, err := v.Groups(ctx)
	if err != nil {
		return err
	}
	all, err := v.Resources(ctx)
	if err != nil {
		return err
	}
	r, found := FindResource(all, resource)
	if !found {
		return NotThere(n, "resource", resource)
	}
	if strings.EqualFold(r.Group, to) {
		return nil
	}
	from, ok1 := FindGroup(groups, r.Group)
	target, ok2 := FindGroup(groups, to)
	if !ok1 || !ok2 {
		return NotThere(n, "group", to)
	}
	h := HandOf(n.Facts())
	if !SameNode(from.Owner, target.Owner) {
		mover, place := from.Name, target.Owner
		if !StorageOnly(all, from.Name) {
			mover, place = target.Name, from.Owner
		}
		if !StorageOnly(all, mover) {
			return fmt.Errorf("cannot move resource %q to group %q: the groups are on %s and %s and both hold a service",
				resource, to, from.Owner, target.Owner)
		}
		if err := MoveTo(ctx, n, v, mover, place); err != nil {
			return err
		}
	}
	return h.Do(ctx, n, Change{Op: MoveResource, Name: r.Name, To: target.Name})
}
