package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/transport"
)

// place puts the program for the node's platform where starter looks for it: packed, in one piece,
// and verified there before it gets its name. The node fetches it where the site lets it; else, and
// where that fails, it is sent.
func (l Launch) place(ctx context.Context, conn transport.Conn, uname string) error {
	p, ok := platformOf(uname)
	if !ok {
		return fmt.Errorf("cannot place an agent on %s: there is none for %s: %w", l.Node, uname, ErrCannotPlace)
	}
	prog, err := l.Programs.Find(p)
	if err != nil {
		return fmt.Errorf("cannot place an agent on %s: %w: %w", l.Node, err, ErrCannotPlace)
	}
	if l.Fetch.From != "" {
		if ok, err := l.fetch(ctx, conn, prog); ok || err != nil {
			return err
		}
	}
	end, err := l.runScript(ctx, conn, prog.intoPlace(`gzip -dc > "$t"; `), prog.Packed)
	var link *node.LinkError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("cannot place the agent on %s: %w", l.Node, ctx.Err())
	case errors.As(err, &link):
		return err
	case end.code != 0:
		return hint.Wrap(fmt.Errorf("cannot place the agent on %s: exit code %d: %s: %w", l.Node, end.code, end.said,
			ErrCannotPlace),
			"free space in the user's home directory on "+l.Node+", and check that it is writable")
	case err == nil:
		l.Log.Debug("agent uploaded", "node", l.Node)
	}
	return err
}

// intoPlace is the command line that gives the program its name once get, lines of a script, has
// made "$t" of it. "$t.gz" may be used on the way; nothing but the program stays, whatever happens.
func (p Program) intoPlace(get string) string {
	return `/bin/sh -c 'set -e; umask 077; d=` + directory + `; mkdir -p "$d"; p=$d/` + p.Name() + `; t=$p.$$; ` +
		`clean() { rm -f "$t" "$t.gz"; }; trap clean EXIT; trap "exit 75" HUP INT TERM; ` + get +
		`s=$(sha256sum < "$t"); [ "${s%% *}" = ` + p.Digest +
		` ] || { echo "checksum mismatch after the transfer" >&2; exit 65; }; ` +
		`chmod 700 "$t"; sync "$t" 2>/dev/null || true; mv -f "$t" "$p"; find "$d" -name "deploy-*" ! -name ` + p.Name() +
		` -mtime +30 -delete 2>/dev/null || true'`
}

// ending is how a command line of ours ended.
type ending struct {
	code    int
	printed string // the beginning of its output
	said    string // and of its errors, in one line
}

// runScript runs a command line of ours to its end, with what in writes as its input (nil: none).
// Its exit code stands alone, without an error: one that ended before it was told that there is no
// more input has read what it wanted.
func (l Launch) runScript(ctx context.Context, conn transport.Conn, script string, in func(io.Writer) error) (ending,
	error) {
	proc, err := conn.Start(ctx, script)
	if err != nil {
		return ending{}, fmt.Errorf("cannot place the agent on %s: %w", l.Node, err)
	}
	s := newStream(proc)
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if in != nil {
		packed := bufio.NewWriterSize(proc.Stdin(), 1<<20)
		err = errors.Join(in(packed), packed.Flush())
	}
	err = errors.Join(err, proc.Stdin().Close())
	printed, rerr := io.ReadAll(io.LimitReader(s.out, 64<<10))
	_, more := io.Copy(io.Discard, s.out)
	code, werr := proc.Wait()
	_ = s.Close()
	var link *node.LinkError
	switch {
	case ctx.Err() != nil:
		return ending{}, ctx.Err()
	case errors.As(werr, &link):
		return ending{}, &node.LinkError{Node: l.Node, Err: fmt.Errorf("cannot place the agent: %w", link.Err)}
	case werr == nil:
		return ending{code, string(printed), s.said()}, nil
	}
	return ending{}, errors.Join(err, rerr, more, werr)
}
