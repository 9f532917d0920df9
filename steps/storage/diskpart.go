package storage

import (
	"context"
	"fmt"
	"strings"

	"deploy/internal/node"
)

// script is where diskpart reads its commands from: it takes them from a file only. The name is
// fixed, so that one that was left behind is overwritten.
const script = `C:\Windows\Temp\deploy-diskpart.txt`

// usable are the commands that put a disk in focus and make it usable. noerr, since each fails when
// there is nothing to do; Windows Server 2003 knows neither state.
func usable(f node.Facts, number int64) []string {
	lines := []string{fmt.Sprintf("select disk %d", number)}
	if f.Release.AtLeast(node.WS2008) {
		lines = append(lines, "online disk noerr", "attributes disk clear readonly noerr")
	}
	return lines
}

// diskpart runs commands and judges by the exit code alone: its text is translated. It stops at the
// first command that fails, unless that carries noerr.
func diskpart(ctx context.Context, n node.Node, lines []string) (err error) {
	if err := n.Write(ctx, script, strings.NewReader(strings.Join(lines, "\r\n")+"\r\n"),
		node.WriteOptions{}); err != nil {
		return fmt.Errorf("cannot write %s: %w", script, err)
	}
	defer func() {
		if _, e := n.Do(ctx, node.Remove{Path: script}); e != nil && err == nil {
			err = fmt.Errorf("cannot remove %s: %w", script, e)
		}
	}()
	res, err := n.Run(ctx, node.Cmd{Argv: []string{"diskpart.exe", "/s", script}})
	if err != nil {
		return fmt.Errorf("cannot run diskpart: %w", err)
	}
	if res.Code != 0 {
		return fmt.Errorf("cannot change the disk (%s): %w", strings.Join(lines, "; "),
			&node.CodeError{Op: "diskpart", Code: int64(res.Code), Text: strings.TrimSpace(string(res.Stdout))})
	}
	return nil
}
