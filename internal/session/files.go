package session

import (
	"context"
	"io"

	"deploy/internal/node"
)

// piece is how much of a file one request asks for, in bytes.
const piece = 1 << 20

// OpenPieces reads a file by the verb file.read, each piece when it is needed.
func (c *Core) OpenPieces(ctx context.Context, path string) (io.ReadCloser, error) {
	f := &pieces{c: c, ctx: ctx, path: path}
	if err := f.fetch(); err != nil {
		return nil, err
	}
	return f, nil
}

// pieces is a file on its way.
type pieces struct {
	c    *Core
	ctx  context.Context
	path string
	at   int64
	data []byte
	all  bool
}

func (f *pieces) fetch() error {
	row, err := f.c.ask(f.ctx, node.Request{Verb: "file.read",
		Args: map[string]any{"path": f.path, "offset": f.at, "count": int64(piece)}})
	if err != nil {
		return err
	}
	f.data = row.Bytes("data")
	f.at += int64(len(f.data))
	f.all = f.at >= row.Int("size") || len(f.data) == 0
	return nil
}

func (f *pieces) Read(p []byte) (int, error) {
	if len(f.data) == 0 {
		if f.all {
			return 0, io.EOF
		}
		if err := f.fetch(); err != nil {
			return 0, err
		}
		if len(f.data) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, f.data)
	f.data = f.data[n:]
	return n, nil
}

func (f *pieces) Close() error {
	f.data, f.all = nil, true
	return nil
}
