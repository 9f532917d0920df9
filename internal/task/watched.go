package task

import (
	"context"
	"strings"

	"deploy/internal/node"
)

// Watched returns s with an eye on its jobs: whenever a job's state is asked for, line gets the
// last line of what the job printed, for people who wait. Control characters are left out.
func Watched(s node.Session, line func(text string)) node.Session { return &watched{s, line} }

type watched struct {
	node.Session
	line func(text string)
}

func (w *watched) Job(ctx context.Context, id string) (node.JobState, error) {
	st, err := w.Session.Job(ctx, id)
	if err == nil && st.Phase == node.JobRunning {
		if text := lastLine(st.Output); text != "" {
			w.line(text)
		}
	}
	return st, err
}

// lastLine returns the last line that is not empty, at most 200 bytes of it.
func lastLine(output string) string {
	const longest = 200
	lines := strings.FieldsFunc(output, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := len(lines) - 1; i >= 0; i-- {
		text := strings.TrimSpace(strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return -1
			}
			return r
		}, lines[i]))
		if text != "" {
			return strings.ToValidUTF8(text[:min(len(text), longest)], "")
		}
	}
	return ""
}
