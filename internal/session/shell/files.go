package shell

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"deploy/internal/node"
	"deploy/internal/session/linux"
)

// small is up to which size a file is read before it is sent, so that its hash goes along and one
// channel does it all. In bytes.
const small = 4 << 20

// Bits of stat(2)'s mode.
const (
	typeMask = 0o170000
	typeDir  = 0o040000
)

func rowOfStat(out outcome) ([]node.Row, error) {
	lines := strings.Split(string(out.stdout), "\n")
	f := strings.Fields(lines[0])
	if len(lines) < 3 || len(f) != 3 {
		return nil, errors.New("cannot read what stat says: it is not three lines")
	}
	raw, err1 := strconv.ParseUint(f[0], 16, 32)
	size, err2 := strconv.ParseInt(f[1], 10, 64)
	when, err3 := strconv.ParseInt(f[2], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("cannot read what stat says: %w", err)
	}
	dir := raw&typeMask == typeDir
	if dir {
		size = 0
	}
	return []node.Row{{"size": size, "dir": dir, "modified": when, "mode": int64(raw & 0o7777), "owner": lines[1],
		"group": lines[2]}}, nil
}

// Open reads a file as it comes. It takes no limit of time: the caller's context ends it.
func (s *Session) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	op := "file.read " + path
	code, err := codeOf(functions([]string{"file_read", path}))
	if err != nil {
		return nil, s.refuse(op, "", linux.EINVAL, err.Error())
	}
	o := order{op: op, code: code}
	r, err := s.launch(ctx, o)
	if err != nil {
		return nil, err
	}
	f := &stream{s: s, o: o, r: r, ctx: ctx}
	f.unhook = context.AfterFunc(ctx, r.close)
	if err := f.open(); err != nil {
		_ = f.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return f, nil
}

// stream is a file on its way.
type stream struct {
	s      *Session
	o      order
	r      *remote
	ctx    context.Context
	unhook func() bool
	err    error
}

// open waits until the far end has the file open.
func (f *stream) open() error {
	limit := time.NewTimer(f.s.opts.Run)
	defer limit.Stop()
	select {
	case <-f.r.ready:
	case <-limit.C:
		return f.s.refuse(f.o.op, linux.IDTimeout, linux.ETIMEDOUT, fmt.Sprintf("it did not start within %s", f.s.opts.Run))
	}
	if _, begun, _, _, _ := f.r.result(); !begun {
		<-f.r.ended
		_, err := f.s.judge(f.o, f.r, nil)
		if err == nil {
			err = &node.LinkError{Node: f.s.opts.Node, Sent: true, Err: errNoAnswer}
		}
		return err
	}
	if err := f.r.greet(); err != nil {
		return &node.LinkError{Node: f.s.opts.Node, Sent: true, Err: err}
	}
	return nil
}

func (f *stream) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.r.stdout.Read(p)
	if err != nil {
		f.err = f.end()
	}
	return n, f.err
}

// end tells the end of the file from the end of the link.
func (f *stream) end() error {
	if f.ctx.Err() != nil {
		return f.ctx.Err()
	}
	late := time.AfterFunc(5*time.Second, f.r.close)
	defer late.Stop()
	<-f.r.ended
	out, err := f.s.judge(f.o, f.r, nil)
	switch {
	case err != nil:
		return err
	case out.code != 0:
		return f.s.refusalOf(linux.Failure(f.o.op, out.code, out.stderr))
	}
	return io.EOF
}

func (f *stream) Close() error {
	f.unhook()
	f.r.close()
	if f.err == nil {
		f.err = errors.New("the file is closed")
	}
	return nil
}

// Write puts a file in place whole: a temporary file beside it, verified by its hash, on the disk,
// and with its mode and owner before it takes the name. A path that is a symbolic link keeps the
// link: what it points to is written, as Stat and Open see it.
func (s *Session) Write(ctx context.Context, path string, r io.Reader, o node.WriteOptions) error {
	return s.Changing(ctx, func() error { return s.write(ctx, path, bufio.NewReader(r), o) })
}

func (s *Session) write(ctx context.Context, path string, r io.Reader, o node.WriteOptions) error {
	head, err := io.ReadAll(io.LimitReader(r, small+1))
	if err != nil {
		return fmt.Errorf("cannot write %s on %s: cannot read what is to be written: %w", path, s.opts.Node, err)
	}
	if len(head) <= small {
		sum := sha256.Sum256(head)
		return s.commit(ctx, path, o, hex.EncodeToString(sum[:]), "stdin", head)
	}
	sum, err := s.upload(ctx, path, io.MultiReader(bytes.NewReader(head), r))
	if err == nil {
		err = s.commit(ctx, path, o, sum, "temp", nil)
	}
	if err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, _ = s.call(clean, "file.remove", "file_drop", path)
	}
	return err
}

func (s *Session) commit(ctx context.Context, path string, o node.WriteOptions, sum, from string, data []byte) error {
	bits := ""
	if o.Mode != 0 {
		bits = mode(o.Mode)
	}
	_, err := s.script(ctx, order{op: "file.write " + path, fence: s.fenced(), stdin: bytes.NewReader(data)},
		functions([]string{"file_write", path, bits, o.Owner, o.Group, sum, from}))
	return err
}

// upload sends a large file to its temporary name and returns its hash. Nothing is put in place:
// when the reader fails in the middle, the far end cannot tell. The limit of time counts from the
// last byte that left.
func (s *Session) upload(ctx context.Context, path string, r io.Reader) (string, error) {
	op := "file.write " + path
	src := &source{r: r, sum: sha256.New(), pace: make(chan struct{}, 1)}
	defer func() { _, _ = src.stop() }()
	out, err := s.script(ctx, order{op: op, fence: s.fenced(), stdin: src, pace: src.pace},
		functions([]string{"file_upload", path}))
	if err != nil {
		return "", err
	}
	sum, err := src.stop()
	if err != nil {
		return "", fmt.Errorf("cannot write %s on %s: cannot read what is to be written: %w", path, s.opts.Node, err)
	}
	if got := strings.TrimSpace(string(out.stdout)); got != sum {
		return "", s.refuse(op, linux.IDHash, linux.EBADMSG, "the file transfer is incomplete")
	}
	return sum, nil
}

// source is the caller's reader for as long as the caller waits.
type source struct {
	mu   sync.Mutex
	r    io.Reader // nil once stopped
	sum  hash.Hash
	err  error
	pace chan struct{}
}

func (k *source) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.r == nil {
		return 0, io.EOF
	}
	n, err := k.r.Read(p)
	k.sum.Write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		k.err = err
	}
	select {
	case k.pace <- struct{}{}:
	default:
	}
	return n, err
}

// stop lets go of the caller's reader and returns the hash of what was read, or what was wrong with
// the reader.
func (k *source) stop() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.r = nil
	return hex.EncodeToString(k.sum.Sum(nil)), k.err
}
