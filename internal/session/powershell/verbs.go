package powershell

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/winargs"
)

// piece is how much of a file travels in one frame, in bytes.
const piece = 192 << 10

// ahead is how many pieces of a file are on their way at once: two Sends of the widest envelope
// hold about as many.
const ahead = 8

// Prefetch sends all queries in one write and returns without waiting for the answers.
func (s *Session) Prefetch(ctx context.Context, qs []node.Query) error {
	return s.Fetch(ctx, qs, func(reqs []node.Request) ([]session.Answer, error) {
		out := make([]session.Answer, len(reqs))
		var ready []node.Request
		var at []int
		for i, r := range reqs {
			if r, err := withLine(r); err == nil { // said when it is asked for
				ready, at = append(ready, r), append(at, i)
			}
		}
		calls, _, err := s.send(ready)
		for i, c := range calls {
			out[at[i]] = func(ctx context.Context) ([]node.Row, error, bool) {
				rows, err := s.await(ctx, c)
				return rows, err, true
			}
		}
		return out, err
	})
}

// Serve carries out one request.
func (s *Session) Serve(ctx context.Context, r node.Request) ([]node.Row, error) {
	r, err := withLine(r)
	if err != nil {
		return nil, fmt.Errorf("cannot %s on %s: %w", r.Op(), s.opts.Node, err)
	}
	return s.ask(ctx, r)
}

// withLine adds the quoted command line to a request that starts a program: the script hands it to
// CreateProcess as it is.
func withLine(r node.Request) (node.Request, error) {
	if r.Verb != "run" && r.Verb != "job.start" {
		return r, nil
	}
	line, err := winargs.Quote(node.Row(r.Args).Strings("argv"))
	if err != nil {
		return r, err
	}
	args := maps.Clone(r.Args)
	args["line"] = line
	return node.Request{Verb: r.Verb, Args: args}, nil
}

// Open reads a file in pieces, each when it is needed.
func (s *Session) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	return s.OpenPieces(ctx, path)
}

// Write puts a file in place: pieces to a temporary name beside it, then one request that verifies
// the hash and renames.
func (s *Session) Write(ctx context.Context, path string, r io.Reader, _ node.WriteOptions) error {
	// always the same name: what a link that broke has left there is written over by the next try
	temp := path + ".deploy.tmp"
	err := s.put(ctx, temp, path, r)
	if err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, _ = s.ask(clean, s.Fenced(node.Request{Verb: "file.remove", Args: map[string]any{"path": temp, "tree": false}}))
	}
	return err
}

func (s *Session) put(ctx context.Context, temp, path string, r io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.Forget()
	defer s.Forget()
	sum, offset := sha256.New(), int64(0)
	var flight []*call
	var pack packer
	buf := make([]byte, piece)
	land := func(keep int) error {
		for len(flight) > keep {
			if _, err := s.await(ctx, flight[0]); err != nil {
				return err
			}
			flight = flight[1:]
		}
		return nil
	}
	for eof := false; !eof; {
		n, err := io.ReadFull(r, buf)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			eof = true
		case err != nil:
			return fmt.Errorf("cannot write %s on %s: %w", path, s.opts.Node, err)
		}
		if n == 0 && offset > 0 {
			break
		}
		sum.Write(buf[:n])
		data, packed := pack.piece(buf[:n])
		calls, _, err := s.send([]node.Request{s.Fenced(node.Request{Verb: "file.put",
			Args: map[string]any{"path": temp, "offset": offset, "data": data, "packed": packed}})})
		if err != nil {
			return err
		}
		offset += int64(n)
		flight = append(flight, calls...)
		if err := land(ahead - 1); err != nil {
			return err
		}
	}
	if err := land(0); err != nil {
		return err
	}
	_, err := s.Change(ctx, node.Request{Verb: "file.commit",
		Args: map[string]any{"temp": temp, "path": path, "sha256": hex.EncodeToString(sum.Sum(nil))}})
	return err
}
