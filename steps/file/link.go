package file

import (
	"context"
	"fmt"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/linux"
)

func linkArgv(path string) []string { return []string{"readlink", "-n", "--", path} }

// linkOf tells where a symbolic link points, "" where the path is none or is not there. A link to
// nowhere is a link: what follows links would say that nothing is there.
func linkOf(ctx context.Context, r node.Reader, path string) (target string, err error) {
	if r.Facts().OS != "linux" {
		return "", nil
	}
	a, err := linux.Ask(ctx, r, linkArgv(path)...)
	switch {
	case err != nil:
		return "", err
	case a.Code == 0:
		return a.Stdout, nil
	case a.Code == 1:
		return "", nil
	}
	return "", fmt.Errorf("cannot tell whether %s is a link: %w", path, a.Failed("readlink"))
}

// takesLink is the diff of a step that takes a link away; what it points to stays as it is.
func takesLink(target string) steps.Diff {
	return steps.Diff{Action: steps.Delete, Before: steps.MustJSON(fileBefore{Found: true, Link: target}),
		Changes: []steps.Change{{Attr: "link", From: target, To: nil}}}
}

// writtenThrough warns of a change that reaches the file behind a link.
func writtenThrough(path, target string) string {
	text := path + " is a link: the file that is changed is " + target
	full := target
	if !strings.HasPrefix(full, "/") {
		full = path[:strings.LastIndexByte(path, '/')+1] + target
	}
	for _, dir := range []string{"/run/", "/var/run/", "/dev/shm/", "/tmp/"} {
		if strings.HasPrefix(full, dir) {
			text += ", which is gone after a restart"
		}
	}
	return text
}

// linkBack makes a link again where it was.
func linkBack(ctx context.Context, n node.Node, path, target string) error {
	if err := remove(ctx, n, path); err != nil {
		return err
	}
	if err := linux.Do(ctx, n, nil, "ln", "-s", "--", target, path); err != nil {
		return fmt.Errorf("cannot make the link %s to %s again: %w", path, target, err)
	}
	return nil
}
